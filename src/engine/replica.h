// Replica: what a node with peers knows beyond what its readers see, and how the two follow from
// each other. It exists once the node is not alone any more (Keyspace::replica()).
//
//  * Local changes come from Unit, which changes the view and asks here for what goes into the log:
//    the own entry of the cell, an observed reset, a version.
//  * Cut makes the next frame of the own log, ApplyFrame takes in one of another origin's.
//  * What is added to a counter with a precision goes into the entry of a second own origin, the
//    lazy one (LazyOf), with frames of its own (CutLazy): what is held back there holds up nothing
//    else. Both share the LSNs of the log; all that is not an addition is in frames of the first.
//  * Recovery replays the own log's mutations and the frames in it by the same ways.
//  * Closing, folding and freeing keep what is stored small.
//
// The rules are those of crdt/cell.h; who may read what when:
//  - "changes of a name" hold the partition of the name (and the TurnLock shared);
//  - everything else is exclusive (the TurnLock exclusively, or nobody else is there yet).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/lock.h"
#include "base/result.h"
#include "crdt/cell.h"
#include "crdt/clock.h"
#include "crdt/frame.h"
#include "crdt/version_vector.h"
#include "engine/blocks.h"
#include "engine/keyspace.h"
#include "engine/shared_mutation.h"
#include "engine/shared_state.h"
#include "engine/watch.h"

namespace jeton::engine {

// Faults of REPLICATION.md's model that a test can plant, to see that they are found.
struct ReplicaBugs {
  bool partial_cut = false;     // a frame that leaves out cells changed last
  bool fold_early = false;      // folds before all members have the last LSN
  bool no_void = false;         // a reset that saw a fold does not make the orphan void
  bool no_pending = false;      // a reset hides nothing that is not known to the end yet
  bool no_birth = false;        // bases of an earlier life count
  bool free_unstable = false;   // frees entries before everybody knows why
  bool reuse_origin = false;    // a start goes on with the origin of the run before
  bool node_version = false;    // ties of SETs are broken by node, not by origin
  bool store_estimate = false;  // an estimate gets stored
  bool take_gaps = false;       // applies a frame whatever came before it
};

class Replica {
 public:
  struct Options {
    NodeId node{};
    OriginId own{};
    // Whether it is one of this node's runs, as its disk says.
    std::function<bool(const OriginId&)> was_ours = nullptr;
    // Ends the record of the log that is open, so that what comes later has a greater LSN; returns
    // the last LSN.
    std::function<Lsn()> close_record;
    std::function<WallMs()> wall_now;
  };

  // `keyspace` and `watches`, which may be null, outlive it.
  Replica(Keyspace& keyspace, WatchTable* watches, Options options);
  ~Replica();
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  // As Keyspace's, which calls them.
  void Prefetch(const Key& key) const { At(key).Prefetch(key); }
  void PrefetchRecord(const Key& key) const { At(key).PrefetchRecord(key); }

  // ---- changes of a name; each appends what the log needs to `log`
  // The counter's view goes from `value` - `delta` to `value`.
  void Add(const Key& key, const Decimal& value, const Decimal& delta, std::string& log);
  // The same for a counter that is in view with an integer, and stays one.
  void AddInteger(const Key& key, std::int64_t value, std::int64_t delta, std::string& log);
  void Set(const Key& key, const Decimal& value, std::string& log);
  // The counter or tree is gone, with its expiry and precision. `expired`: because its time came.
  void Drop(const Key& key, bool expired, std::string& log);
  // The name's tree has come into view by a local change, or gone out of it: so does what the tree
  // had already, and what it hides.
  void TreeCameIntoView(const Key& key, WallMs now) { ShowContents(key, now); }
  void TreeWentOutOfView(const Key& key, WallMs now) { ShowCounter(key, now); }
  // A zero counter goes out of view; nothing is logged, as nothing changes.
  void HideZero(const Key& key, WallMs now);
  void SetExpiry(const Key& key, WallMs expires_at, std::string& log);
  void SetPrecision(const Key& key, const Decimal& precision, std::string& log);
  void CreateTree(const Key& key, const TreeSettings& settings, std::string& log);
  void AddToBucket(const Key& key, const Tree& tree, const TreeKey& tree_key, Bucket bucket,
                   const Decimal& value, const Decimal& delta, std::string& log);
  // `present` false: the bucket is gone.
  void SetBucket(const Key& key, const Tree& tree, const TreeKey& tree_key, Bucket bucket,
                 const Decimal& value, bool present, std::string& log);
  void TrimTree(const Key& key, const Tree& tree, Bucket first_live, std::string& log);
  void ResetTree(const Key& key, std::string& log);  // keeps settings and watermark
  // ---- exclusive from here on
  void Flush(std::string& log);

