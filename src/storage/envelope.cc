#include "storage/envelope.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"

namespace jeton {

namespace {

constexpr std::size_t kMagicSize = 8;
constexpr std::size_t kSizeAt = 10;

Error Corrupt(const EnvelopeKind& kind, std::string_view why) {
  return {ErrorKind::kCorrupt, std::string(kind.what).append(" ").append(why)};
}

}  // namespace

std::string EncodeEnvelope(const EnvelopeKind& kind, std::string_view body) {
  ASSERT(kind.magic.size() == kMagicSize);
  std::string out(kind.magic);
  PutFixed(out, kind.version);
  PutFixed(out, static_cast<std::uint32_t>(body.size()));
  out.append(body);
  PutFixed(out, Crc32c(out));
  return out;
}

std::uint64_t EnvelopeSize(std::string_view head) {
  ASSERT(head.size() >= kEnvelopeHeadSize);
  return kEnvelopeOverhead + std::uint64_t{GetFixed<std::uint32_t>(head.data() + kSizeAt)};
}

Result<std::string_view> DecodeEnvelope(const EnvelopeKind& kind, std::string_view bytes,
                                        bool exact) {
  if (bytes.size() < kEnvelopeOverhead) return Corrupt(kind, "is cut short");
  if (!bytes.starts_with(kind.magic)) return Corrupt(kind, "has another file's magic");
  const std::uint64_t size = EnvelopeSize(bytes);
  if (size > bytes.size()) return Corrupt(kind, "is cut short");
  if (exact && size != bytes.size()) return Corrupt(kind, "is followed by other bytes");
  const std::string_view covered = bytes.substr(0, size - sizeof(std::uint32_t));
  if (Crc32c(covered) != GetFixed<std::uint32_t>(bytes.data() + covered.size())) {
    return Corrupt(kind, "does not verify");
  }
  const auto version = GetFixed<std::uint16_t>(bytes.data() + kMagicSize);
  if (version > kind.version) {
    return Error{ErrorKind::kUnavailable, std::string(kind.what) + " format " +
                                              std::to_string(version) +
                                              " is newer than this program, which reads up to " +
                                              std::to_string(kind.version)};
  }
  return covered.substr(kEnvelopeHeadSize);
}

}  // namespace jeton
