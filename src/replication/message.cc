#include "replication/message.h"

#include <algorithm>

#include "base/crc32c.h"

namespace jeton::replication {
namespace {

template <std::size_t N>
void PutArray(std::string& out, const std::array<std::uint8_t, N>& array) {
  out.append(reinterpret_cast<const char*>(array.data()), N);
}

template <std::size_t N>
std::array<std::uint8_t, N> GetArray(ByteReader& in) {
  std::array<std::uint8_t, N> array{};
  const std::string_view bytes = in.Take(N);
  std::copy(bytes.begin(), bytes.end(), array.begin());
  return array;
}

std::string GetText(ByteReader& in, std::size_t bytes_max) {
  const std::string_view text = in.Bytes();
  if (text.size() > bytes_max) in.Fail();
  return in.ok() ? std::string(text) : std::string();
}

// The header's own checksum: CRC-32C of it with this field as zero, the low half.
std::uint16_t HeaderCrc(std::string_view header) {
  const std::uint32_t crc =
      Crc32c(header.substr(8), Crc32c(std::string_view("\0\0", 2), Crc32c(header.substr(0, 6))));
  return static_cast<std::uint16_t>(crc & 0xffff);
}

Error Wrong(std::string text) {
  return {ErrorKind::kCorrupt, std::move(text)};
}

constexpr std::uint8_t kHelloAdoptable = 1;
constexpr std::uint8_t kHelloMeet = 2;
constexpr std::uint8_t kHelloSecret = 4;
constexpr std::uint8_t kHelloPeers = 8;

}  // namespace

bool IsMessageType(std::uint8_t type) {
  return (type >= 1 && type <= 11) || type == 13 || type == 14 || type == 17;
}

void PutMessage(std::string& out, MessageType type, std::uint8_t flags, std::uint32_t stream,
                std::string_view payload) {
  std::string header(kMagic);
  PutFixed<std::uint8_t>(header, static_cast<std::uint8_t>(type));
  PutFixed<std::uint8_t>(header, flags);
  PutFixed<std::uint16_t>(header, 0);
  PutFixed<std::uint32_t>(header, static_cast<std::uint32_t>(payload.size()));
  PutFixed<std::uint32_t>(header, stream);
  PutFixed<std::uint32_t>(header, Crc32c(payload));
  PutFixed<std::uint32_t>(header, 0);
  const std::uint16_t crc = HeaderCrc(header);
  std::memcpy(header.data() + 6, &crc, sizeof(crc));
  out += header;
  out += payload;
}

Result<Header> GetHeader(std::string_view bytes) {
  ByteReader in(bytes.substr(0, kHeaderBytes));
  if (in.Take(kMagic.size()) != kMagic) return Wrong("a message does not begin with JTN1");
  const auto type = in.Fixed<std::uint8_t>();
  Header header;
  header.flags = in.Fixed<std::uint8_t>();
  const auto crc = in.Fixed<std::uint16_t>();
  header.length = in.Fixed<std::uint32_t>();
  header.stream = in.Fixed<std::uint32_t>();
  header.payload_crc = in.Fixed<std::uint32_t>();
  const auto reserved = in.Fixed<std::uint32_t>();
  if (!in.ok() || crc != HeaderCrc(bytes.substr(0, kHeaderBytes))) {
    return Wrong("the checksum of a message's header does not match");
  }
  if (!IsMessageType(type)) return Wrong("message type " + std::to_string(type) + " is unknown");
  if ((header.flags & ~kFlagsKnown) != 0) {
    return Wrong("message flags " + std::to_string(header.flags) + " are unknown");
  }
  if (reserved != 0) return Wrong("a reserved field is " + std::to_string(reserved) + ", not 0");
  if (header.length > kPayloadBytesMax) {
    return Wrong("a message of " + std::to_string(header.length) + " bytes; at most " +
                 std::to_string(kPayloadBytesMax) + " may come at once");
  }
  header.type = static_cast<MessageType>(type);
  return header;
}

std::string EncodeHello(const Hello& hello) {
  std::string out;
  PutFixed<std::uint16_t>(out, hello.protocol_min);
  PutFixed<std::uint16_t>(out, hello.protocol_max);
  PutFixed<std::uint64_t>(out, hello.features);
  PutFixed<std::uint8_t>(out, static_cast<std::uint8_t>((hello.adoptable ? kHelloAdoptable : 0) |
                                                        (hello.meet ? kHelloMeet : 0) |
                                                        (hello.has_secret ? kHelloSecret : 0) |
                                                        (hello.has_peers ? kHelloPeers : 0)));
  PutArray(out, hello.cluster);
  PutArray(out, hello.node);
  PutArray(out, hello.origin);
  PutVarint(out, hello.version.clock);
  PutArray(out, hello.version.origin);
  PutArray(out, hello.nonce);
  PutBytes(out, hello.address.host);
  PutFixed<std::uint16_t>(out, hello.address.port);
  PutBytes(out, hello.seen_host);
  PutFixed<std::uint32_t>(out, hello.content_bytes_max);
  PutVarint(out, hello.origins.size());
  for (const OriginId& origin : hello.origins) PutArray(out, origin);
  return out;
}

// Whatever a later protocol appends is left unread: versions are compared before anything else.
Hello DecodeHello(ByteReader& in) {
  Hello hello;
  hello.protocol_min = in.Fixed<std::uint16_t>();
  hello.protocol_max = in.Fixed<std::uint16_t>();
  if (hello.protocol_min > hello.protocol_max) in.Fail();
  hello.features = in.Fixed<std::uint64_t>();
  const auto flags = in.Fixed<std::uint8_t>();
  hello.adoptable = (flags & kHelloAdoptable) != 0;
  hello.meet = (flags & kHelloMeet) != 0;
  hello.has_secret = (flags & kHelloSecret) != 0;
  hello.has_peers = (flags & kHelloPeers) != 0;
  hello.cluster = GetArray<sizeof(ClusterId)>(in);
  hello.node = GetArray<sizeof(NodeId)>(in);
  hello.origin = GetArray<sizeof(OriginId)>(in);
  hello.version.clock = in.Varint();
  hello.version.origin = GetArray<sizeof(OriginId)>(in);
  hello.nonce = GetArray<sizeof(Nonce)>(in);
  hello.address.host = GetText(in, kHostBytesMax);
  hello.address.port = in.Fixed<std::uint16_t>();
  hello.seen_host = GetText(in, kHostBytesMax);
  hello.content_bytes_max = in.Fixed<std::uint32_t>();
  const std::uint64_t count = in.Varint();
  if (count > kOwnOriginsMax) in.Fail();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    hello.origins.push_back(GetArray<sizeof(OriginId)>(in));
  }
  return hello;
}

