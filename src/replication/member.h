// Member: what a cluster knows of one of its nodes. A node writes its own record; others pass it
// on, and the greater version wins. Whoever executes FORGET writes the record's last state: it wins
// over every version and stays for ever, so that a node which was removed cannot come back by
// gossip.
//
// The same encoding is the MEMBERS message and the `nodes` file (docs/formats/links.md).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "crdt/clock.h"

namespace jeton::replication {

struct Address {
  std::string host;  // empty: not known yet
  std::uint16_t port = 0;

  friend bool operator==(const Address&, const Address&) = default;
};

enum class MemberState : std::uint8_t { kMember = 1, kForgotten = 2 };

struct Member {
  NodeId node{};
  Address address;
  OriginId origin{};  // of its running (or last known) process
  MemberState state = MemberState::kMember;
  crdt::Version version;

  friend bool operator==(const Member&, const Member&) = default;
};

// Whether `next` says more than `known` of the same node.
bool Supersedes(const Member& next, const Member& known);

using MemberMap = std::map<NodeId, Member>;

void PutMembers(std::string& out, const std::vector<Member>& members);
// Fails the reader on anything that PutMembers cannot have written.
std::vector<Member> GetMembers(ByteReader& in);

// Equal for equal sets: PINGs carry it, and a difference makes both sides send all they know.
std::uint64_t DigestOf(const MemberMap& members);

// The `nodes` file: "JTNNODES" | version u16 | members | u8 1 while the node is joining them |
// crc32c of all before it.
struct NodesFile {
  std::vector<Member> members;
  bool joining = false;
};
std::string EncodeNodes(const NodesFile& nodes);
Result<NodesFile> DecodeNodes(std::string_view bytes);

std::string TextOf(const Address& address);
// The first 8 hexadecimal digits: enough for an operator's line.
std::string ShortName(const NodeId& node);
std::string ShortName(const OriginId& origin);
std::string ShortClusterName(const ClusterId& cluster);

}  // namespace jeton::replication
