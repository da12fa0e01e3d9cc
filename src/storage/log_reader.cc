#include "storage/log_reader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <future>
#include <limits>
#include <utility>

#include "base/big_buffer.h"
#include "base/bytes.h"
#include "storage/log_format.h"

namespace jeton {

namespace {

constexpr std::uint32_t kBackUnknown = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kCopyChunk = 1u << 20;

struct SegmentFile {
  NumberedFile name;
  std::uint64_t size = 0;
  std::string header_bytes;
  Result<SegmentHeader> header = Error{};
};

std::string Position(const std::string& path, std::uint64_t offset) {
  return path + " at offset " + std::to_string(offset);
}

// The position behind the last byte that is not zero. Mostly zeros are what it looks at, many
// megabytes of them.
std::size_t EndOfData(std::string_view bytes) {
  while (bytes.size() >= 8 && GetFixed<std::uint64_t>(bytes.data() + bytes.size() - 8) == 0) {
    bytes.remove_suffix(8);
  }
  const std::size_t last = bytes.find_last_not_of('\0');
  return last == std::string_view::npos ? 0 : last + 1;
}

bool HeaderAt(std::string_view segment, std::size_t offset, std::uint32_t seed,
              RecordHeader& header) {
  return offset + kRecordHeaderSize <= segment.size() &&
         DecodeRecordHeader(segment.substr(offset), seed, header);
}

bool RecordAt(std::string_view segment, std::size_t offset, std::uint32_t seed,
              RecordHeader& header) {
  return HeaderAt(segment, offset, seed, header) && VerifyRecord(segment.substr(offset), header);
}

// Looks behind a bad record for a header which says that `bad` had been durable. A header is
// enough: it has a checksum of its own, and its payload may be torn.
bool ProvesDurable(std::string_view segment, std::size_t offset, std::uint32_t seed, Lsn bad,
                   std::size_t& proof) {
  RecordHeader header;
  for (; offset + kRecordHeaderSize <= segment.size(); offset += kRecordAlignment) {
    if (!DecodeRecordHeader(segment.substr(offset), seed, header)) continue;
    if (header.lsn < bad || header.back == kBackUnknown || header.back > header.lsn) continue;
    if (header.lsn - header.back < bad) continue;
    proof = offset;
    return true;
  }
  return false;
}

// A segment's file in memory. The records before `verified` are right and in the right order; what
// follows is to be looked at. Buffers are reused: fresh memory costs more than the reading.
struct SegmentBytes {
  Status status;
  BigBuffer buffer;
  std::size_t size = 0;
  std::size_t data_end = 0;  // only zeros follow
  std::size_t dirty = 0;     // of the buffer; beyond, it is zero
  std::size_t verified = 0;

  void Reserve(std::size_t wanted) {
    if (buffer.Reserve(wanted)) dirty = 0;
  }
  void SetRead(std::size_t end, std::size_t file_size) {
    if (dirty > end) std::memset(buffer.data() + end, 0, dirty - end);
    data_end = dirty = end;
    size = file_size;
  }
  std::string_view bytes() const { return {buffer.data(), size}; }
  std::string_view data() const { return bytes().substr(0, data_end); }
  // All in which a record's header may begin.
  std::string_view headers() const { return bytes().substr(0, data_end + kRecordHeaderSize); }
};

Status ReadFile(Directory& directory, const std::string& path, SegmentBytes& into) {
  auto file = directory.Open(path, OpenMode::kRead);
  if (!file) return file.error();
  const auto size = (*file)->Size();
  if (!size) return size.error();
  if (*size > kSegmentSizeMax + kRecordPayloadMax) {
    return Error{ErrorKind::kCorrupt,
                 path + ": " + std::to_string(*size) + " bytes long, more than a segment can be"};
  }
  const auto end = (*file)->DataEnd();
  if (!end) return end.error();
  into.Reserve(*size);
  const auto got = (*file)->ReadAt(0, into.buffer.data(), *end);
  if (!got) return got.error();
  into.SetRead(*got, *got < *end ? *got : *size);
  return {};
}

class LogScan {
 public:
  LogScan(Directory& directory, const LogReadOptions& options)
      : directory_(directory), options_(options) {}