  // ---- precision, see engine/lazy.h
  // Of the counters that have none; and how many samples a rate looks back on. Any thread.
  void SetPrediction(const Decimal& default_precision, std::int64_t history);
  // Holds the name: its precision, 0 if all of its changes are told at once.
  Decimal PrecisionOf(const Key& key) const;
  // The TurnLock is held shared: the time, for what is told late and what is predicted. Looks at
  // all that is waiting now and then, under the partitions' locks.
  void TickLazy(MonoNs now);
  // Cells that wait for the next lazy frame, and whether one of them should not; any thread.
  std::size_t dirty_lazy() const { return dirty_lazy_.load(std::memory_order_relaxed); }
  bool LazyIsDue() const { return lazy_due_.load(std::memory_order_relaxed); }
  // As Cut, of the lazy origin.
  std::optional<std::string> CutLazy(Lsn to);
  // Holds the name: how much the counter has grown beyond what is known, as far as the lazy origins
  // `live` (ascending) have said. For readers only.
  double Predict(const Key& key, const std::vector<OriginId>& live, MonoNs now) const;
  const PredictionCounts& predictions() const { return predictions_; }  // the peer loop's thread

  // How many cells wait for the next cut; any thread.
  std::size_t dirty_cells() const { return dirty_cells_.load(std::memory_order_relaxed); }
  bool HasUncut() const;
  // What it takes beyond itself; any thread. The keyspace is told with every frame, sweep and load.
  std::uint64_t used_bytes() const;
  // Whether anything was ever said of a name, beside what the keyspace shows: frames alone say
  // nothing, since members tell their rows with no counter anywhere. Exclusive.
  bool KnowsNames() const;
  // The next frame of the own log, whose last record is `to`; `row` is what the node holds
  // durably. Empty if nothing has changed and `row_too` is false. When more has changed than a
  // frame holds (kCutBytes), the frame says that it ends one LSN after the one before, and HasUncut
  // stays true: cut again, after appending it. What it already has of later changes is the same for
  // everybody, so its end may be called so. applied() tells where it ended.
  static constexpr std::size_t kCutBytes = std::size_t{4} << 20;
  std::optional<std::string> Cut(Lsn to, const crdt::VersionVector& row, bool row_too);

  // Whether the frame after it has more of the same changes.
  static bool IsPartial(const crdt::Frame& frame);

  enum class Outcome : std::uint8_t { kApplied, kKnown, kGap, kRefused };
  // All or nothing. kRefused: its bytes do not decode (see `why`).
  Outcome ApplyFrame(const crdt::Frame& frame, WallMs now, std::string* why = nullptr);

  // ---- vectors
  const crdt::VersionVector& applied() const { return applied_; }  // own origin: up to the last cut
  const OriginId& own() const { return origins_.IdOf(own_); }
  const OriginId& lazy() const { return origins_.IdOf(lazy_); }
  bool IsOwn(const OriginId& origin) const { return origin == own() || origin == lazy(); }
  // What the node holds of its own origins when its log is durable up to there.
  void AddOwnTo(crdt::VersionVector& row, Lsn durable) const;
  // What is folded is held to its end, too, until everybody knows of that: who does not must not
  // believe that nobody has anything of it.
  void AddFoldedTo(crdt::VersionVector& row) const {
    for (const auto& [origin, waits_for] : retiring_) row.Advance(origin, folded_.at(origin));
  }
  // Whether rows say nothing of it any more.
  bool IsRetired(const OriginId& origin) const {
    return folded_.contains(origin) && !retiring_.contains(origin);
  }
  const NodeId& node() const { return options_.node; }
  std::uint64_t clock() const;
  void SawClock(std::uint64_t clock);
  std::uint64_t NextClock(WallMs wall);
  // What each member said that it holds durably, in frames that are applied here.
  const std::map<NodeId, crdt::VersionVector>& rows() const { return rows_; }
  // Those whose rows stability waits for, this node included.
  void SetMembers(std::vector<NodeId> members, std::vector<NodeId> forgotten = {}) {
    members_ = std::move(members);
    forgotten_ = std::move(forgotten);
  }
  const std::vector<NodeId>& members() const { return members_; }
  const std::vector<NodeId>& forgotten() const { return forgotten_; }
  bool IsStable(const crdt::VersionVector& vector) const;
  // A member that holds up what could be freed, if one does.
  std::optional<NodeId> BlockedBy() const;

