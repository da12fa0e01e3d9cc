// The data directory as one thing: lock, identity, manifest, snapshots, log. It stores opaque
// records and knows nothing of counters.
//
// A life: Open (takes the lock, adds a fresh origin), Recover once (snapshot, then the log after
// it), then log() for writing, and now and then a snapshot:
//
//   auto scan = store.BeginSnapshot(now_ms, vector);   // rotates the log: replay will begin there
//   ... scan->writer->AddRecord(...) for every cell, in slices, while writes go on ...
//   auto finished = Store::FinishSnapshot(std::move(*scan), store.log().appended_lsn());
//   store.InstallSnapshot(*finished);                   // once the log is durable up to that LSN
//
// The order matters: a fuzzy snapshot may hold effects of records that are only in memory, so it
// may not replace the log before they are durable (InstallSnapshot insists).
//
// Threads: as LogWriter says for log(); BeginSnapshot on the flushing thread; the rest by one
// thread at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "storage/file_system.h"
#include "storage/identity.h"
#include "storage/log_reader.h"
#include "storage/log_writer.h"
#include "storage/manifest.h"
#include "storage/snapshot.h"

namespace jeton {

struct StoreOptions {
  LogOptions log;
  std::string owner = "process unknown";  // for LOCK: pid and boot id
  // Load what verifies, report what does not, instead of refusing to start.
  bool recover = false;
};

// What a fresh start needs from the world: the time and 72 random bytes.
struct FreshBytes {
  WallMs wall_ms = 0;
  std::array<std::uint64_t, 9> random{};
};

// Makes an origin id of the time and the last 80 bits of randomness given.
OriginId MakeOrigin(WallMs wall_ms, std::uint64_t random_high, std::uint64_t random_low);

// Some records of a snapshot, all of one partition.
struct SnapshotBlock {
  std::uint16_t partition = 0;
  std::uint64_t partition_records = 0;  // in all blocks of the partition
  std::span<const std::string_view> records;
};

struct RecoveryHandler {
  // Everything handed out so far was from a snapshot that turned out damaged: forget it all.
  std::function<void()> on_reset;
  // Before the first block of a snapshot: its vector. May change `threads` of the handler, which is
  // read afterwards.
  std::function<Status(std::string_view vector)> on_snapshot;
  // With several threads it is called by all of them at the
  // same time, but never for the same partition. The records are valid during the call.
  std::function<Status(const SnapshotBlock&)> on_snapshot_block;
  // In the order of the log, by the thread that called Recover. Payloads stay valid until
  // on_log_pause, which comes before they go and after the last one.
  std::function<Status(const LogRecord&)> on_log_record;
  std::function<void()> on_log_pause;
  // `stage` is "snapshot" or "log". One call at a time.
  std::function<void(std::string_view stage, std::uint64_t bytes_done, std::uint64_t bytes_total)>
      on_progress;
  // How many threads may work: on partitions of the snapshot, and on reading ahead in the log.
  int threads = 1;
};

struct RecoveryReport {
  std::uint64_t snapshot = 0;  // 0: none
  std::string snapshot_vector;
  std::uint64_t snapshot_records = 0;
  std::uint64_t snapshot_bytes = 0;
  std::uint64_t log_records = 0;
  std::uint64_t log_bytes = 0;
  std::uint64_t torn_bytes = 0;
  std::optional<OriginId> last_origin;  // of the log: the previous run, and its last LSN
  Lsn last_lsn = 0;
  bool clean = false;              // the previous run ended in order
  bool fell_back = false;          // the newest generation was damaged, the one before was used
  std::vector<std::string> notes;  // what was damaged, skipped or cut, one sentence each
};

// A snapshot that is being written.
struct SnapshotScan {
  std::unique_ptr<SnapshotWriter> writer;
  std::uint64_t first_seq = 0;  // where replay begins
};

struct FinishedSnapshot {
  SnapshotInfo info;
  std::uint64_t first_seq = 0;
  Lsn end_lsn = 0;  // the log must be durable up to here before it may be installed
};

// What of the log is kept although no snapshot needs it: what a run has written above an LSN. A run
// that is not named is needed by nobody.
struct LogNeeds {
  std::map<OriginId, Lsn> everybody;  // up to where everybody who may need it has it
  std::map<OriginId, Lsn> somebody;   // up to where at least one other has it
  std::uint64_t bytes_max = 0;        // beyond it the oldest go
};

class Store {
 public:
  // `directory` must outlive the store. Creates what is missing in an empty directory. Errors:
  // kConflict (in use), kCorrupt, kUnavailable (a newer format), kNoSpace, kIo.
  static Result<std::unique_ptr<Store>> Open(Directory& directory, const StoreOptions& options,
                                             const FreshBytes& fresh);
  ~Store();

  const Identity& identity() const { return identity_; }
  bool created() const { return created_; }  // the directory was empty
  const OriginId& origin() const { return identity_.origins.back(); }
  // Replaces the node and cluster ids, durably. The origins stay: the log has records of theirs.
  Status UpdateIdentity(const NodeId& node, const ClusterId& cluster);

  // Once, before anything is written. Leaves the log sealed and open for the fresh origin.
  Result<RecoveryReport> Recover(const RecoveryHandler& handler);

  LogWriter& log() { return *log_; }  // after Recover

  Result<SnapshotScan> BeginSnapshot(WallMs now, std::string_view vector);
  // Completes the file. It is not in use before InstallSnapshot.
  static Result<FinishedSnapshot> FinishSnapshot(SnapshotScan scan, Lsn appended_lsn);
  // kUnavailable if the log is not durable up to end_lsn yet: flush, and call again. Switches the
  // manifest, then removes what neither this generation nor the one before needs.
  Status InstallSnapshot(const FinishedSnapshot& snapshot, const LogNeeds* needs = nullptr);
  // Segments that were removed although nobody else had all of what this node has written there.
  // Any thread.
  std::uint64_t segments_lost() const { return segments_lost_.load(); }

  const Manifest& manifest() const { return current_; }

 private:
  Store(Directory& directory, const StoreOptions& options)
      : directory_(directory), options_(options) {}

  Status Prepare(const FreshBytes& fresh);
  Status LoadOrCreateIdentity(const FreshBytes& fresh);
  Status LoadManifests();
  Result<RecoveryReport> LoadAny(const RecoveryHandler& handler);
  Result<RecoveryReport> Salvage(const RecoveryHandler& handler, std::vector<std::string> notes);
  Result<RecoveryReport> LoadGeneration(const Manifest& manifest, const RecoveryHandler& handler,
                                        bool salvage);
  Status LoadSnapshot(std::uint64_t id, const RecoveryHandler& handler, bool salvage,
                      RecoveryReport& report);
  Status Replay(const Manifest& manifest, const RecoveryHandler& handler, bool salvage,
                RecoveryReport& report);
  Result<std::uint64_t> FirstNeeded(const LogNeeds& needs, std::uint64_t before);
  bool IsOurs(const OriginId& origin) const;
  WallMs LastOriginMs() const;

  Directory& directory_;
  const StoreOptions options_;
  std::unique_ptr<File> lock_;
  Identity identity_;
  bool created_ = false;
  std::uint64_t log_seeds_ = 0;
  ManifestSet manifests_;
  Manifest current_;  // what was recovered from, or installed since
  LogEnd log_end_;
  std::uint64_t newest_generation_ = 0;
  std::uint64_t next_snapshot_ = 1;
  std::unique_ptr<LogWriter> log_;
  std::atomic<std::uint64_t> segments_lost_{0};
};

}  // namespace jeton
