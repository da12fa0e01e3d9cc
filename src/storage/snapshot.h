// Snapshot files: `snap/<id>.snap` (docs/formats/snapshot.md). Opaque records in partitions, in
// blocks of up to 64 KiB with a checksum each, with an index at the end, so that partitions can be
// loaded in parallel. A snapshot that has its name is complete: it is written as "<name>.tmp",
// synced, its index read back and verified, and only then renamed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "storage/file_system.h"

namespace jeton {

constexpr std::uint16_t kSnapshotFormatVersion = 1;
constexpr std::size_t kSnapshotBlockSize = 64u << 10;  // payload; a larger record has its own block
constexpr std::size_t kSnapshotRecordMax = 64u << 20;
constexpr std::size_t kSnapshotVectorMax = 16u << 20;

struct SnapshotInfo {
  std::uint64_t id = 0;
  WallMs start_time = 0;
  std::string vector;  // the origins' LSNs at the start of the scan; opaque here
  std::uint64_t records = 0;
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;   // of the file
  std::uint64_t digest = 0;  // over all blocks' checksums in file order
};

// One thread at a time. Destruction without Finish leaves no snapshot (the temporary file is
// removed).
class SnapshotWriter {
 public:
  // Creates the temporary file. `directory` must outlive the writer.
  static Result<std::unique_ptr<SnapshotWriter>> Begin(Directory& directory, std::uint64_t id,
                                                       WallMs start_time, std::string_view vector);
  ~SnapshotWriter();

  // Records of one partition should come together: a block holds records of one partition only.
  // Errors: kInvalid for a record above kSnapshotRecordMax, kNoSpace, kIo; after an error only
  // Abort.
  Status AddRecord(std::uint16_t partition, std::string_view record);
  // Writes index and end, syncs, reads them back and verifies, renames, syncs the folder.
  Result<SnapshotInfo> Finish();
  void Abort();

  std::uint64_t id() const { return info_.id; }
  std::uint64_t bytes_written() const { return offset_ + buffer_.size(); }

 private:
  struct BlockEntry {
    std::uint16_t partition = 0;
    std::uint32_t records = 0;
    std::uint32_t size = 0;  // payload
    std::uint32_t crc = 0;
    std::uint64_t offset = 0;
  };

  SnapshotWriter(Directory& directory, std::uint64_t id, WallMs start_time);
  Status Start(std::string_view vector);
  Status CutBlock();
  Status WriteOut();
  std::string EncodeIndex();
  Status Publish();

  Directory& directory_;
  SnapshotInfo info_;
  std::string temp_path_;
  std::unique_ptr<File> file_;
  std::string buffer_;        // finished blocks that are not written yet
  std::uint64_t offset_ = 0;  // where buffer_ goes
  std::uint64_t unsynced_ = 0;
  std::string block_;  // payload of the open block
  std::uint16_t partition_ = 0;
  std::uint32_t block_records_ = 0;
  std::vector<BlockEntry> index_;
};

class SnapshotReader {
 public:
  // Verifies header and index, and that the file is exactly as long as they say. Errors: kCorrupt
  // with file and offset; kUnavailable for a newer format; kNotFound.
  static Result<std::unique_ptr<SnapshotReader>> Open(Directory& directory, std::uint64_t id);
  ~SnapshotReader();

  const SnapshotInfo& info() const { return info_; }
  std::vector<std::uint16_t> Partitions() const;  // those that have records, ascending

  std::uint64_t RecordsOf(std::uint16_t partition) const;

  // The records of one block, in order. They are valid during the call.
  using RecordsCallback = std::function<Status(std::span<const std::string_view> records)>;
  // Any number of threads at once. A block is verified before it is handed out.
  // With `skipped`, damaged blocks are described there and left out; without it they are kCorrupt.
  Status ReadPartition(std::uint16_t partition, const RecordsCallback& on_records,
                       std::vector<std::string>* skipped = nullptr) const;

 private:
  struct Block {
    std::uint16_t partition = 0;
    std::uint32_t records = 0;
    std::uint32_t size = 0;
    std::uint32_t crc = 0;
    std::uint64_t offset = 0;
  };

  SnapshotReader() = default;
  friend class SnapshotWriter;  // reads back what it wrote, before the file has its name
  static Result<std::unique_ptr<SnapshotReader>> OpenFile(Directory& directory, std::string path,
                                                          std::uint64_t id);
  Result<std::string> Read(std::uint64_t offset, std::uint64_t size) const;
  Status Load();
  Result<std::uint64_t> LoadHeader();
  Status LoadIndex(std::uint64_t header_size);
  Status DecodeIndex(std::string_view index, std::uint64_t header_size, std::uint64_t index_offset);
  Status ReadBlock(const Block& block, const RecordsCallback& on_records) const;
  std::span<const Block> BlocksOf(std::uint16_t partition) const;
  Error Corrupt(std::uint64_t offset, std::string_view why) const;

  std::string path_;
  std::unique_ptr<File> file_;
  SnapshotInfo info_;
  std::vector<Block> blocks_;  // by partition, then by offset
};

std::string SnapshotPath(std::uint64_t id);
// The snapshots in snap/, ascending by id; temporary files are left out.
Result<std::vector<std::uint64_t>> ListSnapshots(Directory& directory);

}  // namespace jeton
