// Snapshotter: writes a fuzzy snapshot of the keyspace in small slices while commands go on, then
// puts it in place of the log before it.
//
// Why it is right: the log is rotated first, so replay begins with every change made after the scan
// began. A slice holds a partition's lock, and a change is applied and appended under that same
// lock: whatever the scan sees was logged before it, whatever it misses is replayed. Facts are
// absolute, so what is both in the snapshot and in the log ends at the same state. A change that
// the scan saw may still be on its way to the disk; therefore the log is synced before the snapshot
// is installed.
//
// Threads: Request and the observers from any; Step from one thread at a time (a mutex says so).
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "engine/keyspace.h"
#include "engine/replica.h"
#include "storage/store.h"

namespace jeton::node {

class Node;

class Snapshotter {
 public:
  // Encoded bytes per slice: some 50 to 200 microseconds under one partition's lock.
  static constexpr std::size_t kSliceBytes = 16 * 1024;

  explicit Snapshotter(Node& node) : node_(node) {}

  // Error if one is running already.
  Status Request();
  // Does one slice. True while there is more to do.
  bool Step();
  // Gives up one that runs in the background: what it has scanned is of another life of the node.
  void Cancel(std::string_view why);
  // SAVE: does all of it. The caller holds the TurnLock exclusively.
  Status RunAll();

  bool running() const { return running_.load(std::memory_order_acquire); }
  // A requested one waits for Step. Not so while RunAll runs: Step would wait for the TurnLock,
  // which RunAll's caller holds.
  bool wants_steps() const { return in_background_.load(std::memory_order_acquire); }
  bool last_ok() const { return last_ok_.load(std::memory_order_relaxed); }
  WallMs last_save_ms() const { return last_save_ms_.load(std::memory_order_relaxed); }
  void set_last_save_ms(WallMs at) { last_save_ms_.store(at); }
  double last_seconds() const { return last_seconds_.load(std::memory_order_relaxed); }
  double current_seconds() const;

 private:
  Status Claim();
  Status Begin(bool lock_turn);
  Status Slice(bool lock_turn);
  Status Finish(bool lock_turn);
  // One step of whatever is due; false when the snapshot is complete or has failed.
  bool Advance(bool lock_turn, Status& result);
  void End(const Status& result);

  Node& node_;
  std::mutex step_mutex_;
  std::atomic<bool> running_{false};
  std::atomic<bool> in_background_{false};
  std::atomic<bool> last_ok_{true};
  std::atomic<WallMs> last_save_ms_{0};
  std::atomic<double> last_seconds_{-1};
  std::atomic<MonoNs> began_ns_{0};

  // Under step_mutex_.
  std::optional<SnapshotScan> scan_;
  unsigned partition_ = 0;
  engine::Keyspace::SliceCursor cursor_;
  engine::Replica::StateCursor state_cursor_;
  engine::Replica::Copy copy_;
  std::vector<std::string> records_;  // of one slice, reused
  std::vector<std::string> frames_;   // that peers may still need, as records
  std::uint64_t changes_at_begin_ = 0;
};

}  // namespace jeton::node
