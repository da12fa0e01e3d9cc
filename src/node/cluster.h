// Cluster: the part of a node that has peers. It joins the Replicator (links, members, who needs
// which frame) with the engine's Replica (what the frames say) and with the log (what of it a crash
// leaves).
//
// An own change is applied and logged by a worker. Every few milliseconds what has changed is cut
// into a frame, under the TurnLock held exclusively, and the frame is appended to the log. When
// that record is as durable as replies must be, the frame is published. A frame of another origin
// is appended to the log and applied in one step; it counts as durable when its record is.
//
// Threads: the functions of "the peer loop" belong to one thread (the simulator's, or
// net/peer_loop). They take the TurnLock exclusively where they touch the keyspace; nobody who
// holds it waits for that thread. ClusterHost's functions may be called by any thread; they post
// wishes, which Tick carries out, and read what Tick has published. The rest says which lock it
// needs.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "command/cluster_host.h"
#include "crdt/frame.h"
#include "engine/replica.h"
#include "node/kept_frames.h"
#include "node/peer_driver.h"
#include "node/rejoin.h"
#include "node/steady_digest.h"
#include "replication/host.h"
#include "replication/replicator.h"
#include "storage/log_reader.h"
#include "storage/store.h"

namespace jeton::engine {
class Loader;
}  // namespace jeton::engine

namespace jeton::node {

class Node;

// The first byte of records of a snapshot, and of a state transfer, that are not mutations.
constexpr char kFrameRecord = '\xfe';
// Of a state transfer: a frame that some other member may still need, known by the state already.
constexpr char kKeptRecord = '\xfd';
// The partition of a snapshot that holds frames: behind those of the keyspace.
constexpr std::uint16_t kFramePartition = 256;

class Cluster final : public replication::Host, public command::ClusterHost, public PeerDriver {
 public:
  // `node` outlives it.
  explicit Cluster(Node& node);
  ~Cluster() override;

  // ---- PeerDriver
  void Begin(Now now) override { now_ = now; }
  void End(Now) override {}
  replication::LinkId Accepted(Now now, std::string_view remote_ip) override;
  void DialDone(Now now, replication::LinkId link, bool ok, std::string_view error) override;
  void Receive(Now now, replication::LinkId link, std::string_view bytes) override;
  void Closed(Now now, replication::LinkId link, std::string_view why) override;
  void Backlog(Now now, replication::LinkId link, std::size_t bytes) override;
  // Cuts, publishes, folds, carries out wishes.
  void Tick(Now now) override;
  MonoNs NextTick(Now now) override;
  std::vector<replication::Output> TakeOutputs() override;
  // Publishes what there is.
  void Stopping(Now now) override;
  bool accepts_peers() const override { return started_; }

  // Where peers reach this node; an empty host is learned from the first of them.
  void Announce(Now now, const replication::Address& address);
  // Joins these ("host:port") as soon as one answers; asked again until then.
  void Join(Now now, const std::vector<replication::Address>& addresses);

  // ---- recovery, in this order; no worker writes yet
  // The snapshot's vector: empty if the node was alone.
  Status RestoreControl(std::string_view vector);
  // A record of the snapshot that Loader does not know.
  Status RestoreRecord(std::string_view record, WallMs now);
  static bool IsClusterRecord(std::string_view record);
  // A record of the log. False: it is an ordinary one of a node alone.
  Result<bool> ReplayRecord(const LogRecord& record, WallMs now);
  // Forget all: the snapshot was damaged.
  void RestoreReset();
  // The log is open for the new run, which appends its first records here.
  Status BeginRun();
  // After the ORIGIN record of the new run is in the log.
  void CloseOldRuns();
  // After that; reads the `nodes` file.
  Status Start(Now now);
  bool clustered() const { return replica_ != nullptr; }

