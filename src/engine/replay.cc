#include "engine/replay.h"

#include <mutex>
#include <utility>

#include "engine/loader.h"

namespace jeton::engine {

bool Replay::Add(std::string_view unit) {
  ByteReader in(unit);
  has_tree_ = false;
  while (!in.AtEnd()) {
    if (!(IsTreeMutation(in) ? GatherTree(in) : Gather(in))) return false;
    // Between two mutations a unit may be applied in part: nobody looks before all of it is.
    if (gathered_.size >= kBatch) Begin();
  }
  return true;
}

bool Replay::Gather(ByteReader& in) {
  const char* begin = in.Position();
  const Mutation mutation = DecodeMutation(in);
  if (!in.ok()) return false;
  if (mutation.type == MutationType::kFlush) {
    Flush();
    const std::lock_guard turn(turn_lock_);
    keyspace_.Apply(mutation, {}, now_);
    return true;
  }
  Put(keyspace_.MakeKey(mutation.name), begin, in, kNoTree);
  return true;
}

bool Replay::GatherTree(ByteReader& in) {
  const char* begin = in.Position();
  DecodeTreeMutation(in, has_tree_, of_tree_);
  if (!in.ok()) return false;
  if (!has_tree_ || of_tree_.tree.data() != tree_key_.name.data()) {
    tree_key_ = keyspace_.MakeKey(of_tree_.tree);
  }
  has_tree_ = true;
  std::vector<std::string_view>& trees = gathered_.trees;
  if (trees.empty() || trees.back().data() != tree_key_.name.data()) {
    trees.push_back(tree_key_.name);
  }
  Put(tree_key_, begin, in, static_cast<std::uint32_t>(trees.size() - 1));
  return true;
}

void Replay::Put(const Key& key, const char* begin, const ByteReader& in, std::uint32_t tree) {
  const auto size = static_cast<std::uint32_t>(in.Position() - begin);
  gathered_.items[Keyspace::PartitionOf(key)].push_back({key.hash, begin, size, tree});
  ++gathered_.size;
}

void Replay::Flush() {
  if (gathered_.size > 0) Begin();
  Finish();
}

// Hands over what was gathered, once the batch before is applied.
void Replay::Begin() {
  // Starting threads takes longer than applying a few.
  constexpr std::size_t kWorthThreads = 10'000;
  Finish();
  std::swap(gathered_, applied_);
  next_ = 0;
  const int helpers = applied_.size < kWorthThreads ? 0 : threads_ - 1;
  for (int i = 0; i < helpers; ++i) helpers_.emplace_back([this] { Work(); });
}

void Replay::Work() {
  for (unsigned i = next_++; i < Keyspace::kPartitions; i = next_++) {
    ApplyPartition(applied_.items[i]);
    applied_.items[i].clear();
  }
}

void Replay::Finish() {
  if (applied_.size == 0) return;
  Work();
  for (std::thread& helper : helpers_) helper.join();
  helpers_.clear();
  applied_.trees.clear();
  applied_.size = 0;
}

void Replay::ApplyPartition(const std::vector<Item>& items) const {
  constexpr std::size_t kAhead = 16;
  if (items.empty()) return;
  Loader loader(keyspace_, now_);
  TreeMutation of_tree;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i + kAhead < items.size()) __builtin_prefetch(items[i + kAhead].bytes);
    const Item& item = items[i];
    ByteReader in({item.bytes, item.size});
    if (item.tree == kNoTree) {
      const Mutation mutation = DecodeMutation(in);
      loader.Add({mutation.name, item.hash}, mutation);
      continue;
    }
    of_tree.tree = applied_.trees[item.tree];
    DecodeTreeMutation(in, true, of_tree);
    loader.Add({of_tree.tree, item.hash}, of_tree);
  }
  loader.Flush();
}

}  // namespace jeton::engine
