// ServerState: what commands share across connections, and Host: what they ask of the node that
// runs them. One of each per process (per simulated node in the simulator).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/lock.h"
#include "base/result.h"
#include "base/time.h"
#include "command/calendar_cache.h"
#include "command/command.h"
#include "command/diagnosis_log.h"
#include "command/session.h"
#include "command/settings.h"
#include "engine/keyspace.h"
#include "engine/watch.h"

namespace jeton::command {

class ClusterHost;
class KarmaDumpJobs;

// Counts of one worker, written only by it (relaxed), summed by INFO.
struct WorkerStats {
  struct PerCommand {
    std::atomic<std::uint64_t> calls{0}, microseconds{0}, rejected{0}, failed{0};
  };
  explicit WorkerStats(int command_count) : per_command(static_cast<std::size_t>(command_count)) {}

  std::vector<PerCommand> per_command;  // by Command::id
  std::atomic<std::uint64_t> commands{0};
  std::atomic<std::uint64_t> hits{0}, misses{0};
  std::atomic<std::uint64_t> expired{0};
  std::atomic<std::uint64_t> net_input_bytes{0}, net_output_bytes{0};
  std::atomic<std::uint64_t> connections_received{0}, connections_rejected{0};
  std::atomic<std::uint64_t> error_replies{0};
};

// The state of the disk and of snapshots, for INFO, LASTSAVE, metrics.
struct PersistenceStatus {
  bool loading = false;
  std::uint64_t loading_bytes_done = 0, loading_bytes_total = 0;
  double loading_eta_seconds = 0;
  WallMs loading_start_ms = 0;
  std::string disk_state = "ok";  // ok | full | failed
  bool snapshot_running = false;
  bool last_snapshot_ok = true;
  WallMs last_save_ms = 0;
  double last_snapshot_seconds = -1, current_snapshot_seconds = -1;
  std::uint64_t changes_since_save = 0;
  std::uint64_t log_bytes = 0;    // of all segments on disk
  std::uint64_t log_records = 0;  // written by this run
  std::uint64_t log_syncs = 0;
  std::uint64_t appended_lsn = 0, durable_lsn = 0;
  std::string recovery_report;  // one line, for the log and INFO
};

// Where units of mutations go. Called with the partitions of the unit locked (or exclusively).
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Append(std::string_view unit) = 0;
  // Under which everything that was appended so far stands in the log.
  virtual Lsn last_lsn() const = 0;
};

class Host {
 public:
  virtual ~Host() = default;

  virtual PersistenceStatus persistence() const = 0;
  // BGSAVE: starts a snapshot; error text if one is running or the disk is unwell.
  virtual Status StartSnapshot() = 0;
  // SAVE: a snapshot of the state as of now is on disk when it returns. Called exclusively.
  virtual Status SaveNow() = 0;
  // SHUTDOWN: ends the process in order after this turn. `save`: SHUTDOWN SAVE/NOSAVE/default.
  enum class ShutdownSave : std::uint8_t { kDefault, kSave, kNoSave };
  virtual void RequestShutdown(ShutdownSave save) = 0;
  // Wakes the worker of `session` so that it looks at its flags (killed, unpaused).
  virtual void WakeWorkers() = 0;
  // Karma's dump files; null without a directory. After giving it a job call WakeUpkeep.
  virtual KarmaDumpJobs* karma_dumps() { return nullptr; }
  virtual void WakeUpkeep() {}
  // The other nodes; null where clustering is not possible (some tests).
  virtual ClusterHost* cluster() { return nullptr; }
  // Pushes `line` (bare, without a line end) to every monitoring session, as a simple string.
  virtual void SendToMonitors(std::string_view line) = 0;
  // Reads and atomically replaces the settings file.
  virtual Result<std::string> ReadConfigFile() = 0;
  virtual Status WriteConfigFile(std::string_view text) = 0;
  // Facts of the process, for INFO: used_memory_rss, used_cpu_sys ... (empty values in the
  // simulator).
  struct ProcessFacts {
    std::uint64_t resident_bytes = 0, peak_resident_bytes = 0;
    double cpu_system_seconds = 0, cpu_user_seconds = 0;
    std::int64_t process_id = 0;
    std::string operating_system, executable, config_file;
    std::uint64_t system_memory_bytes = 0;
  };
  virtual ProcessFacts process_facts() const = 0;
  // A monotonic reading for timing one slow command. The simulator's stands still.
  virtual MonoNs MonotonicNow() const = 0;
  // DEBUG SLEEP; refused in the simulator.
  virtual Status Sleep(double seconds) = 0;
};

