// The log reader, plain and in salvage mode. Few inputs would get past the checksums by chance:
// with an odd first byte the input is cut into the records of a valid segment, and its end is
// written over a part of that.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "memory_directory.h"
#include "storage/log_reader.h"

namespace jeton {
namespace {

constexpr std::uint32_t kSeed = 7;

std::string SegmentOf(std::string_view input) {
  SegmentHeader segment;
  segment.seed = kSeed;
  segment.seq = 1;
  std::string bytes = EncodeSegmentHeader(segment);
  RecordHeader header;
  header.prev = SegmentHeaderCrc(bytes);
  for (std::string_view rest = input; !rest.empty();) {
    const auto shape = static_cast<unsigned char>(rest.front());
    const std::string_view payload = rest.substr(1, shape / 8);
    rest.remove_prefix(1 + payload.size());
    std::string record(RecordSpace(payload.size()), '\0');
    record.replace(kRecordHeaderSize, payload.size(), payload);
    header.type = static_cast<RecordType>(1 + shape % 8);
    header.size = static_cast<std::uint32_t>(payload.size());
    if (header.type != RecordType::kSeal) ++header.lsn;
    header.back = shape % 3;
    header.prev = SealRecord(record.data(), kSeed, header);
    bytes += record;
  }
  if (input.size() > 4) {
    const std::string_view damage = input.substr(input.size() - input.size() / 4);
    const std::size_t at = static_cast<unsigned char>(input[1]) * 4 % bytes.size();
    bytes.replace(at, damage.size(), damage);
  }
  return bytes;
}

void Read(Directory& directory, bool salvage) {
  LogReadOptions options;
  options.salvage = salvage;
  Lsn last = 0;
  options.on_record = [&last](const LogRecord& record) -> Status {
    ASSERT(record.lsn > last);
    last = record.lsn;
    return {};
  };
  const auto end = ReadLog(directory, options);
  ASSERT(end || end.error().kind == ErrorKind::kCorrupt ||
         end.error().kind == ErrorKind::kUnavailable);
}

}  // namespace
}  // namespace jeton

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const bool raw = input.empty() || input.front() % 2 == 0;
  jeton::MemoryDirectory directory(jeton::SegmentPath(1),
                                   raw ? std::string(input) : jeton::SegmentOf(input));
  jeton::Read(directory, false);
  jeton::Read(directory, true);
  return 0;
}
