// What trees need as time passes: old buckets go, and memory comes back.
#pragma once

#include "base/time.h"
#include "command/server_state.h"
#include "engine/unit.h"

namespace jeton::command {

// Moves on the watermark of each tree that keeps only so many buckets, as changes that are logged,
// if a second has passed since the last time; then frees memory of dropped, reset and trimmed
// trees, for a few milliseconds at most. `unit` is empty before and after. The caller holds no
// lock; one thread at a time.
void TendTrees(ServerState& server, engine::Unit& unit, WallMs now);

}  // namespace jeton::command