  // How often everything was flushed; and what is known of a tree, whether it is there or not.
  std::uint64_t epoch() const { return epoch_; }
  TreeFacts FactsOf(const Key& key) const;
  // Null if the cell is implicit, or not there.
  const SharedCell* Look(const CellName& cell) { return CellOf(cell, false); }
  // A line about a cell, for tests and diagnosis.
  std::string Describe(const CellName& cell);

  // ---- closed origins
  // Who folds it: the greatest of those that have said they would and that are not folded
  // themselves. What one that is folded has not done goes to the next.
  struct Closed {
    OriginId by{};
    Lsn at = 0;  // of the log of `by`
  };
  const OriginMap<Closed>& closed() const { return closed_; }
  const OriginMap<Lsn>& folded() const { return folded_; }
  // Origins that nobody writes any more and that this node has to close, since perhaps nobody else
  // will: those of its own earlier runs and of forgotten nodes, and closed ones whose closer is
  // over itself.
  std::vector<OriginId> Abandoned() const;
  // Logs that nobody writes `origin` any more and that this node will fold it.
  void Close(const OriginId& origin, std::string& log);
  // Folds up to `max_cells` cells of an origin whose end everybody knows, and looks at no more than
  // kLooksPerFold times as many. Cut directly before and after. True while there is more to do now.
  static constexpr std::size_t kLooksPerFold = 16;
  bool FoldSome(std::size_t max_cells, std::string& log);
  // Looks for own entries that contribute nothing and that nobody will miss; two rounds apart. At
  // most kSweepCells at a time, of one partition.
  static constexpr std::size_t kSweepCells = 8192;
  void FreeSome(std::string& log);

  // ---- recovery, snapshots, state transfer
  // The log says that from here on the node is not alone.
  void WriteClustered(std::string& log) const;
  // Everything up to `lsn` is in the state, not in frames; the view so far is the home origin's.
  void BeginAs(const OriginId& home, Lsn lsn);
  // The node's next run: `own` writes from here on, the origin so far is over; `last` is the last
  // record that was read of it, if one was. Cut its rest before.
  void NextRun(const OriginId& own, Lsn last);
  // Replays one mutation of the own log of the run `own`. False if it does not decode.
  bool Replay(std::string_view unit, Lsn lsn, WallMs now);
  // One of the own frames of that run, met in its log.
  void ReplayOwnFrame(const crdt::Frame& frame);
  // Control state: vectors, rows, closed origins, clock. `end` as an LSN of the own log.
  std::string EncodeControl(Lsn end) const;
  // `as_guest`: it is another node's; who this one is and what it has sent stay.
  bool DecodeControl(std::string_view bytes, bool as_guest);
  // Some of control state, of any node.
  struct ControlFacts {
    std::uint64_t epoch = 0;
    std::map<OriginId, Lsn> folded;
  };
  static std::optional<ControlFacts> FactsOfControl(std::string_view bytes);
  // A copy of the state (a snapshot, a transfer) takes a while. At the moment of EncodeControl it
  // begins, then come for each partition all of the keyspace's records, then its EncodeState. What
  // changes meanwhile is in the log or in frames, and comes after it; but while the Copy lives, a
  // cell with a state of its own is not turned into one that follows from the view, which the copy
  // may have as it was before.
  struct Copy {
    std::uint64_t number = ~std::uint64_t{0};
    std::shared_ptr<void> hold = nullptr;  // may outlive the Replica
  };
  Copy BeginCopy() {
    ++*copies_;
    return {.number = ++last_copy_,
            .hold = std::shared_ptr<void>(copies_.get(), [copies = copies_](void*) { --*copies; })};
  }
  // Everything about names that the keyspace's own records do not say, in slices; done when the
  // cursor says so. Load with LoadState after the keyspace's records; several threads may, each
  // with partitions of its own.
  struct StateCursor {
    std::uint64_t copy = ~std::uint64_t{0};  // the number of the Copy
    std::uint64_t hash = 0;                  // where to go on
    std::string name;
    std::string key;  // of the tree `name`, to go on from
    bool done = false;
  };
  void EncodeState(Keyspace::PartitionId partition, StateCursor& cursor, std::size_t max_bytes,
                   const std::function<void(std::string_view)>& emit);
  bool LoadState(std::string_view bytes, WallMs now);
  // Forgets everything but who it is; the keyspace is emptied too.
  void Clear();

