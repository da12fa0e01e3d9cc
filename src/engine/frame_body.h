// What a frame's body begins with; the mutations follow. docs/formats/frame.md.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "crdt/origin_table.h"
#include "crdt/version_vector.h"

namespace jeton::engine {

struct BodyHead {
  NodeId node{};
  bool partial = false;                // the next frame has more of the same changes
  std::uint64_t epoch = 0;             // of the keyspace, when the frame was cut
  std::vector<OriginId> dictionary{};  // what `ref` counts in
};

inline void PutHead(const BodyHead& head, std::string& out) {
  out.append(reinterpret_cast<const char*>(head.node.data()), head.node.size());
  out.push_back(static_cast<char>(head.partial));
  PutVarint(out, head.epoch);
  PutVarint(out, head.dictionary.size());
  for (const OriginId& id : head.dictionary) crdt::PutOrigin(out, id);
}

// Fails the reader on what PutHead cannot have written.
inline BodyHead GetHead(ByteReader& in) {
  BodyHead head;
  const std::string_view node = in.Take(head.node.size());
  std::copy(node.begin(), node.end(), head.node.begin());
  const auto partial = in.Fixed<std::uint8_t>();
  if (partial > 1) in.Fail();
  head.partial = partial != 0;
  head.epoch = in.Varint();
  const std::uint64_t count = in.Varint();
  if (count > crdt::OriginTable::kMax) in.Fail();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    head.dictionary.push_back(crdt::GetOrigin(in));
  }
  return head;
}

}  // namespace jeton::engine
