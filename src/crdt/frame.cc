#include "crdt/frame.h"

namespace jeton::crdt {

std::string EncodeFrame(const Frame& frame) {
  std::string out;
  out.push_back(static_cast<char>(kFrameVersion));
  PutOrigin(out, frame.origin);
  PutVarint(out, frame.from);
  PutVarint(out, frame.to);
  PutVarint(out, frame.clock);
  frame.row.EncodeTo(out);
  out.append(frame.body);
  return out;
}

Frame DecodeFrame(ByteReader& in) {
  Frame frame;
  if (in.Fixed<std::uint8_t>() != kFrameVersion) in.Fail();
  frame.origin = GetOrigin(in);
  frame.from = in.Varint();
  frame.to = in.Varint();
  frame.clock = in.Varint();
  frame.row = VersionVector::Decode(in);
  if (frame.to <= frame.from) in.Fail();
  frame.body = in.Take(in.Remaining());
  return frame;
}

}  // namespace jeton::crdt