  Result<LogEnd> Run() {
    if (Status status = FindSegments(); !status) return status.error();
    StartReading(0);
    for (std::size_t i = 0; i < files_.size(); ++i) {
      Report(i);
      Status status = i < used_ ? ReadSegment(i) : CheckUnused(i);
      if (!status) return status.error();
      bytes_done_ += files_[i].size;
    }
    Report(files_.size());
    return std::move(end_);
  }

 private:
  // Lists the segments from first_seq on, reads their headers, and decides which is the last one in
  // use: the last whose header verifies.
  Status FindSegments() {
    auto names = ListSegments(directory_, options_.kind);
    if (!names) return names.error();
    std::uint64_t first_seq = options_.first_seq;
    if (first_seq == 0) first_seq = names->empty() ? 1 : names->front().number;
    end_.next_seq = first_seq;
    std::uint64_t expected = first_seq;
    for (NumberedFile& name : *names) {
      if (name.number < first_seq) continue;
      if (name.number != expected) {
        const std::string path = SegmentPath(expected, options_.kind);
        if (Status status = Damage("segment " + path + " is missing"); !status) return status;
      }
      expected = name.number + 1;
      if (Status status = AddSegment(std::move(name)); !status) return status;
    }
    if (used_ == 0 && first_seq > 1) {
      return Damage("segment " + SegmentPath(first_seq, options_.kind) + " is missing");
    }
    return {};
  }

  Status AddSegment(NumberedFile name) {
    SegmentFile segment;
    auto file = directory_.Open(name.path, OpenMode::kRead);
    if (!file) return file.error();
    const auto size = (*file)->Size();
    if (!size) return size.error();
    segment.size = *size;
    segment.header_bytes.resize(kSegmentHeaderSize);
    const auto got = (*file)->ReadAt(0, segment.header_bytes.data(), kSegmentHeaderSize);
    if (!got) return got.error();
    segment.header_bytes.resize(*got);
    segment.header = DecodeSegmentHeader(segment.header_bytes);
    if (!segment.header.ok() && segment.header.error().kind == ErrorKind::kUnavailable) {
      return Error{ErrorKind::kUnavailable, name.path + ": " + segment.header.error().text};
    }
    bytes_total_ += segment.size;
    if (segment.header.ok()) {
      used_ = files_.size() + 1;
      end_.next_seq = name.number + 1;
    }
    segment.name = std::move(name);
    files_.push_back(std::move(segment));
    return {};
  }

  // A segment behind the last one in use was allocated in advance. Its header may be half written
  // by a crash; records follow only once the header is durable.
  Status CheckUnused(std::size_t index) {
    const SegmentFile& file = files_[index];
    const SegmentBytes& segment = FinishReading(index);
    if (!segment.status) return segment.status;
    if (EndOfData(segment.data()) <= kSegmentHeaderSize) {
      Finding(file, "in reserve");
      return {};
    }
    end_.next_seq = file.name.number + 1;
    return Damage(file.name.path + ": " + file.header.error().text + ", but records follow it");
  }

  // Two buffers: one is read into while the other one's records are delivered.
  void StartReading(std::size_t index) {
    if (index == files_.size()) return;
    SegmentBytes& into = buffers_[index % 2];
    const auto read = [this, index, &into] { Read(files_[index], into); };
    reading_ = std::async(options_.read_ahead ? std::launch::async : std::launch::deferred, read);
  }

  const SegmentBytes& FinishReading(std::size_t index) {
    reading_.get();
    StartReading(index + 1);
    return buffers_[index % 2];
  }

  void Read(const SegmentFile& file, SegmentBytes& into) const {
    into.size = into.data_end = into.verified = 0;
    into.status = ReadFile(directory_, file.name.path, into);
    if (!into.status || !file.header.ok()) return;
    std::uint32_t chain = SegmentHeaderCrc(file.header_bytes);
    RecordHeader record;
    into.verified = kSegmentHeaderSize;
    while (RecordAt(into.bytes(), into.verified, file.header->seed, record) &&
           record.prev == chain) {
      into.verified += RecordSpace(record.size);
      chain = record.crc;
    }
  }

  Status ReadSegment(std::size_t index) {
    const SegmentBytes& segment = FinishReading(index);
    Status status = ReadSegment(index, segment);
    if (options_.on_pause) options_.on_pause();
    return status;
  }