  // ---- snapshots; the TurnLock is held exclusively, so that nothing lies between the cut and the
  // begin of the snapshot's part of the log
  std::string CutForSnapshot();  // the vector for the snapshot's head
  // The frames that some member may still need, as records of kFramePartition.
  std::vector<std::string> FrameRecords() const;
  // What of the log is kept although no snapshot needs it; to be asked with the TurnLock held.
  LogNeeds NeedsOfLog() const;

  // Clients are not served before the node has joined the others again.
  bool awaiting_join() const { return awaiting_join_; }
  // A former life of the node is still there.
  bool rejoins() const { return rejoin_ != nullptr; }

  // ---- command::ClusterHost
  std::shared_ptr<const command::ClusterStatus> status() const override;
  int AckedBy(Lsn lsn) const override;
  Result<Wish> Meet(std::string_view host, std::int64_t port) override;
  Result<Wish> Forget(std::string_view id) override;
  Result<Wish> Reset(bool hard) override;
  Result<Wish> SaveConfig() override;
  std::optional<Status> TakeOutcome(Wish wish) override;
  command::Estimate EstimateOf(const engine::Key& key, const Decimal& known,
                               const Decimal& precision, Now now) const override;

  // ---- replication::Host (the peer loop, from inside the Replicator)
  NodeId node_id() const override;
  ClusterId cluster() const override;
  OriginId origin() const override;
  std::vector<OriginId> OwnOrigins() const override;
  bool IsEmpty() const override;
  Status AdoptCluster(const ClusterId& cluster) override;
  const crdt::VersionVector& applied() const override { return applied_; }
  const crdt::VersionVector& durable() const override { return durable_; }
  Lsn Head() const override;
  crdt::VersionVector Heads() const override;
  replication::ApplyOutcome ApplyFrame(const crdt::Frame& frame, std::string_view bytes) override;
  std::shared_ptr<const std::string> OldFrame(const OriginId& origin, Lsn after) override;
  bool IsClosed(const OriginId& origin) const override;
  std::optional<Lsn> FoldedAt(const OriginId& origin) const override;
  void MembersChanged(const std::vector<replication::Member>& members) override;
  void JoiningChanged(bool joining) override;
  bool FoldedWithout(const crdt::VersionVector& holds) const override;
  void WeWereForgotten(const replication::Forgetter& by,
                       const crdt::VersionVector& finals) override;
  void WeWereFenced(Lsn known_to_peers) override;
  std::uint64_t NextClock(Now now) override;
  void SawClock(std::uint64_t clock) override;
  void RandomBytes(std::uint8_t* out, std::size_t size) override;
  Result<replication::StateStart> StateBegin(const NodeId& receiver) override;
  Result<replication::StateChunk> NextStateChunk(std::uint64_t handle,
                                                 std::size_t bytes_max) override;
  void StateEnd(std::uint64_t handle) override;
  void HoldWrites(bool hold) override;
  Status BeginState(std::string_view head) override;
  Status AddStateChunk(std::string_view bytes) override;
  Status FinishState(const crdt::VersionVector& end) override;
  void AbortState() override;
  std::string Digest() override { return digest_.Encode(); }
  replication::DigestOutcome CompareDigest(std::string_view digest) override {
    return digest_.Compare(digest);
  }

  // For tests and the simulator; on the peer loop.
  replication::Replicator& replicator() { return *replicator_; }
  engine::Replica* replica() { return replica_.get(); }

 private:
  using Bytes = KeptFrames::Bytes;
  struct MeetWish {
    replication::Address address;
    bool keep = false;
  };
  struct ForgetWish {
    NodeId node{};
  };
  struct ResetWish {
    bool hard = false;
  };
  struct SaveWish {};
  using AnyWish = std::variant<MeetWish, ForgetWish, ResetWish, SaveWish>;
  struct Outcome {
    Wish wish = 0;
    Status status;
  };

