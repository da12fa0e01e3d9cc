// The frame of every small file and header of ours: magic, format version, length, body, checksum.
//
//   envelope = magic (8 bytes) version (u16) size (u32) body (size bytes) crc (u32)
//
// Integers are little-endian; crc is CRC-32C over everything before it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jeton {

constexpr std::size_t kEnvelopeHeadSize = 14;
constexpr std::size_t kEnvelopeOverhead = kEnvelopeHeadSize + 4;

struct EnvelopeKind {
  std::string_view magic;  // 8 bytes
  std::uint16_t version;   // the newest that this program reads, and the one it writes
  std::string_view what;   // for error texts: "manifest"
};

std::string EncodeEnvelope(const EnvelopeKind& kind, std::string_view body);

// The body, a view into `bytes`. With `exact` nothing may follow the envelope. Errors: kCorrupt
// with a reason, kUnavailable for a newer version.
Result<std::string_view> DecodeEnvelope(const EnvelopeKind& kind, std::string_view bytes,
                                        bool exact = true);

// The size of the whole envelope that begins with `head` (kEnvelopeHeadSize bytes, not verified).
std::uint64_t EnvelopeSize(std::string_view head);

}  // namespace jeton
