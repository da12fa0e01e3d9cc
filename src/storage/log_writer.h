// Appends records to the log and makes them durable in groups.
//
// Append copies a record into a staging buffer: a short lock, a memcpy, no system call. Flush takes
// what is staged, writes it with one system call per segment, syncs if asked. COMMIT units that are
// appended one after another between two flushes share one record and one LSN.
//
// Segments are allocated `segments_ahead` in advance: by Prepare, beside the thread that flushes,
// or, when the last one in reserve is in use already, by a Flush that has to wait for the disk.
// When that fails for lack of space HasSpace() turns false: the caller then refuses new writes
// *before* it logs them. What is appended already, and control records, still fit into what is
// allocated. CheckSpace() tries again.
//
// Errors are final: after a failed write or sync nothing more is written, because the kernel may
// have dropped the dirty pages and a second sync would lie. The exception is a full disk: the
// incomplete write is cut off again, the records stay staged in memory, and a later Flush writes
// them.
//
// Threads: Append, staged_bytes, HasSpace, state and the *_lsn accessors: any thread. Flush,
// PointToSync, RotateForSnapshot, CheckSpace, Close: one thread at a time. Prepare, SyncUpTo and
// TrimBefore: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/lock.h"
#include "base/prng.h"
#include "base/result.h"
#include "storage/file_system.h"
#include "storage/log_format.h"

namespace jeton {

// The largest COMMIT record that is made by merging units. A larger unit has a record of its own.
constexpr std::size_t kMergedCommitMax = 4u << 20;

struct LogOptions {
  std::uint64_t segment_size = 64u << 20;  // kSegmentSizeMin .. kSegmentSizeMax
  std::uint32_t segments_ahead = 2;        // allocated beyond the current one; at least 1
  // Records that are appended and not yet taken by Flush. Reached: Append refuses (kUnavailable).
  // One record of the largest size always fits into an empty buffer.
  std::size_t staged_bytes_max = 32u << 20;
};

class LogWriter {
 public:
  enum class State : unsigned char {
    kOk,
    kFull,   // no room; what is staged waits for CheckSpace or Flush to find some
    kFailed  // a write or a sync failed: nothing more will be written
  };

  // Begins segment `seq` for a fresh origin. Spare segments from `seq` on that an earlier run has
  // allocated and not used are taken over (LogReader has seen that they are empty).
  // `seeds` draws the segments' seeds. A full disk is no error: it starts in kFull.
  static Result<std::unique_ptr<LogWriter>> Open(Directory& directory, const LogOptions& options,
                                                 const OriginId& origin, std::uint64_t seq,
                                                 std::uint64_t seeds);
  // `directory` must outlive the writer. Destruction does not flush.
  ~LogWriter();

  // Returns the record's LSN. Errors: kInvalid for a payload above kRecordPayloadMax, kUnavailable
  // when the staging buffer is full, the first error of the disk once failed.
  Result<Lsn> Append(RecordType type, std::span<const std::string_view> parts);
  Result<Lsn> Append(RecordType type, std::initializer_list<std::string_view> parts) {
    return Append(type, std::span(parts.begin(), parts.size()));
  }
  Result<Lsn> Append(RecordType type, std::string_view payload) {
    return Append(type, std::span(&payload, 1));
  }

  // The short way for a small unit: true if it joined the COMMIT record that is open. Else nothing
  // has happened, and Append it must be.
  bool TryMerge(std::string_view unit) {
    if (state() == State::kFailed) return false;
    const std::lock_guard guard(lock_);
    const std::size_t size = staged_.size() + unit.size();
    if (open_record_ == kNone || size - open_record_ > kMergedCommitMax ||
        size + kRecordHeaderSize + kRecordAlignment > options_.staged_bytes_max)
      return false;
    staged_.append(unit);
    staged_bytes_.store(size, std::memory_order_relaxed);
    return true;
  }

  // What is appended from here on gets a greater LSN than what was appended before; returns the
  // last LSN so far.
  Lsn CloseRecord();

  // Writes everything appended before the call; with `sync` it is durable when this returns well.
  // kNoSpace: nothing is lost, call again later. kIo: final.
  Status Flush(bool sync);

  // The sync without the flushing side, which goes on writing meanwhile: PointToSync after a Flush,
  // on that side; then SyncUpTo, without it. An error is as final as that of a Flush.
  struct SyncPoint {
    std::shared_ptr<File> file;  // null: there is nothing to sync
    Lsn lsn = 0;                 // what is durable afterwards
  };
  SyncPoint PointToSync() const;
  Status SyncUpTo(const SyncPoint& point);

