// Members, heartbeats, heads and digests.
#include <algorithm>
#include <cstdlib>

#include "replication/replicator_impl.h"

namespace jeton::replication {
namespace {

constexpr std::int64_t kClockAheadMsMax = 60'000;
constexpr std::size_t kOriginsPerPeer = 16;  // that are remembered
constexpr std::int64_t kMembersAgainMs = 1'000;

}  // namespace

std::vector<Member> Replicator::Impl::AllMembers() const {
  std::vector<Member> all;
  for (const auto& [node, member] : members_) all.push_back(member);
  return all;
}

// Without a link, the record says which process is meant. A new process may have an older disk.
void Replicator::Impl::SyncPeer(const NodeId& node) {
  Peer& peer = peers_[node];
  const auto member = members_.find(node);
  if (!peer.links.empty() || member == members_.end()) return;
  if (peer.origin == member->second.origin) return;
  peer.origin = member->second.origin;
  peer.durable = {};
  peer.heads.clear();
}

void Replicator::Impl::StoreMember(Now now, const Member& member) {
  host_.SawClock(member.version.clock);
  members_[member.node] = member;
  nodes_by_origin_[member.origin] = member.node;
  members_digest_ = DigestOf(members_);
  if (member.node == node_) return;
  Peer& peer = peers_[member.node];
  std::erase(peer.origins, member.origin);
  peer.origins.push_back(member.origin);
  if (peer.origins.size() > kOriginsPerPeer) {
    nodes_by_origin_.erase(peer.origins.front());
    peer.origins.erase(peer.origins.begin());
  }
  SyncPeer(member.node);
  // At a new address it is worth trying at once.
  Redial& redial = redials_[member.node];
  redial.next = std::min(redial.next, now.mono_ns + settings_.heartbeat_ms * kNsPerMs);
}

void Replicator::Impl::SpreadMembers(Now now, const std::vector<Member>& changed, LinkId except) {
  if (changed.empty()) return;
  host_.MembersChanged(AllMembers());
  std::string payload;
  PutMembers(payload, changed);
  for (auto& [id, link] : links_) {
    // A link that is full gets it by the digest in the next PING.
    if (id == except || !link->Up() || link->Unsent() > settings_.link_bytes_max) continue;
    Emit(now, *link, MessageType::kMembers, 0, 0, payload);
  }
}

void Replicator::Impl::Reissue(Now now) {
  Member own = members_[node_];
  own.node = node_;
  own.origin = origin_;
  own.state = MemberState::kMember;
  own.version = {host_.NextClock(now), origin_};
  StoreMember(now, own);
  SpreadMembers(now, {own}, 0);
}

void Replicator::Impl::SendMembers(Now now, Link& link) {
  std::string payload;
  PutMembers(payload, AllMembers());
  link.members_sent = now.mono_ns;
  Emit(now, link, MessageType::kMembers, 0, 0, payload);
}

void Replicator::Impl::OnMembers(Now now, Link& link, std::string_view payload) {
  ByteReader in(payload);
  const std::vector<Member> members = GetMembers(in);
  if (!in.ok() || !in.AtEnd()) return Corrupt(now, link, "MEMBERS that do not decode");
  const LinkId source = link.id;
  std::erase_if(meets_, [&](const MeetTarget& meet) { return meet.redial.link == source; });
  std::vector<Member> changed;
  for (const Member& member : members) {
    if (MergeMember(now, member)) changed.push_back(member);
  }
  SpreadMembers(now, changed, source);
  for (const Member& member : changed) {
    if (member.state == MemberState::kForgotten) CloseForgotten(now, member.node);
  }
}

bool Replicator::Impl::MergeMember(Now now, const Member& member) {
  if (member.node == node_) return MergeOwn(now, member);
  const auto known = members_.find(member.node);
  if (known == members_.end()) {
    if (members_.size() >= kMembersMax) {
      Raise(now, "members", "more than " + std::to_string(kMembersMax) + " nodes are gossiped");
      return false;
    }
    Note(false, "node " + ShortName(member.node) + " at " + TextOf(member.address) +
                    (member.state == MemberState::kForgotten ? " was forgotten" : " is a member"));
  } else if (!Supersedes(member, known->second)) {
    return false;
  } else if (member.state != known->second.state) {
    Note(false, "node " + ShortName(member.node) + " was forgotten");
  } else if (member.address != known->second.address) {
    Note(false, "node " + ShortName(member.node) + " is at " + TextOf(member.address) + " now");
    redials_[member.node].backoff_ms = settings_.reconnect_ms_min;
  }
  StoreMember(now, member);
  return true;
}

// What others say of us. A record of an earlier process of ours is answered with a newer one. If
// then a newer one still comes, another process writes it.
bool Replicator::Impl::MergeOwn(Now now, const Member& member) {
  const Member& own = members_[node_];
  if (member.state == MemberState::kForgotten) {
    if (!forgotten_) {
      Note(true, "this node was forgotten by its cluster");
      host_.WeWereForgotten({}, {});
    }
    forgotten_ = true;
    return false;
  }
  host_.SawClock(member.version.clock);
  if (member.version <= own.version) return false;
  if (member.origin != origin_ && reissued_) {
    Raise(now, "clone " + ShortName(node_),
          "another process runs with this node's id " + ShortName(node_) +
              ": a copied data directory?");
    return false;
  }
  if (member.origin != origin_) reissued_ = true;
  Reissue(now);
  return false;
}

void Replicator::Impl::CloseForgotten(Now now, const NodeId& node) {
  for (auto& [id, link] : links_) {
    if (!link->Up() || link->peer.node != node) continue;
    SendRefuse(now, *link,
               {RefuseReason::kForgotten, "node " + ShortName(node) + " was forgotten",
                FinalsOf(link->peer.origins)});
  }
}

Status Replicator::Impl::Forget(Now now, const NodeId& node) {
  if (node == node_) {
    return Error{ErrorKind::kInvalid, "ERR I tried hard but I can't forget myself..."};
  }
  const auto found = members_.find(node);
  if (found == members_.end() || found->second.state == MemberState::kForgotten) {
    return Error{ErrorKind::kNotFound, "ERR Unknown node"};
  }
  ForgetMember(now, found->second);
  Sweep();
  return {};
}

void Replicator::Impl::ForgetMember(Now now, Member member) {
  member.state = MemberState::kForgotten;
  member.version = {host_.NextClock(now), origin_};
  StoreMember(now, member);
  SpreadMembers(now, {member}, 0);
  CloseForgotten(now, member.node);
}

// A node that was let in by one that is forgotten here, and of which we hear only now: what was
// folded meanwhile it has more of, its resets have seen what is gone, and nobody asked it before
// something was tidied up. It goes with the one that it came by, and may rejoin as that one may. (A
// newcomer takes a state before it has any say.)
void Replicator::Impl::ForgetStranger(Now now, const Link& link) {
  if (!link.Up() || link.joining || !IsMember(link.peer.node)) return;
  if (!host_.FoldedWithout(link.their_applied)) return;
  Note(true, NameOf(link) + " came by a node that is forgotten: it is forgotten, too");
  ForgetMember(now, members_.at(link.peer.node));
}

void Replicator::Impl::Heartbeat(Now now) {
  next_heartbeat_ = now.mono_ns + settings_.heartbeat_ms * kNsPerMs;
  CheckLinkTimeouts(now);
  CheckPullTimeouts(now);
  CheckFences(now);
  DropOldAlarms(now);
  SweepHeads();
  TrimRing();
  std::erase_if(gap_since_,
                [&](const auto& item) { return now.mono_ns - item.second > kNsPerSecond; });
  for (auto& [id, link] : links_) {
    if (link->Up() && link->Unsent() <= settings_.link_bytes_max) SendPing(now, *link);
  }
  if (settings_.digest_interval_ms > 0 && now.mono_ns >= next_digest_) {
    if (next_digest_ != 0) CheckDigests(now);
    next_digest_ = now.mono_ns + settings_.digest_interval_ms * kNsPerMs;
  }
}

void Replicator::Impl::SendPing(Now now, Link& link) {
  Ping ping;
  ping.stamp = static_cast<std::uint64_t>(now.mono_ns);
  ping.wall_ms = now.wall_ms;
  ping.clock = host_.NextClock(now);
  ping.head = host_.Head();
  ping.members_digest = members_digest_;
  link.ping_sent = now.mono_ns;
  Emit(now, link, MessageType::kPing, newcomer_ ? kJoining : 0, 0, EncodePing(ping));
}

void Replicator::Impl::OnPing(Now now, Link& link, const Header& header, std::string_view payload) {
  ByteReader in(payload);
  const Ping ping = DecodePing(in);
  if (!in.ok()) return Corrupt(now, link, "a PING that does not decode");
  host_.SawClock(ping.clock);
  link.joining = (header.flags & kJoining) != 0;
  Ping pong;
  pong.stamp = ping.stamp;
  pong.wall_ms = now.wall_ms;
  pong.clock = host_.NextClock(now);
  pong.head = host_.Head();
  pong.members_digest = members_digest_;
  pong.heads = HeadsFor(now, link.peer.node);
  Emit(now, link, MessageType::kPong, 0, header.stream, EncodePing(pong));
  CompareMembers(now, link, ping.members_digest);
}

void Replicator::Impl::OnPong(Now now, Link& link, std::string_view payload) {
  ByteReader in(payload);
  const Ping pong = DecodePing(in);
  const auto stamp = static_cast<MonoNs>(pong.stamp);
  if (!in.ok() || stamp > now.mono_ns || stamp < link.opened) {
    return Corrupt(now, link, "a PONG that does not decode, or to no PING of ours");
  }
  host_.SawClock(pong.clock);
  Peer& peer = peers_[link.peer.node];
  peer.pong = now.mono_ns;
  peer.round_trip_us = (now.mono_ns - stamp) / 1000;
  MeasureClock(now, link, peer, pong);
  // It had this head after we sent the PING: that is all that is certain.
  NoteHead(link.peer.node, link.peer.origin, stamp, pong.head);
  for (const RelayedHead& relayed : pong.heads) {
    if (relayed.node == node_) continue;
    NoteReport(now, link.peer.node, relayed);
    if (relayed.age_ms > 600'000) continue;
    const MonoNs sampled = stamp - static_cast<MonoNs>(relayed.age_ms) * kNsPerMs;
    NoteHead(relayed.node, relayed.origin, sampled, relayed.head);
  }
  CompareMembers(now, link, pong.members_digest);
}

void Replicator::Impl::CompareMembers(Now now, Link& link, std::uint64_t digest) {
  if (digest == members_digest_ || link.state == LinkState::kClosed) return;
  if (now.mono_ns - link.members_sent < kMembersAgainMs * kNsPerMs) return;
  SendMembers(now, link);
}

void Replicator::Impl::MeasureClock(Now now, const Link& link, Peer& peer, const Ping& pong) {
  const std::int64_t round_trip_ms = peer.round_trip_us / 1000;
  if (round_trip_ms > 1'000) return;  // says nothing
  // Wraps rather than overflows if a peer sends nonsense.
  const auto ahead = static_cast<std::uint64_t>(pong.wall_ms) -
                     static_cast<std::uint64_t>(now.wall_ms - round_trip_ms / 2);
  peer.clock_ahead_ms = static_cast<std::int64_t>(ahead);
  if (peer.clock_ahead_ms > kClockAheadMsMax) {
    Raise(now, "clock " + ShortName(link.peer.node),
          "the clock of node " + ShortName(link.peer.node) + " is " +
              std::to_string(peer.clock_ahead_ms / 1000) + " s ahead of ours");
  }
}

// A few of the others' heads each time, so that nodes that are not linked know of each other.
std::vector<RelayedHead> Replicator::Impl::HeadsFor(Now now, const NodeId& to) {
  std::vector<RelayedHead> heads;
  for (const auto& [node, member] : members_) {
    if (node == node_ || node == to || member.state == MemberState::kForgotten) continue;
    const Peer& peer = peers_[node];
    if (peer.sampled < 0) continue;
    const auto age_ms = static_cast<std::uint64_t>((now.mono_ns - peer.sampled) / kNsPerMs + 1);
    heads.push_back({node, peer.origin, peer.head, age_ms});
  }
  if (heads.size() > kHeadsPerPing) {
    relay_turn_ = (relay_turn_ + kHeadsPerPing) % heads.size();
    std::rotate(heads.begin(), heads.begin() + static_cast<std::ptrdiff_t>(relay_turn_),
                heads.end());
    heads.resize(kHeadsPerPing);
  }
  return heads;
}

// For COUNT-FAILURE-REPORTS: nothing is decided by it.
void Replicator::Impl::NoteReport(Now now, const NodeId& by, const RelayedHead& relayed) {
  const auto peer = peers_.find(relayed.node);
  if (peer == peers_.end() || !IsMember(relayed.node)) return;
  if (relayed.age_ms >= static_cast<std::uint64_t>(settings_.node_timeout_ms)) {
    peer->second.reports[by] = now.mono_ns;
  } else {
    peer->second.reports.erase(by);
  }
}

void Replicator::Impl::NoteHead(const NodeId& node, const OriginId& origin, MonoNs sampled,
                                Lsn head) {
  const auto found = peers_.find(node);
  if (found == peers_.end() || found->second.origin != origin) return;
  Peer& peer = found->second;
  peer.heard = std::max(peer.heard, sampled);
  if (sampled <= peer.sampled) return;
  peer.sampled = sampled;
  peer.head = head;
  // The oldest ones stay: they are what is caught up with first.
  if (peer.heads.size() >= kHeadSamplesMax) peer.heads.pop_back();
  peer.heads.push_back({sampled, head});
  SweepHeads();
}

void Replicator::Impl::SweepHeads() {
  for (auto& [node, peer] : peers_) {
    if (peer.heads.empty()) continue;
    const Lsn known = Known(peer.origin);
    while (!peer.heads.empty() && peer.heads.front().head <= known) {
      peer.covered = std::max(peer.covered, peer.heads.front().sampled);
      peer.heads.pop_front();
    }
  }
}

void Replicator::Impl::TrimRing() {
  ring_.Shrink(settings_.ring_bytes_max);
  if (ring_.bytes() <= settings_.ring_bytes_kept) return;
  ring_.Trim(settings_.ring_bytes_kept, [&](const OriginId& origin, Lsn to) {
    if (host_.durable().Get(origin) < to) return false;
    for (const auto& [node, member] : members_) {
      if (node == node_ || member.state == MemberState::kForgotten) continue;
      if (peers_[node].durable.Get(origin) < to) return false;
    }
    return true;
  });
}

void Replicator::Impl::CheckDigests(Now now) {
  for (auto& [id, link] : links_) {
    if (link->Up() && link->Unsent() <= settings_.link_bytes_max) SendDigest(now, *link);
  }
}

void Replicator::Impl::SendDigest(Now now, Link& link) {
  const std::string digest = host_.Digest();
  if (digest.empty()) return;
  Emit(now, link, MessageType::kDigest, 0, 0, digest);
}

void Replicator::Impl::OnDigest(Now now, Link& link, std::string_view payload) {
  if (Receiving()) return;
  switch (host_.CompareDigest(payload)) {
    case DigestOutcome::kNotComparable:
      return;
    case DigestOutcome::kEqual:
      ++totals_.digests_equal;
      alarms_.erase("divergence " + ShortName(link.peer.node));
      return;
    case DigestOutcome::kDifferent:
      break;
  }
  ++totals_.divergence_total;
  Raise(now, "divergence " + ShortName(link.peer.node),
        "the data here and on node " + ShortName(link.peer.node) + " differ at the same vector");
}

}  // namespace jeton::replication
