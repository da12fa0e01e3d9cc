// ModelNode: what a node is to replication, and nothing else: a Keyspace with its Replica, a log
// that is a vector, a snapshot, and the frames it can hand on. It crashes, loses the end of its
// log, and recovers as a node does.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "engine/keyspace.h"
#include "engine/replica.h"
#include "engine/unit.h"
#include "engine/watch.h"

namespace jeton::sim {

struct StoredFrame {
  Lsn from = 0;
  Lsn to = 0;
  std::shared_ptr<const std::string> bytes;
  std::size_t record = 0;  // how much of its node's log must survive for it to be there
};

class ModelNode {
 public:
  struct Options {
    NodeId id{};
    std::uint64_t hash_seed = 0;
    engine::ReplicaBugs bugs = {};
    bool publishes_early = false;  // frames leave before they are durable
    bool merges_units = true;      // into one record, as the log does
    Decimal default_precision = 0;
  };

  explicit ModelNode(const Options& options) : options_(options) { MakeKeyspace(); }

  // Ends being alone: `own` has written everything that is there, up to `lsn`.
  void BeginAlone(const OriginId& own, Lsn lsn, std::vector<NodeId> members);
  bool up() const { return up_; }
  const NodeId& id() const { return options_.id; }
  const std::vector<OriginId>& runs() const { return runs_; }

  engine::Keyspace& keyspace() { return *keyspace_; }
  engine::Replica& replica() { return *replica_; }
  engine::Unit& unit() { return *unit_; }
  WallMs now() const { return now_; }
  void set_now(WallMs now) {
    now_ = now;
    unit_->set_now(now);
    if (replica_) replica_->TickLazy(now * kNsPerMs);
  }

  // Appends what the unit holds; the LSN of its record.
  Lsn Commit();
  Lsn lsn() const { return lsn_; }
  bool Cut(bool row_too);
  bool CutLazy();
  bool HasUncut() const { return replica_->HasUncut() || replica_->dirty_lazy() > 0; }
  void Persist();
  void Snapshot();
  // A snapshot whose parts are of different moments: Begin, changes, End.
  void BeginFuzzySnapshot();
  void EndFuzzySnapshot();
  bool InFuzzySnapshot() const { return fuzzy_.has_value(); }
  void Fold(std::size_t cells);
  void Free();

  std::map<OriginId, std::vector<StoredFrame>>& frames() { return frames_; }
  // Whether others may have it already.
  bool IsPublished(const StoredFrame& frame) const {
    return options_.publishes_early || frame.record <= durable_;
  }
  engine::Replica::Outcome Receive(const StoredFrame& frame);
  // Everything from another node, instead of what is here. False if it must not.
  bool TakeState(ModelNode& donor);

  // The records that are not durable are lost but for `kept` of them.
  void Crash(std::size_t kept);
  std::size_t UnsureRecords() const { return log_.size() - durable_; }
  // Empty if it went well.
  std::string Start(const OriginId& own);
  crdt::VersionVector KnownVector() const;  // of what is folded, too

 private:
  struct Record {
    OriginId run{};
    Lsn lsn = 0;
    bool is_frame = false;
    std::string bytes;
  };
  struct Stored {
    std::size_t position = 0;  // of the log
    OriginId run{};
    Lsn lsn = 0;
    engine::Replica::Copy copy = {};
    std::string control;
    std::vector<std::string> records, states;
  };

  void MakeKeyspace();
  void MakeReplica(const OriginId& own);
  void Append(bool is_frame, std::string_view bytes);
  void StoreFrame(std::string bytes);
  void EncodeSlices(Stored& stored);
  void EncodeStates(Stored& stored);
  std::string Load(const Stored& stored);
  std::string ReplayLog();
  void CutRest();
  void CloseOldRuns();

  Options options_;
  std::unique_ptr<engine::Keyspace> keyspace_;
  std::unique_ptr<engine::WatchTable> watches_;
  std::unique_ptr<engine::Unit> unit_;
  std::unique_ptr<engine::Replica> replica_;
  std::vector<NodeId> members_;
  WallMs now_ = 0;
  bool up_ = true;

  std::vector<Record> log_;
  std::size_t durable_ = 0;
  crdt::VersionVector durable_row_;
  OriginId run_{};
  Lsn lsn_ = 0;
  bool open_ = false;
  std::vector<OriginId> runs_;
  Stored snapshot_;
  std::optional<Stored> fuzzy_;
  std::map<OriginId, std::vector<StoredFrame>> frames_;
  std::map<OriginId, std::string> rests_;
};

}  // namespace jeton::sim