  Status ReadSegment(std::size_t index, const SegmentBytes& segment) {
    const SegmentFile& file = files_[index];
    const std::string& path = file.name.path;
    if (!file.header.ok()) return Damage(path + ": " + file.header.error().text);
    const SegmentHeader& header = *file.header;
    if (header.seq != file.name.number) {
      return Damage(path + ": its header says that it is segment " + std::to_string(header.seq));
    }
    if (Status status = BeginOrigin(path, header); !status) return status;
    if (!segment.status) return segment.status;
    return ReadRecords(file, segment, index + 1 == used_);
  }

  Status BeginOrigin(const std::string& path, const SegmentHeader& header) {
    const bool same = end_.last_origin == header.origin;
    const Lsn expected = same ? end_.last_lsn + 1 : 1;
    // The first segment that is read may belong to an origin that had begun before it.
    if (end_.last_origin && header.first_lsn != expected) {
      Status status = Damage(path + ": begins with lsn " + std::to_string(header.first_lsn) +
                             ", expected " + std::to_string(expected));
      if (!status) return status;
    }
    end_.last_origin = header.origin;
    end_.last_lsn = header.first_lsn - 1;
    return {};
  }

  // What was verified is not verified again.
  static bool NextRecord(const SegmentBytes& segment, std::size_t offset, std::uint32_t seed,
                         RecordHeader& record) {
    if (offset >= segment.verified) return RecordAt(segment.bytes(), offset, seed, record);
    record = PeekRecord(segment.buffer.data() + offset);
    return true;
  }

  Status ReadRecords(const SegmentFile& file, const SegmentBytes& segment, bool is_last) {
    const std::string_view bytes = segment.bytes();
    const std::uint32_t seed = file.header->seed;
    const std::uint64_t records_before = end_.records;
    std::uint32_t chain = SegmentHeaderCrc(file.header_bytes);
    std::size_t offset = kSegmentHeaderSize;
    for (;;) {
      RecordHeader record;
      const bool good = NextRecord(segment, offset, seed, record) && record.prev == chain &&
                        record.lsn == end_.last_lsn + (record.type == RecordType::kSeal ? 0 : 1);
      if (!good) {
        const Status status = CheckEnd(file, segment.headers(), offset, is_last);
        if (!status) return status;
        if (!options_.salvage || !SkipDamage(file, bytes, is_last, offset, record)) break;
      }
      end_.bytes += RecordSpace(record.size);
      if (record.type == RecordType::kSeal) {
        if (is_last) end_.tail = LogEnd::Tail{file.name.number, offset, seed, chain, true};
        Finding(file, std::to_string(end_.records - records_before) + " records, sealed");
        return {};
      }
      if (Status status = Deliver(file, bytes, offset, record); !status) return status;
      offset += RecordSpace(record.size);
      chain = record.crc;
    }
    if (!is_last) return {};  // salvage: reported by CheckEnd
    end_.tail = LogEnd::Tail{file.name.number, offset, seed, chain, false};
    const std::size_t data = EndOfData(segment.data());
    if (data > offset) end_.torn_bytes = data - offset;
    Finding(file,
            std::to_string(end_.records - records_before) + " records, open" +
                (end_.torn_bytes == 0 ? ""
                                      : ", " + std::to_string(end_.torn_bytes) +
                                            " torn bytes from offset " + std::to_string(offset)));
    return {};
  }

  Status Deliver(const SegmentFile& file, std::string_view bytes, std::size_t offset,
                 const RecordHeader& record) {
    end_.last_lsn = record.lsn;
    end_.clean = record.type == RecordType::kClean;
    ++end_.records;
    if (!options_.on_record) return {};
    const LogRecord shown{
        file.header->origin, record.lsn,
        record.type,         bytes.substr(offset + kRecordHeaderSize, record.size),
        file.name.number,    offset};
    const Status status = options_.on_record(shown);
    if (status) return {};
    return Damage(Position(file.name.path, offset) + ", lsn " + std::to_string(record.lsn) + ", " +
                  std::string(RecordTypeName(record.type)) + ": " + status.error().text);
  }

  // The record at `offset` does not verify. Fine if it is a torn tail; else damage.
  Status CheckEnd(const SegmentFile& file, std::string_view headers, std::size_t offset,
                  bool is_last) {
    const Lsn bad = end_.last_lsn + 1;
    std::string why;
    std::size_t proof = 0;
    if (!is_last) {
      why = "the segment has no seal, yet a later segment follows";
    } else if (ProvesDurable(headers, offset, file.header->seed, bad, proof)) {
      why = "the record at offset " + std::to_string(proof) + " shows that it had been synced";
    } else {
      return {};
    }
    return Damage(Position(file.name.path, offset) + ", lsn " + std::to_string(bad) +
                  ": the record does not verify; " + why);
  }

