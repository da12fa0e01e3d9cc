// Loader: applies encoded mutations in bulk, when a node recovers or a test replays. Decoding runs
// ahead of applying, over the bounds of units, so that the memory of a batch of names is on its way
// before the first is touched; the order of the mutations of a name is kept.
//
// Threads: one. It takes no locks: its caller owns the keyspace, or the one partition that the
// loader is restricted to. So a snapshot's partitions can be loaded by several threads.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"
#include "engine/keyspace.h"
#include "engine/mutation.h"
#include "engine/tree_mutation.h"

namespace jeton::engine {

class Loader {
 public:
  // `now` is for bookkeeping of zero counters.
  explicit Loader(Keyspace& keyspace, WallMs now) : keyspace_(keyspace), now_(now) {}
  // For mutations of names of one partition; others, and kFlush, are refused as if they did not
  // decode. At most `names_max` names will be in it.
  Loader(Keyspace& keyspace, WallMs now, Keyspace::PartitionId only, std::uint64_t names_max)
      : keyspace_(keyspace), now_(now), only_(only), names_max_(names_max) {}
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Applies every mutation in `unit` (a log record's payload, or one record of a snapshot), the
  // last ones perhaps not before Flush: until then the bytes must stay. False if they do not
  // decode; what came before the bad mutation has been applied then.
  bool Apply(std::string_view unit);
  // The same for one mutation that was decoded and whose names are views of such bytes.
  void Add(const Key& key, const Mutation& mutation) {
    pending_[size_] = {key, mutation};
    Added();
  }
  void Add(const Key& tree, const TreeMutation& mutation) {
    Flush();  // what was said about the tree's name before
    keyspace_.Apply(mutation, tree);
  }
  void Flush();

 private:
  static constexpr std::size_t kBatch = 32;
  static constexpr std::uint64_t kSample = 256;  // names that tell how many there will be
  struct Pending {
    Key key;
    Mutation mutation;
  };

  void Added() {
    keyspace_.Prefetch(pending_[size_].key);
    if (++size_ == kBatch) Flush();
  }
  bool DecodeNext(ByteReader& in);
  bool ApplyTree(ByteReader& in);
  void ReserveFor(std::uint64_t last_hash);
  bool Owns(const Key& key) const { return !only_ || Keyspace::PartitionOf(key) == *only_; }

  Keyspace& keyspace_;
  const WallMs now_;
  const std::optional<Keyspace::PartitionId> only_;
  const std::uint64_t names_max_ = 0;
  std::array<Pending, kBatch> pending_;
  std::size_t size_ = 0;
  TreeMutation of_tree_;
  Key tree_key_;
  bool has_tree_ = false;  // in this unit
};

}  // namespace jeton::engine
