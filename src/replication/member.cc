#include "replication/member.h"

#include <algorithm>

#include "base/crc32c.h"
#include "base/hash.h"
#include "replication/limits.h"

namespace jeton::replication {
namespace {

constexpr std::string_view kFileMagic = "JTNNODES";
constexpr std::uint16_t kFileVersion = 1;
constexpr std::size_t kShortBytes = 4;

void PutId(std::string& out, const std::uint8_t* id, std::size_t size) {
  out.append(reinterpret_cast<const char*>(id), size);
}

template <typename Id>
Id GetId(ByteReader& in) {
  Id id{};
  const std::string_view bytes = in.Take(id.size());
  std::copy(bytes.begin(), bytes.end(), id.begin());
  return id;
}

std::string HexOfFirst(const std::uint8_t* id) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < kShortBytes; ++i) {
    text += kDigits[id[i] >> 4];
    text += kDigits[id[i] & 15];
  }
  return text;
}

void PutMember(std::string& out, const Member& member) {
  PutId(out, member.node.data(), member.node.size());
  PutBytes(out, member.address.host);
  PutFixed<std::uint16_t>(out, member.address.port);
  PutId(out, member.origin.data(), member.origin.size());
  PutFixed<std::uint8_t>(out, static_cast<std::uint8_t>(member.state));
  PutVarint(out, member.version.clock);
  PutId(out, member.version.origin.data(), member.version.origin.size());
}

Member GetMember(ByteReader& in) {
  Member member;
  member.node = GetId<NodeId>(in);
  const std::string_view host = in.Bytes();
  if (host.size() > kHostBytesMax) in.Fail();
  if (in.ok()) member.address.host = host;
  member.address.port = in.Fixed<std::uint16_t>();
  member.origin = GetId<OriginId>(in);
  const auto state = in.Fixed<std::uint8_t>();
  if (state != 1 && state != 2) in.Fail();
  member.state = static_cast<MemberState>(state);
  member.version.clock = in.Varint();
  member.version.origin = GetId<OriginId>(in);
  return member;
}

}  // namespace

bool Supersedes(const Member& next, const Member& known) {
  if (next.state != known.state) return next.state == MemberState::kForgotten;
  return next.version > known.version;
}

void PutMembers(std::string& out, const std::vector<Member>& members) {
  PutVarint(out, members.size());
  for (const Member& member : members) PutMember(out, member);
}

std::vector<Member> GetMembers(ByteReader& in) {
  std::vector<Member> members;
  const std::uint64_t count = in.Varint();
  if (count > kMembersMax) in.Fail();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) members.push_back(GetMember(in));
  if (!in.ok()) members.clear();
  return members;
}

std::uint64_t DigestOf(const MemberMap& members) {
  std::string bytes;
  for (const auto& [node, member] : members) PutMember(bytes, member);
  return HashBytes(bytes, 0);
}

std::string EncodeNodes(const NodesFile& nodes) {
  std::string out(kFileMagic);
  PutFixed<std::uint16_t>(out, kFileVersion);
  PutMembers(out, nodes.members);
  if (nodes.joining) PutFixed<std::uint8_t>(out, 1);
  PutFixed<std::uint32_t>(out, Crc32c(out));
  return out;
}

Result<NodesFile> DecodeNodes(std::string_view bytes) {
  constexpr std::size_t kBytesMin = 8 + 2 + 1 + 4;
  if (bytes.size() < kBytesMin || !bytes.starts_with(kFileMagic)) {
    return Error{ErrorKind::kCorrupt, "nodes file: does not begin with " + std::string(kFileMagic)};
  }
  const std::string_view content = bytes.substr(0, bytes.size() - 4);
  if (GetFixed<std::uint32_t>(content.data() + content.size()) != Crc32c(content)) {
    return Error{ErrorKind::kCorrupt, "nodes file: the checksum does not match"};
  }
  ByteReader in(content.substr(kFileMagic.size()));
  const auto version = in.Fixed<std::uint16_t>();
  if (version != kFileVersion) {
    return Error{ErrorKind::kCorrupt, "nodes file: version " + std::to_string(version) +
                                          " is unknown; this program reads version " +
                                          std::to_string(kFileVersion)};
  }
  NodesFile nodes{.members = GetMembers(in)};
  if (in.ok() && !in.AtEnd()) nodes.joining = in.Fixed<std::uint8_t>() == 1;
  if (!in.ok() || !in.AtEnd()) {
    return Error{ErrorKind::kCorrupt, "nodes file: its records do not decode"};
  }
  return nodes;
}

std::string TextOf(const Address& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  const std::string host = v6 ? "[" + address.host + "]" : address.host;
  return host + ":" + std::to_string(address.port);
}

std::string ShortName(const NodeId& node) {
  return HexOfFirst(node.data());
}
std::string ShortName(const OriginId& origin) {
  // The first six bytes are a time: the random ones tell origins apart.
  return HexOfFirst(origin.data() + 6);
}
std::string ShortClusterName(const ClusterId& cluster) {
  return HexOfFirst(cluster.data());
}

}  // namespace jeton::replication