  // Salvage: moves on to the next record that verifies. In the last segment only if a later record
  // proves damage: a torn tail is cut as ever.
  bool SkipDamage(const SegmentFile& file, std::string_view bytes, bool is_last,
                  std::size_t& offset, RecordHeader& record) {
    std::size_t proof = 0;
    if (is_last && !ProvesDurable(bytes, offset, file.header->seed, end_.last_lsn + 1, proof)) {
      return false;
    }
    for (std::size_t next = offset + kRecordAlignment; next < bytes.size();
         next += kRecordAlignment) {
      if (!RecordAt(bytes, next, file.header->seed, record)) continue;
      if (record.type != RecordType::kSeal && record.lsn <= end_.last_lsn) continue;
      end_.skipped.push_back(Position(file.name.path, offset) + ": skipped " +
                             std::to_string(next - offset) + " bytes, lsn " +
                             std::to_string(end_.last_lsn + 1) + " up to " +
                             std::to_string(record.lsn));
      offset = next;
      end_.last_lsn = std::max(end_.last_lsn, record.lsn);
      return true;
    }
    return false;
  }

  // Ends the reading, or in salvage mode notes it and goes on.
  Status Damage(std::string text) {
    if (!options_.salvage) return Error{ErrorKind::kCorrupt, std::move(text)};
    end_.skipped.push_back(std::move(text));
    return {};
  }

  void Finding(const SegmentFile& file, const std::string& text) {
    if (options_.on_segment) options_.on_segment(file.name.path, text);
  }

  void Report(std::size_t) {
    if (options_.on_progress) options_.on_progress(bytes_done_, bytes_total_);
  }

  Directory& directory_;
  const LogReadOptions& options_;
  std::vector<SegmentFile> files_;
  std::array<SegmentBytes, 2> buffers_;
  std::size_t used_ = 0;  // files_[used_ - 1] is the last segment in use
  std::uint64_t bytes_done_ = 0;
  std::uint64_t bytes_total_ = 0;
  LogEnd end_;
  std::future<void> reading_;  // of the next segment; last, so that its end is waited for first
};

// Reads and writes [0, size) of the file again, so that its pages are dirty again.
Status Rewrite(File& file, const std::string& path, std::uint64_t size) {
  std::string chunk;
  for (std::uint64_t offset = 0; offset < size; offset += chunk.size()) {
    chunk.resize(std::min<std::uint64_t>(kCopyChunk, size - offset));
    const auto got = file.ReadAt(offset, chunk.data(), chunk.size());
    if (!got) return got.error();
    if (*got != chunk.size()) return Error{ErrorKind::kIo, path + ": became shorter"};
    if (Status status = file.WriteAt(offset, chunk); !status) return status;
  }
  return {};
}

}  // namespace

Result<LogEnd> ReadLog(Directory& directory, const LogReadOptions& options) {
  return LogScan(directory, options).Run();
}

Status SealLog(Directory& directory, const LogEnd& end) {
  if (!end.tail) return {};
  const LogEnd::Tail& tail = *end.tail;
  const std::string path = SegmentPath(tail.seq);
  auto file = directory.Open(path, OpenMode::kReadWrite);
  if (!file) return file.error();
  const std::uint64_t size = tail.offset + (tail.sealed ? kSealSize : 0);
  if (Status status = Rewrite(**file, path, size); !status) return status;
  if (Status status = (*file)->Sync(); !status) return status;
  if (tail.sealed) return {};
  char seal[kSealSize] = {};
  RecordHeader header;
  header.prev = tail.chain;
  header.back = kBackUnknown;
  header.lsn = end.last_lsn;
  header.type = RecordType::kSeal;
  SealRecord(seal, tail.seed, header);
  if (Status status = (*file)->WriteAt(tail.offset, {seal, kSealSize}); !status) return status;
  if (Status status = (*file)->Sync(); !status) return status;
  // Gives back what was allocated and not used; no harm if that does not work.
  (void)(*file)->Truncate(tail.offset + kSealSize);
  return {};
}

}  // namespace jeton