  // A frame whose record is in the log and not yet safe.
  struct Unsafe {
    Lsn lsn = 0;  // of the record
    OriginId origin{};
    Lsn to = 0;
    Bytes own;  // to be published; null for another origin's
  };
  // The last frame of an earlier run.
  struct Tail {
    OriginId origin{};
    Lsn to = 0;
    Bytes bytes;
  };
  // A state that is being given to a peer.
  struct Donation {
    std::uint64_t handle = 0;
    unsigned partition = 0;
    engine::Keyspace::SliceCursor names;
    engine::Replica::StateCursor state;
    engine::Replica::Copy copy;
    bool scanned = false;
    bool overrun = false;  // more has changed meanwhile than is kept for it
    std::size_t frame_bytes = 0;
    std::deque<Bytes> frames;     // since the begin, in the order in which they were applied
    std::size_t frames_left = 0;  // of them belong to the state, once it is scanned
    // From before the begin, that some third member lacks: frames that only a node has which takes
    // a state would be lost with its disk, and only who knows all that the other lacks could help.
    std::deque<Bytes> kept;
    crdt::VersionVector end;
  };

  void MakeReplica(const OriginId& own);
  Status Activate();
  void ActivateLocked();
  bool HasNothing() const;
  bool IsOfThisNode(const OriginId& origin) const;
  void AppendControl(std::string_view payload);
  void AppendUnit(std::string& unit);
  // The TurnLock is held exclusively.
  bool CutFrame(bool row_too);
  std::optional<std::string> CutTail();
  void KeepTails();
  std::optional<std::string> CutLazyTail();
  bool CutLazy();
  void AppendFrame(const OriginId& origin, Lsn to, std::string_view bytes, bool own);
  void Keep(Bytes bytes);
  Lsn EverybodyHas(const OriginId& origin) const;
  Lsn SomebodyElseHas(const OriginId& origin) const;
  std::deque<Bytes> LackedByOthersThan(const NodeId& receiver) const;
  void StageKept(std::string_view bytes);
  void DropKept(Lsn (Cluster::*lsn_of)(const OriginId&) const);
  bool MergeSome();
  void ShrinkKept();
  void RefreshVectors();
  crdt::VersionVector DurableRow() const;
  bool RowMoved() const;

  void PublishSafe(Now now);
  void CutIfDue(Now now);
  void CutLazyIfDue(Now now);
  void TickDigest(Now now);
  std::vector<Lsn> AckedByPeers(const replication::ReplicatorStatus& known) const;
  void CloseAbandoned(std::string& unit);
  void Tend(Now now);
  void CarryOutWishes(Now now);
  Status CarryOut(Now now, const MeetWish& wish);
  Status CarryOut(Now now, const ForgetWish& wish);
  Status CarryOut(Now now, const ResetWish& wish);
  Status CarryOut(Now now, const SaveWish& wish);
  Result<Wish> Post(AnyWish wish);
  void ApplySettings(Now now);
  void PublishStatus(Now now);
  void SayEvents();
  Status WriteNodes();
  Status FlushMark();
  void FillStateChunk(Donation& donation, std::size_t bytes_max, std::string& out);
  // cluster_rejoin.cc
  enum class RejoinState : std::uint8_t { kNone, kJoining, kWaiting, kAdding, kFailed };
  bool RejoinsBySetting() const;
  bool IsWithoutIncrements();
  bool LogIsWithoutIncrements();
  bool IsLoading() const;
  Result<TailFacts> FactsOfOwnTail(const crdt::VersionVector& finals);
  Status LosesNothing(std::string_view head);
  void AlarmForgotten(const crdt::VersionVector& finals, std::string_view what_to_do);
  void SetAside(const replication::Forgetter& by);
  Status LoadRejoin(Now now);
  void NoteInjected(const engine::Injected& injected);
  std::string InjectedRecord() const;
  bool RestoreInjected(std::string_view record);
  void TickRejoin(Now now);
  void SeeWhetherJoined(Now now);
  void SeeWhetherFinal();
  void AddSomeOfTail(Now now);
  void EndRejoin();
  void FailRejoin(const Error& error);
  std::optional<Lsn> LackedAbove(const OriginId& origin) const;
  Status LoadRecord(std::string_view record, engine::Loader& loader, WallMs now);

