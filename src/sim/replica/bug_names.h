// The names by which the programs plant the bugs of engine::ReplicaBugs.
#pragma once

#include <string_view>

#include "engine/replica.h"

namespace jeton::sim {

// False if there is no such bug.
bool PlantBug(engine::ReplicaBugs& bugs, std::string_view name);

}  // namespace jeton::sim
