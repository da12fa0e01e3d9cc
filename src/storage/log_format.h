// The bytes of a log segment: docs/formats/log.md is the grammar, this file its one translation.
//
// A segment is a 64-byte header, then records, each 32 bytes of header and a payload, padded with
// zeros to 8 bytes. A record carries
//  * `head_crc`, over its header: a scan can tell a header from garbage without trusting a length;
//  * `crc`, over header and payload. Both are seeded with the segment's random seed, so that bytes
//    of another segment, or of an earlier life of a recycled block, never verify;
//  * `prev`, the crc of the record before it (of the segment header for the first): a record that
//  was
//    left out, repeated or reordered breaks the chain;
//  * `back`, its lsn minus the highest lsn that was known durable when it was written: it proves
//    which earlier records had been synced. That decides exactly whether a bad record is a torn
//    tail or damage (log_reader.h).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "storage/file_system.h"

namespace jeton {

enum class RecordType : std::uint8_t {
  kCommit = 1,
  kControl = 2,
  kFrame = 3,
  kCursor = 4,
  kSnapshotMark = 5,
  kClean = 6,
  kSeal = 7,  // the last record of a segment; its lsn is that of the record before it
  kOrigin = 8,
};

constexpr std::uint16_t kLogFormatVersion = 1;
constexpr std::size_t kSegmentHeaderSize = 64;
constexpr std::size_t kRecordHeaderSize = 32;
constexpr std::size_t kRecordAlignment = 8;
constexpr std::size_t kSealSize = kRecordHeaderSize;  // a seal has no payload
constexpr std::size_t kRecordPayloadMax = 64u << 20;
constexpr std::uint64_t kSegmentSizeMin = 1024;
constexpr std::uint64_t kSegmentSizeMax = 1u << 30;

struct SegmentHeader {
  std::uint32_t seed = 0;
  OriginId origin{};
  std::uint64_t seq = 0;
  Lsn first_lsn = 1;
  std::uint16_t shard = 0;
};

struct RecordHeader {
  std::uint32_t size = 0;  // of the payload, without padding
  std::uint32_t crc = 0;
  std::uint32_t prev = 0;
  std::uint32_t back = 0;
  Lsn lsn = 0;
  RecordType type = RecordType::kCommit;
};

// Bytes that a record with this payload takes in a segment.
constexpr std::size_t RecordSpace(std::size_t payload) {
  return (kRecordHeaderSize + payload + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}

std::string EncodeSegmentHeader(const SegmentHeader& header);
// The crc at the end of an encoded header: where the chain of its records begins.
std::uint32_t SegmentHeaderCrc(std::string_view encoded);
// kCorrupt with a reason for bytes that are no header; kUnavailable for a newer format.
Result<SegmentHeader> DecodeSegmentHeader(std::string_view bytes);

// While a record waits for its segment, its header holds size, lsn and type only.
void StageRecord(char* record, const RecordHeader& header);
// Reads a header without a check: a staged one of our own (these three), or one that has verified.
RecordHeader PeekRecord(const char* record);

// Completes the record whose payload begins at `record + kRecordHeaderSize`: computes both crcs and
// writes the header; returns the crc.
std::uint32_t SealRecord(char* record, std::uint32_t seed, RecordHeader header);

// Reads a record header. False if the head crc, the type or the size is wrong.
bool DecodeRecordHeader(std::string_view bytes, std::uint32_t seed, RecordHeader& header);
// `bytes` begins with a record whose header has verified; true if all of it is there and its crc is
// right.
bool VerifyRecord(std::string_view bytes, const RecordHeader& header);

// Which log: the one of this life of the node, or what is left of the one before, which was set
// aside (set_aside.h).
enum class LogKind : unsigned char { kPresent, kLeft };
// "wal/00000000000000000007.log", or ".left"
std::string SegmentPath(std::uint64_t seq, LogKind kind = LogKind::kPresent);
// The files of wal/, ascending by number.
Result<std::vector<NumberedFile>> ListSegments(Directory& directory,
                                               LogKind kind = LogKind::kPresent);
// From the oldest on, so that a crash in between leaves no gap. Syncs the folder.
Status RemoveSegmentsBefore(Directory& directory, std::uint64_t seq);
std::string_view RecordTypeName(RecordType type);

}  // namespace jeton
