// The messages of a link (docs/formats/links.md): a header of 24 bytes, then a payload. Encoders
// and decoders only; what they mean is the Replicator's.
//
// Decoders fail their reader on anything that the encoder cannot have written.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "crdt/clock.h"
#include "crdt/version_vector.h"
#include "replication/limits.h"
#include "replication/member.h"

namespace jeton::replication {

enum class MessageType : std::uint8_t {
  kHello = 1,
  kWelcome = 2,
  kRefuse = 3,
  kMembers = 4,
  kVector = 5,
  kDelta = 6,
  kNeed = 7,
  kStateBegin = 8,
  kStateChunk = 9,
  kStateEnd = 10,
  kDigest = 11,
  // 12, 15 and 16 are kept free (repair of one slot, limits across masters).
  kPing = 13,
  kPong = 14,
  kMiss = 17
};
bool IsMessageType(std::uint8_t type);

// Flags of the header.
constexpr std::uint8_t kMore = 1;       // the content goes on in the next message of this type
constexpr std::uint8_t kLast = 2;       // DELTA: the answer to NEED `stream` ends with it
constexpr std::uint8_t kWantState = 4;  // NEED: the whole state
constexpr std::uint8_t kJoining =
    8;  // VECTOR, PING: the sender lacks what others had before it came
constexpr std::uint8_t kFlagsKnown = kMore | kLast | kWantState | kJoining;

constexpr std::size_t kHeaderBytes = 24;
constexpr std::string_view kMagic = "JTN1";

struct Header {
  MessageType type{};
  std::uint8_t flags = 0;
  std::uint32_t length = 0;
  std::uint32_t stream = 0;
  std::uint32_t payload_crc = 0;
};

// Appends header and payload.
void PutMessage(std::string& out, MessageType type, std::uint8_t flags, std::uint32_t stream,
                std::string_view payload);
// `bytes` has at least kHeaderBytes. The error names what is wrong, and the value.
Result<Header> GetHeader(std::string_view bytes);

using Nonce = std::array<std::uint8_t, 32>;
using Mac = std::array<std::uint8_t, 32>;

struct Hello {
  std::uint16_t protocol_min = kProtocolMin;
  std::uint16_t protocol_max = kProtocolMax;
  std::uint64_t features = 0;
  bool adoptable = false;   // without data: it may take on the other's cluster
  bool meet = false;        // dialer: was told to MEET; acceptor: agrees to be in one cluster
  bool has_secret = false;  // a MAC will be asked for and given
  bool has_peers = false;   // its cluster has other members already
  ClusterId cluster{};
  NodeId node{};
  OriginId origin{};
  crdt::Version version;  // of its member record: which of two processes is newer
  Nonce nonce{};
  Address address;        // that it announces
  std::string seen_host;  // of the other side, as it is seen from here; may be empty
  std::uint32_t content_bytes_max = kContentBytesMax;
  std::vector<OriginId> origins;  // own ones that are not folded yet
};
std::string EncodeHello(const Hello& hello);
Hello DecodeHello(ByteReader& in);

enum class RefuseReason : std::uint8_t {
  kBadSecret = 1,
  kOtherCluster = 2,
  kForgotten = 3,
  kFenced = 4,
  kClone = 5,
  kVersion = 6,
  kSelf = 7,
  kBusy = 8
};

// Followed by a MAC on the wire, like a WELCOME, which is nothing but one.
struct Refuse {
  RefuseReason reason{};
  std::string text;
  crdt::VersionVector finals;  // kForgotten: of folded origins; kFenced: what is known of it
};
std::string EncodeRefuse(const Refuse& refuse);
Refuse DecodeRefuse(ByteReader& in);

// Changed entries since the last one on this link.
struct VectorUpdate {
  crdt::VersionVector durable;
  crdt::VersionVector applied;  // only where it is beyond durable
};
std::string EncodeVector(const VectorUpdate& update);
VectorUpdate DecodeVector(ByteReader& in);

struct Need {
  OriginId origin{};
  Lsn after = 0;
  std::uint64_t bytes_max = 0;
};
std::string EncodeNeed(const Need& need);
Need DecodeNeed(ByteReader& in);

enum class MissReason : std::uint8_t {
  kNothing = 1,       // no more than `after` is known here either
  kNeedState = 2,     // the frames are gone: ask for the state
  kNotDominated = 3,  // you have what this node has not: it pulls first
  kBusy = 4,          // too much at once, or loading
  kStopped = 5        // the state transfer is given up, by either side
};
struct Miss {
  MissReason reason{};
  OriginId origin{};
  std::string text;
};
std::string EncodeMiss(const Miss& miss);
Miss DecodeMiss(ByteReader& in);

// STATE_BEGIN, STATE_END and DIGEST: a vector and opaque bytes. (STATE_BEGIN's bytes begin with a
// varint, the number of bytes to expect.)
struct Vectored {
  crdt::VersionVector vector;
  std::string_view bytes;
};
std::string EncodeVectored(const crdt::VersionVector& vector, std::string_view bytes);
Vectored DecodeVectored(ByteReader& in);

// What is known of another member's head, and how old that is.
struct RelayedHead {
  NodeId node{};
  OriginId origin{};
  Lsn head = 0;
  std::uint64_t age_ms = 0;
};
struct Ping {
  std::uint64_t stamp = 0;  // of the sender's clock; comes back in the PONG
  std::int64_t wall_ms = 0;
  std::uint64_t clock = 0;  // hybrid
  Lsn head = 0;
  std::uint64_t members_digest = 0;
  std::vector<RelayedHead> heads;  // PONG only
};
std::string EncodePing(const Ping& ping);
Ping DecodePing(ByteReader& in);

}  // namespace jeton::replication
