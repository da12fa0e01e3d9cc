#include "engine/replay.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "base/parallel.h"
#include "engine/loader.h"

namespace jeton::engine {

bool Replay::Add(std::string_view unit) {
  ByteReader in(unit);
  has_tree_ = false;
  while (!in.AtEnd()) {
    if (!(IsTreeMutation(in) ? GatherTree(in) : Gather(in))) return false;
    // Between two mutations a unit may be applied in part: nobody looks before all of it is.
    if (gathered_ >= kGatheredMax) Flush();
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
  if (trees_.empty() || trees_.back().data() != tree_key_.name.data()) {
    trees_.push_back(tree_key_.name);
  }
  Put(tree_key_, begin, in, static_cast<std::uint32_t>(trees_.size() - 1));
  return true;
}

void Replay::Put(const Key& key, const char* begin, const ByteReader& in, std::uint32_t tree) {
  const auto size = static_cast<std::uint32_t>(in.Position() - begin);
  items_[Keyspace::PartitionOf(key)].push_back({key.hash, begin, size, tree});
  ++gathered_;
}

void Replay::Flush() {
  if (gathered_ == 0) return;
  std::atomic<unsigned> next{0};
  const auto work = [&] {
    for (unsigned i = next++; i < Keyspace::kPartitions; i = next++) {
      ApplyPartition(items_[i]);
      items_[i].clear();
    }
  };
  // Starting threads takes longer than applying a few.
  constexpr std::size_t kWorthThreads = 10'000;
  RunOnThreads(gathered_ < kWorthThreads ? 1 : threads_, work);
  gathered_ = 0;
  trees_.clear();
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
    of_tree.tree = trees_[item.tree];
    DecodeTreeMutation(in, true, of_tree);
    loader.Add({of_tree.tree, item.hash}, of_tree);
  }
  loader.Flush();
}

}  // namespace jeton::engine
