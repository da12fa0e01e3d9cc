#include "storage/log_writer.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>
#include <utility>

#include "base/assert.h"

namespace jeton {

namespace {

// `back` of a record: the largest value says nothing (see log_reader.cc).
std::uint32_t BackOf(Lsn lsn, Lsn durable) {
  return static_cast<std::uint32_t>(
      std::min<Lsn>(lsn - durable, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace

LogWriter::LogWriter(Directory& directory, const LogOptions& options, const OriginId& origin,
                     std::uint64_t seq, std::uint64_t seeds)
    : directory_(directory),
      options_(options),
      origin_(origin),
      seeds_(seeds),
      current_seq_(seq),
      next_seq_(seq) {
  staged_.reserve(options.staged_bytes_max);
  pending_.reserve(options.staged_bytes_max);
}

LogWriter::~LogWriter() = default;

Result<std::unique_ptr<LogWriter>> LogWriter::Open(Directory& directory, const LogOptions& options,
                                                   const OriginId& origin, std::uint64_t seq,
                                                   std::uint64_t seeds) {
  if (options.segment_size < kSegmentSizeMin || options.segment_size > kSegmentSizeMax) {
    return Error{ErrorKind::kInvalid, "log segment size " + std::to_string(options.segment_size) +
                                          " is not within " + std::to_string(kSegmentSizeMin) +
                                          " .. " + std::to_string(kSegmentSizeMax)};
  }
  if (options.segments_ahead == 0) {
    return Error{ErrorKind::kInvalid, "log segments ahead: 0, at least 1 is needed"};
  }
  std::unique_ptr<LogWriter> writer(new LogWriter(directory, options, origin, seq, seeds));
  Status status = writer->StartSegment(0);
  if (status) status = writer->TopUp();
  if (!status && status.error().kind != ErrorKind::kNoSpace) return status.error();
  return writer;
}

// ---- staging: any thread

Result<Lsn> LogWriter::Append(RecordType type, std::span<const std::string_view> parts) {
  std::size_t size = 0;
  for (std::string_view part : parts) size += part.size();
  if (size > kRecordPayloadMax) {
    return Error{ErrorKind::kInvalid, "ERR a log record of " + std::to_string(size) +
                                          " bytes is above the limit of " +
                                          std::to_string(kRecordPayloadMax)};
  }
  if (state() == State::kFailed) return error();
  const std::lock_guard guard(lock_);
  if (!staged_.empty() && staged_.size() + RecordSpace(size) > options_.staged_bytes_max) {
    return Error{ErrorKind::kUnavailable,
                 "BUSY the log buffer is full: " + std::to_string(staged_.size()) +
                     " bytes wait to be written"};
  }
  Lsn lsn = appended_lsn_.load(std::memory_order_relaxed);
  const bool merge = type == RecordType::kCommit && open_record_ != kNone &&
                     staged_.size() - open_record_ + size <= kMergedCommitMax;
  if (!merge) {
    CloseOpenRecord();
    open_record_ = staged_.size();
    staged_.resize(staged_.size() + kRecordHeaderSize);
    RecordHeader header;
    header.lsn = ++lsn;
    header.type = type;
    StageRecord(staged_.data() + open_record_, header);
  }
  for (std::string_view part : parts) staged_.append(part);
  if (type != RecordType::kCommit) CloseOpenRecord();
  staged_bytes_.store(staged_.size(), std::memory_order_relaxed);
  appended_lsn_.store(lsn, std::memory_order_release);
  return lsn;
}

void LogWriter::CloseOpenRecord() {
  if (open_record_ == kNone) return;
  RecordHeader header = PeekRecord(staged_.data() + open_record_);
  header.size = static_cast<std::uint32_t>(staged_.size() - open_record_ - kRecordHeaderSize);
  StageRecord(staged_.data() + open_record_, header);
  staged_.resize(open_record_ + RecordSpace(header.size));
  open_record_ = kNone;
}

Lsn LogWriter::CloseRecord() {
  const std::lock_guard guard(lock_);
  CloseOpenRecord();
  return appended_lsn_.load(std::memory_order_relaxed);
}

Error LogWriter::error() const {
  const std::lock_guard guard(lock_);
  return error_;
}

// ---- flushing: one thread at a time

Status LogWriter::Flush(bool sync) {
  if (state() == State::kFailed) return error();
  if (closed_) return Error{ErrorKind::kUnavailable, "the log is closed"};
  // First what a full disk has left behind, then what was staged since.
  if (Status status = WritePending(); !status) return status;
  TakeStaged();
  if (Status status = WritePending(); !status) return status;
  if (sync && durable_lsn() < written_lsn()) {
    if (Status status = SyncCurrent(); !status) return status;
  }
  NoteSpace();
  if (in_reserve_.load(std::memory_order_relaxed) == 0 && HasSpace()) {
    // No space for a spare is not this flush's failure: HasSpace() tells.
    Status status = TopUp();
    if (!status && status.error().kind != ErrorKind::kNoSpace) return status;
  }
  return {};
}

void LogWriter::TakeStaged() {
  const std::lock_guard guard(lock_);
  CloseOpenRecord();
  pending_.clear();
  pending_offset_ = 0;
  std::swap(staged_, pending_);
  staged_bytes_.store(0, std::memory_order_relaxed);
}

Status LogWriter::WritePending() {
  while (pending_offset_ < pending_.size()) {
    Lsn last = 0;
    std::uint32_t chain = 0;
    const std::size_t size = current_ ? PrepareRun(last, chain) : 0;
    if (size > 0) {
      if (Status status = WriteRun(size, last); !status) return status;
      current_->chain = chain;
      continue;
    }
    const std::size_t record = RecordSpace(PeekRecord(pending_.data() + pending_offset_).size);
    if (current_) {
      if (Status status = SealCurrent(); !status) return status;
    }
    if (Status status = StartSegment(kSegmentHeaderSize + record + kSealSize); !status) {
      return status;
    }
  }
  return {};
}

// Completes the headers of as many pending records as fit into the current segment; returns their
// size. May be repeated, for another segment too: a full disk can cut a written run off again.
std::size_t LogWriter::PrepareRun(Lsn& last, std::uint32_t& chain) {
  const std::uint64_t room = current_->size - kSealSize - current_->offset;
  chain = current_->chain;
  std::size_t size = 0;
  while (pending_offset_ + size < pending_.size()) {
    char* record = pending_.data() + pending_offset_ + size;
    RecordHeader header = PeekRecord(record);
    const std::size_t space = RecordSpace(header.size);
    if (size + space > room) break;
    header.prev = chain;
    header.back = BackOf(header.lsn, durable_lsn());
    chain = SealRecord(record, current_->seed, header);
    size += space;
    last = header.lsn;
  }
  return size;
}

Status LogWriter::WriteRun(std::size_t size, Lsn last) {
  if (Status status = RestoreAllocation(); !status) return status;
  const std::string_view run = std::string_view(pending_).substr(pending_offset_, size);
  if (Status status = current_->file->WriteAt(current_->offset, run); !status) {
    return status.error().kind == ErrorKind::kNoSpace ? CutBack(status.error())
                                                      : Fail(status.error());
  }
  current_->offset += size;
  pending_offset_ += size;
  bytes_written_.fetch_add(size, std::memory_order_relaxed);
  written_lsn_.store(last, std::memory_order_release);
  return {};
}

// After a short write: what came to the disk of it is cut off, so that nothing of it can be found
// behind the records that will be written there later.
Status LogWriter::CutBack(const Error& cause) {
  if (Status status = current_->file->Truncate(current_->offset); !status) {
    return Fail(status.error());
  }
  if (Status status = SyncFile(*current_->file, written_lsn()); !status) return status;
  current_->allocated = current_->offset;
  return Full(cause);
}

Status LogWriter::RestoreAllocation() {
  if (current_->allocated == current_->size) return {};
  if (Status status = current_->file->Allocate(current_->size); !status) {
    return status.error().kind == ErrorKind::kNoSpace ? Full(status.error()) : Fail(status.error());
  }
  current_->allocated = current_->size;
  return {};
}

Status LogWriter::SyncCurrent() {
  if (!current_) {
    const std::lock_guard guard(sync_mutex_);
    durable_lsn_.store(written_lsn(), std::memory_order_release);
    return {};
  }
  if (Status status = SyncFile(*current_->file, written_lsn()); !status) return status;
  syncs_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

// Whatever was written before `written` and is not in this file was synced when its own was sealed.
Status LogWriter::SyncFile(File& file, Lsn written) {
  const std::lock_guard guard(sync_mutex_);
  if (state() == State::kFailed) return error();
  if (Status status = file.Sync(); !status) return Fail(status.error());
  if (durable_lsn() < written) durable_lsn_.store(written, std::memory_order_release);
  return {};
}

LogWriter::SyncPoint LogWriter::PointToSync() const {
  if (!current_ || durable_lsn() >= written_lsn()) return {};
  return {current_->file, written_lsn()};
}

Status LogWriter::SyncUpTo(const SyncPoint& point) {
  // It may have been sealed meanwhile, and synced for that.
  if (!point.file || durable_lsn() >= point.lsn) return {};
  if (Status status = SyncFile(*point.file, point.lsn); !status) return status;
  syncs_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

// ---- segments

// The seal is synced before the next segment begins: in every segment but the last one, whatever
// does not verify is damage.
Status LogWriter::SealCurrent() {
  if (Status status = RestoreAllocation(); !status) return status;
  char seal[kSealSize] = {};
  RecordHeader header;
  header.prev = current_->chain;
  header.lsn = written_lsn();
  header.back = BackOf(header.lsn, durable_lsn());
  header.type = RecordType::kSeal;
  SealRecord(seal, current_->seed, header);
  if (Status status = current_->file->WriteAt(current_->offset, {seal, kSealSize}); !status) {
    return status.error().kind == ErrorKind::kNoSpace ? CutBack(status.error())
                                                      : Fail(status.error());
  }
  if (Status status = SyncCurrent(); !status) return status;
  // Gives back what was allocated and not used; no harm if that does not work.
  (void)current_->file->Truncate(current_->offset + kSealSize);
  current_.reset();
  return {};
}

// With reserve_mutex_.
void LogWriter::MovePrepared() {
  for (Segment& segment : prepared_) spares_.push_back(std::move(segment));
  prepared_.clear();
}

// Makes the next segment, of at least `size_min` bytes, the current one.
Status LogWriter::StartSegment(std::uint64_t size_min) {
  if (spares_.empty()) {
    const std::lock_guard guard(reserve_mutex_);
    MovePrepared();
  }
  if (spares_.empty()) {
    Status status = TopUp();
    if (spares_.empty()) {
      return status.error().kind == ErrorKind::kNoSpace ? Full(status.error()) : status.error();
    }
  }
  Segment& next = spares_.front();
  Status status;
  if (next.size < size_min) {
    status = next.file->Allocate(size_min);
    if (status) next.size = next.allocated = size_min;
  }
  if (status) status = ActivateSegment(next);
  if (!status) {
    return status.error().kind == ErrorKind::kNoSpace ? Full(status.error()) : Fail(status.error());
  }
  current_ = std::make_unique<Segment>(std::move(next));
  spares_.erase(spares_.begin());
  in_reserve_.fetch_sub(1, std::memory_order_relaxed);
  current_seq_.store(current_->seq, std::memory_order_release);
  return {};
}

// The header is synced before the first record is written: records behind a header that does not
// verify are damage, never a crash.
Status LogWriter::ActivateSegment(Segment& segment) {
  SegmentHeader header;
  header.seed = static_cast<std::uint32_t>(seeds_.Next());
  header.origin = origin_;
  header.seq = segment.seq;
  header.first_lsn = written_lsn() + 1;
  const std::string bytes = EncodeSegmentHeader(header);
  if (Status status = segment.file->WriteAt(0, bytes); !status) return status;
  if (Status status = segment.file->Sync(); !status) return Fail(status.error());
  segment.seed = header.seed;
  segment.chain = SegmentHeaderCrc(bytes);
  segment.offset = kSegmentHeaderSize;
  return {};
}

Result<LogWriter::Segment> LogWriter::AllocateSegment(std::uint64_t seq, std::uint64_t size) {
  const std::string path = SegmentPath(seq);
  auto file = directory_.Open(path, OpenMode::kOpenOrCreate);
  if (!file) return file.error();
  Status status = (*file)->Allocate(size);
  if (status) status = (*file)->Sync();
  if (status) status = directory_.SyncDirectory("wal");
  if (!status) {
    // An empty spare is harmless; it only should not hold space. To remove it might leave a gap:
    // an earlier run may have made the ones behind it.
    (void)(*file)->Truncate(0);
    return status.error();
  }
  Segment segment;
  segment.file = std::move(*file);
  segment.seq = seq;
  segment.size = segment.allocated = size;
  return segment;
}

// Appends the next segment to the prepared ones. With reserve_mutex_.
Status LogWriter::AllocateNext() {
  auto segment = AllocateSegment(next_seq_, options_.segment_size);
  if (!segment) {
    has_space_.store(false, std::memory_order_release);
    return segment.error().kind == ErrorKind::kNoSpace ? segment.error() : Fail(segment.error());
  }
  prepared_.push_back(std::move(*segment));
  ++next_seq_;
  in_reserve_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

Status LogWriter::Prepare() {
  if (in_reserve_.load(std::memory_order_relaxed) >= options_.segments_ahead) return {};
  const std::lock_guard guard(reserve_mutex_);
  if (state() != State::kOk || !HasSpace() ||
      in_reserve_.load(std::memory_order_relaxed) >= options_.segments_ahead)
    return {};  // a full disk is CheckSpace's business
  return AllocateNext();
}

Status LogWriter::TopUp() {
  const std::lock_guard guard(reserve_mutex_);
  Status status;
  while (status && in_reserve_.load(std::memory_order_relaxed) < options_.segments_ahead)
    status = AllocateNext();
  MovePrepared();
  if (status) has_space_.store(state() != State::kFailed, std::memory_order_release);
  return status;
}

bool LogWriter::CheckSpace() {
  if (state() == State::kFailed || closed_) return false;
  if (state() == State::kOk && HasSpace()) return true;  // Prepare sees to the rest
  if (current_ && !RestoreAllocation()) return false;
  if (!TopUp()) return false;
  return NoteSpace();
}

Result<std::uint64_t> LogWriter::RotateForSnapshot() {
  if (Status status = Flush(true); !status) return status.error();
  if (current_ && current_->offset == kSegmentHeaderSize) return current_->seq;
  if (current_) {
    if (Status status = SealCurrent(); !status) return status.error();
  }
  if (Status status = StartSegment(0); !status) return status.error();
  if (HasSpace() && in_reserve_.load(std::memory_order_relaxed) == 0) (void)TopUp();
  if (state() == State::kFailed) return error();
  return current_->seq;
}

Status LogWriter::TrimBefore(std::uint64_t seq) {
  return RemoveSegmentsBefore(directory_, std::min(seq, current_seq()));
}

Status LogWriter::Close() {
  if (closed_) return {};
  if (Status status = Flush(true); !status) return status;
  if (current_) {
    if (Status status = SealCurrent(); !status) return status;
  }
  closed_ = true;
  has_space_.store(false, std::memory_order_release);
  return {};
}

// ---- failures

Error LogWriter::Fail(const Error& cause) {
  {
    const std::lock_guard guard(lock_);
    error_ = {ErrorKind::kIo, "the log is stopped: " + cause.text};
    state_.store(State::kFailed, std::memory_order_release);
  }
  has_space_.store(false, std::memory_order_release);
  return error();
}

Error LogWriter::Full(const Error& cause) {
  {
    const std::lock_guard guard(lock_);
    if (state() == State::kFailed) return error_;  // somebody's sync, meanwhile
    error_ = {ErrorKind::kNoSpace, "the disk is full: " + cause.text};
    state_.store(State::kFull, std::memory_order_release);
  }
  has_space_.store(false, std::memory_order_release);
  return {ErrorKind::kNoSpace, "the disk is full: " + cause.text};
}

// True unless it has failed for good.
bool LogWriter::NoteSpace() {
  const std::lock_guard guard(lock_);
  if (state() == State::kFailed) return false;
  state_.store(State::kOk, std::memory_order_release);
  return true;
}

}  // namespace jeton