  // What the state is, for comparison with another node's at the same vectors: a sum per origin of
  // the hashes of its entries.
  using Digest = OriginMap<std::uint64_t>;
  // A walk over everything, in slices; it is worth something only if nothing has changed since its
  // first one.
  struct DigestCursor {
    Digest digest = {};
    bool done = false;

    // Where it is: over what is in view, then over the cells with a state of their own.
    std::uint64_t view = 0;
    bool view_done = false;
    std::vector<std::string> trees = {};  // met in the view, to be walked before it goes on
    std::uint64_t tree = 0;               // in the last of them
    Keyspace::PartitionId partition = 0;
    std::uint64_t hash = 0;
    std::string name = {}, key = {};
  };
  // The TurnLock is held shared. About `names` counters, or a piece of a tree.
  void DigestSlice(DigestCursor& cursor, std::size_t names);
  // All of it in one go, for tests.
  Digest DigestAll();
  // Whether the frame says anything beside its row.
  static bool HasContent(const crdt::Frame& frame);

  // For tests.
  void PlantBugs(const ReplicaBugs& bugs) {
    bugs_ = bugs;
    known_.bugs = {
        .no_void = bugs.no_void, .no_pending = bugs.no_pending, .no_birth = bugs.no_birth};
  }

 private:
  struct Touched;

  SharedPartition& At(const Key& key) const { return *partitions_[Keyspace::PartitionOf(key)]; }
  SharedCell& MakeCounter(const Key& key);
  SharedCell* FindCounter(const Key& key);
  SharedTree& MakeTree(const Key& key);
  SharedCell& MakeBucket(const Key& key, SharedTree& shared, std::string_view tree_key,
                         Bucket bucket);
  SharedCell* FindBucket(SharedTree& shared, std::string_view tree_key, Bucket bucket);
  std::optional<Decimal> ViewOf(const Key& key) const;
  std::optional<Decimal> ViewOf(const Key& key, std::string_view tree_key, Bucket bucket) const;
  void DropUselessBases(SharedPartition& partition, SharedCell& shared);
  void ShowCounter(const Key& key, WallMs now);
  void ShowBucket(const Key& key, SharedTree& shared, std::string_view tree_key, Bucket bucket);
  void ShowAttributes(const Key& key, WallMs now);
  void ShowTree(const Key& key, WallMs now);
  void ShowContents(const Key& key, WallMs now);

