#include "storage/log_format.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"

namespace jeton {

namespace {

constexpr std::string_view kMagic = "JTNLOG01";

// Offsets in a record header.
constexpr std::size_t kSizeAt = 0;
constexpr std::size_t kCrcAt = 4;
constexpr std::size_t kPrevAt = 8;
constexpr std::size_t kBackAt = 12;
constexpr std::size_t kLsnAt = 16;
constexpr std::size_t kTypeAt = 24;
constexpr std::size_t kHeadCrcAt = 28;

template <typename T>
void Store(char* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

std::uint32_t HeadCrc(const char* record, std::uint32_t seed) {
  const std::uint32_t size_crc = Crc32c({record + kSizeAt, kCrcAt - kSizeAt}, seed);
  return Crc32c({record + kPrevAt, kHeadCrcAt - kPrevAt}, size_crc);
}

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string out(kMagic);
  PutFixed(out, kLogFormatVersion);
  PutFixed(out, header.shard);
  PutFixed(out, header.seed);
  out.append(reinterpret_cast<const char*>(header.origin.data()), header.origin.size());
  PutFixed(out, header.seq);
  PutFixed(out, header.first_lsn);
  out.resize(kSegmentHeaderSize - sizeof(std::uint32_t));
  PutFixed(out, Crc32c(out));
  return out;
}

std::uint32_t SegmentHeaderCrc(std::string_view encoded) {
  ASSERT(encoded.size() >= kSegmentHeaderSize);
  return GetFixed<std::uint32_t>(encoded.data() + kSegmentHeaderSize - sizeof(std::uint32_t));
}

Result<SegmentHeader> DecodeSegmentHeader(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderSize) return Error{ErrorKind::kCorrupt, "header cut short"};
  bytes = bytes.substr(0, kSegmentHeaderSize);
  if (Crc32c(bytes.substr(0, bytes.size() - sizeof(std::uint32_t))) != SegmentHeaderCrc(bytes)) {
    return Error{ErrorKind::kCorrupt, "header does not verify"};
  }
  ByteReader in(bytes);
  if (in.Take(kMagic.size()) != kMagic) return Error{ErrorKind::kCorrupt, "not a log segment"};
  const auto version = in.Fixed<std::uint16_t>();
  if (version > kLogFormatVersion) {
    return Error{ErrorKind::kUnavailable, "log format " + std::to_string(version) +
                                              " is newer than this program, which " +
                                              "reads up to " + std::to_string(kLogFormatVersion)};
  }
  SegmentHeader header;
  header.shard = in.Fixed<std::uint16_t>();
  header.seed = in.Fixed<std::uint32_t>();
  const std::string_view origin = in.Take(header.origin.size());
  std::memcpy(header.origin.data(), origin.data(), origin.size());
  header.seq = in.Fixed<std::uint64_t>();
  header.first_lsn = in.Fixed<std::uint64_t>();
  if (header.first_lsn == 0) return Error{ErrorKind::kCorrupt, "first lsn is 0"};
  return header;
}

void StageRecord(char* record, const RecordHeader& header) {
  Store(record + kSizeAt, header.size);
  Store(record + kLsnAt, header.lsn);
  Store(record + kTypeAt, static_cast<std::uint32_t>(header.type));
}

RecordHeader PeekRecord(const char* record) {
  RecordHeader header;
  header.size = GetFixed<std::uint32_t>(record + kSizeAt);
  header.crc = GetFixed<std::uint32_t>(record + kCrcAt);
  header.prev = GetFixed<std::uint32_t>(record + kPrevAt);
  header.back = GetFixed<std::uint32_t>(record + kBackAt);
  header.lsn = GetFixed<std::uint64_t>(record + kLsnAt);
  header.type = static_cast<RecordType>(GetFixed<std::uint32_t>(record + kTypeAt));
  return header;
}

std::uint32_t SealRecord(char* record, std::uint32_t seed, RecordHeader header) {
  Store(record + kSizeAt, header.size);
  Store(record + kPrevAt, header.prev);
  Store(record + kBackAt, header.back);
  Store(record + kLsnAt, header.lsn);
  Store(record + kTypeAt, static_cast<std::uint32_t>(header.type));  // and three zero bytes
  const std::uint32_t head_crc = HeadCrc(record, seed);
  Store(record + kHeadCrcAt, head_crc);
  // The payload's crc goes on from the header's, so it covers both.
  const std::size_t padded = RecordSpace(header.size) - kRecordHeaderSize;
  const std::uint32_t crc = Crc32c({record + kRecordHeaderSize, padded}, head_crc);
  Store(record + kCrcAt, crc);
  return crc;
}

bool DecodeRecordHeader(std::string_view bytes, std::uint32_t seed, RecordHeader& header) {
  if (bytes.size() < kRecordHeaderSize) return false;
  const char* record = bytes.data();
  const auto type = GetFixed<std::uint32_t>(record + kTypeAt);
  if (type < static_cast<std::uint32_t>(RecordType::kCommit) ||
      type > static_cast<std::uint32_t>(RecordType::kOrigin)) {
    return false;
  }
  if (GetFixed<std::uint32_t>(record + kSizeAt) > kRecordPayloadMax) return false;
  if (HeadCrc(record, seed) != GetFixed<std::uint32_t>(record + kHeadCrcAt)) return false;
  header = PeekRecord(record);
  return true;
}

bool VerifyRecord(std::string_view bytes, const RecordHeader& header) {
  const std::size_t space = RecordSpace(header.size);
  if (bytes.size() < space) return false;
  const auto head_crc = GetFixed<std::uint32_t>(bytes.data() + kHeadCrcAt);
  return Crc32c(bytes.substr(kRecordHeaderSize, space - kRecordHeaderSize), head_crc) == header.crc;
}

std::string SegmentPath(std::uint64_t seq, LogKind kind) {
  char text[40];
  std::snprintf(text, sizeof(text), "wal/%020llu%s", static_cast<unsigned long long>(seq),
                kind == LogKind::kLeft ? ".left" : ".log");
  return text;
}

Result<std::vector<NumberedFile>> ListSegments(Directory& directory, LogKind kind) {
  return ListNumbered(directory, "wal", "", kind == LogKind::kLeft ? ".left" : ".log");
}

Status RemoveSegmentsBefore(Directory& directory, std::uint64_t seq) {
  const auto segments = ListSegments(directory);
  if (!segments) return segments.error();
  bool removed = false;
  for (const NumberedFile& segment : *segments) {
    if (segment.number >= seq) break;
    if (Status status = directory.Remove(segment.path); !status) return status;
    removed = true;
  }
  return removed ? directory.SyncDirectory("wal") : Status{};
}

std::string_view RecordTypeName(RecordType type) {
  switch (type) {
    case RecordType::kCommit:
      return "COMMIT";
    case RecordType::kControl:
      return "CONTROL";
    case RecordType::kFrame:
      return "FRAME";
    case RecordType::kCursor:
      return "CURSOR";
    case RecordType::kSnapshotMark:
      return "SNAPSHOT_MARK";
    case RecordType::kClean:
      return "CLEAN";
    case RecordType::kSeal:
      return "SEAL";
    case RecordType::kOrigin:
      return "ORIGIN";
  }
  return "UNKNOWN";
}

}  // namespace jeton
