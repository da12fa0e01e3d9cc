// For tests: a node with peers whose log is a number. Each unit, and each frame, is one record.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/keyspace.h"
#include "engine/replica.h"
#include "engine/tree.h"
#include "engine/unit.h"
#include "engine/watch.h"

namespace jeton::engine {

class ReplicaSite {
 public:
  static constexpr WallMs kNow = 1'700'000'000'000;

  // `home`: what is there at first is its own, as on the node that began the cluster.
  explicit ReplicaSite(std::uint8_t number, bool home = false)
      : keyspace_({.hash_seed = number}),
        unit_(keyspace_, watches_),
        replica_(keyspace_, &watches_,
                 {.node = NodeId{number},
                  .own = Origin(number),
                  .was_ours = [this](const OriginId& origin) { return origin == earlier_run; },
                  .close_record = [this] { return lsn_; },
                  .wall_now = [] { return kNow; }}) {
    keyspace_.set_replica(&replica_);
    if (home) replica_.BeginAs(Origin(number), 0);
    unit_.set_now(kNow);
  }

  static OriginId Origin(std::uint8_t number) { return OriginId{number}; }
  OriginId earlier_run{};  // of this node, as its disk says
  Replica& replica() { return replica_; }
  Keyspace& keyspace() { return keyspace_; }
  Unit& unit() { return unit_; }
  Key KeyOf(std::string_view name) const { return keyspace_.MakeKey(name); }
  Lsn lsn() const { return lsn_; }

  void Commit() {
    if (!unit_.empty()) ++lsn_;
    unit_.Clear();
  }
  // What was logged beside units.
  void Append(std::string& log) {
    if (!log.empty()) ++lsn_;
    log.clear();
  }

  void Add(std::string_view name, std::int64_t delta) {
    unit_.Add(KeyOf(name), *Decimal::Add(Value(name).value_or(0), delta), delta);
    Commit();
  }
  void Set(std::string_view name, std::int64_t value) {
    unit_.Put(KeyOf(name), value, 0);
    Commit();
  }
  void Drop(std::string_view name) {
    unit_.Drop(KeyOf(name));
    Commit();
  }
  void Expire(std::string_view name, WallMs at) {
    unit_.Expire(KeyOf(name), at);
    Commit();
  }
  void AddToTree(std::string_view name, std::string_view key, Bucket bucket, std::int64_t delta) {
    if (!keyspace_.HasTree(KeyOf(name))) unit_.CreateTree(KeyOf(name), {});
    Tree* tree = keyspace_.FindTree(KeyOf(name), kNow);
    unit_.AddToBucket(KeyOf(name), *tree, tree->MakeKey(key), bucket, delta);
    Commit();
  }
  void Trim(std::string_view name, Bucket first) {
    unit_.TrimTree(KeyOf(name), *keyspace_.FindTree(KeyOf(name), kNow), first);
    Commit();
  }

  std::optional<Decimal> Value(std::string_view name) const {
    const auto entry = keyspace_.Find(KeyOf(name), kNow);
    if (!entry || entry->kind != Kind::kCounter) return std::nullopt;
    return entry->value;
  }
  Decimal Bucketed(std::string_view name, std::string_view key, Bucket bucket) const {
    const Tree* tree = keyspace_.FindTree(KeyOf(name), kNow);
    return tree == nullptr ? Decimal(0) : tree->Get(tree->MakeKey(key), bucket);
  }

  // Empty if there is nothing to tell.
  std::string Cut(bool row_too = false) {
    crdt::VersionVector row = replica_.applied();
    row.Advance(replica_.own(), lsn_);
    return Logged(replica_.Cut(lsn_, row, row_too));
  }
  std::vector<std::string> CutAll() {
    std::vector<std::string> frames;
    for (std::string frame = Cut(); !frame.empty(); frame = Cut()) frames.push_back(frame);
    return frames;
  }
  std::string CutLazy() { return Logged(replica_.CutLazy(lsn_)); }
  Replica::Outcome Take(const std::string& bytes) {
    ByteReader in(bytes);
    const auto outcome = replica_.ApplyFrame(crdt::DecodeFrame(in), kNow);
    if (outcome == Replica::Outcome::kApplied) ++lsn_;
    return outcome;
  }
  // Everything once round; false if one could not take it in.
  bool Exchange(ReplicaSite& other) {
    const std::string ours = Cut(true), theirs = other.Cut(true);
    return (ours.empty() || other.Take(ours) == Replica::Outcome::kApplied) &&
           (theirs.empty() || Take(theirs) == Replica::Outcome::kApplied);
  }
  void Sweep() {
    std::string log;
    for (unsigned i = 0; i < Keyspace::kPartitions; ++i) replica_.FreeSome(log);
    Append(log);
  }
  // All that a snapshot would hold, into a node that has nothing.
  bool CopyTo(ReplicaSite& other) {
    bool good = other.replica().DecodeControl(replica_.EncodeControl(lsn_), false);
    for (Keyspace::PartitionId id = 0; id < Keyspace::kPartitions; ++id) {
      Keyspace::SliceCursor names;
      while (!names.done) {
        keyspace_.EncodeSlice(id, names, kSliceBytes, [&](std::string_view bytes) {
          good = other.keyspace_.ApplyEncoded(bytes, kNow) && good;
        });
      }
      Replica::StateCursor state{.name = {}, .key = {}};
      while (!state.done) {
        replica_.EncodeState(id, state, kSliceBytes, [&](std::string_view bytes) {
          good = other.replica().LoadState(bytes, kNow) && good;
        });
      }
    }
    return good;
  }

 private:
  static constexpr std::size_t kSliceBytes = 1024;

  std::string Logged(std::optional<std::string> frame) {
    if (frame) ++lsn_;
    return std::move(frame).value_or(std::string());
  }

  Lsn lsn_ = 0;
  Keyspace keyspace_;
  WatchTable watches_;
  Unit unit_;
  Replica replica_;
};

}  // namespace jeton::engine