  // Flushes and syncs, seals the current segment and starts the next, whose number it returns: a
  // snapshot whose scan starts now needs the log from that segment on.
  Result<std::uint64_t> RotateForSnapshot();

  // Allocates a segment if one is missing in reserve, so that no Flush has to. Call it on every
  // tick.
  Status Prepare();

  // Removes the segments below `seq`; never the current one.
  Status TrimBefore(std::uint64_t seq);

  // Tops up the segments in reserve. Cheap when nothing is missing: call it on every tick. True if
  // there is space.
  bool CheckSpace();

  // Flushes, syncs and seals. The writer takes nothing more afterwards.
  Status Close();

  Lsn appended_lsn() const { return appended_lsn_.load(std::memory_order_acquire); }
  Lsn written_lsn() const { return written_lsn_.load(std::memory_order_acquire); }
  Lsn durable_lsn() const { return durable_lsn_.load(std::memory_order_acquire); }
  State state() const { return state_.load(std::memory_order_acquire); }
  // False: refuse new writes with -NOSPACE (kFull, or the reserve is being used) or fail them.
  bool HasSpace() const { return has_space_.load(std::memory_order_acquire); }
  std::size_t staged_bytes() const { return staged_bytes_.load(std::memory_order_relaxed); }
  // Why state() is kFailed, or kFull.
  Error error() const;
  const OriginId& origin() const { return origin_; }
  std::uint64_t current_seq() const { return current_seq_.load(std::memory_order_acquire); }
  std::uint64_t bytes_written() const { return bytes_written_.load(std::memory_order_relaxed); }
  std::uint64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }

 private:
  struct Segment {
    std::shared_ptr<File> file;  // with whoever is syncing it
    std::uint64_t seq = 0;
    std::uint64_t size = 0;       // of the file once allocated
    std::uint64_t allocated = 0;  // less than `size` after a short write was cut off
    std::uint64_t offset = 0;     // where the next record goes
    std::uint32_t seed = 0;
    std::uint32_t chain = 0;  // crc of the last record
  };

  LogWriter(Directory& directory, const LogOptions& options, const OriginId& origin,
            std::uint64_t seq, std::uint64_t seeds);

  void CloseOpenRecord();
  void TakeStaged();
  Status WritePending();
  Status WriteRun(std::size_t size, Lsn last);
  std::size_t PrepareRun(Lsn& last, std::uint32_t& chain);
  Status CutBack(const Error& cause);
  Status RestoreAllocation();
  Status StartSegment(std::uint64_t size_min);
  Status ActivateSegment(Segment& segment);
  Status SealCurrent();
  Status SyncCurrent();
  Status SyncFile(File& file, Lsn written);
  Result<Segment> AllocateSegment(std::uint64_t seq, std::uint64_t size);
  Status TopUp();
  Status AllocateNext();
  void MovePrepared();
  Error Fail(const Error& cause);
  Error Full(const Error& cause);
  bool NoteSpace();

  Directory& directory_;
  const LogOptions options_;
  const OriginId origin_;
  Prng seeds_;

  // Staging, under lock_.
  mutable SpinLock lock_;
  std::string staged_;               // records with unfinished headers
  std::size_t open_record_ = kNone;  // offset in staged_ of the COMMIT record that still grows
  Error error_;
  std::atomic<std::size_t> staged_bytes_{0};
  std::atomic<Lsn> appended_lsn_{0};

  // The flushing side.
  std::string pending_;             // taken from staged_, being written
  std::size_t pending_offset_ = 0;  // what of it is written
  std::unique_ptr<Segment> current_;
  std::vector<Segment> spares_;  // ascending
  bool closed_ = false;
  std::atomic<std::uint64_t> current_seq_;

  // The segments behind the spares. Held while one is allocated; nobody else's lock is taken then
  // but lock_.
  std::mutex reserve_mutex_;
  std::uint64_t next_seq_;                  // the first that is not allocated
  std::vector<Segment> prepared_;           // ascending, behind the spares
  std::atomic<std::size_t> in_reserve_{0};  // spares and prepared ones
  std::atomic<Lsn> written_lsn_{0};
  // One sync at a time: the kernel tells an error once, and whoever is second must know of it.
  std::mutex sync_mutex_;
  std::atomic<Lsn> durable_lsn_{0};  // written under sync_mutex_
  std::atomic<State> state_{State::kOk};
  std::atomic<bool> has_space_{true};
  std::atomic<std::uint64_t> bytes_written_{0};
  std::atomic<std::uint64_t> syncs_{0};

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
};

}  // namespace jeton
