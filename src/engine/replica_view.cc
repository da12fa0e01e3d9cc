// Replica: how what is known gets into view.

#include "engine/replica_internal.h"
#include "engine/tree.h"
#include "engine/tree_mutation.h"

namespace jeton::engine {

void Replica::DropUselessBases(SharedPartition& partition, SharedCell& shared) {
  if (shared.cell.bases().empty()) return;
  const SharedPartition::Change change(partition, shared.cell);
  shared.cell.DropUselessBases(known_);
}

void Replica::Show(const Touched& touched, WallMs now) {
  for (const std::string& name : touched.trees) ShowTree(keyspace_.MakeKey(name), now);
  for (const auto& cell : touched.buckets) {
    const Key key = keyspace_.MakeKey(cell.name);
    SharedName* name = At(key).Find(key);
    SharedTree* tree = name != nullptr ? name->tree() : nullptr;
    if (tree != nullptr) ShowBucket(key, *tree, cell.key, cell.bucket);
  }
  for (const std::string& name : touched.counters) ShowCounter(keyspace_.MakeKey(name), now);
  for (const std::string& name : touched.attributes) ShowAttributes(keyspace_.MakeKey(name), now);
}

void Replica::ShowCounter(const Key& key, WallMs now) {
  SharedPartition& partition = At(key);
  SharedName* name = partition.Find(key);
  if (name == nullptr || name->counter() == nullptr) return;
  if (name->tree() != nullptr && name->tree()->facts.exists) return;  // hidden by it
  SharedCell& shared = *name->counter();
  DropUselessBases(partition, shared);
  const auto view = keyspace_.Find(key, kBeforeAnyExpiry);
  if (view && view->kind == Kind::kTree) return;
  if (shared.hidden || !shared.cell.IsPresent(known_)) {
    if (view) {
      // What a node alone has set is in view only. Who deletes the counter may not know of it yet,
      // and others may have it still.
      if (view->expires_at != 0 || view->precision) MakeAttributes(key);
      keyspace_.Apply({.type = MutationType::kDrop, .name = key.name}, key, now);
    }
    if (shared.cell.empty() && *copies_ == 0) partition.DropCounter(*name);
    return partition.EraseIfEmpty(key);
  }
  Decimal value = shared.cell.Value(known_);
  if (bugs_.store_estimate) [[unlikely]] {
    const std::int64_t grown = static_cast<std::int64_t>(PredictAll(key));
    value = Decimal::Add(value, grown).value_or(value);
  }
  if (!view || view->value != value) {
    keyspace_.Apply({.type = MutationType::kCounter, .name = key.name, .value = value}, key, now);
    if (watches_ != nullptr) watches_->Touch(key.name);
  }
  if (!view) ShowAttributes(key, now);
}

void Replica::ShowAttributes(const Key& key, WallMs now) {
  const SharedName* name = At(key).Find(key);
  const Attributes* known = name != nullptr ? name->attributes() : nullptr;
  if (known == nullptr || !keyspace_.Find(key, kBeforeAnyExpiry)) return;
  const Attributes& attributes = *known;
  keyspace_.Apply(
      {.type = MutationType::kExpire, .name = key.name, .expires_at = attributes.expires_at}, key,
      now);
  keyspace_.Apply(
      {.type = MutationType::kPrecision, .name = key.name, .value = attributes.precision}, key,
      now);
}

void Replica::ShowBucket(const Key& key, SharedTree& shared, std::string_view tree_key,
                         Bucket bucket) {
  Tree* tree = keyspace_.FindTree(key, kBeforeAnyExpiry);
  SharedCell* cell = FindBucket(shared, tree_key, bucket);
  if (tree == nullptr || cell == nullptr) return;
  DropUselessBases(At(key), *cell);
  const TreeKey found = tree->MakeKey(tree_key);
  if (cell->cell.IsPresent(known_)) {
    tree->Set(found, bucket, cell->cell.Value(known_));
  } else {
    tree->Clear(found, {bucket, bucket});
  }
  if (cell->cell.empty() && *copies_ == 0) {
    At(key).EraseBucket(shared, shared.keys.find(tree_key), bucket);
  }
  keyspace_.TreeChanged(key, *tree);
  if (watches_ != nullptr) watches_->Touch(key.name);
}

void Replica::ShowTree(const Key& key, WallMs now) {
  SharedTree& shared = MakeTree(key);
  const TreeFacts& facts = shared.facts;
  Tree* tree = keyspace_.FindTree(key, kBeforeAnyExpiry);
  if (watches_ != nullptr) watches_->Touch(key.name);
  if (!facts.exists) {
    if (tree != nullptr) {
      // Dropped elsewhere by somebody who did not know this life of it, which may show again.
      MakeAllBuckets(key, *tree);
      keyspace_.Apply({.type = MutationType::kDrop, .name = key.name}, key, now);
    }
    At(key).TrimTree(shared);
    return ShowCounter(key, now);
  }
  const bool is_new = tree == nullptr;
  if (is_new && ViewOf(key)) MakeCounter(key);
  if (is_new || !(tree->settings() == facts.settings)) {
    keyspace_.Apply(
        TreeMutation{
            .type = TreeMutationType::kCreate, .tree = key.name, .settings = facts.settings},
        key);
  }
  if (facts.watermark != Tree::kNoWatermark) {
    keyspace_.Apply(TreeMutation{.type = TreeMutationType::kTrim,
                                 .tree = key.name,
                                 .range = {facts.watermark, facts.watermark}},
                    key);
    At(key).TrimTree(shared);
  }
  if (is_new) ShowContents(key, now);
}

// What a tree that was not in view holds.
void Replica::ShowContents(const Key& key, WallMs now) {
  SharedTree& shared = MakeTree(key);
  if (shared.facts.watermark != Tree::kNoWatermark) {
    keyspace_.Apply(TreeMutation{.type = TreeMutationType::kTrim,
                                 .tree = key.name,
                                 .range = {shared.facts.watermark, shared.facts.watermark}},
                    key);
  }
  for (auto next = shared.keys.begin(); next != shared.keys.end();) {
    const std::string tree_key = next->first;
    std::vector<Bucket> buckets;
    for (auto live = shared.FirstLive(next); live != next->second.end(); ++live) {
      buckets.push_back(live->first);
    }
    for (const Bucket bucket : buckets) ShowBucket(key, shared, tree_key, bucket);
    next = shared.keys.upper_bound(tree_key);
  }
  ShowAttributes(key, now);
}

}  // namespace jeton::engine
