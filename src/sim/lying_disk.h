// A Directory that lies: it passes calls on to another one, but for what the canary breaks. It is
// how bugs of the "forgot to sync" kind are planted without a line in the product.
#pragma once

#include <memory>

#include "sim/swarm.h"
#include "storage/file_system.h"

namespace jeton::sim {

// `canary`: which lie; most canaries are not the disk's, then it tells the truth.
std::unique_ptr<Directory> MakeLyingDirectory(std::unique_ptr<Directory> inner, Canary canary);

}  // namespace jeton::sim