std::string EncodeRefuse(const Refuse& refuse) {
  std::string out;
  PutFixed<std::uint8_t>(out, static_cast<std::uint8_t>(refuse.reason));
  PutBytes(out, std::string_view(refuse.text).substr(0, kTextBytesMax));
  refuse.finals.EncodeTo(out);
  return out;
}

Refuse DecodeRefuse(ByteReader& in) {
  Refuse refuse;
  const auto reason = in.Fixed<std::uint8_t>();
  if (reason < 1 || reason > static_cast<std::uint8_t>(RefuseReason::kBusy)) in.Fail();
  refuse.reason = static_cast<RefuseReason>(reason);
  refuse.text = GetText(in, kTextBytesMax);
  refuse.finals = crdt::VersionVector::Decode(in);
  return refuse;
}

std::string EncodeVector(const VectorUpdate& update) {
  std::string out;
  update.durable.EncodeTo(out);
  update.applied.EncodeTo(out);
  return out;
}

VectorUpdate DecodeVector(ByteReader& in) {
  VectorUpdate update;
  update.durable = crdt::VersionVector::Decode(in);
  update.applied = crdt::VersionVector::Decode(in);
  if (!in.AtEnd()) in.Fail();
  return update;
}

std::string EncodeNeed(const Need& need) {
  std::string out;
  PutArray(out, need.origin);
  PutVarint(out, need.after);
  PutVarint(out, need.bytes_max);
  return out;
}

Need DecodeNeed(ByteReader& in) {
  Need need;
  need.origin = GetArray<sizeof(OriginId)>(in);
  need.after = in.Varint();
  need.bytes_max = in.Varint();
  if (!in.AtEnd()) in.Fail();
  return need;
}

std::string EncodeMiss(const Miss& miss) {
  std::string out;
  PutFixed<std::uint8_t>(out, static_cast<std::uint8_t>(miss.reason));
  PutArray(out, miss.origin);
  PutBytes(out, std::string_view(miss.text).substr(0, kTextBytesMax));
  return out;
}

Miss DecodeMiss(ByteReader& in) {
  Miss miss;
  const auto reason = in.Fixed<std::uint8_t>();
  if (reason < 1 || reason > static_cast<std::uint8_t>(MissReason::kStopped)) in.Fail();
  miss.reason = static_cast<MissReason>(reason);
  miss.origin = GetArray<sizeof(OriginId)>(in);
  miss.text = GetText(in, kTextBytesMax);
  if (!in.AtEnd()) in.Fail();
  return miss;
}

std::string EncodeVectored(const crdt::VersionVector& vector, std::string_view bytes) {
  std::string out;
  vector.EncodeTo(out);
  out += bytes;
  return out;
}

Vectored DecodeVectored(ByteReader& in) {
  Vectored content;
  content.vector = crdt::VersionVector::Decode(in);
  content.bytes = in.Take(in.Remaining());
  return content;
}

std::string EncodePing(const Ping& ping) {
  std::string out;
  PutFixed<std::uint64_t>(out, ping.stamp);
  PutFixed<std::int64_t>(out, ping.wall_ms);
  PutVarint(out, ping.clock);
  PutVarint(out, ping.head);
  PutFixed<std::uint64_t>(out, ping.members_digest);
  PutVarint(out, ping.heads.size());
  for (const RelayedHead& head : ping.heads) {
    PutArray(out, head.node);
    PutArray(out, head.origin);
    PutVarint(out, head.head);
    PutVarint(out, head.age_ms);
  }
  return out;
}

Ping DecodePing(ByteReader& in) {
  Ping ping;
  ping.stamp = in.Fixed<std::uint64_t>();
  ping.wall_ms = in.Fixed<std::int64_t>();
  ping.clock = in.Varint();
  ping.head = in.Varint();
  ping.members_digest = in.Fixed<std::uint64_t>();
  const std::uint64_t count = in.Varint();
  if (count > kHeadsPerPing) in.Fail();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    RelayedHead& head = ping.heads.emplace_back();
    head.node = GetArray<sizeof(NodeId)>(in);
    head.origin = GetArray<sizeof(OriginId)>(in);
    head.head = in.Varint();
    head.age_ms = in.Varint();
  }
  if (!in.AtEnd()) in.Fail();
  return ping;
}

}  // namespace jeton::replication
