// What a Replicator tells about itself: plain values, for CLUSTER, INFO, metrics and GET STATE.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "crdt/version_vector.h"
#include "replication/member.h"

namespace jeton::replication {

// kUp: heard from within the node timeout; kSuspect: not; kDown: not for twice that time. Never
// used for counts.
enum class PeerState : std::uint8_t { kUp, kSuspect, kDown, kForgotten };

struct PeerStatus {
  Member member;
  PeerState state = PeerState::kDown;
  bool linked = false;                 // an established link
  std::int64_t link_since_ms = -1;     // ago; -1: no link
  bool dialed_by_us = false;           // direction of that link
  std::int64_t heard_ms = -1;          // ago, directly or by others; -1: never
  std::int64_t ping_sent_ms = -1;      // ago; -1: no link
  std::int64_t pong_received_ms = -1;  // ago; -1: never
  std::int64_t round_trip_us = -1;     // of the last PONG; -1: none
  std::int64_t staleness_ms = -1;      // since we had everything that it had; -1: never
  bool covered = false;                // we have everything up to the head that it last told
  std::int64_t clock_ahead_ms = 0;     // its wall clock minus ours
  std::uint64_t behind = 0;            // LSNs of its head that we do not have
  std::uint64_t pending_frames = 0;    // in the ring, not known to be durable there
  std::uint64_t pending_bytes = 0;
  std::uint64_t unsent_bytes = 0;  // waiting in the link
  std::uint64_t bytes_in = 0;      // over all its links, since start
  std::uint64_t bytes_out = 0;
  std::uint64_t messages_in = 0;
  std::uint64_t messages_out = 0;
  std::uint64_t frames_in = 0;  // applied from it
  std::uint64_t frames_out = 0;
  std::uint64_t links_made = 0;       // established so far
  std::uint64_t repairs = 0;          // NEEDs that it answered with frames
  std::uint64_t failure_reports = 0;  // linked peers that have not heard of it in time
  std::uint16_t protocol = 0;
  std::int64_t lag_ms = -1;     // how long the oldest pending own frame waits for it
  std::string last_error;       // why the last link or dial ended
  crdt::VersionVector durable;  // what it holds durably, as far as we know
};

struct TransferStatus {
  bool receiving = false;
  NodeId donor{};
  std::uint64_t bytes_expected = 0;  // the donor's guess; 0: none
  std::uint64_t bytes = 0;           // so far
  std::uint64_t chunks = 0;
  std::int64_t running_ms = 0;
  std::uint64_t received_total = 0;  // transfers that were completed
  std::uint64_t failed_total = 0;
  std::uint64_t donations = 0;  // being served now
  std::uint64_t donated_total = 0;
  // This node joined and has not yet caught up with a member: not ready.
  bool joining = false;
};

struct ReplicatorStatus {
  bool clustered = false;   // other members exist, or existed
  bool open = false;        // no secret is set
  bool forgotten = false;   // peers told us that we were forgotten
  bool fenced = false;      // peers told us that our origin is closed
  std::size_t members = 1;  // not forgotten, ourselves included
  std::size_t reachable = 1;
  bool consistent = true;
  std::int64_t staleness_ms = 0;    // -1: some member was never heard of
  std::vector<NodeId> lagging;      // those that keep us from being consistent
  std::vector<PeerStatus> peers;    // without ourselves, by node id; forgotten ones last
  std::vector<Address> meeting;     // MEETs that are not linked yet
  std::vector<std::string> alarms;  // each a sentence; empty when all is well
  TransferStatus transfer;
  std::uint64_t messages_sent = 0;
  std::uint64_t messages_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t ring_bytes = 0;
  std::uint64_t ring_frames = 0;
  std::uint64_t needs_outstanding = 0;
  std::uint64_t frames_sent = 0;  // to all peers
  std::uint64_t frames_applied = 0;
  std::uint64_t frames_known = 0;      // received again
  std::uint64_t frames_gap = 0;        // came too early
  std::uint64_t digests_equal = 0;     // compared with a peer's
  std::uint64_t divergence_total = 0;  // digests that differed: must stay 0
  std::uint64_t links_refused = 0;
};

}  // namespace jeton::replication
