#include "sim/replica/bug_names.h"

namespace jeton::sim {

bool PlantBug(engine::ReplicaBugs& bugs, std::string_view name) {
  if (name == "partial-cut") return bugs.partial_cut = true;
  if (name == "fold-early") return bugs.fold_early = true;
  if (name == "no-void") return bugs.no_void = true;
  if (name == "no-pending") return bugs.no_pending = true;
  if (name == "no-birth") return bugs.no_birth = true;
  if (name == "free-unstable") return bugs.free_unstable = true;
  if (name == "reuse-origin") return bugs.reuse_origin = true;
  if (name == "node-version") return bugs.node_version = true;
  if (name == "store-estimate") return bugs.store_estimate = true;
  return false;
}

}  // namespace jeton::sim
