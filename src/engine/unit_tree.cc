// The part of Unit that is about trees.
#include "base/assert.h"
#include "engine/replica.h"
#include "engine/unit.h"

namespace jeton::engine {

void Unit::CreateTree(const Key& name, const TreeSettings& settings) {
  if (keyspace_.IsExpired(name, now_)) Drop(name);
  last_tree_ = nullptr;
  const TreeMutation create{
      .type = TreeMutationType::kCreate, .tree = name.name, .settings = settings};
  if (Replica* replica = keyspace_.replica()) {
    const bool is_new = !keyspace_.HasTree(name);
    replica->CreateTree(name, settings, bytes_);
    keyspace_.Apply(create, name);
    if (is_new) replica->TreeCameIntoView(name, now_);
  } else {
    EncodeTreeMutation(create, false, bytes_);
    keyspace_.Apply(create, name);
  }
  ++changes_;
  watches_.Touch(name.name);
}

std::optional<Decimal> Unit::AddToBucket(const Key& name, Tree& tree, const TreeKey& key,
                                         Bucket bucket, const Decimal& delta) {
  if (Replica* replica = keyspace_.replica()) {
    if (!tree.CanAdd(key, bucket, delta)) return std::nullopt;
    const auto sum = Decimal::Add(tree.Get(key, bucket), delta);
    if (tree.CheckWritable(bucket)) {
      replica->AddToBucket(name, tree, key, bucket, *sum, delta, bytes_);
    }
    tree.Add(key, bucket, delta);
    Touched(name, tree);
    return sum;
  }
  const auto value = tree.Add(key, bucket, delta);
  if (!value) return value;
  EncodeTreeBucket(name.name, SameTree(tree), key, bucket, *value, delta, bytes_);
  Touched(name, tree);
  return value;
}

void Unit::AddToBuckets(const Key& name, Tree& tree, std::span<BucketAdd> adds) {
  if (adds.empty()) return;
  if (keyspace_.replica() != nullptr) {
    for (BucketAdd& add : adds) {
      const auto value = AddToBucket(name, tree, add.key, add.bucket, add.delta);
      ASSERT(value.has_value());
      add.value = *value;
    }
    return;
  }
  // Integers of keys that are numbers are encoded side by side and appended together.
  char encoded[32 * kMaxNumberBucketBytes];
  char* end = encoded;
  const auto append = [&] {
    bytes_.append(encoded, static_cast<std::size_t>(end - encoded));
    end = encoded;
  };
  for (BucketAdd& add : adds) {
    if (last_tree_ == &tree && add.key.is_number && add.delta.IsInt64()) [[likely]] {
      const std::int64_t delta = add.delta.Int64();
      std::int64_t value = 0;
      if (tree.AddInPlace(add.key, add.bucket, delta, value)) {
        add.value = value;
        if (end > std::end(encoded) - kMaxNumberBucketBytes) append();
        end = EncodeNumberBucket(add.key.number, add.bucket, value, delta, end);
        continue;
      }
    }
    append();
    const auto value = tree.Add(add.key, add.bucket, add.delta);
    ASSERT(value.has_value());
    add.value = *value;
    EncodeTreeBucket(name.name, SameTree(tree), add.key, add.bucket, add.value, add.delta, bytes_);
  }
  append();
  changes_ += adds.size() - 1;
  Touched(name, tree);
}

void Unit::SetBucket(const Key& name, Tree& tree, const TreeKey& key, Bucket bucket,
                     const Decimal& value) {
  if (Replica* replica = keyspace_.replica()) {
    replica->SetBucket(name, tree, key, bucket, value, true, bytes_);
    tree.Set(key, bucket, value);
    return Touched(name, tree);
  }
  tree.Set(key, bucket, value);
  EncodeTreeBucket(name.name, SameTree(tree), key, bucket, value, 0, bytes_);
  Touched(name, tree);
}

std::uint64_t Unit::ClearBuckets(const Key& name, Tree& tree, const TreeKey& key,
                                 const BucketRange& range) {
  if (keyspace_.replica() != nullptr) return ClearShared(name, tree, key, range);
  const std::uint64_t gone = tree.Clear(key, range);
  if (gone == 0) return 0;
  RecordTree({.type = TreeMutationType::kClear, .tree = name.name, .key = key, .range = range},
             name, tree);
  return gone;
}

bool Unit::ResetKey(const Key& name, Tree& tree, const TreeKey& key) {
  if (keyspace_.replica() != nullptr) return ClearShared(name, tree, key, Tree::kAll) != 0;
  if (tree.Clear(key, Tree::kAll) == 0) return false;
  RecordTree({.type = TreeMutationType::kResetKey, .tree = name.name, .key = key}, name, tree);
  return true;
}

// With peers every bucket is reset by itself, each with what it had observed.
std::uint64_t Unit::ClearShared(const Key& name, Tree& tree, const TreeKey& key,
                                const BucketRange& range) {
  std::vector<Bucket> buckets;
  if (const auto view = tree.Find(key)) {
    view->ForEach(range, [&](Bucket bucket, const Decimal&) { buckets.push_back(bucket); });
  }
  for (const Bucket bucket : buckets) {
    keyspace_.replica()->SetBucket(name, tree, key, bucket, 0, false, bytes_);
  }
  if (buckets.empty()) return 0;
  tree.Clear(key, range);
  Touched(name, tree);
  return buckets.size();
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
  Replica* replica = keyspace_.replica();
  if (replica != nullptr) replica->TrimTree(name, tree, first_live, bytes_);
  const std::uint64_t gone = tree.Trim(first_live);
  if (replica != nullptr) {
    Touched(name, tree);
    return gone;
  }
  RecordTree(
      {.type = TreeMutationType::kTrim, .tree = name.name, .range = {first_live, first_live}}, name,
      tree);
  return gone;
}

std::uint64_t Unit::ResetTree(const Key& name, Tree& tree) {
  Replica* replica = keyspace_.replica();
  if (replica != nullptr && tree.keys() > 0) replica->ResetTree(name, bytes_);
  const std::uint64_t keys = tree.Reset();
  if (keys == 0) return 0;
  if (replica != nullptr) {
    Touched(name, tree);
    return keys;
  }
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
