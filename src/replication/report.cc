// What is known of the cluster, told to people and programs.
#include <algorithm>

#include "replication/replicator_impl.h"

namespace jeton::replication {
namespace {

constexpr MonoNs kAlarmNs = 60 * kNsPerSecond;

std::int64_t MsSince(Now now, MonoNs then) {
  return then < 0 ? -1 : std::max<std::int64_t>(0, (now.mono_ns - then) / kNsPerMs);
}

}  // namespace

void Replicator::Impl::Note(bool warning, std::string text) {
  if (events_.size() >= kEventsMax) events_.erase(events_.begin());
  events_.push_back({warning, std::move(text)});
}

void Replicator::Impl::Raise(Now now, const std::string& key, const std::string& text) {
  const auto [alarm, fresh] = alarms_.try_emplace(key);
  alarm->second = {text, now.mono_ns};
  if (fresh) Note(true, text);
}

void Replicator::Impl::DropOldAlarms(Now now) {
  std::erase_if(alarms_, [&](const auto& item) {
    // Data that differ do not heal by waiting.
    if (item.first.starts_with("divergence")) return false;
    return now.mono_ns - item.second.raised > kAlarmNs;
  });
}

std::string Replicator::Impl::NameOf(const Link& link) const {
  const std::string where = link.dialed ? TextOf(link.target) : link.remote_ip;
  if (link.peer_hello.empty()) return where;
  return "node " + ShortName(link.peer.node) + " at " + where;
}

std::size_t Replicator::Impl::AckedBy(Lsn lsn) const {
  std::size_t count = 0;
  for (const auto& [node, member] : members_) {
    if (node == node_ || member.state == MemberState::kForgotten) continue;
    const auto peer = peers_.find(node);
    if (peer != peers_.end() && peer->second.durable.Get(origin_) >= lsn) ++count;
  }
  return count;
}

PeerStatus Replicator::Impl::StatusOf(Now now, const Member& member) const {
  PeerStatus status;
  status.member = member;
  const auto found = peers_.find(member.node);
  if (found == peers_.end()) return status;
  const Peer& peer = found->second;
  const Link* const link = UpLinkOf(member.node);
  status.linked = link != nullptr;
  if (link != nullptr) {
    status.dialed_by_us = link->dialed;
    status.link_since_ms = MsSince(now, link->up_since);
    status.ping_sent_ms = MsSince(now, link->ping_sent);
    status.unsent_bytes = link->Unsent();
  }
  status.heard_ms = MsSince(now, peer.heard);
  const std::int64_t timeout = settings_.node_timeout_ms;
  if (member.state == MemberState::kForgotten) {
    status.state = PeerState::kForgotten;
  } else if (status.heard_ms < 0 || status.heard_ms >= 2 * timeout) {
    status.state = PeerState::kDown;
  } else {
    status.state = status.heard_ms >= timeout ? PeerState::kSuspect : PeerState::kUp;
  }
  status.pong_received_ms = MsSince(now, peer.pong);
  status.round_trip_us = peer.round_trip_us;
  const Lsn known = Known(peer.origin);
  MonoNs covered = peer.covered;
  for (const HeadSample& sample : peer.heads) {
    if (sample.head <= known) covered = std::max(covered, sample.sampled);
  }
  status.staleness_ms = MsSince(now, covered);
  status.covered = peer.sampled >= 0 && peer.head <= known;
  status.behind = peer.head > known ? peer.head - known : 0;
  status.clock_ahead_ms = peer.clock_ahead_ms;
  for (const auto& [origin, entries] : ring_.origins()) {
    const Ring::Pending pending = ring_.After(origin, peer.durable.Get(origin));
    status.pending_frames += pending.frames;
    status.pending_bytes += pending.bytes;
    if (origin == origin_) status.lag_ms = pending.frames > 0 ? MsSince(now, pending.oldest) : 0;
  }
  status.bytes_in = peer.bytes_in;
  status.bytes_out = peer.bytes_out;
  status.messages_in = peer.messages_in;
  status.messages_out = peer.messages_out;
  status.frames_in = peer.frames_in;
  status.frames_out = peer.frames_out;
  status.links_made = peer.links_made;
  status.repairs = peer.repairs;
  for (const auto& [by, at] : peer.reports) {
    if (now.mono_ns - at < 2 * timeout * kNsPerMs) ++status.failure_reports;
  }
  status.protocol = peer.protocol;
  status.last_error = peer.last_error;
  status.durable = peer.durable;
  return status;
}

ReplicatorStatus Replicator::Impl::status(Now now) const {
  ReplicatorStatus status = totals_;
  status.clustered = clustered();
  status.open = settings_.secret.empty();
  status.forgotten = forgotten_;
  status.fenced = fenced_;
  status.ring_bytes = ring_.bytes();
  status.ring_frames = ring_.frames();
  status.needs_outstanding = pulls_.size();
  for (const auto& [key, alarm] : alarms_) status.alarms.push_back(alarm.text);
  for (const MeetTarget& meet : meets_) status.meeting.push_back(meet.address);
  status.transfer.joining = Joining();
  status.transfer.donations = donations_;
  if (incoming_) {
    status.transfer.receiving = Receiving();
    status.transfer.donor = incoming_->donor;
    status.transfer.bytes_expected = incoming_->bytes_expected;
    status.transfer.bytes = incoming_->bytes;
    status.transfer.chunks = incoming_->chunks;
    status.transfer.running_ms = MsSince(now, incoming_->started);
  }
  std::vector<PeerStatus> forgotten;
  for (const auto& [node, member] : members_) {
    if (node == node_) continue;
    PeerStatus peer = StatusOf(now, member);
    if (peer.state == PeerState::kForgotten) {
      forgotten.push_back(std::move(peer));
      continue;
    }
    ++status.members;
    if (peer.state == PeerState::kUp) ++status.reachable;
    // News of a member that is not linked take one more heartbeat on each hop.
    const std::int64_t fresh_ms = (peer.linked ? 2 : 5) * settings_.heartbeat_ms;
    if (peer.staleness_ms < 0 || peer.staleness_ms > fresh_ms) status.lagging.push_back(node);
    if (peer.staleness_ms < 0 || status.staleness_ms < 0) {
      status.staleness_ms = -1;
    } else {
      status.staleness_ms = std::max(status.staleness_ms, peer.staleness_ms);
    }
    status.peers.push_back(std::move(peer));
  }
  status.consistent = status.lagging.empty() && !joining_ && !Receiving();
  std::move(forgotten.begin(), forgotten.end(), std::back_inserter(status.peers));
  return status;
}

}  // namespace jeton::replication