  void MarkDirty(const CellName& cell, const Key& key, SharedName* name);
  void MarkDirty(const CellName& cell, const Key& key) { MarkDirty(cell, key, At(key).Find(key)); }
  Lsn BirthNow();
  crdt::Entry AddTo(crdt::OriginIndex origin, SharedPartition& partition, SharedCell& shared,
                    const Decimal& delta);
  crdt::Entry AddOwn(SharedPartition& partition, SharedCell& shared, const Decimal& delta) {
    return AddTo(own_, partition, shared, delta);
  }
  void AddLazy(const Key& key, const Decimal& precision, const Decimal& delta, std::string& log);
  LazyCell& MakeLazy(const Key& key, const Decimal& sum);
  void MarkDirtyLazy(const Key& key);
  void ClearLazyDirty();
  void BeginOwn(const OriginId& own);
  void AdvanceOwn(const OriginId& origin, Lsn to);
  crdt::OriginIndex LazyOfIndex(crdt::OriginIndex run) const;
  void NoteHeard(const Key& key, crdt::OriginIndex origin, const SharedMutation& mutation);
  void ForgetHeard(const CellName& cell);
  double PredictAll(const Key& key) const;
  bool TickPartition(Keyspace::PartitionId partition, MonoNs now);
  void LogEntry(const CellName& cell, const crdt::Entry& entry, std::string& log);
  void Control(const SharedMutation& mutation, std::string& log);
  crdt::Version NextVersion();
  void Reset(const CellName& cell, SharedCell& shared, const Decimal& value, bool present,
             std::string& log);
  Attributes& MakeAttributes(const Key& key);
  void ClearAttributes(const Key& key, bool expired, std::string& log);
  void ForgetStaleAttributes(const Key& key, std::string& log);
  void PutExpiry(const Key& key, WallMs expires_at, const crdt::Version& version, std::string& log);

  void Apply(const SharedMutation& mutation, crdt::OriginIndex origin, Lsn to, Touched& touched);
  void RaiseTreeEpoch(const CellName& cell, Touched& touched);
  void ApplyEntry(const SharedMutation& mutation, crdt::OriginIndex origin, Touched& touched);
  class CounterBatch;
  bool TakeCounter(const Key& key, const crdt::Entry& entry);
  std::optional<std::int64_t> TakeIntoCell(const Key& key, const crdt::Entry& entry,
                                           std::optional<std::int64_t> view);
  bool ApplyImplicit(const SharedMutation& mutation);
  void ApplyAttribute(const Key& key, const SharedMutation& mutation, Touched& touched);
  bool WasSetBack(const crdt::Frame& frame, const NodeId& node) const;
  bool Decodes(ByteReader in, const std::vector<OriginId>& dictionary, bool& folds_other);
  void Claim(const OriginId& closed, const OriginId& by, Lsn at);
  void ChooseCloser(const OriginId& closed);
  bool FallsToUs(const OriginId& origin) const;
  bool IsCurrent(const CellName& cell, std::uint64_t epoch);
  std::string EncodeDirty(SharedWriter& writer, bool& all);
  bool EncodeDirtyOf(SharedPartition& partition, SharedWriter& writer, std::string& out);
  void EncodeOwn(const CellName& cell, const SharedCell* shared, SharedWriter& writer,
                 std::string& out);
  void EncodeId(const CellName& cell, std::string& told_tree, SharedWriter& writer,
                std::string& out);
  std::string ForgetOneDirty();
  void ApplyTree(const Key& key, const TreeFacts& facts, Touched& touched);
  void ReserveNames(const Key& key);
  void EncodeName(const SharedName& shared, std::uint64_t copy, std::string& out) const;
  void SwitchEpoch(std::uint64_t epoch);
  void Show(const Touched& touched, WallMs now);
  SharedCell* CellOf(const CellName& cell, bool make);
  void NoteFolded(const OriginId& origin, Lsn end);
  void SetKnown(crdt::OriginIndex origin, Lsn lsn);
  void TellBytes() { keyspace_.set_shared_bytes(used_bytes()); }
  struct Folding;
  bool AllHaveEnd(const OriginId& closed, const Closed& closing) const;
  bool AllHaveEnds() const;
  bool KnowsFoldersIn(const crdt::VersionVector& row, const OriginId& closed) const;
  bool MakeExplicit(const Key& key, Folding& folding);
  void FoldCell(const CellName& cell, SharedCell& shared, Folding& folding);
  bool FoldView(Folding& folding);
  bool FoldShared(Folding& folding);
  template <typename Cursor, typename Visit>
  bool WalkNames(Keyspace::PartitionId partition, Cursor& cursor, std::size_t max_names,
                 Visit visit);
  struct Freeing;
  void MarkCell(SharedCell& shared) const;
  bool MarkSome(Keyspace::PartitionId partition);
  void FreeCell(const CellName& cell, SharedCell& shared, Freeing& freeing);
  bool FreeName(SharedName& name, std::string& from, Freeing& freeing);
  void FreeBuckets(const Key& key, SharedTree& tree, SharedTree::Keys::iterator item,
                   Freeing& freeing);
  bool FreeSomeOf(Keyspace::PartitionId partition, std::string& log);
  void ReleaseSome();
  void RetireStable();
  void AddToDigest(const CellName& cell, const crdt::Entry& entry, Digest& digest) const;
  void DigestTree(DigestCursor& cursor);
  void MakeAllBuckets(const Key& key, const Tree& tree);
  crdt::VersionVector VectorWithOwn(Lsn own) const;
  void LoadControlMaps(ByteReader& in);

