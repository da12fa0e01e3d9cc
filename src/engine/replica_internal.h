// What the parts of Replica's implementation share.
#pragma once

#include <algorithm>
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

// Visits the names of a partition from the cursor (its `hash`, `name` and `key`) on, about
// `max_names` of them. `visit(name, key)` may erase its name; it goes on within a tree from `key`,
// if that is not empty, and says false, with `key` set, if it is not done with the name. True at
// the end of the partition. The partition's lock is held, or all.
template <typename Cursor, typename Visit>
bool Replica::WalkNames(Keyspace::PartitionId id, Cursor& cursor, std::size_t max_names,
                        Visit visit) {
  constexpr std::size_t kBatch = 64;
  cursor.hash = std::max(cursor.hash, std::uint64_t{id} << 56);
  std::vector<SharedPartition::Table::Walked> batch;
  for (std::size_t seen = 0; seen < max_names; seen += kBatch) {
    batch.clear();
    const std::uint64_t next = partitions_[id]->Walk(cursor.hash, kBatch, batch);
    for (const auto& walked : batch) {
      std::string key;
      if (walked.hash == cursor.hash && walked.record->name() == cursor.name) key = cursor.key;
      const std::string_view name = walked.record->name();
      if (visit(*walked.record, key)) continue;
      cursor.hash = walked.hash;
      cursor.name = name;
      cursor.key = key;
      return false;
    }
    cursor.hash = next;
    cursor.name.clear();
    cursor.key.clear();
    if (next >> 56 != id) return true;
  }
  return false;
}

// Visits the explicit cells of a tree from `key` on. Once `visit` says false, and that key is done,
// `key` is where to go on, and the result false.
template <typename Visit>
bool ForEachBucket(SharedName& name, std::string& key, Visit visit) {
  SharedTree* tree = name.tree();
  if (tree == nullptr) return true;
  for (auto next = tree->keys.lower_bound(key); next != tree->keys.end();) {
    bool more = true;
    for (auto live = tree->FirstLive(next); live != next->second.end(); ++live) {
      more = visit(CellName{.name = name.name(),
                            .in_tree = true,
                            .key = next->first,
                            .bucket = live->first,
                            .tree_epoch = tree->facts.epoch},
                   live->second);
    }
    ++next;
    if (more || next == tree->keys.end()) continue;
    key = next->first;
    return false;
  }
  return true;
}

}  // namespace jeton::engine
