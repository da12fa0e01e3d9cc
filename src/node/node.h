// Node: one Jeton process without threads, sockets or clocks of its own. Events go in (bytes
// received, time passed, a turn of the log), replies come out. server/ and net/ drive it with
// threads, sim/ with a virtual clock and a simulated disk; both run this same code.
//
// The way of a write: a Worker's turn executes what its connections sent -> changes are applied and
// their facts appended to the log's buffer, under the locks of their partitions -> FlushLog writes
// and syncs for everybody at once (group commit) -> the replies that depended on it leave.
//
// Threads: every Worker belongs to one thread. FlushLog, Upkeep and SnapshotStep may be called by
// other threads at the same time; the lock order is in base/lock.h. Open, Recover and Shutdown: one
// thread, while (Open, Shutdown) no worker runs.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command/karma_dump_jobs.h"
#include "command/server_state.h"
#include "engine/keyspace.h"
#include "engine/unit.h"
#include "node/cluster.h"
#include "node/snapshotter.h"
#include "node/worker.h"
#include "storage/store.h"

namespace jeton::node {

enum class LogLevel : std::uint8_t { kDebug, kVerbose, kNotice, kWarning };

// Faults that a test can plant into a node with peers, to see that they are found.
struct ClusterBugs {
  bool publish_early = false;  // frames leave, and count as durable, before the disk has them
  bool row_unsynced = false;   // rows tell of what is not synced yet
  bool forget_tail = false;    // what a run has not cut before it ended is told to nobody
  bool lonely_folds = false;   // who has joined and knows nobody yet takes itself for the only one
  bool mark_unsynced = false;  // peers hear of the node before its disk knows that it has peers
  bool no_close = false;       // nobody is told that the runs before are over
  bool take_gaps = false;      // with that of ReplicaBugs
};

// What a node needs of the world around it. Every function may be called from any thread.
struct Environment {
  Directory* directory = nullptr;         // outlives the node
  command::Settings* settings = nullptr;  // outlives the node
  FreshBytes fresh;                       // for identity and origin
  std::string owner;                      // "process 17, boot 3f2a", for LOCK
  int workers = 1;
  int load_threads = 1;                   // of recovery
  std::optional<LogOptions> log_options;  // instead of the settings': the simulator's are tiny
  std::function<MonoNs()> mono_now;
  std::function<WallMs()> wall_now;
  std::function<void(LogLevel, std::string_view line)> say;
  std::function<void(int worker)> wake_worker;
  std::function<void()> wake_log;      // something waits for FlushLog(true)
  std::function<void()> wake_upkeep;   // a snapshot was asked for
  std::function<void()> wake_cluster;  // there is something for Cluster::Tick; may be empty
  // Bytes that no one can guess; the simulator takes them from its seed. Empty: there are no peers.
  std::function<void(std::uint8_t* out, std::size_t size)> random_bytes;
  std::function<void(command::Host::ShutdownSave)> request_shutdown;
  // Ends the process in order and starts it again; empty: that is nobody's business.
  std::function<void()> request_restart;
  std::function<void(const Error&)>
      on_disk_failure;  // once; the process should end (or go read-only)
  std::function<command::Host::ProcessFacts()> process_facts;
  std::function<Status(double)> sleep;
  std::function<Result<std::string>()> read_config;
  std::function<Status(std::string_view)> write_config;
  ClusterBugs cluster_bugs = {};  // for tests
};

class Node final : public command::Host, public command::LogSink {
 public:
  // Takes the data directory (lock, identity); loads nothing yet.
  static Result<std::unique_ptr<Node>> Open(Environment environment);
  ~Node() override;

  // Loads snapshot and log. Workers may run meanwhile and answer -LOADING. After an error the node
  // is of no use.
  Result<RecoveryReport> Recover();
  bool ready() const { return ready_.load(std::memory_order_acquire); }

  Worker& worker(int index) { return *workers_[static_cast<std::size_t>(index)]; }
  int worker_count() const { return static_cast<int>(workers_.size()); }

  // Writes what was appended so far, and syncs, if asked to. After a failure every later call
  // returns the error, but that a call without `sync` may find that somebody else has written all.
  Status FlushLog(bool sync);
  // Replies that depend on this LSN or a lower one may leave.
  Lsn safe_lsn() const;
  Lsn appended_lsn() const;
  bool sync_before_reply() const;
  // For a thread that does not hold the TurnLock, under which the settings change.
  command::Values values() const;
  // Called by a worker at the end of a turn that has left something unsafe behind.
  void CommitSoon();