  Node& node_;
  std::unique_ptr<engine::Replica> replica_;
  std::unique_ptr<replication::Replicator> replicator_;
  std::vector<replication::Member> members_;
  bool joining_ = false;          // them, says the file `nodes`
  bool nodes_unwritten_ = false;  // they are not in the file `nodes`, which had no space
  replication::Settings settings_;
  std::atomic<bool> started_{false};
  unsigned membership_ = 0;  // of this run: how many clusters it has left by RESET
  bool held_ = false;        // writes, until a donor has all of ours
  bool receiving_ = false;   // a state is being copied
  bool fenced_ = false;
  std::string forgotten_alarm_;
  crdt::VersionVector forgotten_finals_;  // that the alarm was made with
  bool set_aside_ = false;                // this life ends; the next start is that of a new member
  std::unique_ptr<Rejoin> rejoin_;        // null: there is no former life
  RejoinState rejoin_state_ = RejoinState::kNone;
  bool has_increments_ = false;  // of its own; false: not known
  std::atomic<bool> awaiting_join_{false};
  std::string rejoin_alarm_;
  MonoNs last_rejoin_ = 0;
  // Up to where each former run was added; and how much, in all. Written under the TurnLock.
  engine::OwnTail::Finals injected_;
  std::uint64_t injected_cells_ = 0;
  Decimal injected_amount_;
  replication::Address announced_;
  Now now_;                    // of the last call of the peer loop
  bool recovering_ = true;     // there is no log to write yet
  std::vector<Tail> tails_;    // of earlier runs, which are in no frame of the log yet
  Lsn replayed_ = 0;           // the last LSN of the run that is being replayed
  std::size_t reachable_ = 0;  // other nodes
  MonoNs frame_interval_ = 10 * kNsPerMs;
  crdt::HybridClock alone_clock_;

  crdt::VersionVector applied_, durable_;  // as the Replicator may see them
  Lsn published_ = 0;                      // of the own origin
  Lsn published_lazy_ = 0;                 // of the lazy one
  crdt::VersionVector last_row_;
  MonoNs last_lazy_cut_ = 0;
  MonoNs last_cut_ = 0, last_row_at_ = 0, last_tend_ = 0, last_status_ = 0;
  SteadyDigest digest_;
  std::vector<std::unique_ptr<Donation>> donations_;
  std::uint64_t next_handle_ = 1;

  mutable std::mutex frames_mutex_;  // a leaf: of what follows
  std::deque<Unsafe> unsafe_;
  KeptFrames kept_;  // that some member may lack

  // The last ones that were merged for peers, by origin. Only the peer loop.
  std::map<OriginId, KeptFrames::Frame> served_;

  // Those that come with a state, and become kept with it.
  std::vector<Bytes> staged_;
  std::size_t staged_bytes_ = 0;

  // Where the walk that merges them is, and from how many bytes on the next one begins.
  bool merging_ = false;
  OriginId merge_origin_{};
  Lsn merge_after_ = 0;
  std::size_t merge_at_ = 0;
  std::string frames_alarm_;

  mutable std::mutex wishes_mutex_;  // a leaf
  std::vector<std::pair<Wish, AnyWish>> wishes_;
  std::deque<Outcome> outcomes_;
  Wish last_wish_ = 0, done_wish_ = 0;
  std::atomic<bool> has_wishes_{false};

  mutable std::mutex status_mutex_;  // a leaf
  std::shared_ptr<const command::ClusterStatus> status_;
  std::vector<Lsn> acked_;  // of the own log, by each other member
  std::shared_ptr<const std::vector<OriginId>> live_lazy_ =
      std::make_shared<std::vector<OriginId>>();  // of nodes that are heard, ascending
};

}  // namespace jeton::node
