#include "engine/loader.h"

#include <algorithm>

#include "engine/partition.h"

namespace jeton::engine {

bool Loader::Apply(std::string_view unit) {
  ByteReader in(unit);
  has_tree_ = false;
  while (!in.AtEnd()) {
    const bool good = IsTreeMutation(in) ? ApplyTree(in) : DecodeNext(in);
    if (good) continue;
    Flush();
    return false;
  }
  return true;
}

void Loader::Flush() {
  for (std::size_t i = 0; i < size_; ++i) {
    keyspace_.At(pending_[i].key).table().PrefetchRecord(pending_[i].key.hash);
  }
  for (std::size_t i = 0; i < size_; ++i) {
    const Pending& next = pending_[i];
    if (next.mutation.type == MutationType::kCounter) {
      keyspace_.At(next.key).Put(next.key, next.mutation.value, now_);
    } else {
      keyspace_.Apply(next.mutation, next.key, now_);
    }
  }
  if (only_ && size_ > 0) ReserveFor(pending_[size_ - 1].key.hash);
  size_ = 0;
}

// A snapshot has its names in the order of their hashes, which are spread evenly: so many up to
// here say how many there will be. Any other order only makes a worse guess.
void Loader::ReserveFor(std::uint64_t last_hash) {
  Partition& partition = *keyspace_.partitions_[*only_];
  const std::uint64_t names = partition.names();
  if (names < kSample || names >= kSample + kBatch) return;
  constexpr int kPartitionBits = 8;
  const std::uint64_t part = (last_hash << kPartitionBits >> 32) + 1;  // of 2^32
  partition.Reserve(std::min((names << 32) / part, names_max_));
}

bool Loader::DecodeNext(ByteReader& in) {
  Pending& next = pending_[size_];
  next.mutation = DecodeMutation(in);
  if (!in.ok()) return false;
  if (next.mutation.type == MutationType::kFlush && only_) return false;
  next.key = keyspace_.MakeKey(next.mutation.name);
  if (!Owns(next.key)) return false;
  Added();
  return true;
}

bool Loader::ApplyTree(ByteReader& in) {
  DecodeTreeMutation(in, has_tree_, of_tree_);
  if (!in.ok()) return false;
  if (!has_tree_ || of_tree_.tree.data() != tree_key_.name.data()) {
    tree_key_ = keyspace_.MakeKey(of_tree_.tree);
  }
  has_tree_ = true;
  if (!Owns(tree_key_)) return false;
  Add(tree_key_, of_tree_);
  return true;
}

}  // namespace jeton::engine
