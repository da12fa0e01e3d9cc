// One step of a walk over a tree's keys with a cursor that the client keeps: TREE.SCAN and HSCAN.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "command/context.h"
#include "command/tree_query.h"

namespace jeton::command {

struct TreeScanStep {
  std::uint64_t next = 0;  // 0 at the end
  std::vector<KeyTotal> keys;
};

// `words`: cursor [MATCH pattern] [COUNT n]. The caller holds the tree's partition. Nothing for a
// tree that does not exist.
Result<TreeScanStep> ScanTree(Context& ctx, const engine::Key& name,
                              std::span<const std::string_view> words);

}  // namespace jeton::command
