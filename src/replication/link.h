// What a Replicator keeps of one link, of one peer and of one pull. Plain data.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "crdt/version_vector.h"
#include "replication/message.h"
#include "replication/replicator.h"

namespace jeton::replication {

// The dialer: kDialing, kHello, kWelcome, kUp. The acceptor: kHello, kWelcome, kConfirm, kUp. Each
// waits for the message of that name; kConfirm for anything else than a handshake.
enum class LinkState : std::uint8_t { kDialing, kHello, kWelcome, kConfirm, kUp, kClosed };

// A NEED that waits until the link has sent enough.
struct PendingNeed {
  Need need;
  std::uint32_t stream = 0;
};

struct Donation {
  std::uint64_t handle = 0;
  std::uint32_t stream = 0;
};

struct Link {
  LinkId id = 0;
  LinkState state = LinkState::kDialing;
  bool dialed = false;
  bool meet = false;
  Address target;         // that was dialed
  std::string remote_ip;  // that was accepted
  MonoNs opened = 0;
  MonoNs heard = 0;
  MonoNs up_since = 0;
  MonoNs ping_sent = -1;
  MonoNs members_sent = -1;

  Hello own;
  Hello peer;
  std::string own_hello;  // payloads, as they went
  std::string peer_hello;

  std::string in;  // the beginning of a message
  std::optional<MessageType> assembling;
  std::uint32_t assembling_stream = 0;
  std::string assembly;  // content that comes in pieces
  std::string out;       // not fetched yet
  std::size_t backlog = 0;

  crdt::VersionVector their_durable;
  crdt::VersionVector their_applied;
  crdt::VersionVector told_durable;
  crdt::VersionVector told_applied;
  bool vector_seen = false;
  // Frames of the own origins up to here are there or on their way.
  crdt::VersionVector pushed;

  bool joining = false;       // the peer lacks what others had before it came
  std::set<OriginId> ahead;   // what it may have and we have not
  OriginMap<MonoNs> blocked;  // not asked for before
  std::deque<PendingNeed> needs_in;
  std::size_t needs_out = 0;
  std::optional<Donation> donation;

  std::size_t Unsent() const { return out.size() + backlog; }
  bool Up() const { return state == LinkState::kUp; }
  bool Stranger() const { return !dialed && !Up() && state != LinkState::kClosed; }
};

// A head that a member told, and when it had it at the earliest, in our time.
struct HeadSample {
  MonoNs sampled = 0;
  Lsn head = 0;
};
constexpr std::size_t kHeadSamplesMax = 16;

// Lives as long as the process, links come and go.
struct Peer {
  std::vector<LinkId> links;  // up; the first one is used
  OriginId origin{};
  std::vector<OriginId> origins;  // that it was seen with, the last one last
  MonoNs heard = -1;
  MonoNs pong = -1;
  MonoNs sampled = -1;  // of the newest head
  Lsn head = 0;
  MonoNs covered = -1;           // when it had nothing that we have not
  std::deque<HeadSample> heads;  // not covered yet
  std::int64_t round_trip_us = -1;
  std::int64_t clock_ahead_ms = 0;
  crdt::VersionVector durable;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t messages_in = 0;
  std::uint64_t messages_out = 0;
  std::uint64_t frames_in = 0;
  std::uint64_t frames_out = 0;
  std::uint64_t links_made = 0;
  std::uint64_t repairs = 0;
  std::map<NodeId, MonoNs> reports;  // who has not heard of it in time, and when it said so
  std::uint16_t protocol = 0;
  std::string last_error;
};

// One outstanding NEED.
struct Pull {
  LinkId link = 0;
  std::uint32_t stream = 0;
  MonoNs progress = 0;
};

// When to dial next.
struct Redial {
  MonoNs next = 0;
  std::int64_t backoff_ms = 0;
  LinkId link = 0;  // being dialed, or up
};

struct MeetTarget {
  Address address;
  bool keep = false;
  bool tried = false;  // at least once, in vain
  MonoNs until = 0;
  Redial redial;
};

// A state that we ask for or receive.
struct Incoming {
  enum class Phase : std::uint8_t { kHolding, kAsked, kReceiving };
  Phase phase = Phase::kHolding;
  LinkId link = 0;
  NodeId donor{};
  std::uint32_t stream = 0;
  MonoNs started = 0;
  MonoNs progress = 0;
  crdt::VersionVector asked;
  std::uint64_t bytes_expected = 0;
  std::uint64_t bytes = 0;
  std::uint64_t chunks = 0;
};

}  // namespace jeton::replication