  // Expiry, zero counters, save points, space on the disk: call it about every 100 ms.
  void Upkeep(Now now);
  // One bounded slice of a running snapshot or of Karma's dump files. True while there is more to
  // do.
  bool SnapshotStep() {
    const bool more = snapshotter_.Step();
    return (dumps_->running() && dumps_->Step(now())) || more;
  }
  void CancelSnapshot(std::string_view why) { snapshotter_.Cancel(why); }
  bool snapshot_wanted() const { return snapshotter_.wants_steps() || dumps_->running(); }
  // Begins to write every tree to a Karma dump, unless karma-dumps is off. What goes wrong is said.
  void StartKarmaDumps();
  // The same to its end, when no worker runs any more.
  void WriteKarmaDumps();
  // Ends in order: everything is durable, the log is closed. Workers have stopped.
  Status Shutdown(command::Host::ShutdownSave save);

  command::ServerState& state() { return *state_; }
  const command::ServerState& state() const { return *state_; }
  engine::Keyspace& keyspace() { return *keyspace_; }
  Store& store() { return *store_; }
  const Environment& environment() const { return environment_; }
  std::mutex& flush_mutex() { return flush_mutex_; }
  // Somebody else than FlushLog has used the log: if it has failed, the node must know.
  void NoteLogState();
  Now now() const { return {environment_.wall_now(), environment_.mono_now()}; }

  // Appends a record that is not a unit, or one that must be for itself; its LSN.
  Lsn AppendRecord(RecordType type, std::string_view payload);
  Lsn CloseRecord() { return store_->log().CloseRecord(); }
  void Say(LogLevel level, std::string_view line) { environment_.say(level, line); }
  void WakeCluster() {
    if (environment_.wake_cluster) environment_.wake_cluster();
  }
  // Null where the environment has no random bytes.
  Cluster* peers() { return cluster_.get(); }

  // command::LogSink
  void Append(std::string_view unit) override;
  Lsn last_lsn() const override { return store_->log().appended_lsn(); }
  // command::Host
  command::PersistenceStatus persistence() const override;
  Status StartSnapshot() override;
  Status SaveNow() override;
  void RequestShutdown(ShutdownSave save) override;
  void WakeWorkers() override;
  command::KarmaDumpJobs* karma_dumps() override { return ready() ? dumps_.get() : nullptr; }
  void WakeUpkeep() override { environment_.wake_upkeep(); }
  command::ClusterHost* cluster() override { return ready() ? cluster_.get() : nullptr; }
  void SendToMonitors(std::string_view line) override;
  Result<std::string> ReadConfigFile() override;
  Status WriteConfigFile(std::string_view text) override;
  ProcessFacts process_facts() const override;
  MonoNs MonotonicNow() const override;
  Status Sleep(double seconds) override;

 private:
  explicit Node(Environment environment);

  Status WriteOriginRecord(const RecoveryReport& report);
  Status RestoreKarmaDumps();
  void DropExpiredAndIdle(WallMs now);
  void WatchDisk();
  void CheckSavePoints(WallMs now);
  void NoteDiskFailure(const Error& error);
  // Owns nothing if what was appended is written, and need not be synced.
  std::unique_lock<std::mutex> LockFlush(bool sync);

  Environment environment_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<engine::Keyspace> keyspace_;
  std::unique_ptr<command::ServerState> state_;
  std::vector<std::unique_ptr<command::WorkerStats>> stats_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Snapshotter snapshotter_;
  std::unique_ptr<command::KarmaDumpJobs> dumps_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<engine::Unit> upkeep_unit_;

  std::mutex flush_mutex_;  // one flusher at a time
  std::atomic<std::uint64_t> sync_asked_bytes_{
      0};  // of the log, when a worker last found much to sync
  std::atomic<bool> ready_{false};
  bool restoring_ = false;  // the log is written although nobody is served yet
  std::atomic<bool> disk_failure_told_{false};
  std::atomic<bool> change_unlogged_{false};  // memory holds a change that the log refused
  std::atomic<MonoNs> last_sync_ns_{0};
  std::atomic<std::uint64_t> loading_done_{0}, loading_total_{0};
  std::atomic<WallMs> loading_start_ms_{0};  // the workers tell of it
  std::atomic<MonoNs> loading_start_ns_{0};
  std::string recovery_line_;
};

}  // namespace jeton::node
