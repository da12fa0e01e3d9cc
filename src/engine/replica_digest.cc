// Replica: what tells two nodes that know the same whether they have the same. Each entry of each
// cell adds its hash to the sum of its origin, whether the cell is implicit or not: how a node
// stores it is its own affair.
#include <algorithm>
#include <mutex>

#include "base/hash.h"
#include "engine/replica_internal.h"
#include "engine/tree.h"

namespace jeton::engine {

namespace {

constexpr std::size_t kTreeKeys = 256;  // of a slice; each has its buckets

}  // namespace

void Replica::AddToDigest(const CellName& cell, const crdt::Entry& entry, Digest& digest) const {
  std::string id;
  EncodeCellId(cell, id);
  PutVarint(id, epoch_);
  PutVarint(id, entry.birth);
  entry.sum.EncodeTo(id);
  digest[origins_.IdOf(entry.origin)] += HashBytes(id, 0);
}

// Some of the implicit cells of a tree.
void Replica::DigestTree(DigestCursor& cursor) {
  const std::string name = cursor.trees.back();
  const Key key = keyspace_.MakeKey(name);
  const std::lock_guard guard(keyspace_.LockOf(Keyspace::PartitionOf(key)));
  const Tree* tree = keyspace_.FindTree(key, kBeforeAnyExpiry);
  if (tree == nullptr) {
    cursor.trees.pop_back();
    cursor.tree = 0;
    return;
  }
  SharedName* shared = At(key).Find(key);
  SharedTree* cells = shared != nullptr ? shared->tree() : nullptr;
  cursor.tree = tree->Scan(cursor.tree, kTreeKeys, [&](const KeyView& view) {
    const std::string text = view.ToString();
    view.ForEach([&](Bucket bucket, const Decimal& sum) {
      if (cells != nullptr && FindBucket(*cells, text, bucket) != nullptr) return;
      AddToDigest({.name = name,
                   .in_tree = true,
                   .key = text,
                   .bucket = bucket,
                   .tree_epoch = cells != nullptr ? cells->facts.epoch : 0},
                  {home_, 0, sum}, cursor.digest);
    });
  });
  if (cursor.tree == 0) cursor.trees.pop_back();
}

void Replica::DigestSlice(DigestCursor& cursor, std::size_t names) {
  if (!cursor.trees.empty()) return DigestTree(cursor);
  if (!cursor.view_done) {
    cursor.view = keyspace_
                      .Scan(cursor.view, names, kBeforeAnyExpiry,
                            [&](std::string_view name, const engine::Entry& entry) {
                              if (entry.kind == Kind::kTree)
                                return cursor.trees.emplace_back(name), void();
                              const Key key = keyspace_.MakeKey(name);
                              if (FindCounter(key) != nullptr) return;
                              AddToDigest({.name = name}, {home_, 0, entry.value}, cursor.digest);
                            })
                      .next;
    cursor.view_done = cursor.view == 0;
    return;
  }
  if (cursor.partition < Keyspace::kPartitions) {
    const std::lock_guard guard(keyspace_.LockOf(cursor.partition));
    std::size_t left = std::max(names, kTreeKeys);
    const auto add = [&](const CellName& cell, const SharedCell& shared) {
      for (const crdt::Entry& entry : shared.cell.entries()) {
        AddToDigest(cell, entry, cursor.digest);
      }
      if (left > 0) --left;
      return left > 0;
    };
    const auto add_name = [&](SharedName& name, std::string& key) {
      if (key.empty() && name.counter() != nullptr) add({.name = name.name()}, *name.counter());
      return ForEachBucket(name, key, add);
    };
    if (WalkNames(cursor.partition, cursor, names, add_name)) ++cursor.partition;
  }
  cursor.done = cursor.partition == Keyspace::kPartitions;
}

Replica::Digest Replica::DigestAll() {
  DigestCursor cursor;
  while (!cursor.done) DigestSlice(cursor, 1024);
  return cursor.digest;
}

}  // namespace jeton::engine
