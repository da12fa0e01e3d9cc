#include "node/node.h"

#include <fmt/format.h>

#include <limits>
#include <shared_mutex>

#include "base/version.h"
#include "command/tree_upkeep.h"
#include "engine/loader.h"
#include "engine/replay.h"

namespace jeton::node {
namespace {

// Names that one sweep of one partition takes, so that a flood of expiries is spread out.
constexpr std::size_t kSweepMax = 1000;
// Bytes of the log that upkeep leaves to the kernel, whatever the policy.
constexpr std::uint64_t kUnsyncedMax = 4u << 20;
// Looks at a log that somebody else flushes, before one sleeps: some 50 microseconds.
constexpr int kFlushSpins = 1000;

// The payload of an ORIGIN record, docs/formats/log.md: the previous run, which this one takes
// over.
std::string EncodeOriginPayload(const RecoveryReport& report) {
  std::string payload;
  PutVarint(payload, 1);  // version of this payload
  if (report.last_origin) {
    const OriginId& id = *report.last_origin;
    payload.append(reinterpret_cast<const char*>(id.data()), id.size());
    PutVarint(payload, report.last_lsn);
  }
  return payload;
}

std::string DescribeRecovery(const RecoveryReport& report, double seconds) {
  const double bytes = static_cast<double>(report.snapshot_bytes + report.log_bytes);
  std::string text = fmt::format(
      "Recovered in {:.3f} s ({:.1f} MB/s): {} snapshot records ({} bytes), {} log records ({} "
      "bytes){}",
      seconds, bytes / 1e6 / std::max(seconds, 1e-6), report.snapshot_records,
      report.snapshot_bytes, report.log_records, report.log_bytes,
      report.clean ? ", after an orderly end" : "");
  if (report.torn_bytes > 0) {
    text +=
        fmt::format(", {} bytes of a torn tail were cut (never acknowledged)", report.torn_bytes);
  }
  return text;
}

}  // namespace

Node::Node(Environment environment) : environment_(std::move(environment)), snapshotter_(*this) {}

Node::~Node() {
  workers_.clear();
}

Result<std::unique_ptr<Node>> Node::Open(Environment environment) {
  std::unique_ptr<Node> node(new Node(std::move(environment)));
  const Environment& env = node->environment_;
  const command::Values& values = env.settings->values();

  StoreOptions options;
  options.log.segment_size = static_cast<std::uint64_t>(values.log_segment_size);
  if (env.log_options) options.log = *env.log_options;
  options.owner = env.owner;
  options.recover = values.recover;
  auto store = Store::Open(*env.directory, options, env.fresh);
  if (!store) return store.error();
  node->store_ = std::move(store).value();

  node->keyspace_ = std::make_unique<engine::Keyspace>(
      engine::Keyspace::Options{.hash_seed = node->store_->identity().hash_seed,
                                .drop_zero_counters = values.zero_counters_drop});
  node->state_ =
      std::make_unique<command::ServerState>(*node, *node, *node->keyspace_, *env.settings);
  command::ServerState& state = *node->state_;
  state.version = kVersion;
  state.node_id = HexOf(node->store_->identity().node);
  const OriginId& origin = node->store_->origin();
  state.run_id = HexOf(origin) + HexOf(origin).substr(0, 8);
  state.started_ms = state.stats_reset_ms = env.wall_now();
  state.worker_count = env.workers;
  state.loading.store(true);
  node->upkeep_unit_ = std::make_unique<engine::Unit>(*node->keyspace_, state.watches);
  node->dumps_ = std::make_unique<command::KarmaDumpJobs>(
      state, *env.directory, [raw = node.get()](bool warning, std::string_view line) {
        raw->environment_.say(warning ? LogLevel::kWarning : LogLevel::kNotice, line);
      });
  if (env.random_bytes) node->cluster_ = std::make_unique<Cluster>(*node);
  for (int i = 0; i < env.workers; ++i) {
    node->stats_.push_back(std::make_unique<command::WorkerStats>(state.commands.size()));
    state.worker_stats.push_back(node->stats_.back().get());
  }
  for (int i = 0; i < env.workers; ++i) {
    node->workers_.push_back(
        std::make_unique<Worker>(*node, i, *node->stats_[static_cast<std::size_t>(i)]));
  }
  return node;
}

Result<RecoveryReport> Node::Recover() {
  const WallMs start_ms = environment_.wall_now();
  loading_start_ms_.store(start_ms);
  loading_start_ns_.store(environment_.mono_now());
  const auto may_go_on = [this]() -> Status {
    if (!state_->shutting_down.load(std::memory_order_relaxed)) return {};
    return Error{ErrorKind::kUnavailable, "it was told to end while loading"};
  };
  const Error not_decoded{ErrorKind::kCorrupt,
                          "a record verifies but does not decode as mutations"};
  const Error no_peers{ErrorKind::kUnavailable,
                       "the data is that of a node with peers, which are not supported here"};
  int tenths_told = 0;
  RecoveryHandler handler;
  handler.on_reset = [this, start_ms] {
    // Workers refuse requests while it loads, but prefetch their keys.
    const std::lock_guard turn(state_->turn_lock);
    keyspace_->Apply({.type = engine::MutationType::kFlush}, {}, start_ms);
    if (cluster_) cluster_->RestoreReset();
  };
  handler.on_snapshot = [&](std::string_view vector) -> Status {
    if (vector.empty()) return {};
    if (!cluster_) return no_peers;
    return cluster_->RestoreControl(vector);
  };
  handler.threads = environment_.load_threads;
  handler.on_snapshot_block = [&](const SnapshotBlock& block) -> Status {
    engine::Loader loader(*keyspace_, start_ms, block.partition, block.partition_records);
    for (const std::string_view record : block.records) {
      if (cluster_ && Cluster::IsClusterRecord(record)) {
        loader.Flush();
        if (Status restored = cluster_->RestoreRecord(record, start_ms); !restored) {
          return restored;
        }
      } else if (!loader.Apply(record)) {
        return not_decoded;
      }
    }
    loader.Flush();
    return may_go_on();
  };
  bool started_before = false;
  engine::Replay replay(*keyspace_, state_->turn_lock, start_ms, environment_.load_threads);
  handler.on_log_pause = [&] { replay.Flush(); };
  handler.on_log_record = [&](const LogRecord& record) -> Status {
    if (record.type == RecordType::kOrigin) started_before = true;
    if (cluster_) {
      if (record.type == RecordType::kControl) replay.Flush();
      const auto taken = cluster_->ReplayRecord(record, start_ms);
      if (!taken) return taken.error();
      if (*taken) return may_go_on();
    }
    if (record.type == RecordType::kCommit && !replay.Add(record.payload)) return not_decoded;
    return may_go_on();
  };
  handler.on_progress = [&](std::string_view stage, std::uint64_t done, std::uint64_t total) {
    loading_done_.store(done);
    loading_total_.store(total);
    const int tenths = total == 0 ? 10 : static_cast<int>(done * 10 / total);
    if (tenths == tenths_told) return;
    tenths_told = tenths;
    environment_.say(LogLevel::kVerbose, fmt::format("Loading {}: {} of {} bytes ({}%)", stage,
                                                     done, total, tenths * 10));
  };
  auto report = store_->Recover(handler);
  if (!report) return report;
  const double seconds =
      static_cast<double>(environment_.mono_now() - loading_start_ns_.load()) / kNsPerSecond;
  recovery_line_ = DescribeRecovery(*report, seconds);
  // Not in a directory whose former life was set aside: there is data, with the others.
  if (report->snapshot == 0 && !started_before && !ReadLeft(*environment_.directory)) {
    if (Status restored = RestoreKarmaDumps(); !restored) return restored.error();
  }
  if (cluster_) {
    if (Status begun = cluster_->BeginRun(); !begun) {
      return begun.error();
    }
  }
  if (Status written = WriteOriginRecord(*report); !written) return written.error();
  if (cluster_) {
    cluster_->CloseOldRuns();
    if (Status started = cluster_->Start(now()); !started) return started.error();
  }
  snapshotter_.set_last_save_ms(environment_.wall_now());
  last_sync_ns_.store(environment_.mono_now());
  ready_.store(true, std::memory_order_release);
  state_->loading.store(cluster_ && cluster_->awaiting_join(), std::memory_order_release);
  for (const std::string& note : report->notes) environment_.say(LogLevel::kWarning, note);
  environment_.say(LogLevel::kNotice, recovery_line_);
  // What was damaged is on disk until it is replaced.
  if (values().recover && !report->notes.empty()) (void)StartSnapshot();
  return report;
}

// At the very first start: the log has no ORIGIN record yet, which comes after this, so that a
// restore that did not come to its end is done again from its beginning.
Status Node::RestoreKarmaDumps() {
  if (!values().restore) return {};
  restoring_ = true;
  const WallMs now = environment_.wall_now();
  if (keyspace_->size(now) > 0) {
    upkeep_unit_->Clear();
    upkeep_unit_->set_now(now);
    {
      const std::lock_guard turn(state_->turn_lock);  // see Recover
      upkeep_unit_->Flush();
    }
    Append(upkeep_unit_->bytes());
    upkeep_unit_->Clear();
  }
  Status restored = dumps_->RestoreNewest(now);
  restoring_ = false;
  if (restored) return {};
  return Error{restored.error().kind, "a Karma dump cannot be restored: " + restored.error().text +
                                          " (remove the file, or start with restore no)"};
}

void Node::StartKarmaDumps() {
  if (!ready() || !values().karma_dumps) return;
  auto job = dumps_->Start(command::KarmaJob::Kind::kDumpAll, "all trees");
  if (!job) environment_.say(LogLevel::kWarning, job.error().text);
  environment_.wake_upkeep();
}

void Node::WriteKarmaDumps() {
  StartKarmaDumps();
  while (dumps_->running()) dumps_->Step(now());
}

Status Node::WriteOriginRecord(const RecoveryReport& report) {
  auto lsn = store_->log().Append(RecordType::kOrigin, EncodeOriginPayload(report));
  if (!lsn) return lsn.error();
  std::lock_guard guard(flush_mutex_);
  Status flushed = store_->log().Flush(true);
  // A full disk at the start is no reason not to serve reads; the record stays staged.
  if (!flushed && flushed.error().kind == ErrorKind::kNoSpace) {
    state_->disk_full.store(true);
    return {};
  }
  return flushed;
}

// ---- the log

void Node::Append(std::string_view unit) {
  if (store_->log().TryMerge(unit)) [[likely]]
    return;
  auto appended = store_->log().Append(RecordType::kCommit, unit);
  while (!appended && appended.error().kind == ErrorKind::kUnavailable) {
    // The staging buffer is full: wait for the disk rather than grow without a bound.
    if (Status flushed = FlushLog(sync_before_reply()); !flushed) break;
    appended = store_->log().Append(RecordType::kCommit, unit);
  }
  if (appended) return;
  // The change is applied and nothing will ever make it durable: from here on no reply may leave.
  change_unlogged_.store(true);
  NoteDiskFailure(appended.error());
}

Lsn Node::AppendRecord(RecordType type, std::string_view payload) {
  auto appended = store_->log().Append(type, payload);
  while (!appended && appended.error().kind == ErrorKind::kUnavailable) {
    std::lock_guard guard(flush_mutex_);
    if (Status flushed = store_->log().Flush(sync_before_reply()); !flushed) break;
    appended = store_->log().Append(type, payload);
  }
  if (appended) return *appended;
  change_unlogged_.store(true);
  NoteDiskFailure(appended.error());
  return store_->log().appended_lsn();
}

// Another worker's write takes some microseconds, and brings ours along if it was staged by then.
// To sleep for that would take longer than all of it; but it may also be that a segment is full,
// and its sync takes milliseconds.
std::unique_lock<std::mutex> Node::LockFlush(bool sync) {
  const Lsn wanted = store_->log().appended_lsn();
  for (int spin = 0; spin < kFlushSpins; ++spin) {
    std::unique_lock guard(flush_mutex_, std::try_to_lock);
    if (guard.owns_lock()) return guard;
    if (!sync && store_->log().written_lsn() >= wanted) return {};
    CpuPause();
  }
  return std::unique_lock(flush_mutex_);
}

Status Node::FlushLog(bool sync) {
  if (!ready() && !restoring_) return {};
  Status flushed;
  LogWriter::SyncPoint point;
  {
    const std::unique_lock guard = LockFlush(sync);
    if (!guard.owns_lock()) return {};
    flushed = store_->log().Flush(false);
    if (flushed && sync) point = store_->log().PointToSync();
  }
  // Without the mutex: whoever only writes, which is the worker unless it is `always`, does not
  // wait for the disk.
  if (flushed) flushed = store_->log().SyncUpTo(point);
  if (sync) last_sync_ns_.store(environment_.mono_now());
  if (flushed) return flushed;
  if (flushed.error().kind == ErrorKind::kNoSpace) {
    state_->disk_full.store(true);
  } else {
    NoteDiskFailure(flushed.error());
  }
  return flushed;
}

void Node::NoteDiskFailure(const Error& error) {
  state_->disk_failed.store(true);
  if (disk_failure_told_.exchange(true)) return;
  environment_.say(LogLevel::kWarning,
                   "The disk failed; nothing more will be acknowledged: " + error.text);
  environment_.on_disk_failure(error);
}

void Node::NoteLogState() {
  const LogWriter& log = store_->log();
  if (log.state() == LogWriter::State::kFailed) NoteDiskFailure(log.error());
}

command::Values Node::values() const {
  const std::shared_lock turn(state_->turn_lock);
  return environment_.settings->values();
}

bool Node::sync_before_reply() const {
  return environment_.settings->fsync() == command::FsyncPolicy::kAlways;
}

Lsn Node::appended_lsn() const {
  if (!ready()) return 0;
  return change_unlogged_.load() ? std::numeric_limits<Lsn>::max() : store_->log().appended_lsn();
}

Lsn Node::safe_lsn() const {
  if (!ready()) return 0;
  return sync_before_reply() ? store_->log().durable_lsn() : store_->log().written_lsn();
}

void Node::CommitSoon() {
  if (sync_before_reply()) {
    environment_.wake_log();
  } else {
    // The bytes are the kernel's when the reply leaves: a killed process loses nothing.
    (void)FlushLog(false);
    // The worker that fills a segment has to sync it: it should not find all of it unsynced.
    const std::uint64_t written = store_->log().bytes_written();
    if (written - sync_asked_bytes_.load(std::memory_order_relaxed) < kUnsyncedMax) return;
    sync_asked_bytes_.store(written, std::memory_order_relaxed);
    environment_.wake_log();
  }
}

// ---- upkeep

void Node::Upkeep(Now now) {
  if (!ready()) return;
  (void)store_->log()
      .Prepare();  // without the mutex: nobody waits for it; WatchDisk tells of errors
  WatchDisk();
  DropExpiredAndIdle(now.wall_ms);
  if (!state_->loading.load()) command::TendTrees(*state_, *upkeep_unit_, now.wall_ms);
  CheckSavePoints(now.wall_ms);
  const command::FsyncPolicy policy = environment_.settings->fsync();
  const LogWriter& log = store_->log();
  if (policy == command::FsyncPolicy::kAlways) {
    if (log.appended_lsn() > log.durable_lsn()) environment_.wake_log();
  } else if (policy == command::FsyncPolicy::kEverySecond &&
             now.mono_ns - last_sync_ns_.load() >= kNsPerSecond) {
    (void)FlushLog(true);
  } else if (log.appended_lsn() > log.written_lsn()) {
    (void)FlushLog(false);
  }
}

void Node::WatchDisk() {
  std::lock_guard guard(flush_mutex_);
  LogWriter& log = store_->log();
  if (log.state() == LogWriter::State::kFailed) return NoteDiskFailure(log.error());
  const bool was_full = state_->disk_full.load();
  const bool full = !log.CheckSpace();
  state_->disk_full.store(full);
  if (full && !was_full) {
    environment_.say(LogLevel::kWarning,
                     "The disk is full: writes are refused until there is space");
  } else if (was_full && !full) {
    environment_.say(LogLevel::kNotice, "There is space on the disk again: writes are accepted");
  }
}

void Node::DropExpiredAndIdle(WallMs now) {
  if (state_->disk_full.load() || state_->disk_failed.load()) return;
  for (unsigned partition = 0; partition < engine::Keyspace::kPartitions; ++partition) {
    std::shared_lock turn(state_->turn_lock);
    if (state_->loading.load()) return;  // half of another node's state may be here
    const auto expired = keyspace_->CollectExpired(partition, now, kSweepMax);
    const auto idle = keyspace_->CollectZeros(partition, now, kSweepMax);
    if (expired.empty() && idle.empty()) continue;
    std::lock_guard guard(keyspace_->LockOf(partition));
    upkeep_unit_->Clear();
    upkeep_unit_->set_now(now);
    for (const std::string& name : expired) {
      const engine::Key key = keyspace_->MakeKey(name);
      if (!keyspace_->Find(key, now)) upkeep_unit_->Drop(key);
    }
    for (const std::string& name : idle) {
      const engine::Key key = keyspace_->MakeKey(name);
      if (keyspace_->IsIdleZero(key, now)) upkeep_unit_->DropIdleZero(key);
    }
    if (!upkeep_unit_->empty()) Append(upkeep_unit_->bytes());
    stats_.front()->expired.fetch_add(expired.size(), std::memory_order_relaxed);
  }
}

void Node::CheckSavePoints(WallMs now) {
  if (snapshotter_.running() || state_->disk_failed.load()) return;
  const std::uint64_t changes = state_->changes_since_save.load();
  const WallMs age = now - snapshotter_.last_save_ms();
  const std::vector<command::SavePoint> points = values().save;
  for (const command::SavePoint& point : points) {
    if (changes < static_cast<std::uint64_t>(point.changes) || age < point.seconds * 1000) continue;
    environment_.say(LogLevel::kNotice, fmt::format("{} changes in {} seconds: writing a snapshot",
                                                    changes, age / 1000));
    (void)StartSnapshot();
    return;
  }
}

Status Node::Shutdown(ShutdownSave save) {
  if (!ready()) return {};
  state_->shutting_down.store(true);
  Status saved;
  if (save == ShutdownSave::kSave) {
    while (snapshotter_.Step()) {
    }
    saved = SaveNow();
  }
  (void)store_->log().Append(RecordType::kClean, "");
  std::lock_guard guard(flush_mutex_);
  Status closed = store_->log().Close();
  return closed ? saved : closed;
}

// ---- command::Host

command::PersistenceStatus Node::persistence() const {
  command::PersistenceStatus status;
  status.loading = !ready();
  status.loading_bytes_done = loading_done_.load();
  status.loading_bytes_total = loading_total_.load();
  status.loading_start_ms = loading_start_ms_.load();
  status.recovery_report = status.loading ? std::string() : recovery_line_;
  status.snapshot_running = snapshotter_.running();
  status.last_snapshot_ok = snapshotter_.last_ok();
  status.last_save_ms = snapshotter_.last_save_ms();
  status.last_snapshot_seconds = snapshotter_.last_seconds();
  status.current_snapshot_seconds = snapshotter_.current_seconds();
  status.changes_since_save = state_->changes_since_save.load();
  if (status.loading) {
    const double spent =
        static_cast<double>(environment_.mono_now() - loading_start_ns_.load()) / kNsPerSecond;
    const auto done = static_cast<double>(status.loading_bytes_done);
    const auto total = static_cast<double>(status.loading_bytes_total);
    status.loading_eta_seconds = done > 0 ? spent * (total - done) / done : 1;
    return status;
  }
  const LogWriter& log = store_->log();
  status.disk_state = state_->disk_failed.load() ? "failed"
                      : state_->disk_full.load() ? "full"
                                                 : "ok";
  status.log_bytes = log.bytes_written();
  status.log_records = log.appended_lsn();
  status.log_syncs = log.syncs();
  status.appended_lsn = log.appended_lsn();
  status.durable_lsn = log.durable_lsn();
  return status;
}

Status Node::StartSnapshot() {
  if (!ready() || state_->loading.load()) {
    return Error{ErrorKind::kUnavailable, "ERR the data is still being loaded"};
  }
  if (state_->disk_failed.load()) {
    return Error{ErrorKind::kIo, "ERR the disk has failed: no snapshot can be written"};
  }
  if (Status requested = snapshotter_.Request(); !requested) return requested;
  environment_.wake_upkeep();
  return {};
}

Status Node::SaveNow() {
  if (!ready()) return Error{ErrorKind::kUnavailable, "ERR the data is still being loaded"};
  return snapshotter_.RunAll();
}

void Node::RequestShutdown(ShutdownSave save) {
  environment_.request_shutdown(save);
}

void Node::WakeWorkers() {
  for (auto& worker : workers_) {
    worker->PostCheckSessions();
    environment_.wake_worker(worker->index());
  }
}

void Node::SendToMonitors(std::string_view line) {
  for (auto& worker : workers_) {
    worker->PostMonitorLine(line);
    environment_.wake_worker(worker->index());
  }
}

Result<std::string> Node::ReadConfigFile() {
  return environment_.read_config();
}
Status Node::WriteConfigFile(std::string_view text) {
  return environment_.write_config(text);
}
command::Host::ProcessFacts Node::process_facts() const {
  return environment_.process_facts();
}
MonoNs Node::MonotonicNow() const {
  return environment_.mono_now();
}
Status Node::Sleep(double seconds) {
  return environment_.sleep(seconds);
}

}  // namespace jeton::node
