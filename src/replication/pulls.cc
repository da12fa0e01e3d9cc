// Vectors, frames, and the pulling of what is missing.
#include <algorithm>

#include "replication/replicator_impl.h"

namespace jeton::replication {
namespace {

constexpr std::int64_t kBusyMs = 200;       // the host or the peer could not just now
constexpr std::int64_t kBlockedMs = 1'000;  // the peer has not got what we asked for

}  // namespace

Lsn Replicator::Impl::Known(const OriginId& origin) const {
  const Lsn applied = host_.applied().Get(origin);
  if (applied > 0) return applied;
  return host_.FoldedAt(origin).value_or(0);
}

bool Replicator::Impl::IsOver(const OriginId& origin) const {
  return host_.IsClosed(origin) || host_.FoldedAt(origin).has_value();
}

// --- vectors

void Replicator::Impl::FlushVectors(Now now) {
  if (!vectors_dirty_ && host_.durable() == seen_durable_) return;
  if (now.mono_ns < vectors_due_) {
    vectors_dirty_ = true;
    return;
  }
  vectors_dirty_ = false;
  vectors_due_ = now.mono_ns + settings_.vector_delay_ms * kNsPerMs;
  seen_durable_ = host_.durable();
  for (auto& [id, link] : links_) {
    if (!link->Up()) continue;
    if (link->Unsent() <= settings_.link_bytes_max) {
      SendVector(now, *link);
    } else {
      vectors_dirty_ = true;
    }
  }
}

void Replicator::Impl::SendVector(Now now, Link& link) {
  VectorUpdate update;
  for (const auto& [origin, lsn] : host_.durable()) {
    if (lsn > link.told_durable.Get(origin)) update.durable.Advance(origin, lsn);
  }
  for (const auto& [origin, lsn] : host_.applied()) {
    const Lsn told = std::max(link.told_applied.Get(origin), link.told_durable.Get(origin));
    if (lsn > std::max(told, update.durable.Get(origin))) update.applied.Advance(origin, lsn);
  }
  link.told_durable.Join(update.durable);
  link.told_applied.Join(update.applied);
  // The first one is sent even if it is empty: the peer then knows that we have nothing.
  const bool first = link.told_durable.empty() && link.told_applied.empty();
  if (!first && update.durable.empty() && update.applied.empty()) return;
  Emit(now, link, MessageType::kVector, newcomer_ ? kJoining : 0, 0, EncodeVector(update));
}

void Replicator::Impl::OnVector(Now now, Link& link, const Header& header,
                                std::string_view payload) {
  ByteReader in(payload);
  const VectorUpdate update = DecodeVector(in);
  if (!in.ok()) return Corrupt(now, link, "a VV that does not decode");
  link.joining = (header.flags & kJoining) != 0;
  const bool first = !link.vector_seen;
  link.vector_seen = true;
  Peer& peer = peers_[link.peer.node];
  peer.durable.Join(update.durable);
  link.their_durable.Join(update.durable);
  for (const crdt::VersionVector* changed : {&update.durable, &update.applied}) {
    link.their_applied.Join(*changed);
    for (const auto& [origin, lsn] : *changed) {
      if (IsOwn(origin)) {
        link.pushed.Advance(origin, lsn);
        // A state may hold what is cut and not yet published.
        if (lsn > std::max(Known(origin), host_.Heads().Get(origin))) {
          Raise(now, "origin",
                "node " + ShortName(link.peer.node) + " knows more of our origin " +
                    ShortName(origin) + " than we have published");
        }
      } else if (lsn > Known(origin) && !host_.FoldedAt(origin)) {
        link.ahead.insert(origin);
      }
    }
  }
  if (first && joining_) join_goal_.Join(link.their_applied);
  if (link.their_applied.size() > crdt::kOriginsPerVectorMax) {
    return Corrupt(
        now, link,
        "a vector of more than " + std::to_string(crdt::kOriginsPerVectorMax) + " origins");
  }
  ForgetStranger(now, link);
  StartPulls(now);
  CheckJoined();
}

// --- frames in

void Replicator::Impl::OnDelta(Now now, Link& link, const Header& header,
                               std::string_view payload) {
  ByteReader in(payload);
  const crdt::Frame frame = crdt::DecodeFrame(in);
  if (!in.ok()) return Corrupt(now, link, "a frame whose header does not decode");
  const auto pull = pulls_.find(frame.origin);
  const bool asked = pull != pulls_.end() && pull->second.link == link.id &&
                     pull->second.stream == header.stream && header.stream != 0;
  if (asked) pull->second.progress = now.mono_ns;
  if (frame.origin == link.peer.origin && IsOver(frame.origin)) return CheckFences(now);
  const ApplyOutcome outcome = ApplyDelta(now, link, frame, payload);
  if (asked && outcome == ApplyOutcome::kApplied) ++peers_[link.peer.node].repairs;
  if (link.state == LinkState::kClosed) return;
  if (asked && (header.flags & kLast) != 0) {
    EndPull(frame.origin);
    // An answer that does not help is not asked for again at once.
    if (outcome == ApplyOutcome::kGap || outcome == ApplyOutcome::kBusy) {
      link.blocked[frame.origin] = now.mono_ns + kBusyMs * kNsPerMs;
    }
    StartPulls(now);
  }
}

ApplyOutcome Replicator::Impl::ApplyDelta(Now now, Link& link, const crdt::Frame& frame,
                                          std::string_view bytes) {
  const Lsn known = Known(frame.origin);
  // What is folded has its final LSN: no more is taken of it, from anybody.
  if (frame.to <= known || IsOwn(frame.origin) || host_.FoldedAt(frame.origin)) {
    ++totals_.frames_known;
    return ApplyOutcome::kKnown;
  }
  if (frame.from > known && !settings_.take_gaps) {
    ++totals_.frames_gap;
    return ApplyOutcome::kGap;
  }
  if (Receiving()) return ApplyOutcome::kBusy;
  const ApplyOutcome outcome = host_.ApplyFrame(frame, bytes);
  if (outcome == ApplyOutcome::kRefused) {
    const std::string text = "node " + ShortName(link.peer.node) + " sent a frame of origin " +
                             ShortName(frame.origin) + " from " + std::to_string(frame.from) +
                             " to " + std::to_string(frame.to) + " that cannot be applied";
    Raise(now, "frame " + ShortName(frame.origin), text);
    Corrupt(now, link, text);
  }
  if (outcome == ApplyOutcome::kBusy) pull_pause_until_ = now.mono_ns + kBusyMs * kNsPerMs;
  // It follows, yet builds on an origin that was folded otherwise than we have it: no frames help.
  if (outcome == ApplyOutcome::kGap) TryState(now, link, frame.origin);
  if (outcome != ApplyOutcome::kApplied) return outcome;
  ++totals_.frames_applied;
  ++peers_[link.peer.node].frames_in;
  host_.SawClock(frame.clock);
  NoteRow(frame);
  ring_.Add(frame.origin, frame.from, frame.to, std::make_shared<const std::string>(bytes),
            now.mono_ns);
  ring_.Shrink(settings_.ring_bytes_max);
  gap_since_.erase(frame.origin);
  if (!vectors_dirty_) vectors_due_ = now.mono_ns + settings_.vector_delay_ms * kNsPerMs;
  vectors_dirty_ = true;
  SweepHeads();
  return outcome;
}

// A frame says what its node held durably: that is how nodes know of each other that are not
// linked.
void Replicator::Impl::NoteRow(const crdt::Frame& frame) {
  const auto node = nodes_by_origin_.find(frame.origin);
  if (node == nodes_by_origin_.end() || node->second == node_) return;
  Peer& peer = peers_[node->second];
  if (peer.origin == frame.origin) peer.durable.Join(frame.row);
}

// --- frames out

Status Replicator::Impl::AddFrame(Now now, std::shared_ptr<const std::string> bytes) {
  if (bytes->size() > kFrameBytesMax) {
    return Error{ErrorKind::kInvalid, "a frame of " + std::to_string(bytes->size()) +
                                          " bytes; at most " + std::to_string(kFrameBytesMax) +
                                          " may be in one"};
  }
  ByteReader in(*bytes);
  const crdt::Frame frame = crdt::DecodeFrame(in);
  if (!in.ok()) return Error{ErrorKind::kInvalid, "a frame whose header does not decode"};
  NoteRow(frame);
  if (!ring_.Add(frame.origin, frame.from, frame.to, bytes, now.mono_ns)) return {};
  ring_.Shrink(settings_.ring_bytes_max);
  if (IsOwn(frame.origin)) PushOwn(now, frame, *bytes);
  if (!vectors_dirty_) vectors_due_ = now.mono_ns + settings_.vector_delay_ms * kNsPerMs;
  vectors_dirty_ = true;
  Sweep();
  return {};
}

void Replicator::Impl::PushOwn(Now now, const crdt::Frame& frame, const std::string& bytes) {
  for (auto& [id, link] : links_) {
    if (!link->Up() || !link->vector_seen) continue;
    const Lsn pushed = link->pushed.Get(frame.origin);
    if (frame.from > pushed || frame.to <= pushed) continue;
    // A slow peer pulls when it can: its vector says where it is.
    if (link->Unsent() > settings_.link_bytes_max) continue;
    link->pushed.Advance(frame.origin, frame.to);
    ++peers_[link->peer.node].frames_out;
    ++totals_.frames_sent;
    Emit(now, *link, MessageType::kDelta, 0, 0, bytes);
  }
}

Replicator::Impl::Found Replicator::Impl::FrameAfter(const OriginId& origin, Lsn after) const {
  if (const Ring::Entry* entry = ring_.Find(origin, after)) return {entry->bytes, entry->to};
  if (after >= host_.applied().Get(origin)) return {};
  std::shared_ptr<const std::string> bytes = host_.OldFrame(origin, after);
  if (bytes == nullptr) return {};
  ByteReader in(*bytes);
  const crdt::Frame frame = crdt::DecodeFrame(in);
  const bool right = in.ok() && frame.origin == origin && frame.from <= after && frame.to > after;
  return right ? Found{std::move(bytes), frame.to} : Found{};
}

void Replicator::Impl::OnNeed(Now now, Link& link, const Header& header, std::string_view payload) {
  if ((header.flags & kWantState) != 0) return OnNeedState(now, link, header, payload);
  ByteReader in(payload);
  const Need need = DecodeNeed(in);
  if (!in.ok()) return Corrupt(now, link, "a NEED that does not decode");
  if (link.needs_in.size() >= kNeedsPerLinkMax) {
    // The peer has given up on the oldest one long ago.
    const PendingNeed oldest = link.needs_in.front();
    link.needs_in.pop_front();
    SendMiss(now, link, oldest.stream, MissReason::kBusy, oldest.need.origin, "too many at once");
  }
  link.needs_in.push_back({need, header.stream});
  ServeNeeds(now, link);
}

void Replicator::Impl::ServeNeeds(Now now, Link& link) {
  while (!link.needs_in.empty() && link.Up() && link.Unsent() <= settings_.link_bytes_max) {
    const PendingNeed pending = link.needs_in.front();
    link.needs_in.pop_front();
    ServeNeed(now, link, pending);
  }
}

bool Replicator::Impl::ServeNeed(Now now, Link& link, const PendingNeed& pending) {
  const OriginId& origin = pending.need.origin;
  Found found = FrameAfter(origin, pending.need.after);
  if (found.bytes == nullptr) {
    const bool more = host_.applied().Get(origin) > pending.need.after;
    SendMiss(now, link, pending.stream, more ? MissReason::kNeedState : MissReason::kNothing,
             origin, "");
    return false;
  }
  const std::size_t bytes_max = std::min<std::size_t>(pending.need.bytes_max, settings_.need_bytes);
  std::size_t sent = 0;
  while (link.Up()) {
    sent += found.bytes->size();
    Found next = sent < bytes_max ? FrameAfter(origin, found.to) : Found{};
    const std::uint8_t flags = next.bytes == nullptr ? kLast : 0;
    ++peers_[link.peer.node].frames_out;
    ++totals_.frames_sent;
    if (IsOwn(origin)) link.pushed.Advance(origin, found.to);
    Emit(now, link, MessageType::kDelta, flags, pending.stream, *found.bytes);
    if (next.bytes == nullptr) break;
    found = std::move(next);
  }
  return true;
}

void Replicator::Impl::SendMiss(Now now, Link& link, std::uint32_t stream, MissReason reason,
                                const OriginId& origin, const std::string& text) {
  Emit(now, link, MessageType::kMiss, 0, stream, EncodeMiss({reason, origin, text}));
}

// --- pulls

bool Replicator::Impl::WaitsForPush(Now now, const Link& link, const OriginId& origin) {
  if (IsOfRun(link.peer.origin, origin)) return false;
  auto node = nodes_by_origin_.find(origin);
  if (node == nodes_by_origin_.end()) node = nodes_by_origin_.find(LazyOf(origin));
  if (node == nodes_by_origin_.end()) return false;
  const Link* const direct = UpLinkOf(node->second);
  if (direct == nullptr || !IsOfRun(direct->peer.origin, origin)) return false;
  if (now.mono_ns - direct->heard > 2 * settings_.heartbeat_ms * kNsPerMs) return false;
  const MonoNs since = gap_since_.emplace(origin, now.mono_ns).first->second;
  return now.mono_ns - since < settings_.pull_delay_ms * kNsPerMs;
}

void Replicator::Impl::StartPulls(Now now) {
  if (Receiving() || now.mono_ns < pull_pause_until_) return;
  for (auto& [id, link] : links_) {
    if (link->Up() && !link->ahead.empty()) PullFrom(now, *link);
  }
}

void Replicator::Impl::PullFrom(Now now, Link& link) {
  for (auto next = link.ahead.begin(); next != link.ahead.end();) {
    const OriginId origin = *next;
    const Lsn known = Known(origin);
    if (known >= link.their_applied.Get(origin) || host_.FoldedAt(origin)) {
      next = link.ahead.erase(next);
      link.blocked.erase(origin);
      gap_since_.erase(origin);
      continue;
    }
    ++next;
    if (pulls_.size() >= kNeedsMax || link.needs_out >= kNeedsPerLinkMax) return;
    if (pulls_.contains(origin) || WaitsForPush(now, link, origin)) continue;
    const auto blocked = link.blocked.find(origin);
    if (blocked != link.blocked.end() && now.mono_ns < blocked->second) continue;
    const std::uint32_t stream = next_stream_++;
    if (next_stream_ == 0) next_stream_ = 1;
    pulls_[origin] = {.link = link.id, .stream = stream, .progress = now.mono_ns};
    ++link.needs_out;
    Emit(now, link, MessageType::kNeed, 0, stream,
         EncodeNeed({origin, known, settings_.need_bytes}));
    if (!link.Up()) return;
  }
}

void Replicator::Impl::EndPull(const OriginId& origin) {
  const auto pull = pulls_.find(origin);
  if (pull == pulls_.end()) return;
  if (Link* link = Find(pull->second.link); link != nullptr && link->needs_out > 0) {
    --link->needs_out;
  }
  pulls_.erase(pull);
}

void Replicator::Impl::CheckPullTimeouts(Now now) {
  std::vector<OriginId> late;
  for (const auto& [origin, pull] : pulls_) {
    if (now.mono_ns - pull.progress >= settings_.need_timeout_ms * kNsPerMs) {
      late.push_back(origin);
    }
  }
  for (const OriginId& origin : late) {
    Link* const link = Find(pulls_[origin].link);
    if (link != nullptr) {
      link->blocked[origin] = now.mono_ns + settings_.need_timeout_ms * kNsPerMs;
    }
    EndPull(origin);
  }
}

bool Replicator::Impl::OfferedElsewhere(Now now, const OriginId& origin, LinkId except) {
  for (const auto& [id, link] : links_) {
    if (id == except || !link->Up() || !link->ahead.contains(origin)) continue;
    const auto blocked = link->blocked.find(origin);
    if (blocked == link->blocked.end() || now.mono_ns >= blocked->second) return true;
  }
  return false;
}

void Replicator::Impl::OnMiss(Now now, Link& link, const Header& header, std::string_view payload) {
  ByteReader in(payload);
  const Miss miss = DecodeMiss(in);
  if (!in.ok()) return Corrupt(now, link, "a MISS that does not decode");
  if (incoming_ && incoming_->link == link.id && incoming_->stream == header.stream &&
      incoming_->phase != Incoming::Phase::kHolding) {
    return EndState(now, false, "the donor says: " + (miss.text.empty() ? "no" : miss.text));
  }
  if (link.donation && link.donation->stream == header.stream) {
    if (miss.reason == MissReason::kStopped) EndDonation(link);
    return;
  }
  const auto pull = pulls_.find(miss.origin);
  if (pull == pulls_.end() || pull->second.link != link.id ||
      pull->second.stream != header.stream) {
    return;  // an answer to what was given up
  }
  EndPull(miss.origin);
  const std::int64_t wait_ms = miss.reason == MissReason::kNeedState ? kBlockedMs : kBusyMs;
  link.blocked[miss.origin] = now.mono_ns + wait_ms * kNsPerMs;
  const bool new_here = host_.applied().empty();
  if (miss.reason == MissReason::kNeedState &&
      (new_here || !OfferedElsewhere(now, miss.origin, link.id))) {
    TryState(now, link, miss.origin);
  }
  StartPulls(now);
}

}  // namespace jeton::replication
