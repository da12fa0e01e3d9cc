// State transfer, both sides.
#include <algorithm>

#include "replication/replicator_impl.h"

namespace jeton::replication {
namespace {

constexpr std::int64_t kRetryMsMin = 250;
constexpr std::int64_t kRetryMsMax = 5'000;
// Writes are held for so long at most before the donor has all of ours.
constexpr std::int64_t kHoldMsMax = 3'000;

}  // namespace

bool Replicator::Impl::Receiving() const {
  return incoming_ && incoming_->phase != Incoming::Phase::kHolding;
}

// What a donor must have: all that we know, and all that our clients were told.
crdt::VersionVector Replicator::Impl::Want() const {
  if (host_.JoinsStates()) return {};
  crdt::VersionVector want = host_.applied();
  want.Join(host_.Heads());
  return want;
}

// Its vector may lack what it has folded, so 0 is no obstacle: it decides itself when asked. Or it
// says where the fold ended, and a newcomer may have heard of more, by way of a node that had not
// heard of the FORGET yet: that it gives up. Who is a newcomer itself may lack what all others
// began with, and have what they lack: then neither could take the other's.
bool Replicator::Impl::MayDonate(const Link& link) const {
  if (!link.Up() || !link.vector_seen) return false;
  if (link.joining && !OnlyNewcomersAreLeft()) return false;
  if (host_.JoinsStates()) return true;
  for (const auto& [origin, lsn] : host_.applied()) {
    const Lsn theirs = link.their_applied.Get(origin);
    const bool may_be_folded = newcomer_ || theirs == 0;
    if (theirs < lsn && (!may_be_folded || IsOwn(origin))) return false;
  }
  return true;
}

void Replicator::Impl::TryState(Now now, Link& preferred, const OriginId& origin) {
  if (incoming_ || now.mono_ns < state_retry_at_) return;
  Link* donor = MayDonate(preferred) ? &preferred : nullptr;
  for (auto& [id, link] : links_) {
    if (donor == nullptr && link->ahead.contains(origin) && MayDonate(*link)) donor = link.get();
  }
  if (donor == nullptr) return;  // they pull from us first
  incoming_ = Incoming{};
  incoming_->link = donor->id;
  incoming_->donor = donor->peer.node;
  incoming_->started = incoming_->progress = now.mono_ns;
  if (!host_.JoinsStates()) host_.HoldWrites(true);
  StateStep(now);
}

// No frame may be applied until a state is whole.
void Replicator::Impl::RetryState(Now now) {
  if (!half_state_ || incoming_ || now.mono_ns < state_retry_at_) return;
  for (auto& [id, link] : links_) {
    if (MayDonate(*link)) return TryState(now, *link, {});
  }
}

void Replicator::Impl::StateStep(Now now) {
  RetryState(now);
  if (!incoming_) return;
  Link* const link = Find(incoming_->link);
  if (link == nullptr || !link->Up()) return EndState(now, false, "the link was lost");
  const bool holding = incoming_->phase == Incoming::Phase::kHolding;
  const std::int64_t limit_ms = holding ? kHoldMsMax : settings_.state_timeout_ms;
  if (now.mono_ns - incoming_->progress >= limit_ms * kNsPerMs) {
    if (!holding) SendMiss(now, *link, incoming_->stream, MissReason::kStopped, {}, "timed out");
    return EndState(now, false, holding ? "the donor did not get what we have" : "no progress");
  }
  if (!holding) return;
  if (!MayDonate(*link)) return;
  const crdt::VersionVector heads = host_.Heads();
  const bool theirs = host_.applied().Covers(heads) && link->their_applied.Covers(heads);
  if (!theirs && !host_.JoinsStates()) return;
  incoming_->phase = Incoming::Phase::kAsked;
  incoming_->stream = next_stream_++;
  if (next_stream_ == 0) next_stream_ = 1;
  incoming_->progress = now.mono_ns;
  incoming_->asked = Want();
  Emit(now, *link, MessageType::kNeed, kWantState, incoming_->stream,
       EncodeVectored(incoming_->asked, {}));
}

void Replicator::Impl::EndState(Now now, bool success, const std::string& why) {
  if (!incoming_) return;
  const bool begun = incoming_->phase == Incoming::Phase::kReceiving;
  const NodeId donor = incoming_->donor;
  const std::uint64_t bytes = incoming_->bytes;
  const crdt::VersionVector asked = std::move(incoming_->asked);
  incoming_.reset();
  if (success) {
    ++totals_.transfer.received_total;
    state_backoff_ms_ = 0;
    half_state_ = false;
    Note(false, "took over the state of node " + ShortName(donor) + ", " + std::to_string(bytes) +
                    " bytes");
    TakeBackWhatWasTold(now, asked);
  } else {
    ++totals_.transfer.failed_total;
    if (begun) host_.AbortState();
    half_state_ = half_state_ || begun;
    state_backoff_ms_ = std::clamp(2 * state_backoff_ms_, kRetryMsMin, kRetryMsMax);
    state_retry_at_ = now.mono_ns + state_backoff_ms_ * kNsPerMs;
    Note(begun, "state transfer from node " + ShortName(donor) + " ended early: " + why);
  }
  if (!host_.JoinsStates()) host_.HoldWrites(false);
  vectors_dirty_ = true;
}

// With the state something was given up that peers believe to be here. Whoever has folded it would
// take this node for one that must be forgotten. On a new link it is told anew.
void Replicator::Impl::TakeBackWhatWasTold(Now now, const crdt::VersionVector& before) {
  const bool all_there = std::all_of(before.begin(), before.end(), [&](const auto& item) {
    return Known(item.first) >= item.second;
  });
  if (all_there || host_.JoinsStates()) return;
  for (auto& [id, link] : links_) CloseLink(now, *link, "this node has given up what it had told");
}

void Replicator::Impl::OnStateBegin(Now now, Link& link, const Header& header,
                                    std::string_view payload) {
  if (!incoming_ || incoming_->phase != Incoming::Phase::kAsked || incoming_->link != link.id ||
      incoming_->stream != header.stream) {
    return SendMiss(now, link, header.stream, MissReason::kStopped, {}, "not asked for");
  }
  ByteReader in(payload);
  const Vectored begin = DecodeVectored(in);
  ByteReader head(begin.bytes);
  incoming_->bytes_expected = head.Varint();
  if (!in.ok() || !head.ok()) return Corrupt(now, link, "a STATE_BEGIN that does not decode");
  std::string why;
  for (const auto& [origin, lsn] : Want()) {
    // The donor has vouched for what was asked; anything newer must be in its vector.
    if (lsn > incoming_->asked.Get(origin) && lsn > begin.vector.Get(origin)) {
      why = "we know more of origin " + ShortName(origin);
    }
  }
  if (why.empty()) {
    const Status begun = host_.BeginState(head.Take(head.Remaining()));
    if (!begun) why = begun.error().text;
  }
  if (!why.empty()) {
    SendMiss(now, link, header.stream, MissReason::kStopped, {}, why);
    return EndState(now, false, why);
  }
  Note(false, "a state comes from " + NameOf(link));
  incoming_->phase = Incoming::Phase::kReceiving;
  incoming_->progress = now.mono_ns;
}

void Replicator::Impl::OnStateChunk(Now now, Link& link, const Header& header,
                                    std::string_view payload) {
  if (!Receiving() || incoming_->link != link.id || incoming_->stream != header.stream) return;
  if (incoming_->phase != Incoming::Phase::kReceiving) {
    return Corrupt(now, link, "a STATE_CHUNK before its STATE_BEGIN");
  }
  incoming_->progress = now.mono_ns;
  incoming_->bytes += payload.size();
  ++incoming_->chunks;
  const Status added = host_.AddStateChunk(payload);
  if (added) return;
  SendMiss(now, link, header.stream, MissReason::kStopped, {}, added.error().text);
  EndState(now, false, added.error().text);
}

void Replicator::Impl::OnStateEnd(Now now, Link& link, const Header& header,
                                  std::string_view payload) {
  if (!Receiving() || incoming_->link != link.id || incoming_->stream != header.stream) return;
  ByteReader in(payload);
  const Vectored end = DecodeVectored(in);
  if (!in.ok() || !in.AtEnd() || incoming_->phase != Incoming::Phase::kReceiving) {
    return Corrupt(now, link, "a STATE_END that does not decode, or before its STATE_BEGIN");
  }
  const Status finished = host_.FinishState(end.vector);
  EndState(now, finished.ok(), finished ? "" : finished.error().text);
  SweepHeads();
  StartPulls(now);
  CheckJoined();
}

// --- the donor

void Replicator::Impl::OnNeedState(Now now, Link& link, const Header& header,
                                   std::string_view payload) {
  ByteReader in(payload);
  const Vectored want = DecodeVectored(in);
  if (!in.ok() || !in.AtEnd()) return Corrupt(now, link, "a NEED of a state that does not decode");
  if (link.donation) EndDonation(link);  // the peer has given it up
  for (const auto& [origin, lsn] : want.vector) {
    // What is beyond the end of a fold only an older disk has: whoever asks knows what it gives up.
    if (Known(origin) >= lsn || host_.FoldedAt(origin)) continue;
    return SendMiss(now, link, header.stream, MissReason::kNotDominated, origin,
                    "it does not know all of origin " + ShortName(origin));
  }
  if (incoming_ || donations_ >= kDonationsMax) {
    return SendMiss(now, link, header.stream, MissReason::kBusy, {},
                    incoming_ ? "it is receiving a state itself"
                              : std::to_string(donations_) + " states are on their way already");
  }
  Result<StateStart> start = host_.StateBegin(link.peer.node);
  if (!start) {
    return SendMiss(now, link, header.stream, MissReason::kBusy, {}, start.error().text);
  }
  link.donation = Donation{start->handle, header.stream};
  ++donations_;
  Note(false, NameOf(link) + " takes over our state");
  std::string head;
  PutVarint(head, start->bytes_expected);
  head += start->head;
  Emit(now, link, MessageType::kStateBegin, 0, header.stream, EncodeVectored(start->vector, head));
  PumpDonation(now, link);
}

void Replicator::Impl::PumpDonation(Now now, Link& link) {
  while (link.donation && link.Up() && link.Unsent() <= settings_.link_bytes_max) {
    const Donation donation = *link.donation;
    Result<StateChunk> chunk = host_.NextStateChunk(donation.handle, kPieceBytes);
    if (!chunk) {
      EndDonation(link);
      return SendMiss(now, link, donation.stream, MissReason::kStopped, {}, chunk.error().text);
    }
    if (!chunk->bytes.empty()) {
      Emit(now, link, MessageType::kStateChunk, 0, donation.stream, chunk->bytes);
    }
    if (!chunk->end) continue;
    EndDonation(link);
    ++totals_.transfer.donated_total;
    Emit(now, link, MessageType::kStateEnd, 0, donation.stream,
         EncodeVectored(chunk->end_vector, {}));
  }
}

void Replicator::Impl::EndDonation(Link& link) {
  if (!link.donation) return;
  host_.StateEnd(link.donation->handle);
  link.donation.reset();
  --donations_;
}

// A node has joined when it has all that its peers had when they met. (What they have by now would
// be a goal that moves.) An empty peer may be joining itself, and is no proof that nothing is
// there.
void Replicator::Impl::CheckJoined() {
  if (!joining_ || incoming_) return;
  bool has_goal = true, has_all = true, any = false, newcomers = false;
  for (const auto& [origin, lsn] : join_goal_) has_goal = has_goal && Known(origin) >= lsn;
  for (const auto& [id, link] : links_) {
    if (!link->Up()) continue;
    if (!link->vector_seen) return;
    // It may not have the folds that others' resets build on; nor has, then, who has all of it.
    newcomers = newcomers || link->joining;
    any = any || !link->joining;
    for (const auto& [origin, lsn] : link->their_applied) has_all = has_all && Known(origin) >= lsn;
  }
  if (newcomers && !any) any = OnlyNewcomersAreLeft();
  if (!any || (!has_goal && !has_all)) return;
  SetJoining(false, false);
  joined_ = !join_goal_.empty();
  join_goal_ = {};
  if (joined_) Note(false, "this node has everything that the others had when it joined them");
}

// Then nobody has what they lack.
bool Replicator::Impl::OnlyNewcomersAreLeft() const {
  return std::all_of(members_.begin(), members_.end(), [&](const auto& item) {
    const auto& [node, member] = item;
    if (node == node_ || member.state == MemberState::kForgotten) return true;
    return std::any_of(links_.begin(), links_.end(), [&](const auto& other) {
      const Link& link = *other.second;
      return link.Up() && link.joining && link.peer.node == node;
    });
  });
}

void Replicator::Impl::SetJoining(bool joining, bool as_newcomer) {
  joining_ = joining;
  if (newcomer_ == as_newcomer) return;
  newcomer_ = as_newcomer;
  host_.JoiningChanged(newcomer_);
}

// Ready is who has joined, and who has nobody to join: a first node is told of others that start
// after it, and must not wait for them.
bool Replicator::Impl::Joining() const {
  if (joining_) return true;
  return members_.size() == 1 && std::any_of(meets_.begin(), meets_.end(), [](const auto& meet) {
           return meet.keep && !meet.tried;
         });
}

}  // namespace jeton::replication