  Keyspace& keyspace_;
  BlockPool pool_;  // outlives the partitions
  WatchTable* watches_;
  Options options_;
  ReplicaBugs bugs_;
  std::atomic<WallMs> touched_now_{0};  // of the frame, or the state, that is being applied
  crdt::OriginTable origins_;
  crdt::OriginIndex own_ = 0;
  crdt::OriginIndex lazy_ = 0;
  crdt::OriginIndex home_ = 0;
  crdt::Known known_;            // of the own origin: everything
  crdt::VersionVector applied_;  // of the own origin: up to the last cut
  Lsn sent_ = 0;                 // the end of the last own frame
  // What was known when this run began; none once a state of another node's was taken.
  std::optional<crdt::VersionVector> from_disk_;
  OriginMap<Lsn> run_ends_;  // the last records of own runs that were read from the disk
  std::uint64_t epoch_ = 0;
  bool ever_freed_ = false;  // the own origin has freed an entry
  std::map<NodeId, crdt::VersionVector> rows_;
  std::vector<NodeId> members_, forgotten_;
  OriginMap<NodeId> writers_;  // of those that are not folded
  OriginMap<Closed> closed_;
  // All who have said that they fold it, and from where on their log says so.
  OriginMap<OriginMap<Lsn>> claims_;
  OriginMap<Lsn> folded_;
  std::vector<std::unique_ptr<SharedPartition>> partitions_;
  std::atomic<std::size_t> dirty_cells_{0};
  const std::shared_ptr<std::atomic<std::uint64_t>> copies_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);  // under way
  std::atomic<std::uint64_t> last_copy_{0};
  // The run has written to its lazy origin; before that, nobody need hear of it.
  std::atomic<bool> lazy_used_{false};
  std::atomic<bool> lazy_due_{false};
  std::atomic<std::size_t> dirty_lazy_{0}, lazy_cells_{0};
  std::atomic<MonoNs> mono_now_{0};
  MonoNs looked_at_lazy_ = 0;
  std::atomic<bool> default_is_lazy_{false};
  std::atomic<std::int64_t> history_{10};
  PredictionCounts predictions_;

  mutable SpinLock control_lock_;  // of what follows
  crdt::HybridClock clock_;
  std::string controls_;  // since the last cut, in the log's form
  Decimal default_precision_ = 0;

  // Where the walk for an origin's entries is: first over the implicit cells, which become
  // explicit, then over those.
  struct FoldCursor {
    OriginId closed{};
    std::uint64_t view = 0;
    bool view_done = false;
    std::vector<std::string> names{};  // of the view, to be looked at
    std::uint64_t inner = 0;           // in the tree that is the last of them
    Keyspace::PartitionId partition = 0;
    std::uint64_t hash = 0;
    std::string name{}, key{};
  };
  std::optional<FoldCursor> fold_cursor_;

  // Of each partition: which candidates for freeing are marked, and what was known then.
  struct Sweep {
    std::vector<crdt::OriginIndex> folded;  // when marking began
    bool marked = false;                    // then `seen` is of its end
    crdt::VersionVector seen{};
    std::uint64_t hash = 0;  // where marking or freeing goes on
    std::string name{}, key{};
  };
  std::vector<std::optional<Sweep>> sweeps_;
  Keyspace::PartitionId sweep_partition_ = 0;
  // Origins that everybody knows to be folded, by index; and those that wait for that.
  std::vector<bool> retired_;
  OriginMap<crdt::VersionVector> retiring_;
};

}  // namespace jeton::engine
