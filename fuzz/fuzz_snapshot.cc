// The snapshot reader. With an odd first byte the checksums of header and end are made right, so
// that what they protect is looked at.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "memory_directory.h"
#include "storage/envelope.h"
#include "storage/snapshot.h"

namespace jeton {
namespace {

constexpr std::uint64_t kId = 1;

// A header, the input as blocks and index, and an end that fits as far as checksums go.
std::string Dress(std::string_view input) {
  std::string body;
  PutFixed(body, kId);
  PutFixed(body, WallMs{0});
  PutBytes(body, "vector");
  std::string bytes = EncodeEnvelope({"JTNSNAP1", kSnapshotFormatVersion, "snapshot"}, body);
  const std::size_t blocks = input.size() / 22;
  const std::size_t index_size = blocks * 22;
  bytes += input;
  std::string end;
  PutFixed(end, static_cast<std::uint64_t>(bytes.size() - index_size));
  PutFixed(end, static_cast<std::uint64_t>(blocks));
  PutFixed(end, std::uint64_t{blocks});
  PutFixed(end, std::uint64_t{0});
  PutFixed(end, Crc32c(std::string_view(bytes).substr(bytes.size() - index_size), kId));
  PutFixed(end, Crc32c(end));
  return bytes.append(end).append("JTNSEND1");
}

void Read(std::string bytes) {
  MemoryDirectory directory(SnapshotPath(kId), std::move(bytes));
  const auto reader = SnapshotReader::Open(directory, kId);
  if (!reader) {
    ASSERT(reader.error().kind == ErrorKind::kCorrupt ||
           reader.error().kind == ErrorKind::kUnavailable);
    return;
  }
  std::vector<std::string> skipped;
  for (std::uint16_t partition : (*reader)->Partitions()) {
    (void)(*reader)->ReadPartition(
        partition, [](std::span<const std::string_view>) { return Status{}; }, &skipped);
  }
}

}  // namespace
}  // namespace jeton

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const bool raw = input.empty() || input.front() % 2 == 0;
  jeton::Read(raw ? std::string(input) : jeton::Dress(input.substr(1)));
  return 0;
}
