#include "storage/snapshot.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "storage/envelope.h"

namespace jeton {

namespace {

constexpr EnvelopeKind kKind{"JTNSNAP1", kSnapshotFormatVersion, "snapshot"};
constexpr std::string_view kEndMagic = "JTNSEND1";
constexpr std::size_t kBlockHeadSize = 16;
constexpr std::size_t kIndexEntrySize = 22;
constexpr std::size_t kTrailerSize = 48;
constexpr std::size_t kBlockPayloadMax = kSnapshotRecordMax + 16;
constexpr std::size_t kHeaderSizeMax = kSnapshotVectorMax + 1024;
constexpr std::size_t kWriteSize = 256u << 10;   // blocks are written in pieces of about this size
constexpr std::uint64_t kSyncEvery = 32u << 20;  // so that the last sync does not take seconds

// A block's checksum is seeded with the snapshot's id: blocks of another snapshot never verify.
std::uint32_t BlockCrc(std::uint64_t id, std::string_view head, std::string_view payload) {
  return Crc32c(payload, Crc32c(head.substr(0, 12), static_cast<std::uint32_t>(id)));
}

std::string EncodeBlockHead(std::uint16_t partition, std::uint32_t records, std::uint32_t size) {
  std::string head;
  PutFixed(head, partition);
  PutFixed(head, std::uint16_t{0});
  PutFixed(head, records);
  PutFixed(head, size);
  return head;
}

std::string TempPath(std::uint64_t id) {
  return SnapshotPath(id) + ".tmp";
}

}  // namespace

std::string SnapshotPath(std::uint64_t id) {
  char text[40];
  std::snprintf(text, sizeof(text), "snap/%020llu.snap", static_cast<unsigned long long>(id));
  return text;
}

Result<std::vector<std::uint64_t>> ListSnapshots(Directory& directory) {
  const auto files = ListNumbered(directory, "snap", "", ".snap");
  if (!files) return files.error();
  std::vector<std::uint64_t> ids;
  for (const NumberedFile& file : *files) ids.push_back(file.number);
  return ids;
}

// ---- writing

SnapshotWriter::SnapshotWriter(Directory& directory, std::uint64_t id, WallMs start_time)
    : directory_(directory), temp_path_(TempPath(id)) {
  info_.id = id;
  info_.start_time = start_time;
}

SnapshotWriter::~SnapshotWriter() {
  Abort();
}

Result<std::unique_ptr<SnapshotWriter>> SnapshotWriter::Begin(Directory& directory,
                                                              std::uint64_t id, WallMs start_time,
                                                              std::string_view vector) {
  if (vector.size() > kSnapshotVectorMax) {
    return Error{ErrorKind::kInvalid, "a snapshot's vector of " + std::to_string(vector.size()) +
                                          " bytes is above the limit of " +
                                          std::to_string(kSnapshotVectorMax)};
  }
  std::unique_ptr<SnapshotWriter> writer(new SnapshotWriter(directory, id, start_time));
  if (Status status = writer->Start(vector); !status) return status.error();
  return writer;
}

Status SnapshotWriter::Start(std::string_view vector) {
  auto file = directory_.Open(temp_path_, OpenMode::kOpenOrCreate);
  if (!file) return file.error();
  file_ = std::move(*file);
  if (Status status = file_->Truncate(0); !status) return status;
  std::string body;
  PutFixed(body, info_.id);
  PutFixed(body, info_.start_time);
  PutBytes(body, vector);
  info_.vector = vector;
  buffer_ = EncodeEnvelope(kKind, body);
  return {};
}

Status SnapshotWriter::AddRecord(std::uint16_t partition, std::string_view record) {
  if (!file_) return Error{ErrorKind::kUnavailable, temp_path_ + ": the snapshot was given up"};
  if (record.size() > kSnapshotRecordMax) {
    return Error{ErrorKind::kInvalid, "a snapshot record of " + std::to_string(record.size()) +
                                          " bytes is above the limit of " +
                                          std::to_string(kSnapshotRecordMax)};
  }
  const bool full = block_.size() + record.size() + 10 > kSnapshotBlockSize;
  if (block_records_ > 0 && (full || partition != partition_)) {
    if (Status status = CutBlock(); !status) return status;
  }
  partition_ = partition;
  PutBytes(block_, record);
  ++block_records_;
  ++info_.records;
  return {};
}

Status SnapshotWriter::CutBlock() {
  const auto size = static_cast<std::uint32_t>(block_.size());
  const std::string head = EncodeBlockHead(partition_, block_records_, size);
  BlockEntry entry;
  entry.partition = partition_;
  entry.records = block_records_;
  entry.size = size;
  entry.crc = BlockCrc(info_.id, head, block_);
  entry.offset = offset_ + buffer_.size();
  index_.push_back(entry);
  buffer_ += head;
  PutFixed(buffer_, entry.crc);
  buffer_ += block_;
  block_.clear();
  block_records_ = 0;
  return buffer_.size() < kWriteSize ? Status{} : WriteOut();
}

Status SnapshotWriter::WriteOut() {
  if (Status status = file_->WriteAt(offset_, buffer_); !status) return status;
  offset_ += buffer_.size();
  unsynced_ += buffer_.size();
  buffer_.clear();
  if (unsynced_ < kSyncEvery) return {};
  unsynced_ = 0;
  return file_->Sync();
}

std::string SnapshotWriter::EncodeIndex() {
  std::string index;
  std::string crcs;
  for (const BlockEntry& entry : index_) {
    PutFixed(index, entry.partition);
    PutFixed(index, entry.records);
    PutFixed(index, entry.size);
    PutFixed(index, entry.crc);
    PutFixed(index, entry.offset);
    PutFixed(crcs, entry.crc);
  }
  info_.digest = HashBytes(crcs, info_.id);
  std::string trailer;
  PutFixed(trailer, offset_ + buffer_.size());
  PutFixed(trailer, static_cast<std::uint64_t>(index_.size()));
  PutFixed(trailer, info_.records);
  PutFixed(trailer, info_.digest);
  PutFixed(trailer, Crc32c(index, static_cast<std::uint32_t>(info_.id)));
  PutFixed(trailer, Crc32c(trailer));
  return index.append(trailer).append(kEndMagic);
}

Result<SnapshotInfo> SnapshotWriter::Finish() {
  if (!file_) {
    return Error{ErrorKind::kUnavailable, temp_path_ + ": the snapshot was given up"};
  }
  if (block_records_ > 0) {
    if (Status status = CutBlock(); !status) return status.error();
  }
  info_.blocks = index_.size();
  buffer_ += EncodeIndex();
  if (Status status = WriteOut(); !status) return status.error();
  if (Status status = file_->Sync(); !status) return status.error();
  info_.bytes = offset_;
  if (Status status = Publish(); !status) return status.error();
  return info_;
}

Status SnapshotWriter::Publish() {
  auto written = SnapshotReader::OpenFile(directory_, temp_path_, info_.id);
  if (!written) return written.error();
  if ((*written)->info().digest != info_.digest || (*written)->info().bytes != info_.bytes) {
    return Error{ErrorKind::kIo, temp_path_ + ": reads back differently from what was written"};
  }
  if (Status status = directory_.Rename(temp_path_, SnapshotPath(info_.id)); !status) {
    return status;
  }
  file_.reset();  // from here on Abort has nothing to remove
  return directory_.SyncDirectory("snap");
}

void SnapshotWriter::Abort() {
  if (!file_) return;
  file_.reset();
  (void)directory_.Remove(temp_path_);  // a leftover is removed by RemoveUnneeded
}

// ---- reading

SnapshotReader::~SnapshotReader() = default;

Error SnapshotReader::Corrupt(std::uint64_t offset, std::string_view why) const {
  return {ErrorKind::kCorrupt,
          path_ + " at offset " + std::to_string(offset) + ": " + std::string(why)};
}

Result<std::unique_ptr<SnapshotReader>> SnapshotReader::Open(Directory& directory,
                                                             std::uint64_t id) {
  return OpenFile(directory, SnapshotPath(id), id);
}

Result<std::unique_ptr<SnapshotReader>> SnapshotReader::OpenFile(Directory& directory,
                                                                 std::string path,
                                                                 std::uint64_t id) {
  std::unique_ptr<SnapshotReader> reader(new SnapshotReader);
  reader->path_ = std::move(path);
  reader->info_.id = id;
  auto file = directory.Open(reader->path_, OpenMode::kRead);
  if (!file) return file.error();
  reader->file_ = std::move(*file);
  if (Status status = reader->Load(); !status) return status.error();
  return reader;
}

Result<std::string> SnapshotReader::Read(std::uint64_t offset, std::uint64_t size) const {
  if (offset > info_.bytes || size > info_.bytes - offset) {
    return Corrupt(offset, "the file ends too early");
  }
  std::string bytes(size, '\0');
  const auto got = file_->ReadAt(offset, bytes.data(), bytes.size());
  if (!got) return got.error();
  if (*got != size) return Corrupt(offset, "the file ends too early");
  return bytes;
}

Status SnapshotReader::Load() {
  const auto size = file_->Size();
  if (!size) return size.error();
  info_.bytes = *size;
  const auto header_size = LoadHeader();
  if (!header_size) return header_size.error();
  return LoadIndex(*header_size);
}

Result<std::uint64_t> SnapshotReader::LoadHeader() {
  const auto head = Read(0, kEnvelopeHeadSize);
  if (!head) return head.error();
  const std::uint64_t size = EnvelopeSize(*head);
  if (size > kHeaderSizeMax) return Corrupt(0, "the header does not verify");
  const auto header = Read(0, size);
  if (!header) return header.error();
  const auto body = DecodeEnvelope(kKind, *header);
  if (!body) {
    if (body.error().kind == ErrorKind::kCorrupt) return Corrupt(0, body.error().text);
    return Error{body.error().kind, path_ + ": " + body.error().text};
  }
  ByteReader in(*body);
  const auto id = in.Fixed<std::uint64_t>();
  info_.start_time = in.Fixed<WallMs>();
  info_.vector = in.Bytes();
  if (!in.ok() || !in.AtEnd()) return Corrupt(0, "the header has impossible contents");
  if (id != info_.id) return Corrupt(0, "it is snapshot " + std::to_string(id));
  return size;
}

Status SnapshotReader::LoadIndex(std::uint64_t header_size) {
  if (info_.bytes < header_size + kTrailerSize) {
    return Corrupt(info_.bytes, "the file ends too early");
  }
  const std::uint64_t trailer_offset = info_.bytes - kTrailerSize;
  const auto trailer = Read(trailer_offset, kTrailerSize);
  if (!trailer) return trailer.error();
  ByteReader in(*trailer);
  const auto index_offset = in.Fixed<std::uint64_t>();
  info_.blocks = in.Fixed<std::uint64_t>();
  info_.records = in.Fixed<std::uint64_t>();
  info_.digest = in.Fixed<std::uint64_t>();
  const auto index_crc = in.Fixed<std::uint32_t>();
  const auto trailer_crc = in.Fixed<std::uint32_t>();
  if (in.Take(kEndMagic.size()) != kEndMagic || Crc32c(trailer->substr(0, 36)) != trailer_crc) {
    return Corrupt(trailer_offset, "the end does not verify");
  }
  if (index_offset < header_size || index_offset > trailer_offset ||
      (trailer_offset - index_offset) % kIndexEntrySize != 0 ||
      (trailer_offset - index_offset) / kIndexEntrySize != info_.blocks) {
    return Corrupt(trailer_offset, "the index is not where the end says");
  }
  const auto index = Read(index_offset, trailer_offset - index_offset);
  if (!index) return index.error();
  if (Crc32c(*index, static_cast<std::uint32_t>(info_.id)) != index_crc) {
    return Corrupt(index_offset, "the index does not verify");
  }
  return DecodeIndex(*index, header_size, index_offset);
}

// The blocks must cover everything between header and index, each exactly once.
Status SnapshotReader::DecodeIndex(std::string_view index, std::uint64_t header_size,
                                   std::uint64_t index_offset) {
  ByteReader in(index);
  std::uint64_t next = header_size;
  std::uint64_t records = 0;
  std::string crcs;
  while (!in.AtEnd()) {
    Block block;
    block.partition = in.Fixed<std::uint16_t>();
    block.records = in.Fixed<std::uint32_t>();
    block.size = in.Fixed<std::uint32_t>();
    block.crc = in.Fixed<std::uint32_t>();
    block.offset = in.Fixed<std::uint64_t>();
    if (block.offset != next || block.size > kBlockPayloadMax) {
      return Corrupt(index_offset, "the index has impossible contents");
    }
    next += kBlockHeadSize + block.size;
    records += block.records;
    PutFixed(crcs, block.crc);
    blocks_.push_back(block);
  }
  if (next != index_offset || records != info_.records ||
      HashBytes(crcs, info_.id) != info_.digest) {
    return Corrupt(index_offset, "the index has impossible contents");
  }
  std::stable_sort(blocks_.begin(), blocks_.end(),
                   [](const Block& a, const Block& b) { return a.partition < b.partition; });
  return {};
}

std::vector<std::uint16_t> SnapshotReader::Partitions() const {
  std::vector<std::uint16_t> partitions;
  for (const Block& block : blocks_) {
    if (partitions.empty() || partitions.back() != block.partition) {
      partitions.push_back(block.partition);
    }
  }
  return partitions;
}

std::span<const SnapshotReader::Block> SnapshotReader::BlocksOf(std::uint16_t partition) const {
  const auto before = [](const Block& a, std::uint16_t b) { return a.partition < b; };
  const auto first = std::lower_bound(blocks_.begin(), blocks_.end(), partition, before);
  const auto end = std::find_if(first, blocks_.end(),
                                [&](const Block& block) { return block.partition != partition; });
  return {first, end};
}

std::uint64_t SnapshotReader::RecordsOf(std::uint16_t partition) const {
  std::uint64_t records = 0;
  for (const Block& block : BlocksOf(partition)) records += block.records;
  return records;
}

Status SnapshotReader::ReadPartition(std::uint16_t partition, const RecordsCallback& on_records,
                                     std::vector<std::string>* skipped) const {
  for (const Block& block : BlocksOf(partition)) {
    Status status = ReadBlock(block, on_records);
    if (status) continue;
    if (skipped == nullptr) return status;
    skipped->push_back(status.error().text + " (" + std::to_string(block.records) +
                       " records of partition " + std::to_string(partition) + ")");
  }
  return {};
}

Status SnapshotReader::ReadBlock(const Block& block, const RecordsCallback& on_records) const {
  const auto bytes = Read(block.offset, kBlockHeadSize + block.size);
  if (!bytes) return bytes.error();
  const std::string_view head = std::string_view(*bytes).substr(0, kBlockHeadSize);
  const std::string_view payload = std::string_view(*bytes).substr(kBlockHeadSize);
  if (head.substr(0, 12) != EncodeBlockHead(block.partition, block.records, block.size) ||
      GetFixed<std::uint32_t>(head.data() + 12) != block.crc ||
      BlockCrc(info_.id, head, payload) != block.crc) {
    return Corrupt(block.offset, "the block does not verify");
  }
  ByteReader in(payload);
  std::vector<std::string_view> records;
  records.reserve(std::min<std::size_t>(block.records, payload.size()));
  for (std::uint32_t i = 0; i < block.records && in.ok(); ++i) records.push_back(in.Bytes());
  if (!in.ok() || !in.AtEnd()) return Corrupt(block.offset, "the block has impossible contents");
  if (Status status = on_records(records); !status) {
    return Corrupt(block.offset, status.error().text);
  }
  return {};
}

}  // namespace jeton
