// Cluster: what the Replicator asks of its host, but for states.
#include <algorithm>
#include <mutex>
#include <shared_mutex>

#include "node/cluster.h"
#include "node/cluster_internal.h"
#include "node/node.h"

namespace jeton::node {

NodeId Cluster::node_id() const {
  return node_.store().identity().node;
}

ClusterId Cluster::cluster() const {
  return node_.store().identity().cluster;
}

OriginId Cluster::origin() const {
  return MembershipOf(node_.store().origin(), membership_);
}

bool Cluster::IsOfThisNode(const OriginId& origin) const {
  const auto& runs = node_.store().identity().origins;
  return std::any_of(runs.begin(), runs.end(),
                     [&](const OriginId& run) { return OfOneRun(run, origin); });
}

// The oldest first: an id begins with its time.
std::vector<OriginId> Cluster::OwnOrigins() const {
  std::vector<OriginId> origins;
  if (replica_) {
    const std::shared_lock turn(node_.state().turn_lock);
    for (const auto& [known, lsn] : replica_->applied()) {
      if (lsn > 0 && known != origin() && IsOfThisNode(known)) origins.push_back(known);
    }
  }
  std::sort(origins.begin(), origins.end());
  origins.push_back(origin());
  if (origins.size() > replication::kOwnOriginsMax) {
    origins.erase(origins.begin(),
                  origins.end() - static_cast<std::ptrdiff_t>(replication::kOwnOriginsMax));
  }
  return origins;
}

bool Cluster::IsEmpty() const {
  const std::lock_guard turn(node_.state().turn_lock);
  return HasNothing();
}

bool Cluster::HasNothing() const {
  return node_.keyspace().size(0) == 0 && (!replica_ || !replica_->KnowsNames());
}

// From here on each change is told of in frames. Were a client to write between the look and that,
// this node, too, would have what only a copy of its state can tell: then nobody could help
// anybody.
Status Cluster::AdoptCluster(const ClusterId& cluster) {
  if (awaiting_join_ && rejoin_ && cluster != rejoin_->cluster()) {
    return Error{ErrorKind::kConflict, "this node joins none but the cluster that forgot it"};
  }
  if (!replica_) node_.CancelSnapshot("the node has joined others");
  {
    const std::lock_guard turn(node_.state().turn_lock);
    if (!HasNothing()) return Error{ErrorKind::kConflict, "this node has just got data"};
    ActivateLocked();
  }
  if (Status flushed = FlushMark(); !flushed) return flushed;
  return node_.store().UpdateIdentity(node_id(), cluster);
}

// With nobody else there is nothing to tell of changes; with the first other member there is.
Status Cluster::Activate() {
  if (replica_) return {};
  node_.CancelSnapshot("the node has joined others");
  {
    const std::lock_guard turn(node_.state().turn_lock);
    ActivateLocked();
  }
  return FlushMark();
}

// Before any peer hears of it: a start that does not find the mark would take over, as a node alone
// does, what peers know as another run's, and count it twice; or take a newcomer for a member.
Status Cluster::FlushMark() {
  const std::lock_guard flush(node_.flush_mutex());
  if (node_.environment().cluster_bugs.mark_unsynced) return {};
  return node_.store().log().Flush(true);
}

void Cluster::ActivateLocked() {
  if (replica_) return;
  const bool empty = node_.keyspace().size(0) == 0;
  const Lsn lsn = empty ? 0 : node_.store().log().CloseRecord();
  std::string payload(1, kClusteredControl);
  PutVarint(payload, lsn);
  PutVarint(payload, membership_);
  AppendControl(payload);
  MakeReplica(origin());
  replica_->BeginAs(origin(), lsn);
  published_ = lsn;
  published_lazy_ = 0;
  durable_.Advance(origin(), lsn);
  RefreshVectors();
}

void Cluster::MakeReplica(const OriginId& own) {
  replica_ = std::make_unique<engine::Replica>(
      node_.keyspace(), &node_.state().watches,
      engine::Replica::Options{
          .node = node_id(),
          .own = own,
          .was_ours = [this](const OriginId& origin) { return IsOfThisNode(origin); },
          .close_record = [this] { return recovering_ ? replayed_ : node_.CloseRecord(); },
          .wall_now = [this] { return node_.environment().wall_now(); }});
  node_.keyspace().set_replica(replica_.get());
  digest_.Changed();
}

void Cluster::AppendControl(std::string_view payload) {
  node_.AppendRecord(RecordType::kControl, payload);
}

// Everything that is in the log and that a reply may be waiting for.
Lsn Cluster::Head() const {
  if (!replica_) return node_.ready() ? node_.store().log().appended_lsn() : 0;
  if (replica_->HasUncut()) return node_.store().log().appended_lsn();
  const std::shared_lock turn(node_.state().turn_lock);
  return std::max(published_, replica_->applied().Get(replica_->own()));
}

crdt::VersionVector Cluster::Heads() const {
  crdt::VersionVector heads;
  heads.Advance(origin(), Head());
  if (!replica_) return heads;
  const std::shared_lock turn(node_.state().turn_lock);
  const Lsn cut = replica_->applied().Get(replica_->lazy());
  heads.Advance(replica_->lazy(), replica_->dirty_lazy() > 0
                                      ? std::max(cut, node_.store().log().appended_lsn())
                                      : cut);
  return heads;
}

replication::ApplyOutcome Cluster::ApplyFrame(const crdt::Frame& frame, std::string_view bytes) {
  using replication::ApplyOutcome;
  if (!replica_ || receiving_ || !node_.ready()) return ApplyOutcome::kBusy;
  if (node_.state().disk_full.load() || node_.state().disk_failed.load())
    return ApplyOutcome::kBusy;
  if (replica_->IsOwn(frame.origin)) return ApplyOutcome::kKnown;
  engine::Replica::Outcome outcome;
  std::string why;
  {
    const std::lock_guard turn(node_.state().turn_lock);
    outcome = replica_->ApplyFrame(frame, now_.wall_ms, &why);
    if (outcome == engine::Replica::Outcome::kApplied) {
      if (engine::Replica::HasContent(frame)) digest_.Changed();
      AppendFrame(frame.origin, frame.to, bytes, false);
      RefreshVectors();
    }
  }
  switch (outcome) {
    case engine::Replica::Outcome::kApplied:
      node_.CommitSoon();
      return ApplyOutcome::kApplied;
    case engine::Replica::Outcome::kKnown:
      return ApplyOutcome::kKnown;
    case engine::Replica::Outcome::kGap:
      return ApplyOutcome::kGap;
    case engine::Replica::Outcome::kRefused:
      break;
  }
  node_.Say(LogLevel::kWarning, "A frame from a peer is refused: " + why);
  return ApplyOutcome::kRefused;
}

bool Cluster::IsClosed(const OriginId& origin) const {
  return replica_ && replica_->closed().contains(origin);
}

std::optional<Lsn> Cluster::FoldedAt(const OriginId& origin) const {
  if (!replica_) return std::nullopt;
  const auto found = replica_->folded().find(origin);
  if (found == replica_->folded().end()) return std::nullopt;
  return found->second;
}

void Cluster::MembersChanged(const std::vector<replication::Member>& members) {
  // Before the `nodes` file is read there is only our own record, which must not replace it.
  if (!started_) return;
  members_ = members;
  std::vector<NodeId> living, forgotten;
  for (const auto& member : members) {
    const bool lives = member.state == replication::MemberState::kMember;
    (lives ? living : forgotten).push_back(member.node);
  }
  if (living.size() > 1 && !replica_) {
    if (Status active = Activate(); !active) {
      return node_.Say(LogLevel::kWarning, "This node cannot join: " + active.error().text);
    }
  }
  // A node that has joined and does not know yet, or any more, whom: the others count it among
  // them. Were it to take itself for the only one, it would fold what they need to follow.
  if (members.size() == 1 && !node_.environment().cluster_bugs.lonely_folds) living.clear();
  if (replica_) {
    const std::lock_guard turn(node_.state().turn_lock);
    replica_->SetMembers(living, forgotten);
  }
  if (Status written = WriteNodes(); !written) {
    node_.Say(LogLevel::kWarning, "The file 'nodes' cannot be written: " + written.error().text);
  }
}

void Cluster::JoiningChanged(bool joining) {
  joining_ = joining;
  if (Status written = WriteNodes(); !written) {
    node_.Say(LogLevel::kWarning, "The file 'nodes' cannot be written: " + written.error().text);
  }
}

Status Cluster::WriteNodes() {
  Status written = ReplaceFile(*node_.environment().directory, kNodesFile,
                               replication::EncodeNodes({members_, joining_}));
  nodes_unwritten_ = !written;
  return written;
}

// Nobody who was asked has more. Who has less takes a state, like any newcomer.
bool Cluster::FoldedWithout(const crdt::VersionVector& holds) const {
  if (!replica_ || receiving_) return false;
  return std::any_of(holds.begin(), holds.end(), [&](const auto& item) {
    const auto end = FoldedAt(item.first);
    return end && *end < item.second;
  });
}

void Cluster::WeWereFenced(Lsn known_to_peers) {
  if (fenced_) return;
  fenced_ = true;
  node_.Say(LogLevel::kWarning, "Alarm: another process of this node has closed this run at LSN " +
                                    std::to_string(known_to_peers) +
                                    ": two processes may be using copies of one data directory");
}

std::uint64_t Cluster::NextClock(Now now) {
  return replica_ ? replica_->NextClock(now.wall_ms) : alone_clock_.Next(now.wall_ms);
}

void Cluster::SawClock(std::uint64_t clock) {
  alone_clock_.Saw(clock);
  if (replica_) replica_->SawClock(clock);
}

void Cluster::RandomBytes(std::uint8_t* out, std::size_t size) {
  node_.environment().random_bytes(out, size);
}

}  // namespace jeton::node
