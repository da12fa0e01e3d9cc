// Links: opening and closing them, bytes in, bytes out.
#include <algorithm>

#include "base/assert.h"
#include "base/crc32c.h"
#include "replication/replicator_impl.h"

namespace jeton::replication {

Link* Replicator::Impl::Find(LinkId id) {
  const auto found = links_.find(id);
  if (found == links_.end() || found->second->state == LinkState::kClosed) return nullptr;
  return found->second.get();
}

Link* Replicator::Impl::UpLinkOf(const NodeId& node) {
  const auto peer = peers_.find(node);
  if (peer == peers_.end() || peer->second.links.empty()) return nullptr;
  return Find(peer->second.links.front());
}

const Link* Replicator::Impl::UpLinkOf(const NodeId& node) const {
  return const_cast<Impl*>(this)->UpLinkOf(node);
}

Link& Replicator::Impl::NewLink(Now now, bool dialed) {
  auto link = std::make_unique<Link>();
  link->id = next_link_++;
  link->dialed = dialed;
  link->opened = link->heard = now.mono_ns;
  return *links_.emplace(link->id, std::move(link)).first->second;
}

LinkId Replicator::Impl::Accepted(Now now, std::string_view remote_ip) {
  std::size_t strangers = 0;
  for (const auto& [id, link] : links_) strangers += link->Stranger() ? 1 : 0;
  if (links_.size() >= kLinksMax || strangers >= kStrangersMax) {
    ++totals_.links_refused;
    return 0;
  }
  Link& link = NewLink(now, false);
  link.state = LinkState::kHello;
  link.remote_ip = remote_ip.substr(0, kHostBytesMax);
  return link.id;
}

void Replicator::Impl::DialDone(Now now, LinkId id, bool ok, std::string_view error) {
  Link* link = Find(id);
  if (link == nullptr || link->state != LinkState::kDialing) return;
  if (ok) {
    link->state = LinkState::kHello;
    link->heard = now.mono_ns;
    SendHello(now, *link);
  } else {
    LinkGone(now, *link, std::string(error.substr(0, kTextBytesMax)));
  }
  Sweep();
}

void Replicator::Impl::Closed(Now now, LinkId id, std::string_view why) {
  Link* link = Find(id);
  if (link != nullptr) LinkGone(now, *link, std::string(why.substr(0, kTextBytesMax)));
  Sweep();
}

void Replicator::Impl::Backlog(Now now, LinkId id, std::size_t bytes) {
  Link* link = Find(id);
  if (link == nullptr) return;
  link->backlog = bytes;
  if (link->Up()) {
    ServeNeeds(now, *link);
    PumpDonation(now, *link);
  }
  Sweep();
}

void Replicator::Impl::Receive(Now now, LinkId id, std::string_view bytes) {
  Link* link = Find(id);
  if (link == nullptr) return;
  link->heard = now.mono_ns;
  totals_.bytes_received += bytes.size();
  if (link->Up()) {
    Peer& peer = peers_[link->peer.node];
    peer.heard = now.mono_ns;
    peer.bytes_in += bytes.size();
  }
  // Whole messages are read where they are; only the beginning of one is kept.
  std::string joined;
  if (!link->in.empty()) {
    joined = std::move(link->in);
    joined += bytes;
    bytes = joined;
  }
  std::size_t used = 1;
  while (used > 0 && link->state != LinkState::kClosed) {
    used = ReceiveOne(now, *link, bytes);
    bytes.remove_prefix(used);
  }
  link->in = bytes;
  Sweep();
}

std::size_t Replicator::Impl::ReceiveOne(Now now, Link& link, std::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return 0;
  const Result<Header> header = GetHeader(bytes);
  if (!header) {
    Corrupt(now, link, header.error().text);
    return 0;
  }
  const bool known = link.Up() || link.state == LinkState::kConfirm;
  if (!known && header->length > kHandshakeBytesMax) {
    Corrupt(now, link,
            "a handshake of " + std::to_string(header->length) + " bytes; at most " +
                std::to_string(kHandshakeBytesMax) + " are read");
    return 0;
  }
  const std::size_t size = kHeaderBytes + header->length;
  if (bytes.size() < size) return 0;
  const std::string_view payload = bytes.substr(kHeaderBytes, header->length);
  if (Crc32c(payload) != header->payload_crc) {
    Corrupt(now, link, "the checksum of a message's payload does not match");
    return 0;
  }
  ++totals_.messages_received;
  if (link.Up()) ++peers_[link.peer.node].messages_in;
  Assemble(now, link, *header, payload);
  return size;
}

void Replicator::Impl::Assemble(Now now, Link& link, const Header& header,
                                std::string_view payload) {
  const bool more = (header.flags & kMore) != 0;
  const bool continues = link.assembling == header.type;
  if (!more && !continues) return Dispatch(now, link, header, payload);
  if (!link.Up() && link.state != LinkState::kConfirm) {
    return Corrupt(now, link, "a handshake in pieces");
  }
  if (!continues && link.assembling) return Corrupt(now, link, "pieces of two contents are mixed");
  if (continues && link.assembling_stream != header.stream) {
    return Corrupt(now, link, "pieces of two streams are mixed");
  }
  if (link.assembly.size() + payload.size() > kContentBytesMax) {
    return Corrupt(now, link,
                   "content of more than " + std::to_string(kContentBytesMax) + " bytes");
  }
  link.assembling = header.type;
  link.assembling_stream = header.stream;
  link.assembly += payload;
  if (more) {
    // A long content is progress, too.
    for (auto& [origin, pull] : pulls_) {
      if (pull.link == link.id) pull.progress = now.mono_ns;
    }
    if (incoming_ && incoming_->link == link.id) incoming_->progress = now.mono_ns;
    return;
  }
  const std::string content = std::move(link.assembly);
  link.assembly.clear();
  link.assembling.reset();
  Dispatch(now, link, header, content);
}

void Replicator::Impl::Dispatch(Now now, Link& link, const Header& header,
                                std::string_view payload) {
  switch (header.type) {
    case MessageType::kHello:
      return OnHello(now, link, payload);
    case MessageType::kWelcome:
      return OnWelcome(now, link, payload);
    case MessageType::kRefuse:
      return OnRefuse(now, link, payload);
    default:
      if (link.state == LinkState::kConfirm) Up(now, link);
      if (link.state == LinkState::kClosed) return;
      if (!link.Up()) return Corrupt(now, link, "a message before the handshake was over");
      return DispatchUp(now, link, header, payload);
  }
}

void Replicator::Impl::DispatchUp(Now now, Link& link, const Header& header,
                                  std::string_view payload) {
  switch (header.type) {
    case MessageType::kMembers:
      return OnMembers(now, link, payload);
    case MessageType::kVector:
      return OnVector(now, link, header, payload);
    case MessageType::kDelta:
      return OnDelta(now, link, header, payload);
    case MessageType::kNeed:
      return OnNeed(now, link, header, payload);
    case MessageType::kMiss:
      return OnMiss(now, link, header, payload);
    case MessageType::kStateBegin:
      return OnStateBegin(now, link, header, payload);
    case MessageType::kStateChunk:
      return OnStateChunk(now, link, header, payload);
    case MessageType::kStateEnd:
      return OnStateEnd(now, link, header, payload);
    case MessageType::kDigest:
      return OnDigest(now, link, payload);
    case MessageType::kPing:
      return OnPing(now, link, header, payload);
    case MessageType::kPong:
      return OnPong(now, link, payload);
    case MessageType::kHello:
    case MessageType::kWelcome:
    case MessageType::kRefuse:
      break;
  }
}

void Replicator::Impl::Corrupt(Now now, Link& link, const std::string& what) {
  Note(true, "link with " + NameOf(link) + " closed: " + what);
  CloseLink(now, link, what);
}

void Replicator::Impl::Emit(Now now, Link& link, MessageType type, std::uint8_t flags,
                            std::uint32_t stream, std::string_view payload) {
  if (link.state == LinkState::kClosed) return;
  const std::size_t before = link.out.size();
  std::uint64_t messages = 1;
  for (; payload.size() > kPieceBytes; ++messages) {
    PutMessage(link.out, type, static_cast<std::uint8_t>(flags | kMore), stream,
               payload.substr(0, kPieceBytes));
    payload.remove_prefix(kPieceBytes);
  }
  PutMessage(link.out, type, flags, stream, payload);
  totals_.messages_sent += messages;
  totals_.bytes_sent += link.out.size() - before;
  if (link.Up()) {
    Peer& peer = peers_[link.peer.node];
    peer.messages_out += messages;
    peer.bytes_out += link.out.size() - before;
  }
  // Everything that is long waits for the link; this is for a peer that asks and does not read.
  const std::size_t unsent_max = settings_.link_bytes_max + settings_.need_bytes + kContentBytesMax;
  if (link.Unsent() > unsent_max) {
    Corrupt(now, link, std::to_string(link.Unsent()) + " bytes are unsent: it does not read");
  }
}

void Replicator::Impl::CloseLink(Now now, Link& link, const std::string& reason) {
  if (link.state == LinkState::kClosed) return;
  if (!link.out.empty()) outputs_.push_back(Send{link.id, std::move(link.out)});
  link.out.clear();
  outputs_.push_back(Close{link.id, reason});
  LinkGone(now, link, reason);
}

void Replicator::Impl::LinkGone(Now now, Link& link, const std::string& why) {
  if (link.state == LinkState::kClosed) return;
  const bool was_up = link.Up();
  link.state = LinkState::kClosed;
  EndDonation(link);
  if (incoming_ && incoming_->link == link.id) EndState(now, false, "the link was lost: " + why);
  std::erase_if(pulls_, [&](const auto& item) { return item.second.link == link.id; });
  if (was_up) {
    Peer& peer = peers_[link.peer.node];
    std::erase(peer.links, link.id);
    peer.last_error = why;
    SyncPeer(link.peer.node);
    if (peer.links.empty()) Note(false, "link with " + NameOf(link) + " is lost: " + why);
    Redial& redial = redials_[link.peer.node];
    redial.backoff_ms = settings_.reconnect_ms_min;
    if (redial.link == 0) ScheduleRedial(now, redial, node_ > link.peer.node);
  }
  DialFailed(now, link.id, why);
}

// The link may have been somebody's dial: when to try again.
void Replicator::Impl::DialFailed(Now now, LinkId id, const std::string& why) {
  for (auto& [node, redial] : redials_) {
    if (redial.link != id) continue;
    redial.link = 0;
    peers_[node].last_error = why;
    ScheduleRedial(now, redial, node_ > node);
  }
  for (MeetTarget& meet : meets_) {
    if (meet.redial.link != id) continue;
    meet.redial.link = 0;
    meet.tried = true;
    ScheduleRedial(now, meet.redial, false);
  }
}

// Exponential, with jitter. Of two nodes that lost each other the one with the smaller id comes
// first, so that they do not both dial.
void Replicator::Impl::ScheduleRedial(Now now, Redial& redial, bool patient) {
  redial.backoff_ms = std::clamp(redial.backoff_ms, settings_.reconnect_ms_min,
                                 std::max(settings_.reconnect_ms_min, settings_.reconnect_ms_max));
  const std::int64_t wait_ms = prng_.Between(redial.backoff_ms / 2, redial.backoff_ms) +
                               (patient ? settings_.heartbeat_ms : 0);
  redial.next = now.mono_ns + wait_ms * kNsPerMs;
  next_dial_ = std::min(next_dial_, redial.next);
  redial.backoff_ms *= 2;
}

void Replicator::Impl::DialTo(Now now, const Address& address, bool meet, Redial& redial) {
  if (links_.size() >= kLinksMax) return;
  Link& link = NewLink(now, true);
  link.target = address;
  link.meet = meet;
  redial.link = link.id;
  outputs_.push_back(Dial{link.id, address.host, address.port});
}

void Replicator::Impl::DialDue(Now now) {
  next_dial_ = now.mono_ns + kNsPerSecond;
  for (const auto& [node, member] : members_) {
    if (node == node_ || member.state == MemberState::kForgotten) continue;
    if (member.address.host.empty() || member.address.port == 0) continue;
    Redial& redial = redials_[node];
    if (redial.link != 0 || UpLinkOf(node) != nullptr) continue;
    next_dial_ = std::min(next_dial_, std::max(redial.next, now.mono_ns + kNsPerMs));
    if (now.mono_ns < redial.next) continue;
    DialTo(now, member.address, false, redial);
  }
  for (MeetTarget& meet : meets_) {
    if (meet.redial.link != 0) continue;
    next_dial_ = std::min(next_dial_, std::max(meet.redial.next, now.mono_ns + kNsPerMs));
    if (now.mono_ns < meet.redial.next) continue;
    if (!meet.keep && now.mono_ns >= meet.until) continue;
    DialTo(now, meet.address, true, meet.redial);
  }
  std::erase_if(meets_, [&](const MeetTarget& meet) {
    const bool over = !meet.keep && meet.redial.link == 0 && now.mono_ns >= meet.until;
    if (over) Note(true, "MEET " + TextOf(meet.address) + " is given up: no answer");
    return over;
  });
}

std::int64_t Replicator::Impl::LinkTimeoutMs() const {
  constexpr std::int64_t kMax = 5'000;
  const std::int64_t least = std::min(5 * settings_.heartbeat_ms, kMax);
  return std::clamp(settings_.node_timeout_ms / 2, least, kMax);
}

// While this process was stopped, or busy with one thing for long, it could not have heard anybody.
void Replicator::Impl::ForgiveSilence(Now now) {
  const MonoNs deaf = now.mono_ns - last_tick_ - settings_.heartbeat_ms * kNsPerMs;
  if (deaf <= 0) return;
  for (auto& [id, link] : links_) link->heard = std::min(link->heard + deaf, now.mono_ns);
}

void Replicator::Impl::CheckLinkTimeouts(Now now) {
  for (auto& [id, link] : links_) {
    if (link->state == LinkState::kClosed) continue;
    const bool up = link->Up();
    const MonoNs since = up ? link->heard : link->opened;
    const std::int64_t limit_ms = up ? LinkTimeoutMs() : settings_.handshake_timeout_ms;
    if (now.mono_ns - since < limit_ms * kNsPerMs) continue;
    CloseLink(now, *link,
              std::string(up ? "nothing was heard" : "the handshake did not end") + " for " +
                  std::to_string(limit_ms) + " ms");
  }
}

void Replicator::Impl::Sweep() {
  std::erase_if(links_, [](const auto& item) { return item.second->state == LinkState::kClosed; });
}

}  // namespace jeton::replication
