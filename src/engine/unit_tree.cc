// The part of Unit that is about trees.
#include "engine/unit.h"

namespace jeton::engine {

void Unit::CreateTree(const Key& name, const TreeSettings& settings) {
  if (keyspace_.IsExpired(name, now_)) Drop(name);
  last_tree_ = nullptr;
  const TreeMutation create{
      .type = TreeMutationType::kCreate, .tree = name.name, .settings = settings};
  keyspace_.Apply(create, name);
  EncodeTreeMutation(create, false, bytes_);
  ++changes_;
  watches_.Touch(name.name);
}

std::optional<Decimal> Unit::AddToBucket(const Key& name, Tree& tree, const TreeKey& key,
                                         Bucket bucket, const Decimal& delta) {
  const auto value = tree.Add(key, bucket, delta);
  if (!value) return value;
  EncodeTreeBucket(name.name, SameTree(tree), key, bucket, *value, delta, bytes_);
  Touched(name, tree);
  return value;
}

void Unit::SetBucket(const Key& name, Tree& tree, const TreeKey& key, Bucket bucket,
                     const Decimal& value) {
  tree.Set(key, bucket, value);
  EncodeTreeBucket(name.name, SameTree(tree), key, bucket, value, 0, bytes_);
  Touched(name, tree);
}

std::uint64_t Unit::ClearBuckets(const Key& name, Tree& tree, const TreeKey& key,
                                 const BucketRange& range) {
  const std::uint64_t gone = tree.Clear(key, range);
  if (gone == 0) return 0;
  RecordTree({.type = TreeMutationType::kClear, .tree = name.name, .key = key, .range = range},
             name, tree);
  return gone;
}

bool Unit::ResetKey(const Key& name, Tree& tree, const TreeKey& key) {
  if (tree.Clear(key, Tree::kAll) == 0) return false;
  RecordTree({.type = TreeMutationType::kResetKey, .tree = name.name, .key = key}, name, tree);
  return true;
}

std::uint64_t Unit::ClearSlice(const Key& name, Tree& tree, std::uint64_t cursor,
                               std::size_t max_keys, const BucketRange& range,
                               std::uint64_t& buckets_gone) {
  // Clearing moves records, so the keys are taken down first.
  std::vector<std::string> keys;
  cursor = tree.Scan(cursor, max_keys, [&](const KeyView& key) { keys.push_back(key.ToString()); });
  for (const std::string& key : keys) {
    buckets_gone += ClearBuckets(name, tree, tree.MakeKey(key), range);
  }
  return cursor;
}

std::uint64_t Unit::TrimTree(const Key& name, Tree& tree, Bucket first_live) {
  if (first_live <= tree.watermark()) return 0;
  const std::uint64_t gone = tree.Trim(first_live);
  RecordTree(
      {.type = TreeMutationType::kTrim, .tree = name.name, .range = {first_live, first_live}}, name,
      tree);
  return gone;
}

std::uint64_t Unit::ResetTree(const Key& name, Tree& tree) {
  const std::uint64_t keys = tree.Reset();
  if (keys == 0) return 0;
  RecordTree({.type = TreeMutationType::kReset, .tree = name.name}, name, tree);
  return keys;
}

void Unit::RecordTree(const TreeMutation& mutation, const Key& name, Tree& tree) {
  EncodeTreeMutation(mutation, SameTree(tree), bytes_);
  Touched(name, tree);
}

bool Unit::SameTree(const Tree& tree) {
  const bool same = last_tree_ == &tree;
  last_tree_ = &tree;
  return same;
}

void Unit::Touched(const Key& name, Tree& tree) {
  keyspace_.TreeChanged(name, tree);
  ++changes_;
  watches_.Touch(name.name);
}

}  // namespace jeton::engine
