// The named maxima of links between nodes, and the settings that may be changed. Every one has a
// test that reaches it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace jeton::replication {

// What a message may carry after its header; longer content goes in pieces.
constexpr std::size_t kPayloadBytesMax = std::size_t{1} << 20;
// Before a peer has proved who it is, it may send no more than this in one message.
constexpr std::size_t kHandshakeBytesMax = std::size_t{64} << 10;
// One frame or one chunk of a state, put together from its pieces. AddFrame refuses a longer one,
// so that its origin has to cut earlier.
constexpr std::size_t kFrameBytesMax = std::size_t{16} << 20;
// Any content, with the few bytes that go with a frame or chunk.
constexpr std::size_t kContentBytesMax = kFrameBytesMax + (std::size_t{4} << 20);
// Longer content travels in pieces of this size.
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;

constexpr std::size_t kMembersMax = 1024;  // records, forgotten ones among them
constexpr std::size_t kHostBytesMax = 255;
constexpr std::size_t kOwnOriginsMax = 1024;        // in a HELLO
constexpr std::size_t kLinksMax = 2 * kMembersMax;  // any state
constexpr std::size_t kStrangersMax = 64;  // accepted links that have not proved themselves
constexpr std::size_t kMeetTargetsMax = 64;
constexpr std::size_t kNeedsPerLinkMax = 16;  // outstanding, either way
constexpr std::size_t kNeedsMax = 256;        // outstanding pulls of this node
constexpr std::size_t kDonationsMax = 2;      // state transfers that this node serves at once
constexpr std::size_t kHeadsPerPing = 32;     // heads of other members that a PONG relays
constexpr std::size_t kEventsMax = 1024;      // lines for the operator that nobody fetched
constexpr std::size_t kTextBytesMax = 512;    // reasons and errors on the wire

constexpr std::uint16_t kProtocolMin = 1;
constexpr std::uint16_t kProtocolMax = 1;

struct Settings {
  std::string secret;                     // empty on all nodes: an open cluster
  std::int64_t node_timeout_ms = 15'000;  // unheard of for so long: suspect; twice as long: down
  std::int64_t heartbeat_ms = 200;
  std::int64_t vector_delay_ms = 5;  // changes of the vector are announced together
  std::int64_t pull_delay_ms =
      100;  // how long to wait for the origin's own push before asking another
  std::int64_t need_timeout_ms = 2'000;       // without progress: another peer is asked
  std::int64_t state_timeout_ms = 10'000;     // without progress: a state transfer is given up
  std::int64_t handshake_timeout_ms = 5'000;  // from dial or accept to an established link
  std::int64_t reconnect_ms_min = 100;        // doubles up to the maximum, with jitter
  std::int64_t reconnect_ms_max = 5'000;
  std::int64_t digest_interval_ms = 60'000;  // 0: only on demand
  std::size_t ring_bytes_max = std::size_t{64} << 20;
  std::size_t ring_bytes_kept = std::size_t{8} << 20;  // of frames that all members have
  std::size_t link_bytes_max = std::size_t{4} << 20;   // unsent per link: then frames wait
  std::size_t need_bytes = std::size_t{1} << 20;       // asked for at once
  bool take_gaps = false;  // a fault for tests to plant: frames are taken whatever came before
};

}  // namespace jeton::replication
