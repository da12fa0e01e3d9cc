// Cluster: what it tells of itself, and takes wishes for.
#include <algorithm>
#include <cmath>
#include <mutex>
#include <shared_mutex>

#include "base/text.h"
#include "node/cluster.h"
#include "node/cluster_internal.h"
#include "node/node.h"

namespace jeton::node {

namespace {

command::PeerStatus::State StateOf(const replication::PeerStatus& peer) {
  using State = command::PeerStatus::State;
  switch (peer.state) {
    case replication::PeerState::kUp:
      return peer.heard_ms < 0 ? State::kHandshake : State::kOk;
    case replication::PeerState::kSuspect:
      return State::kSuspected;
    case replication::PeerState::kDown:
      return State::kFailed;
    case replication::PeerState::kForgotten:
      return State::kForgotten;
  }
  return State::kHandshake;
}

command::PeerStatus StatusOf(const replication::PeerStatus& peer, const OriginId& own, Now now) {
  command::PeerStatus status;
  status.id = HexOf(peer.member.node);
  status.host = peer.member.address.host;
  status.port = peer.member.address.port;
  status.origin = HexOf(peer.member.origin);
  status.state = StateOf(peer);
  status.link_connected = peer.linked;
  status.link_outgoing = peer.dialed_by_us;
  const bool waiting = peer.ping_sent_ms >= 0 &&
                       (peer.pong_received_ms < 0 || peer.ping_sent_ms < peer.pong_received_ms);
  if (waiting) status.ping_sent_ms = now.wall_ms - peer.ping_sent_ms;
  if (peer.pong_received_ms >= 0) status.pong_received_ms = now.wall_ms - peer.pong_received_ms;
  status.lag_ms = peer.staleness_ms;
  status.pending_bytes = peer.pending_bytes + peer.unsent_bytes;
  status.bytes_in = peer.bytes_in;
  status.bytes_out = peer.bytes_out;
  status.clock_difference_ms = peer.clock_ahead_ms;
  status.repairs = peer.repairs;
  status.acked_lsn = peer.durable.Get(own);
  status.failure_reports = peer.state == replication::PeerState::kDown ? 1 : 0;
  return status;
}

}  // namespace

// How much of the own log each other member holds durably. A stream in which nothing waits says all
// that the log has: what was appended before `head` was read is cut, or is in the other stream.
std::vector<Lsn> Cluster::AckedByPeers(const replication::ReplicatorStatus& known) const {
  std::vector<Lsn> acked;
  if (!replica_) return acked;
  const Lsn head = node_.store().log().appended_lsn();
  const std::shared_lock turn(node_.state().turn_lock);
  const bool uncut = replica_->HasUncut(), uncut_lazy = replica_->dirty_lazy() > 0;
  const auto of = [&](const crdt::VersionVector& durable, const OriginId& stream, bool waits) {
    const Lsn has = durable.Get(stream), cut = replica_->applied().Get(stream);
    return !waits && has >= cut ? std::max(head, has) : has;
  };
  for (const auto& peer : known.peers) {
    if (peer.state == replication::PeerState::kForgotten) continue;
    acked.push_back(std::min(of(peer.durable, replica_->own(), uncut),
                             of(peer.durable, replica_->lazy(), uncut_lazy)));
  }
  return acked;
}

// The bounds: each node that is heard may hold back as much as the precision, and what has arrived
// of a counter that only grows does not go away.
command::Estimate Cluster::EstimateOf(const engine::Key& key, const Decimal& known,
                                      const Decimal& precision, Now now) const {
  command::Estimate estimate{.known = known, .value = known, .lower = known, .upper = known};
  if (!replica_) return estimate;
  std::shared_ptr<const std::vector<OriginId>> live;
  {
    const std::lock_guard guard(status_mutex_);
    live = live_lazy_;
  }
  // A counter of whole numbers is shown as one.
  const double grown = replica_->Predict(key, *live, now.mono_ns);
  const auto delta = Decimal::FromDouble(known.IsInt64() ? std::trunc(grown) : grown);
  if (delta) estimate.value = Decimal::Add(known, *delta).value_or(known);
  const double slack = precision.ToDouble() * static_cast<double>(live->size());
  if (const auto held = Decimal::FromDouble(slack)) {
    const Decimal low = Decimal::Subtract(estimate.value, *held).value_or(known);
    estimate.lower = grown >= 0 ? std::max(low, known) : low;
    estimate.upper = Decimal::Add(estimate.value, *held).value_or(estimate.value);
  }
  return estimate;
}

std::shared_ptr<const command::ClusterStatus> Cluster::status() const {
  const std::lock_guard guard(status_mutex_);
  return status_;
}

int Cluster::AckedBy(Lsn lsn) const {
  const std::lock_guard guard(status_mutex_);
  return static_cast<int>(
      std::count_if(acked_.begin(), acked_.end(), [&](Lsn acked) { return acked >= lsn; }));
}

Result<Cluster::Wish> Cluster::Meet(std::string_view host, std::int64_t port) {
  return Post(MeetWish{{std::string(host), static_cast<std::uint16_t>(port)}, false});
}

Result<Cluster::Wish> Cluster::Forget(std::string_view id) {
  const auto known = status();
  const bool there = std::any_of(known->peers.begin(), known->peers.end(),
                                 [&](const auto& peer) { return EqualsIgnoreCase(peer.id, id); });
  NodeId node{};
  if (!there || id.size() != node.size() * 2) {
    return Error{ErrorKind::kNotFound, "ERR Unknown node " + std::string(id)};
  }
  for (std::size_t i = 0; i < node.size(); ++i) {
    const auto digit = [&](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
    node[i] = static_cast<std::uint8_t>(digit(id[2 * i]) * 16 + digit(id[2 * i + 1]));
  }
  return Post(ForgetWish{node});
}

Result<Cluster::Wish> Cluster::Reset(bool hard) {
  return Post(ResetWish{hard});
}

Result<Cluster::Wish> Cluster::SaveConfig() {
  return Post(SaveWish{});
}

void Cluster::PublishStatus(Now now) {
  const bool waited_for = node_.state().ack_waiters.load() > 0;
  if (!waited_for && now.mono_ns - last_status_ < kStatusInterval) return;
  last_status_ = now.mono_ns;
  const replication::ReplicatorStatus known = replicator_->status(now);
  const OriginId own = origin();
  auto status = std::make_shared<command::ClusterStatus>();
  status->id = HexOf(node_id());
  for (const auto& member : members_) {
    if (member.node != node_id()) continue;
    status->host = member.address.host;
    status->port = member.address.port;
  }
  status->origin = HexOf(own);
  status->known_nodes = static_cast<std::int64_t>(known.members);
  status->size = static_cast<std::int64_t>(known.members);
  // Itself is among the reachable ones there, not here.
  status->reachable_nodes = static_cast<std::int64_t>(known.reachable) - 1;
  status->ok = known.reachable * 2 > known.members;
  status->messages_sent = known.messages_sent;
  status->messages_received = known.messages_received;
  status->bytes_sent = known.bytes_sent;
  status->bytes_received = known.bytes_received;
  status->frames_received = known.frames_applied;
  status->ring_bytes = known.ring_bytes;
  status->consistent = known.consistent;
  status->staleness_ms = known.staleness_ms;
  for (const NodeId& node : known.lagging) status->missing_nodes.push_back(HexOf(node));
  status->copying_state =
      known.transfer.receiving || known.transfer.joining || receiving_ || awaiting_join_;
  status->state_bytes_done = known.transfer.bytes;
  if (replica_) {
    const std::shared_lock turn(node_.state().turn_lock);
    if (const auto blocking = replica_->BlockedBy()) {
      status->gc_blocked_by.push_back(HexOf(*blocking));
    }
  }
  status->alarms = known.alarms;
  if (!forgotten_alarm_.empty()) status->alarms.push_back(forgotten_alarm_);
  if (!frames_alarm_.empty()) status->alarms.push_back(frames_alarm_);
  if (!rejoin_alarm_.empty()) status->alarms.push_back(rejoin_alarm_);
  const std::uint64_t lost = node_.store().segments_lost();
  if (lost > 0) {
    status->alarms.push_back(std::to_string(lost) +
                             " segments of the log are gone that have increments which no other "
                             "node has: were this node "
                             "forgotten, it could not bring them along; raise rejoin-log-size");
  }
  constexpr const char* kRejoinNames[] = {"none", "joining", "waiting", "adding", "failed"};
  status->rejoin = kRejoinNames[static_cast<std::size_t>(rejoin_state_)];
  status->reinjected_counters = injected_cells_;
  status->reinjected_amount = injected_amount_;
  status->log_segments_lost = lost;
  status->digests_equal = known.digests_equal;
  status->divergences = known.divergence_total;
  if (replica_) {
    const engine::PredictionCounts& predictions = replica_->predictions();
    status->prediction_hits = predictions.hits;
    status->prediction_misses = predictions.misses;
    status->prediction_error = predictions.mean_error();
  }
  std::vector<Lsn> acked = AckedByPeers(known);
  auto live = std::make_shared<std::vector<OriginId>>();
  for (const auto& peer : known.peers) {
    if (peer.state == replication::PeerState::kUp) live->push_back(LazyOf(peer.member.origin));
    status->frames_sent += peer.frames_out;
    status->repairs += peer.repairs;
    status->peers.push_back(StatusOf(peer, own, now));
  }
  std::sort(status->peers.begin(), status->peers.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  std::sort(live->begin(), live->end());
  reachable_ = known.reachable - 1;
  const bool wake = waited_for && acked != acked_;
  {
    const std::lock_guard guard(status_mutex_);
    status_ = std::move(status);
    acked_ = std::move(acked);
    live_lazy_ = std::move(live);
  }
  if (wake) node_.WakeWorkers();
}

}  // namespace jeton::node