// Commands per second since the reading before (at least a tenth of a second ago). Thread-safe.
class RateMeter {
 public:
  std::uint64_t PerSecond(std::uint64_t total, WallMs now);

 private:
  std::mutex mutex_;
  WallMs at_ms_ = 0;
  std::uint64_t total_ = 0, rate_ = 0;
};

struct ServerState {
  ServerState(Host& host_in, LogSink& log_in, engine::Keyspace& keyspace_in, Settings& settings_in)
      : host(host_in), log(log_in), keyspace(keyspace_in), settings(settings_in) {}

  // All outlive this.
  Host& host;
  LogSink& log;
  engine::Keyspace& keyspace;
  Settings& settings;

  CommandTable commands;
  CalendarCache calendars;
  TurnLock turn_lock;
  engine::WatchTable watches;

  // Identity, set before the workers start.
  std::string node_id;  // 40 hex digits; survives restarts
  std::string run_id;   // 40 hex digits; fresh at every start
  std::string version;  // ours, "0.1.0"
  WallMs started_ms = 0;
  int worker_count = 1;

  // Open sessions by id. Changed and read under `sessions_mutex`; a session's fields are read by
  // others only while the TurnLock is held exclusively.
  std::mutex sessions_mutex;
  std::map<std::uint64_t, Session*> sessions;
  std::atomic<std::uint64_t> next_session_id{1};
  std::atomic<int> monitors{0};
  // Sessions in WAIT: while there are any, the node wakes the workers at each acknowledgement.
  std::atomic<int> ack_waiters{0};

  // Channels: how many sessions subscribe to each counter (PUBSUB). Under subscriptions_mutex.
  std::mutex subscriptions_mutex;
  std::map<std::string, std::size_t, std::less<>> subscribers;

  // Write gate: why writes are refused at the moment. Set by the node.
  std::atomic<bool> loading{false};
  std::atomic<bool> disk_full{false};
  std::atomic<bool> disk_failed{false};
  std::atomic<bool> over_maxmemory{false};
  std::atomic<bool> shutting_down{false};

  // CLIENT PAUSE: until when, and whether reads are paused too. Changed exclusively.
  std::atomic<WallMs> pause_until_ms{0};
  std::atomic<bool> pause_writes_only{false};

  SlowLog slow_log;  // diagnosis_log.h; thread-safe
  LatencyLog latency_log;
  std::vector<WorkerStats*> worker_stats;  // one per worker; fixed before they start
  WallMs stats_reset_ms = 0;
  std::atomic<std::uint64_t> changes_since_save{0};
  std::atomic<WallMs> trees_retained_at_s{0};  // the second of the last look at retention
  RateMeter ops_rate;
};

// A connection's birth and end: enters `session` into the state (gives it its id, and the worker's
// TurnLock may be held or not), and takes it and all that it watches and subscribes to out again.
void OpenSession(ServerState& server, Session& session, WallMs now);
void CloseSession(ServerState& server, Session& session);

// Ends MULTI without running anything, and forgets what was watched.
void DiscardTransaction(ServerState& server, Session& session);
void UnwatchAll(ServerState& server, Session& session);
// Ends every subscription of the session; writes no replies.
void DropSubscriptions(ServerState& server, Session& session);

}  // namespace jeton::command
