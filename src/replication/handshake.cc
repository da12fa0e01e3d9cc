// The handshake: who is there, and may we talk.
//
//   dialer                      acceptor
//   HELLO(nonce)      ->
//                     <-        HELLO(nonce)
//   WELCOME(proof)    ->                        the dialer proves itself first: a stranger who
//                     <-        WELCOME(proof)  dials learns nothing that he could work on
//   anything          ->        up              so that neither takes a member who then leaves
#include <algorithm>

#include "replication/replicator_impl.h"

namespace jeton::replication {
namespace {

bool IsLoopback(const std::string& host) {
  return host.starts_with("127.") || host == "::1" || host == "localhost";
}

std::string RangeOf(const Hello& hello) {
  return std::to_string(hello.protocol_min) + " to " + std::to_string(hello.protocol_max);
}

std::string ReasonName(RefuseReason reason) {
  switch (reason) {
    case RefuseReason::kBadSecret:
      return "BAD_SECRET";
    case RefuseReason::kOtherCluster:
      return "OTHER_CLUSTER";
    case RefuseReason::kForgotten:
      return "FORGOTTEN";
    case RefuseReason::kFenced:
      return "FENCED";
    case RefuseReason::kClone:
      return "CLONE";
    case RefuseReason::kVersion:
      return "VERSION";
    case RefuseReason::kSelf:
      return "SELF";
    case RefuseReason::kBusy:
      return "BUSY";
  }
  return "?";
}

}  // namespace

// A node without data may take on another cluster's id, with the members that it has: several
// empty nodes that are told to meet at the same time first make more than one cluster.
bool Replicator::Impl::Adoptable() const {
  return host_.IsEmpty();
}

bool Replicator::Impl::IsMember(const NodeId& node) const {
  const auto found = members_.find(node);
  return found != members_.end() && found->second.state == MemberState::kMember;
}

void Replicator::Impl::SendHello(Now now, Link& link) {
  Hello& hello = link.own;
  hello.adoptable = Adoptable();
  // The acceptor says here whether it agrees to be in one cluster with the dialer.
  hello.meet = link.meet || (!link.dialed && (link.peer.meet || IsMember(link.peer.node)));
  hello.has_secret = !settings_.secret.empty();
  hello.has_peers = members_.size() > 1;
  hello.cluster = cluster_;
  hello.node = node_;
  hello.origin = origin_;
  hello.version = members_[node_].version;
  host_.RandomBytes(hello.nonce.data(), hello.nonce.size());
  hello.address = members_[node_].address;
  hello.seen_host = link.dialed ? link.target.host : link.remote_ip;
  hello.origins = host_.OwnOrigins();
  if (hello.origins.size() > kOwnOriginsMax) hello.origins.resize(kOwnOriginsMax);
  link.own_hello = EncodeHello(hello);
  Emit(now, link, MessageType::kHello, 0, 0, link.own_hello);
}

Mac Replicator::Impl::MacOf(const Link& link, bool own, MessageType type,
                            std::string_view said) const {
  const bool by_dialer = link.dialed == own;
  const Transcript transcript{link.dialed ? link.own_hello : link.peer_hello,
                              link.dialed ? link.peer_hello : link.own_hello};
  return ProofOf(settings_.secret, by_dialer, type, transcript, said);
}

void Replicator::Impl::SendWelcome(Now now, Link& link) {
  const Mac mac = MacOf(link, true, MessageType::kWelcome, {});
  Emit(now, link, MessageType::kWelcome, 0, 0,
       {reinterpret_cast<const char*>(mac.data()), mac.size()});
}

void Replicator::Impl::SendRefuse(Now now, Link& link, const Refuse& refuse) {
  ++totals_.links_refused;
  const std::string said = EncodeRefuse(refuse);
  const Mac mac = MacOf(link, true, MessageType::kRefuse, said);
  std::string payload(reinterpret_cast<const char*>(mac.data()), mac.size());
  payload += said;
  Note(true, "refused " + NameOf(link) + ": " + ReasonName(refuse.reason) + ", " + refuse.text);
  Emit(now, link, MessageType::kRefuse, 0, 0, payload);
  DropRefusedDial(link, refuse.reason);
  CloseLink(now, link, "refused: " + refuse.text);
}

// A refused MEET is over; a member is asked again, but not in a moment.
void Replicator::Impl::DropRefusedDial(const Link& link, RefuseReason reason) {
  const bool self = reason == RefuseReason::kSelf;
  std::erase_if(meets_, [&](const MeetTarget& meet) {
    return meet.redial.link == link.id && (self || !meet.keep) && reason != RefuseReason::kBusy;
  });
  for (auto& [node, redial] : redials_) {
    if (redial.link == link.id) redial.backoff_ms = settings_.reconnect_ms_max;
  }
}

// With equal clusters, that one; else one side has to be new, and takes on the other's. A newcomer
// does not lure a node away from the members that it has: they may have data by now.
std::optional<ClusterId> Replicator::Impl::Agreed(const Link& link) const {
  const Hello& dialer = link.dialed ? link.own : link.peer;
  const Hello& acceptor = link.dialed ? link.peer : link.own;
  if (dialer.cluster == acceptor.cluster) return dialer.cluster;
  if (!acceptor.meet) return std::nullopt;
  if (dialer.adoptable && acceptor.adoptable) {
    if (dialer.has_peers != acceptor.has_peers) {
      return dialer.has_peers ? dialer.cluster : acceptor.cluster;
    }
    return std::min(dialer.cluster, acceptor.cluster);
  }
  if (dialer.adoptable) return acceptor.cluster;
  if (acceptor.adoptable) return dialer.cluster;
  return std::nullopt;
}

// What can be said before anything is proved.
std::optional<Refuse> Replicator::Impl::CheckHello(Now now, const Link& link) {
  const Hello& peer = link.peer;
  if (peer.protocol_max < kProtocolMin || peer.protocol_min > kProtocolMax) {
    return Refuse{RefuseReason::kVersion,
                  "this node speaks protocol " + RangeOf(link.own) + ", the other " + RangeOf(peer),
                  {}};
  }
  if (peer.node == node_ && peer.origin == origin_) {
    return Refuse{RefuseReason::kSelf, "this is the same node", {}};
  }
  if (peer.node == node_) {
    const std::string text = "another process runs with this node's id " + ShortName(node_) +
                             ": a copied data directory?";
    Raise(now, "clone " + ShortName(node_), text);
    return Refuse{RefuseReason::kClone, text, {}};
  }
  if (peer.has_secret != !settings_.secret.empty()) {
    return Refuse{RefuseReason::kBadSecret,
                  peer.has_secret ? "the other node has a cluster-secret and this one has none"
                                  : "this node has a cluster-secret and the other one has none",
                  {}};
  }
  return std::nullopt;
}

void Replicator::Impl::OnHello(Now now, Link& link, std::string_view payload) {
  if (link.state != LinkState::kHello) return Corrupt(now, link, "a HELLO out of turn");
  ByteReader in(payload);
  link.peer = DecodeHello(in);
  link.peer_hello = payload;
  if (!in.ok()) return Corrupt(now, link, "a HELLO that does not decode");
  // Both know both HELLOs from here on, whatever the outcome.
  if (!link.dialed) SendHello(now, link);
  if (const auto refuse = CheckHello(now, link)) return SendRefuse(now, link, *refuse);
  if (!Agreed(link)) {
    return SendRefuse(
        now, link,
        {RefuseReason::kOtherCluster,
         "two clusters that both have data do not merge: " + ShortClusterName(link.own.cluster) +
             " here, " + ShortClusterName(link.peer.cluster) + " there; empty one of them first",
         {}});
  }
  if (link.dialed) SendWelcome(now, link);
  if (link.state != LinkState::kClosed) link.state = LinkState::kWelcome;
}

// What is known only of a peer that has proved itself.
std::optional<Refuse> Replicator::Impl::CheckPeer(Now now, const Link& link) {
  const Hello& peer = link.peer;
  const auto member = members_.find(peer.node);
  const bool known = member != members_.end();
  if (known && member->second.state == MemberState::kForgotten) {
    return Refuse{RefuseReason::kForgotten,
                  "node " + ShortName(peer.node) +
                      " was forgotten; it may come back as a new node after CLUSTER RESET HARD",
                  FinalsOf(peer.origins)};
  }
  if (IsOver(peer.origin)) {
    Refuse refuse{RefuseReason::kFenced, "origin " + ShortName(peer.origin) + " is closed", {}};
    refuse.finals.Advance(peer.origin, Known(peer.origin));
    return refuse;
  }
  const Link* const other = UpLinkOf(peer.node);
  if (other != nullptr && other->peer.origin != peer.origin && other->peer.version > peer.version) {
    const std::string text =
        "two processes run with the node id " + ShortName(peer.node) + ": a copied data directory?";
    Raise(now, "clone " + ShortName(peer.node), text);
    return Refuse{RefuseReason::kClone, text, {}};
  }
  // It would get a state that the others have gone on from without us.
  if (!known && IsOut()) {
    return Refuse{RefuseReason::kBusy,
                  "this node was forgotten by its cluster and lets nobody in: meet another one",
                  {}};
  }
  if (!known && members_.size() >= kMembersMax) {
    return Refuse{
        RefuseReason::kBusy, std::to_string(kMembersMax) + " nodes are known, no more fit", {}};
  }
  return std::nullopt;
}

// Only what is folded is final; the rest may still turn up at another member.
crdt::VersionVector Replicator::Impl::FinalsOf(const std::vector<OriginId>& origins) const {
  crdt::VersionVector finals;
  for (const OriginId& origin : origins) {
    if (const auto folded = host_.FoldedAt(origin)) finals.Advance(origin, *folded);
  }
  return finals;
}

Status Replicator::Impl::AdoptAgreed(Now now, const Link& link) {
  const std::optional<ClusterId> agreed = Agreed(link);
  if (!agreed) return Error{ErrorKind::kConflict, "the clusters do not agree"};
  // Several nodes may be met at once: who comes second asks again.
  if (cluster_ != link.own.cluster) {
    return Error{ErrorKind::kConflict, "this node has just joined another cluster"};
  }
  if (*agreed == cluster_) return {};
  if (!Adoptable()) return Error{ErrorKind::kConflict, "this node has just got data"};
  if ((members_.size() > 1) != link.own.has_peers) {
    return Error{ErrorKind::kConflict, "this node has just got peers"};
  }
  if (link.dialed && !link.meet && !IsMember(link.peer.node)) {
    return Error{ErrorKind::kConflict, "this node was not told to join that one"};
  }
  if (Status adopted = host_.AdoptCluster(*agreed); !adopted) return adopted;
  cluster_ = host_.cluster();
  // Also when the link is lost before it is up: who writes here now may not be let in any more.
  if (!joined_) SetJoining(true, true);
  Note(false, "this node belongs to cluster " + ShortClusterName(cluster_) + " now");
  // The members that it had are asked to come along: they are dialed again. So is one that was met
  // a moment ago and whose record is not here yet.
  std::vector<Address> again;
  for (auto& [id, other] : links_) {
    if (other.get() == &link || other->state == LinkState::kDialing) continue;
    const bool met = other->dialed && other->meet && other->Up() && !IsMember(other->peer.node);
    if (met) again.push_back(other->target);
    CloseLink(now, *other, "this node has just joined another cluster");
  }
  for (const Address& address : again) (void)Meet(now, address, false);
  return {};
}

void Replicator::Impl::OnWelcome(Now now, Link& link, std::string_view payload) {
  if (link.state != LinkState::kWelcome) return Corrupt(now, link, "a WELCOME out of turn");
  if (!SameMac(payload, MacOf(link, false, MessageType::kWelcome, {}))) {
    return SendRefuse(now, link,
                      {RefuseReason::kBadSecret, "the cluster-secret is another one", {}});
  }
  if (const auto refuse = CheckPeer(now, link)) return SendRefuse(now, link, *refuse);
  if (const Status adopted = AdoptAgreed(now, link); !adopted) {
    return SendRefuse(now, link, {RefuseReason::kBusy, adopted.error().text, {}});
  }
  if (link.dialed) return Up(now, link);
  SendWelcome(now, link);
  if (link.state != LinkState::kClosed) link.state = LinkState::kConfirm;
}

// Who has forgotten us, and not we him.
bool Replicator::Impl::IsOut() const {
  return std::any_of(forgotten_by_.begin(), forgotten_by_.end(),
                     [&](const NodeId& node) { return IsMember(node); });
}

Forgetter Replicator::Impl::ForgetterOf(const Link& link) const {
  const auto known = members_.find(link.peer.node);
  return {
      .node = link.peer.node,
      .address = link.dialed ? link.target : link.peer.address,
      .forgotten_here = known != members_.end() && known->second.state == MemberState::kForgotten,
      .met = std::any_of(meets_.begin(), meets_.end(), [&](const MeetTarget& meet) {
        return meet.redial.link == link.id && !meet.keep;
      })};
}

void Replicator::Impl::OnRefuse(Now now, Link& link, std::string_view payload) {
  ByteReader in(payload);
  const std::string_view mac = in.Take(sizeof(Mac));
  const std::string_view said(in.Position(), in.Remaining());
  const Refuse refuse = DecodeRefuse(in);
  if (!in.ok() || !in.AtEnd()) return Corrupt(now, link, "a REFUSE that does not decode");
  // Anybody may say no; what costs us our data must be proved.
  const bool proved =
      !link.peer_hello.empty() && SameMac(mac, MacOf(link, false, MessageType::kRefuse, said));
  const std::string text = ReasonName(refuse.reason) + ", " + refuse.text;
  Note(true, NameOf(link) + " refused us: " + text);
  if (refuse.reason == RefuseReason::kClone) {
    Raise(now, "clone " + ShortName(node_), "a peer says: " + refuse.text);
  }
  if (proved && refuse.reason == RefuseReason::kForgotten) {
    forgotten_ = true;
    forgotten_by_.insert(link.peer.node);
    host_.WeWereForgotten(ForgetterOf(link), refuse.finals);
  }
  if (proved && refuse.reason == RefuseReason::kFenced) {
    fenced_ = true;
    host_.WeWereFenced(refuse.finals.Get(origin_));
  }
  DropRefusedDial(link, refuse.reason);
  CloseLink(now, link, "refused by the peer: " + text);
}

void Replicator::Impl::Up(Now now, Link& link) {
  // The acceptor may have joined another cluster between its WELCOME and this.
  if (Agreed(link) != cluster_) {
    return SendRefuse(now, link,
                      {RefuseReason::kBusy, "this node has just joined another cluster", {}});
  }
  link.state = LinkState::kUp;
  link.heard = link.up_since = now.mono_ns;
  Peer& peer = peers_[link.peer.node];
  if (peer.origin != link.peer.origin) {
    // Another process: its disk may be an older one.
    peer.origin = link.peer.origin;
    peer.durable = {};
    peer.heads.clear();
  }
  peer.heard = now.mono_ns;
  peer.protocol = std::min(kProtocolMax, link.peer.protocol_max);
  ++peer.links_made;
  nodes_by_origin_[link.peer.origin] = link.peer.node;
  Redial& redial = redials_[link.peer.node];
  redial.backoff_ms = settings_.reconnect_ms_min;
  const LinkId id = link.id;
  // A link may be lost before it has told who the members are; then the MEET goes on.
  if (members_.contains(link.peer.node)) {
    std::erase_if(meets_, [&](const MeetTarget& meet) { return meet.redial.link == id; });
  }
  LearnHost(now, link.peer.seen_host);
  if (link.own.adoptable && !joined_) SetJoining(true, newcomer_);
  Note(false, "link with " + NameOf(link) + (link.dialed ? " (dialed)" : " (accepted)"));
  ResolveDuplicate(now, link, peer);
  if (link.state == LinkState::kClosed) return;
  SendMembers(now, link);
  SendVector(now, link);
  SendPing(now, link);
}

// Only the smaller id decides which of two links goes, so that the two never close one each.
void Replicator::Impl::ResolveDuplicate(Now now, Link& link, Peer& peer) {
  const std::vector<LinkId> others = peer.links;
  peer.links.insert(peer.links.begin(), link.id);
  for (const LinkId id : others) {
    Link* const other = Find(id);
    if (other == nullptr) continue;
    if (other->peer.origin != link.peer.origin) {
      CloseLink(now, *other, "replaced by a newer process of the node");
      continue;
    }
    if (node_ > link.peer.node) continue;
    const bool silent = now.mono_ns - other->heard > 2 * settings_.heartbeat_ms * kNsPerMs;
    const bool keep_new = silent || link.dialed || !other->dialed;
    CloseLink(now, keep_new ? *other : link, "a second link between the same two nodes");
    if (!keep_new) return;
  }
}

// A node that announces no host is known by what its peers see of it.
void Replicator::Impl::LearnHost(Now now, const std::string& seen) {
  if (!announced_.host.empty() || seen.empty()) return;
  Member& own = members_[node_];
  const bool better = own.address.host.empty() ||
                      (IsLoopback(own.address.host) && !IsLoopback(seen)) ||
                      (own.address.host != seen && !IsLoopback(seen) && !reissued_host_);
  if (!better) return;
  reissued_host_ = true;
  own.address.host = seen;
  Reissue(now);
}

// A process whose origin somebody closed must not go on: its successor is at work, or the node was
// forgotten.
void Replicator::Impl::CheckFences(Now now) {
  if (IsOver(origin_)) fenced_ = true;
  for (auto& [id, link] : links_) {
    ForgetStranger(now, *link);
    if (!link->Up() || !IsOver(link->peer.origin)) continue;
    Refuse refuse{
        RefuseReason::kFenced, "origin " + ShortName(link->peer.origin) + " is closed", {}};
    refuse.finals.Advance(link->peer.origin, Known(link->peer.origin));
    SendRefuse(now, *link, refuse);
  }
}

}  // namespace jeton::replication
