#include "replication/replicator.h"

#include <algorithm>

#include "base/assert.h"
#include "replication/replicator_impl.h"

namespace jeton::replication {
namespace {

constexpr MonoNs kMeetPatienceNs = 300 * kNsPerSecond;
// How often things that wait for a moment are looked at.
constexpr MonoNs kSoonNs = 20 * kNsPerMs;

}  // namespace

Replicator::Impl::Impl(Host& host, std::uint64_t seed, Settings settings)
    : host_(host),
      prng_(seed),
      settings_(std::move(settings)),
      node_(host.node_id()),
      origin_(host.origin()),
      cluster_(host.cluster()) {
  Member& own = members_[node_];
  own.node = node_;
  own.origin = origin_;
  nodes_by_origin_[origin_] = node_;
  members_digest_ = DigestOf(members_);
}

void Replicator::Impl::Announce(Now now, const Address& address) {
  announced_ = address;
  Member& own = members_[node_];
  Address next = address;
  if (next.host.empty()) next.host = own.address.host;
  if (next == own.address && own.version.clock != 0) return;
  own.address = next;
  Reissue(now);
}

void Replicator::Impl::Restore(Now now, const NodesFile& nodes) {
  joining_ = newcomer_ = nodes.joining;
  for (const Member& member : nodes.members) {
    host_.SawClock(member.version.clock);
    if (member.node == node_) {
      Address& own = members_[node_].address;
      if (own.host.empty()) own.host = member.address.host;
    } else if (members_.size() < kMembersMax) {
      StoreMember(now, member);
    }
  }
  Reissue(now);
}

Status Replicator::Impl::Meet(Now now, const Address& address, bool keep) {
  if (address.port == 0 || address.host.empty() || address.host.size() > kHostBytesMax) {
    return Error{ErrorKind::kInvalid, "ERR Invalid node address specified: " + TextOf(address)};
  }
  for (MeetTarget& known : meets_) {
    if (known.address != address) continue;
    known.until = now.mono_ns + kMeetPatienceNs;
    known.keep = known.keep || keep;
    return {};
  }
  if (meets_.size() >= kMeetTargetsMax) {
    return Error{ErrorKind::kUnavailable,
                 "ERR " + std::to_string(meets_.size()) + " nodes are being met already"};
  }
  MeetTarget& meet = meets_.emplace_back();
  meet.address = address;
  meet.keep = keep;
  meet.until = now.mono_ns + kMeetPatienceNs;
  if (settings_.secret.empty()) {
    Note(true, "no cluster-secret is set: any node that reaches this one may join");
  }
  DialDue(now);
  return {};
}

void Replicator::Impl::Reset(Now now) {
  for (auto& [id, link] : links_) CloseLink(now, *link, "the node was reset");
  Sweep();
  const Address address = members_[node_].address;
  members_.clear();
  nodes_by_origin_.clear();
  peers_.clear();
  redials_.clear();
  meets_.clear();
  pulls_.clear();
  gap_since_.clear();
  ring_.Clear();
  seen_durable_ = {};
  alarms_.clear();
  join_goal_ = {};
  half_state_ = false;
  SetJoining(false, false);
  forgotten_by_.clear();
  joined_ = forgotten_ = fenced_ = reissued_ = reissued_host_ = false;
  node_ = host_.node_id();
  origin_ = host_.origin();
  cluster_ = host_.cluster();
  members_[node_].address = address;
  Reissue(now);
}

void Replicator::Impl::Configure(Now, Settings settings) {
  settings_ = std::move(settings);
}

void Replicator::Impl::Tick(Now now) {
  ForgiveSilence(now);
  last_tick_ = now.mono_ns;
  if (now.mono_ns >= next_heartbeat_) Heartbeat(now);
  DialDue(now);
  StartPulls(now);
  StateStep(now);
  CheckJoined();
  for (auto& [id, link] : links_) {
    if (!link->Up()) continue;
    ServeNeeds(now, *link);
    PumpDonation(now, *link);
  }
  FlushVectors(now);
  Sweep();
}

void Replicator::Impl::Stop(Now now) {
  for (auto& [id, link] : links_) CloseLink(now, *link, "the node is shutting down");
  Sweep();
}

MonoNs Replicator::Impl::NextTick() const {
  MonoNs next = next_heartbeat_;
  if (vectors_dirty_) next = std::min(next, std::max(vectors_due_, last_tick_));
  next = std::min(next, next_dial_);
  if (!gap_since_.empty() || incoming_) next = std::min(next, last_tick_ + kSoonNs);
  return next;
}

std::vector<Output> Replicator::Impl::TakeOutputs() {
  std::vector<Output> outputs = std::move(outputs_);
  outputs_.clear();
  for (auto& [id, link] : links_) {
    if (link->out.empty()) continue;
    link->backlog += link->out.size();
    outputs.push_back(Send{id, std::move(link->out)});
    link->out.clear();
  }
  return outputs;
}

std::vector<Event> Replicator::Impl::TakeEvents() {
  std::vector<Event> events = std::move(events_);
  events_.clear();
  return events;
}

// --- the public face

Replicator::Replicator(Host& host, std::uint64_t seed, Settings settings)
    : impl_(std::make_unique<Impl>(host, seed, std::move(settings))) {}
Replicator::~Replicator() = default;
void Replicator::Announce(Now now, const Address& address) {
  impl_->Announce(now, address);
}
void Replicator::Restore(Now now, const NodesFile& nodes) {
  impl_->Restore(now, nodes);
}
Status Replicator::AddFrame(Now now, std::shared_ptr<const std::string> bytes) {
  return impl_->AddFrame(now, std::move(bytes));
}
Status Replicator::Meet(Now now, const Address& address, bool keep) {
  return impl_->Meet(now, address, keep);
}
Status Replicator::Forget(Now now, const NodeId& node) {
  return impl_->Forget(now, node);
}
void Replicator::Reset(Now now) {
  impl_->Reset(now);
}
void Replicator::Configure(Now now, Settings settings) {
  impl_->Configure(now, std::move(settings));
}
void Replicator::CheckDigests(Now now) {
  impl_->CheckDigests(now);
}
LinkId Replicator::Accepted(Now now, std::string_view remote_ip) {
  return impl_->Accepted(now, remote_ip);
}
void Replicator::DialDone(Now now, LinkId link, bool ok, std::string_view error) {
  impl_->DialDone(now, link, ok, error);
}
void Replicator::Receive(Now now, LinkId link, std::string_view bytes) {
  impl_->Receive(now, link, bytes);
}
void Replicator::Closed(Now now, LinkId link, std::string_view why) {
  impl_->Closed(now, link, why);
}
void Replicator::Backlog(Now now, LinkId link, std::size_t bytes) {
  impl_->Backlog(now, link, bytes);
}
void Replicator::Tick(Now now) {
  impl_->Tick(now);
}
void Replicator::Stop(Now now) {
  impl_->Stop(now);
}
MonoNs Replicator::NextTick() const {
  return impl_->NextTick();
}
std::vector<Output> Replicator::TakeOutputs() {
  return impl_->TakeOutputs();
}
std::vector<Event> Replicator::TakeEvents() {
  return impl_->TakeEvents();
}
ReplicatorStatus Replicator::status(Now now) const {
  return impl_->status(now);
}
const MemberMap& Replicator::members() const {
  return impl_->members();
}
bool Replicator::clustered() const {
  return impl_->clustered();
}
std::size_t Replicator::AckedBy(Lsn lsn) const {
  return impl_->AckedBy(lsn);
}

}  // namespace jeton::replication
