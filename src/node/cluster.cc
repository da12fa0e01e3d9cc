// Cluster: the peer loop's side: cutting, publishing, wishes. See cluster_host.cc for what the
// Replicator asks, cluster_state.cc for recovery, snapshots and state transfer, cluster_status.cc
// for what is told.
#include "node/cluster.h"

#include <algorithm>
#include <mutex>
#include <shared_mutex>

#include "node/cluster_internal.h"
#include "node/node.h"

namespace jeton::node {

namespace {

constexpr MonoNs kRowInterval = kNsPerSecond;        // an idle node tells its row
constexpr MonoNs kTendInterval = 100 * kNsPerMs;     // folding and freeing
constexpr MonoNs kLonelyCutInterval = kNsPerSecond;  // nobody is there to read
constexpr std::size_t kCutCells = 4096;              // then at once
constexpr std::size_t kLonelyCutCells = 65536;
constexpr std::size_t kFoldCells = 512;  // in one go
constexpr std::size_t kWishesMax = 256;
constexpr std::size_t kOutcomesMax = 1024;
// What may change while a state is being given; a peer that is slower than that has to ask again.
constexpr std::size_t kDonationFrameBytesMax = 1u << 30;

}  // namespace

Cluster::Cluster(Node& node) : node_(node) {
  status_ = std::make_shared<command::ClusterStatus>();
}

Cluster::~Cluster() = default;

// ---- the log

// The TurnLock is held exclusively, or nobody else is there yet.
void Cluster::AppendFrame(const OriginId& origin, Lsn to, std::string_view bytes, bool own) {
  auto shared = std::make_shared<const std::string>(bytes);
  const Lsn lsn = node_.AppendRecord(RecordType::kFrame, bytes);
  {
    const std::lock_guard guard(frames_mutex_);
    unsafe_.push_back({.lsn = lsn, .origin = origin, .to = to, .own = own ? shared : nullptr});
  }
  for (const auto& donation : donations_) {
    if (donation->scanned || donation->overrun) continue;
    donation->frame_bytes += shared->size();
    donation->overrun = donation->frame_bytes > kDonationFrameBytesMax;
    donation->frames.push_back(shared);
    if (donation->overrun) donation->frames.clear();
  }
  Keep(std::move(shared));
}

void Cluster::AppendUnit(std::string& unit) {
  if (!unit.empty()) node_.Append(unit);
  unit.clear();
}

crdt::VersionVector Cluster::DurableRow() const {
  if (node_.environment().cluster_bugs.row_unsynced) {
    crdt::VersionVector all = replica_->applied();
    replica_->AddOwnTo(all, node_.store().log().appended_lsn());
    return all;
  }
  crdt::VersionVector row = durable_;
  replica_->AddOwnTo(row, node_.store().log().durable_lsn());
  return row;
}

// All that has changed, in as many frames as it takes.
bool Cluster::CutFrame(bool row_too) {
  bool cut = false;
  do {
    const Lsn to = node_.store().log().CloseRecord();
    const crdt::VersionVector row = DurableRow();
    if (replica_->HasUncut()) digest_.Changed();
    const auto bytes = replica_->Cut(to, row, row_too && !cut);
    if (!bytes) return cut;
    last_row_ = row;
    AppendFrame(replica_->own(), replica_->applied().Get(replica_->own()), *bytes, true);
    cut = true;
  } while (replica_->HasUncut());
  return cut;
}

bool Cluster::CutLazy() {
  bool cut = false;
  while (const auto bytes = replica_->CutLazy(node_.store().log().CloseRecord())) {
    digest_.Changed();
    AppendFrame(replica_->lazy(), replica_->applied().Get(replica_->lazy()), *bytes, true);
    cut = true;
  }
  return cut;
}

// ---- safe is what replies may wait for; durable is on the disk

// The TurnLock is held.
void Cluster::RefreshVectors() {
  const OriginId& own = replica_->own();
  applied_ = replica_->applied();
  applied_.Remove(own);
  applied_.Advance(own, published_);
  applied_.Remove(replica_->lazy());
  applied_.Advance(replica_->lazy(), published_lazy_);
  for (const auto& [origin, end] : replica_->folded()) {
    if (replica_->IsRetired(origin)) durable_.Remove(origin);
  }
}

void Cluster::PublishSafe(Now now) {
  if (!replica_) return;
  const bool early = node_.environment().cluster_bugs.publish_early;
  const Lsn appended = node_.store().log().appended_lsn();
  const Lsn safe = early ? appended : node_.safe_lsn();
  const Lsn durable = early ? appended : node_.store().log().durable_lsn();
  std::vector<Unsafe> publish;
  {
    const std::shared_lock turn(node_.state().turn_lock);  // a snapshot cuts elsewhere
    const std::lock_guard guard(frames_mutex_);
    for (Unsafe& frame : unsafe_) {
      if (frame.own == nullptr || frame.lsn > safe) continue;
      publish.push_back(frame);
      frame.own = nullptr;
    }
    while (!unsafe_.empty() && unsafe_.front().lsn <= durable && unsafe_.front().own == nullptr) {
      const Unsafe& frame = unsafe_.front();
      if (!replica_->IsRetired(frame.origin)) durable_.Advance(frame.origin, frame.to);
      unsafe_.pop_front();
    }
  }
  for (const Unsafe& frame : publish) {
    Lsn& published = frame.origin == replica_->own() ? published_ : published_lazy_;
    published = std::max(published, frame.to);
    {
      const std::shared_lock turn(node_.state().turn_lock);
      RefreshVectors();
    }
    Status added = replicator_->AddFrame(now, frame.own);
    if (!added) node_.Say(LogLevel::kWarning, "A frame cannot be published: " + added.error().text);
  }
}

void Cluster::CutIfDue(Now now) {
  if (!replica_ || receiving_ || !node_.ready() || node_.state().disk_failed.load()) return;
  const std::size_t dirty = replica_->dirty_cells();
  const bool lonely = reachable_ == 0;
  const MonoNs interval = lonely ? kLonelyCutInterval : frame_interval_;
  const std::size_t at_once = lonely ? kLonelyCutCells : kCutCells;
  const bool due = now.mono_ns - last_cut_ >= interval || dirty >= at_once;
  if (!due) return;
  const bool row_due = now.mono_ns - last_row_at_ >= kRowInterval && RowMoved();
  if (!replica_->HasUncut() && !row_due) return;
  last_cut_ = now.mono_ns;
  if (row_due) last_row_at_ = now.mono_ns;
  {
    const std::lock_guard turn(node_.state().turn_lock);
    if (!CutFrame(row_due)) return;
  }
  node_.CommitSoon();
  // Without a sync before replies it is safe already.
  PublishSafe(now);
}

// What may be told late is, but never so late that somebody waits for it.
void Cluster::CutLazyIfDue(Now now) {
  if (!replica_ || receiving_ || !node_.ready() || node_.state().disk_failed.load()) return;
  {
    const std::shared_lock turn(node_.state().turn_lock);
    replica_->TickLazy(now.mono_ns);
  }
  const std::size_t dirty = replica_->dirty_lazy();
  if (dirty == 0) return;
  const MonoNs interval = reachable_ == 0 ? kLonelyCutInterval : frame_interval_;
  const bool due = replica_->LazyIsDue() || node_.state().ack_waiters.load() > 0;
  if (dirty < kCutCells && !(due && now.mono_ns - last_lazy_cut_ >= interval)) return;
  last_lazy_cut_ = now.mono_ns;
  {
    const std::lock_guard turn(node_.state().turn_lock);
    if (!CutLazy()) return;
  }
  node_.CommitSoon();
}

void Cluster::TickDigest(Now now) {
  if (!replica_ || receiving_ || !node_.ready() || settings_.digest_interval_ms == 0) return;
  const std::shared_lock turn(node_.state().turn_lock);
  digest_.Tick(*replica_, now.mono_ns, settings_.digest_interval_ms * kNsPerMs);
}

// Whether the row says more of others than the one that was told last.
bool Cluster::RowMoved() const {
  const std::shared_lock turn(node_.state().turn_lock);
  for (const auto& [origin, lsn] : durable_) {
    if (!replica_->IsOwn(origin) && last_row_.Get(origin) < lsn) return true;
  }
  return false;
}

// ---- folding and freeing

void Cluster::CloseAbandoned(std::string& unit) {
  if (node_.environment().cluster_bugs.no_close) return;
  for (const OriginId& origin : replica_->Abandoned()) replica_->Close(origin, unit);
}

void Cluster::Tend(Now now) {
  if (!replica_ || receiving_ || !node_.ready() || now.mono_ns - last_tend_ < kTendInterval) return;
  if (node_.state().disk_full.load() || node_.state().disk_failed.load()) return;
  last_tend_ = now.mono_ns;
  if (nodes_unwritten_) (void)WriteNodes();
  {
    const std::lock_guard turn(node_.state().turn_lock);
    std::string unit;
    CloseAbandoned(unit);
    AppendUnit(unit);
    if (!replica_->closed().empty()) {
      CutFrame(false);  // a fold has its frames for itself
      const bool more = replica_->FoldSome(kFoldCells, unit);
      AppendUnit(unit);
      CutFrame(false);
      if (more) last_tend_ = now.mono_ns - kTendInterval / 2;
    }
    replica_->FreeSome(unit);
    AppendUnit(unit);
    RefreshVectors();
  }
  node_.CommitSoon();
}

// ---- wishes

Result<Cluster::Wish> Cluster::Post(AnyWish wish) {
  Wish number = 0;
  {
    const std::lock_guard guard(wishes_mutex_);
    if (wishes_.size() >= kWishesMax) {
      return Error{ErrorKind::kUnavailable, "ERR too many requests to the cluster are waiting"};
    }
    number = ++last_wish_;
    wishes_.emplace_back(number, std::move(wish));
    has_wishes_.store(true, std::memory_order_release);
  }
  node_.WakeCluster();
  return number;
}

std::optional<Status> Cluster::TakeOutcome(Wish wish) {
  const std::lock_guard guard(wishes_mutex_);
  const auto found = std::find_if(outcomes_.begin(), outcomes_.end(),
                                  [&](const Outcome& outcome) { return outcome.wish == wish; });
  if (found == outcomes_.end()) return wish <= done_wish_ ? std::optional(Status()) : std::nullopt;
  Status status = std::move(found->status);
  outcomes_.erase(found);
  return status;
}

void Cluster::CarryOutWishes(Now now) {
  if (!has_wishes_.load(std::memory_order_acquire) || !started_) return;
  std::vector<std::pair<Wish, AnyWish>> wishes;
  {
    const std::lock_guard guard(wishes_mutex_);
    wishes.swap(wishes_);
    has_wishes_.store(false);
  }
  std::vector<Outcome> outcomes;
  for (const auto& [number, wish] : wishes) {
    Status status = std::visit([&](const auto& what) { return CarryOut(now, what); }, wish);
    if (!status) node_.Say(LogLevel::kWarning, "CLUSTER: " + status.error().text);
    outcomes.push_back({number, std::move(status)});
  }
  last_status_ = now.mono_ns - kStatusInterval;
  PublishStatus(now);
  {
    const std::lock_guard guard(wishes_mutex_);
    if (!outcomes.empty()) done_wish_ = outcomes.back().wish;
    for (Outcome& outcome : outcomes) outcomes_.push_back(std::move(outcome));
    // Of connections that are gone.
    while (outcomes_.size() > kOutcomesMax) outcomes_.pop_front();
  }
  node_.WakeWorkers();
}

Status Cluster::CarryOut(Now now, const MeetWish& wish) {
  return replicator_->Meet(now, wish.address, wish.keep);
}

Status Cluster::CarryOut(Now now, const ForgetWish& wish) {
  return replicator_->Forget(now, wish.node);
}

// The values stay, as they are seen now; the node is alone with them, under another cluster id.
// That is changed first: with the old one it would be taken back, and what it has be counted twice.
Status Cluster::CarryOut(Now now, const ResetWish& wish) {
  if (receiving_) {
    return Error{ErrorKind::kUnavailable, "ERR the state of another node is being copied"};
  }
  if (!replica_ && !wish.hard) return {};
  if (replica_ && membership_ + 1 >= kMembershipsPerRun) {
    return Error{ErrorKind::kUnavailable, "ERR this run has left " + std::to_string(membership_) +
                                              " clusters: restart it before it leaves another"};
  }
  NodeId node = node_id();
  ClusterId fresh{};
  RandomBytes(fresh.data(), fresh.size());
  if (wish.hard) RandomBytes(node.data(), node.size());
  if (Status renamed = node_.store().UpdateIdentity(node, fresh); !renamed) {
    return Error{renamed.error().kind, "ERR " + renamed.error().text};
  }
  if (replica_) node_.CancelSnapshot("the node is leaving its cluster");
  {
    const std::lock_guard turn(node_.state().turn_lock);
    node_.state().node_id = HexOf(node);
    if (replica_) {
      AppendControl(std::string(1, kAloneControl));
      node_.keyspace().set_replica(nullptr);
      donations_.clear();
      replica_.reset();
      ++membership_;
    }
  }
  (void)node_.FlushLog(true);
  members_.clear();
  applied_ = durable_ = last_row_ = {};
  published_ = published_lazy_ = 0;
  merging_ = fenced_ = false;
  merge_at_ = 0;
  {
    const std::lock_guard guard(frames_mutex_);
    unsafe_.clear();
    kept_.Clear();
  }
  forgotten_alarm_.clear();
  frames_alarm_.clear();
  replicator_->Reset(now);
  (void)WriteNodes();
  node_.Say(LogLevel::kNotice, std::string("This node is alone with its values") +
                                   (wish.hard ? " and has a new id" : ""));
  return {};
}

Status Cluster::CarryOut(Now, const SaveWish&) {
  Status written = WriteNodes();
  if (written) return written;
  return Error{written.error().kind, "ERR " + written.error().text};
}

// ---- the peer loop

// Whoever dials may do so because of what a client was told that will be done.
replication::LinkId Cluster::Accepted(Now now, std::string_view remote_ip) {
  CarryOutWishes(now);
  return started_ ? replicator_->Accepted(now, remote_ip) : 0;
}

void Cluster::DialDone(Now now, replication::LinkId link, bool ok, std::string_view error) {
  replicator_->DialDone(now, link, ok, error);
}

void Cluster::Receive(Now now, replication::LinkId link, std::string_view bytes) {
  now_ = now;
  replicator_->Receive(now, link, bytes);
}

void Cluster::Closed(Now now, replication::LinkId link, std::string_view why) {
  replicator_->Closed(now, link, why);
}

void Cluster::Backlog(Now now, replication::LinkId link, std::size_t bytes) {
  replicator_->Backlog(now, link, bytes);
}

void Cluster::Announce(Now now, const replication::Address& address) {
  announced_ = address;
  if (started_) replicator_->Announce(now, address);
}

void Cluster::Join(Now now, const std::vector<replication::Address>& addresses) {
  for (const auto& address : addresses) {
    Status begun = CarryOut(now, MeetWish{address, true});
    if (!begun) node_.Say(LogLevel::kWarning, "--join: " + begun.error().text);
  }
}

void Cluster::Tick(Now now) {
  if (!started_) return;
  now_ = now;
  ApplySettings(now);
  CarryOutWishes(now);
  CutLazyIfDue(now);
  CutIfDue(now);
  PublishSafe(now);
  Tend(now);
  TickRejoin(now);
  PublishSafe(now);
  ShrinkKept();
  TickDigest(now);
  replicator_->Tick(now);
  PublishStatus(now);
  SayEvents();
}

MonoNs Cluster::NextTick(Now now) {
  if (!started_) return now.mono_ns + 100 * kNsPerMs;
  MonoNs next = replicator_->NextTick();
  if (replica_) next = std::min(next, now.mono_ns + 5 * kNsPerMs);
  return next;
}

std::vector<replication::Output> Cluster::TakeOutputs() {
  return started_ ? replicator_->TakeOutputs() : std::vector<replication::Output>();
}

void Cluster::Stopping(Now now) {
  if (!started_ || !replica_ || receiving_) return;
  {
    const std::lock_guard turn(node_.state().turn_lock);
    CutLazy();
    CutFrame(false);
  }
  (void)node_.FlushLog(true);
  PublishSafe(now);
}

void Cluster::ApplySettings(Now now) {
  replication::Settings wanted = settings_;
  {
    const std::shared_lock turn(node_.state().turn_lock);
    const command::Values& values = node_.state().settings.values();
    wanted.secret = values.cluster_secret;
    wanted.node_timeout_ms = values.cluster_node_timeout;
    wanted.ring_bytes_max = static_cast<std::size_t>(values.cluster_ring_size);
    frame_interval_ = values.cluster_frame_interval * kNsPerMs;
    wanted.digest_interval_ms = values.cluster_digest_interval;
    if (replica_) replica_->SetPrediction(values.default_precision, values.history_size);
  }
  if (wanted.secret == settings_.secret && wanted.node_timeout_ms == settings_.node_timeout_ms &&
      wanted.ring_bytes_max == settings_.ring_bytes_max &&
      wanted.digest_interval_ms == settings_.digest_interval_ms) {
    return;
  }
  settings_ = wanted;
  replicator_->Configure(now, settings_);
}

void Cluster::SayEvents() {
  for (const replication::Event& event : replicator_->TakeEvents()) {
    node_.Say(event.warning ? LogLevel::kWarning : LogLevel::kNotice, event.text);
  }
}

}  // namespace jeton::node
