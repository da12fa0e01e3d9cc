// Dispatcher: the way of one request from arguments to reply, the same for every protocol:
// known -> arguments -> authenticated -> permitted -> state (loading, memory, disk, MULTI, pub/sub)
// -> locks -> handler -> changes to the log, still under the locks -> unlock.
//
// One per worker; not thread-safe. The caller holds the TurnLock shared; for a kExclusive command
// the dispatcher gives it up, takes it exclusively, and takes it shared again before it returns.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "command/context.h"
#include "command/hot_path.h"

namespace jeton::command {

class Dispatcher {
 public:
  Dispatcher(ServerState& server, WorkerStats& stats);

  // Runs one request and writes exactly one reply (or none: CLIENT REPLY OFF; or several:
  // SUBSCRIBE). `command` may be given if the caller looked it up already (prefetch), else null.
  // `first_key` likewise: hashed by the caller, or with an empty name.
  void Execute(Session& session, std::span<const std::string_view> args, Now now, Reply& reply,
               const Command* command = nullptr, engine::Key first_key = {});

  // One more slice of the session's LongQuery. True when it is done and its reply written.
  bool Continue(Session& session, Now now, Reply& reply);
  // For a LongQuery that has made changes: logs them, under the lock that it still holds. Inside
  // EXEC they stay in its unit.
  void LogSlice() {
    if (!in_exec_) LogUnit();
  }

  // Inside EXEC nothing may wait.
  bool in_exec() const { return in_exec_; }

  // For EXEC: runs a queued command; the TurnLock is held exclusively, the unit stays open.
  void ExecuteQueued(Session& session, std::span<const std::string_view> args, Now now,
                     Reply& reply);

  // CLIENT PAUSE: whether the session must wait before this request may run. The caller keeps the
  // request and asks again when the pause is over or the workers are woken.
  bool MustPause(const Session& session, std::span<const std::string_view> args, Now now) const;
  bool MustPause(const Session& session, const Command* command, Now now) const;

  // The short way, to be tried before Execute.
  HotPath& hot_path() { return hot_path_; }
  // The slow log wants entries that sampling would miss.
  static bool TimesEveryCall(const Values& values);

  // Looks a request's command up, subcommands included; null if unknown.
  const Command* Resolve(std::span<const std::string_view> args) const;

 private:
  // The error of a request that may not run now; empty if it may.
  std::string Refusal(const Session& session, const Command* command,
                      std::span<const std::string_view> args) const;
  std::string WriteRefusal(std::uint32_t flags) const;
  static std::string NameRefusal(const Command& command, std::span<const std::string_view> args);
  void Refuse(Session& session, const Command* command, const std::string& text, Reply& reply);
  void Enqueue(Session& session, const Command& command, std::span<const std::string_view> args,
               Reply& reply);
  void Run(Session& session, const Command& command, std::span<const std::string_view> args,
           Now now, Reply& reply, engine::Key first_key);
  // Calls the handler, with the locks held, and keeps the statistics.
  void Call(Session& session, const Command& command, std::span<const std::string_view> args,
            Now now, Reply& reply, engine::Key first_key);
  Context MakeContext(Session& session, const Command& command,
                      std::span<const std::string_view> args, Now now, Reply& reply,
                      engine::Key first_key);
  static void ApplyReplyMode(Session& session, Reply& reply, std::size_t reply_start);
  void RecordDuration(const Session& session, const Command& command,
                      std::span<const std::string_view> args, Now now, std::int64_t microseconds);
  void LogUnit();
  void NoteWrite(Session& session);
  void LockKeys(const KeyPositions& keys, std::span<const std::string_view> args);
  void UnlockKeys();
  template <typename Visit>
  void ForEachPartition(Visit visit) const;
  void ShowToMonitors(const Session& session, std::span<const std::string_view> args, Now now);

  ServerState& server_;
  WorkerStats& stats_;
  engine::Unit unit_;
  // Of the running command, if it has several keys; their partitions are locked.
  std::vector<engine::Key> keys_;
  std::array<std::uint64_t, engine::Keyspace::kPartitions / 64> partitions_{};  // a bit each
  bool in_exec_ = false;
  Lsn logged_lsn_ = 0;                   // of what the running request has logged; 0: nothing
  std::uint32_t calls_until_timed_ = 0;  // for the sampling of fast commands
  HotPath hot_path_;
};

}  // namespace jeton::command
