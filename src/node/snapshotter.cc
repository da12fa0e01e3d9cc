#include "node/snapshotter.h"

#include <shared_mutex>

#include "node/node.h"

namespace jeton::node {

Status Snapshotter::Claim() {
  bool expected = false;
  if (!running_.compare_exchange_strong(expected, true)) {
    return Error{ErrorKind::kConflict, "ERR Background save already in progress"};
  }
  began_ns_.store(node_.environment().mono_now());
  return {};
}

Status Snapshotter::Request() {
  Status claimed = Claim();
  if (claimed) in_background_.store(true, std::memory_order_release);
  return claimed;
}

bool Snapshotter::Step() {
  if (!wants_steps()) return false;
  std::lock_guard guard(step_mutex_);
  Status result;
  if (Advance(true, result)) return true;
  End(result);
  return false;
}

void Snapshotter::Cancel(std::string_view why) {
  std::lock_guard guard(step_mutex_);
  if (wants_steps()) End(Error{ErrorKind::kUnavailable, std::string(why)});
}

Status Snapshotter::RunAll() {
  if (Status claimed = Claim(); !claimed) return claimed;
  std::lock_guard guard(step_mutex_);
  Status result;
  while (Advance(false, result)) {
  }
  End(result);
  return result;
}

double Snapshotter::current_seconds() const {
  if (!running()) return -1;
  return static_cast<double>(node_.environment().mono_now() - began_ns_.load()) / kNsPerSecond;
}

bool Snapshotter::Advance(bool lock_turn, Status& result) {
  if (!scan_) {
    result = Begin(lock_turn);
    return result.ok();
  }
  if (partition_ < engine::Keyspace::kPartitions) {
    result = Slice(lock_turn);
    return result.ok();
  }
  result = Finish(lock_turn);
  return false;
}

// With peers the snapshot begins where a frame ends: what is not in frames yet is then in the log
// from there on. Nothing may come in between, so the log is synced before, to make it short.
Status Snapshotter::Begin(bool lock_turn) {
  changes_at_begin_ = node_.state().changes_since_save.load();
  partition_ = 0;
  cursor_ = {};
  state_cursor_ = {};
  frames_.clear();
  Cluster* cluster = node_.peers();
  const bool clustered = node_.keyspace().replica() != nullptr;
  std::unique_lock turn(node_.state().turn_lock, std::defer_lock);
  // What is synced now, while others go on, need not be when all wait for the log to be rotated.
  if (Status flushed = node_.FlushLog(true); !flushed) return flushed;
  if (clustered && lock_turn) turn.lock();
  std::string vector;
  if (clustered && node_.keyspace().replica() != nullptr) {
    vector = cluster->CutForSnapshot();
    copy_ = node_.keyspace().replica()->BeginCopy();
    state_cursor_.copy = copy_.number;
    frames_ = cluster->FrameRecords();
  }
  std::lock_guard flush(node_.flush_mutex());
  auto scan = node_.store().BeginSnapshot(node_.environment().wall_now(), vector);
  if (!scan) return scan.error();
  scan_ = std::move(scan).value();
  return {};
}

Status Snapshotter::Slice(bool lock_turn) {
  records_.clear();
  {
    // The files are written after the locks are given back.
    std::shared_lock turn(node_.state().turn_lock, std::defer_lock);
    if (lock_turn) turn.lock();
    const auto emit = [this](std::string_view record) { records_.emplace_back(record); };
    engine::Replica* replica = node_.keyspace().replica();
    if (!cursor_.done) {
      node_.keyspace().EncodeSlice(partition_, cursor_, kSliceBytes, emit);
    } else if (replica != nullptr && !state_cursor_.done) {
      replica->EncodeState(partition_, state_cursor_, kSliceBytes, emit);
    } else {
      state_cursor_.done = true;
    }
  }
  for (const std::string& record : records_) {
    Status added = scan_->writer->AddRecord(static_cast<std::uint16_t>(partition_), record);
    if (!added) return added;
  }
  if (cursor_.done && (state_cursor_.done || node_.keyspace().replica() == nullptr)) {
    ++partition_;
    cursor_ = {};
    state_cursor_ = {.copy = copy_.number, .name = {}, .key = {}};
  }
  return {};
}

Status Snapshotter::Finish(bool lock_turn) {
  for (const std::string& frame : frames_) {
    if (Status added = scan_->writer->AddRecord(kFramePartition, frame); !added) return added;
  }
  frames_.clear();
  const Lsn end = node_.appended_lsn();
  auto finished = Store::FinishSnapshot(std::move(*scan_), end);
  scan_.reset();
  if (!finished) return finished.error();
  if (Status flushed = node_.FlushLog(true); !flushed) return flushed;
  std::optional<LogNeeds> needs;
  if (node_.peers() != nullptr) {
    std::shared_lock turn(node_.state().turn_lock, std::defer_lock);
    if (lock_turn) turn.lock();
    needs = node_.peers()->NeedsOfLog();
  }
  return node_.store().InstallSnapshot(*finished, needs ? &*needs : nullptr);
}

void Snapshotter::End(const Status& result) {
  scan_.reset();
  frames_.clear();
  copy_ = {};
  const MonoNs took = node_.environment().mono_now() - began_ns_.load();
  last_seconds_.store(static_cast<double>(took) / kNsPerSecond);
  last_ok_.store(result.ok());
  if (result.ok()) {
    last_save_ms_.store(node_.environment().wall_now());
    node_.state().changes_since_save.fetch_sub(changes_at_begin_);
    node_.environment().say(LogLevel::kNotice, "Snapshot complete");
  } else {
    node_.environment().say(LogLevel::kWarning, "Snapshot failed: " + result.error().text);
    node_.NoteLogState();  // rotating it may be what failed
  }
  in_background_.store(false, std::memory_order_release);
  running_.store(false, std::memory_order_release);
}

}  // namespace jeton::node
