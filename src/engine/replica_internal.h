// What the parts of Replica's implementation share.
#pragma once

#include <string>
#include <vector>

#include "engine/replica.h"

namespace jeton::engine {

// Names that a frame or a replayed unit has changed; shown when all of it is applied.
struct Replica::Touched {
  struct BucketName {
    std::string name, key;
    Bucket bucket;
  };
  std::vector<std::string> counters, attributes, trees;
  std::vector<BucketName> buckets;

  void Add(const CellName& cell) {
    if (cell.in_tree) {
      buckets.push_back({std::string(cell.name), std::string(cell.key), cell.bucket});
    } else {
      counters.emplace_back(cell.name);
    }
  }
};

template <typename Visit>
void Replica::ForEachCell(Keyspace::PartitionId partition, Visit visit) {
  for (auto& [name, shared] : partitions_[partition]->names()) {
    if (shared.counter) visit(CellName{.name = name}, *shared.counter);
    if (!shared.tree) continue;
    for (auto& [key, buckets] : shared.tree->keys) {
      for (auto& [bucket, cell] : buckets) {
        visit(CellName{.name = name,
                       .in_tree = true,
                       .key = key,
                       .bucket = bucket,
                       .tree_epoch = shared.tree->facts.epoch},
              cell);
      }
    }
  }
}

}  // namespace jeton::engine
