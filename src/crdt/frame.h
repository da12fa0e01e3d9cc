// Frame: a piece of one origin's log, (from, to], in the form in which it travels. Its bytes are
// made once by its origin and are the same for every peer, whoever relays them.
//
//   frame = version u8 | origin 16 bytes | from varint | to varint | clock varint | row | body
//
// Applying it: to <= known: nothing to do; from > known: a gap, ask for what is missing; else all
// of it at once, after which exactly `to` is known. Overlap is harmless, because entries are
// absolute and the rest are joins. The body is the engine's (engine/frame_body.h); here it is
// opaque.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "crdt/version_vector.h"

namespace jeton::crdt {

constexpr std::uint8_t kFrameVersion = 1;

struct Frame {
  OriginId origin{};
  Lsn from = 0;
  Lsn to = 0;
  std::uint64_t clock = 0;  // hybrid logical clock: wall ms << 16, see crdt/clock.h
  VersionVector row;        // what the origin's node held durably when it cut this frame
  std::string_view body = {};
};

std::string EncodeFrame(const Frame& frame);
// The views point into `bytes`. Fails the reader on anything that EncodeFrame cannot have written;
// takes all of it.
Frame DecodeFrame(ByteReader& in);

}  // namespace jeton::crdt
