#include "command/dispatcher.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "base/text.h"

namespace jeton::command {

namespace {

// One call in so many of a fast command is timed, and counts for all of them.
constexpr std::uint32_t kTimingSample = 64;
// Below this threshold the slow log wants entries that sampling would miss.
constexpr std::int64_t kMeasureAllBelowUs = 1000;
constexpr std::size_t kFetchedAtOnce = 16;   // keys of one command
constexpr std::size_t kKeptKeys = 4096;      // memory for more goes back
constexpr std::size_t kMaxShownBytes = 128;  // of a client's words in an error, as in Redis

void Bump(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  // One writer: a load and a store are enough, and cheaper than a locked addition.
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

std::string Shown(std::string_view word) {
  return std::string(word.substr(0, kMaxShownBytes));
}

std::string UnknownCommandText(const Session& session, std::span<const std::string_view> args) {
  std::string text = "ERR unknown command '" + Shown(args[0]) + "'";
  if (session.dialect == Dialect::kDiscnt) return text;
  text += ", with args beginning with: ";
  std::size_t room = kMaxShownBytes;
  for (const std::string_view word : args.subspan(1)) {
    if (room == 0) break;
    const std::string_view shown = word.substr(0, room);
    text.append("'").append(shown).append("' ");
    room -= std::min(room, shown.size() + 3);
  }
  return text;
}

std::string UpperCase(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return upper;
}

bool ArityFits(const Command& command, std::size_t count) {
  const int words = static_cast<int>(count);
  return command.arity >= 0 ? words == command.arity : words >= -command.arity;
}

bool IsExec(const Command& command) {
  return command.name == "exec";
}

}  // namespace

Dispatcher::Dispatcher(ServerState& server, WorkerStats& stats)
    : server_(server),
      stats_(stats),
      unit_(server.keyspace, server.watches),
      hot_path_(server, stats, unit_, calls_until_timed_) {}

bool Dispatcher::TimesEveryCall(const Values& values) {
  return values.slowlog_log_slower_than >= 0 && values.slowlog_log_slower_than < kMeasureAllBelowUs;
}

const Command* Dispatcher::Resolve(std::span<const std::string_view> args) const {
  if (args.empty()) return nullptr;
  const Command* command = server_.commands.Find(args[0]);
  if (command == nullptr || command->subcommands.empty() || args.size() == 1) return command;
  return server_.commands.FindSubcommand(*command, args[1]);
}

void Dispatcher::Execute(Session& session, std::span<const std::string_view> args, Now now,
                         Reply& reply, const Command* command, engine::Key first_key) {
  const std::size_t reply_start = reply.out().size();
  if (session.reply_mode == ReplyMode::kSkipNext) session.reply_mode = ReplyMode::kSkipThis;
  session.last_active_ms = now.wall_ms;
  ++session.commands;

  if (command == nullptr) command = Resolve(args);
  const std::string refusal = Refusal(session, command, args);
  if (!refusal.empty()) [[unlikely]] {
    Refuse(session, command, refusal, reply);
  } else if (session.in_multi && (command->flags & kImmediate) == 0) [[unlikely]] {
    Enqueue(session, *command, args, reply);
  } else {
    Run(session, *command, args, now, reply, first_key);
    if (logged_lsn_ != 0) NoteWrite(session);
    if (session.query != nullptr) [[unlikely]] {
      session.query_command = command;
      Continue(session, now, reply);
      return;
    }
  }
  if (session.reply_mode != ReplyMode::kOn) [[unlikely]] {
    ApplyReplyMode(session, reply, reply_start);
  }
}

void Dispatcher::ApplyReplyMode(Session& session, Reply& reply, std::size_t reply_start) {
  if (session.reply_mode != ReplyMode::kSkipNext) reply.out().resize(reply_start);
  if (session.reply_mode == ReplyMode::kSkipThis) session.reply_mode = ReplyMode::kOn;
}

bool Dispatcher::Continue(Session& session, Now now, Reply& reply) {
  const std::size_t reply_start = reply.out().size();
  Context context = MakeContext(session, *session.query_command, {}, now, reply, {});
  unit_.set_now(now.wall_ms);
  // It leaves the session first: a query may not end the life of its own object.
  std::unique_ptr<LongQuery> query = std::move(session.query);
  const bool done = query->Step(context);
  if (logged_lsn_ != 0) NoteWrite(session);
  ASSERT(in_exec_ || unit_.empty());
  if (!done) {
    session.query = std::move(query);
  } else if (session.reply_mode != ReplyMode::kOn && !in_exec_) {
    ApplyReplyMode(session, reply, reply_start);
  }
  return done;
}

Context Dispatcher::MakeContext(Session& session, const Command& command,
                                std::span<const std::string_view> args, Now now, Reply& reply,
                                engine::Key first_key) {
  return {.session = session,
          .server = server_,
          .keyspace = server_.keyspace,
          .unit = unit_,
          .reply = reply,
          .stats = stats_,
          .dispatcher = *this,
          .command = command,
          .args = args,
          .now = now,
          .first_key = first_key,
          .keys = keys_};
}

std::string Dispatcher::Refusal(const Session& session, const Command* command,
                                std::span<const std::string_view> args) const {
  const bool discnt = session.dialect == Dialect::kDiscnt;
  if (command == nullptr) [[unlikely]] {
    const Command* container = server_.commands.Find(args[0]);
    if (container == nullptr) return UnknownCommandText(session, args);
    return "ERR unknown subcommand '" + Shown(args[1]) + "'. Try " + UpperCase(container->name) +
           " HELP.";
  }
  if (!ArityFits(*command, args.size())) [[unlikely]] {
    return "ERR wrong number of arguments for '" + std::string(command->name) + "' command";
  }
  const std::uint32_t flags = command->flags;
  if (!session.authenticated && (flags & kNoAuth) == 0) [[unlikely]] {
    return "NOAUTH Authentication required.";
  }
  if ((flags & kWrite) != 0) {
    if (std::string text = WriteRefusal(flags); !text.empty()) [[unlikely]]
      return text;
  }
  if (!session.subscriptions.empty() && session.resp == 2 && (flags & kPubSub) == 0) [[unlikely]] {
    return "ERR Can't execute '" + std::string(command->name) +
           "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
           "context";
  }
  if (server_.loading.load(std::memory_order_relaxed) && (flags & kLoading) == 0) [[unlikely]] {
    return discnt ? "LOADING Discnt is loading the dataset in memory"
                  : "LOADING Redis is loading the dataset in memory";
  }
  if (session.in_multi) [[unlikely]] {
    if ((flags & kNoMulti) != 0) return "ERR Command not allowed inside a transaction";
    if (IsExec(*command)) {
      std::uint32_t all = 0;
      for (const QueuedCommand& queued : session.queued) {
        const std::vector<std::string_view> words(queued.arguments.begin(), queued.arguments.end());
        if (const Command* inner = Resolve(words)) all |= inner->flags;
      }
      if ((all & kWrite) != 0 && !session.multi_failed) return WriteRefusal(all);
    }
  }
  return NameRefusal(*command, args);
}

std::string Dispatcher::NameRefusal(const Command& command,
                                    std::span<const std::string_view> args) {
  const KeyPositions keys = KeysOf(command, static_cast<int>(args.size()));
  for (int i = keys.first; i != 0 && i <= keys.last; i += keys.step) {
    const std::size_t size = args[static_cast<std::size_t>(i)].size();
    if (size <= engine::kMaxNameBytes) [[likely]]
      continue;
    return "ERR a name of " + std::to_string(size) + " bytes is too long: at most " +
           std::to_string(engine::kMaxNameBytes) + " are allowed";
  }
  return {};
}

// What keeps writes out at the moment. Checked before a command runs: nothing of it is applied.
std::string Dispatcher::WriteRefusal(std::uint32_t flags) const {
  if (server_.disk_failed.load(std::memory_order_relaxed)) [[unlikely]] {
    return "MISCONF the disk failed: writes are refused until the server is started again, reads "
           "go on";
  }
  if (server_.disk_full.load(std::memory_order_relaxed)) [[unlikely]] {
    return "NOSPACE the disk is full: writes are refused until there is space again, reads go on";
  }
  if ((flags & kDenyOom) != 0 && server_.over_maxmemory.load(std::memory_order_relaxed))
      [[unlikely]] {
    return "OOM command not allowed when used memory > 'maxmemory'.";
  }
  return {};
}

void Dispatcher::Refuse(Session& session, const Command* command, const std::string& text,
                        Reply& reply) {
  Bump(stats_.error_replies);
  if (command != nullptr) Bump(stats_.per_command[static_cast<std::size_t>(command->id)].rejected);
  if (session.in_multi && command != nullptr && IsExec(*command)) {
    DiscardTransaction(server_, session);
    reply.Error("EXECABORT Transaction discarded because of: " + text);
    return;
  }
  if (session.in_multi) session.multi_failed = true;
  reply.Error(text);
}

void Dispatcher::Enqueue(Session& session, const Command& command,
                         std::span<const std::string_view> args, Reply& reply) {
  const std::int64_t limit = server_.settings.values().multi_queue_limit;
  if (static_cast<std::int64_t>(session.queued.size()) >= limit) {
    Refuse(session, &command,
           "ERR a transaction may queue at most " + std::to_string(limit) +
               " commands (multi-queue-limit)",
           reply);
    return;
  }
  session.queued.push_back({.arguments = {args.begin(), args.end()}});
  reply.Simple("QUEUED");
}

void Dispatcher::Run(Session& session, const Command& command,
                     std::span<const std::string_view> args, Now now, Reply& reply,
                     engine::Key first_key) {
  ASSERT(unit_.empty());
  unit_.set_now(now.wall_ms);
  if ((command.flags & kExclusive) != 0) {
    server_.turn_lock.unlock_shared();
    server_.turn_lock.lock();
    Call(session, command, args, now, reply, first_key);
    LogUnit();
    server_.turn_lock.unlock();
    server_.turn_lock.lock_shared();
    return;
  }
  const KeyPositions keys = KeysOf(command, static_cast<int>(args.size()));
  if (keys.first == 0) {
    Call(session, command, args, now, reply, first_key);
    LogUnit();
    return;
  }
  if (first_key.hash == 0)
    first_key = server_.keyspace.MakeKey(args[static_cast<std::size_t>(keys.first)]);
  if (keys.first == keys.last) [[likely]] {
    std::lock_guard guard(server_.keyspace.LockOf(engine::Keyspace::PartitionOf(first_key)));
    Call(session, command, args, now, reply, first_key);
    LogUnit();
    return;
  }
  LockKeys(keys, args);
  Call(session, command, args, now, reply, first_key);
  LogUnit();
  UnlockKeys();
}

void Dispatcher::ExecuteQueued(Session& session, std::span<const std::string_view> args, Now now,
                               Reply& reply) {
  const Command* command = Resolve(args);
  ASSERT(command != nullptr);  // it was looked up when it was queued
  in_exec_ = true;
  Call(session, *command, args, now, reply, {});
  if (session.query != nullptr) {
    session.query_command = command;
    while (!Continue(session, now, reply)) {
    }
  }
  in_exec_ = false;
}

// In ascending order, which is the order of their locks.
template <typename Visit>
void Dispatcher::ForEachPartition(Visit visit) const {
  for (unsigned word = 0; word < partitions_.size(); ++word) {
    for (std::uint64_t left = partitions_[word]; left != 0; left &= left - 1) {
      visit(word * 64 + static_cast<unsigned>(std::countr_zero(left)));
    }
  }
}

// Some keys are hashed and their slots fetched, while those of the keys before them arrive, which
// say where the records are.
void Dispatcher::LockKeys(const KeyPositions& keys, std::span<const std::string_view> args) {
  ASSERT(keys_.empty());
  const engine::Keyspace& keyspace = server_.keyspace;
  const auto step = static_cast<std::size_t>(keys.step);
  auto argument = static_cast<std::size_t>(keys.first);
  keys_.resize(static_cast<std::size_t>(keys.last - keys.first) / step + 1);
  std::span<engine::Key> before;
  for (std::size_t i = 0; i < keys_.size(); i += kFetchedAtOnce) {
    const std::span some = std::span(keys_).subspan(i, std::min(keys_.size() - i, kFetchedAtOnce));
    for (engine::Key& key : some) {
      key = keyspace.MakeKey(args[argument]);
      argument += step;
      const unsigned partition = engine::Keyspace::PartitionOf(key);
      partitions_[partition / 64] |= std::uint64_t{1} << partition % 64;
    }
    keyspace.PrefetchSlots(some);
    keyspace.PrefetchRecords(before);
    before = some;
  }
  keyspace.PrefetchRecords(before);
  ForEachPartition([&](unsigned partition) { server_.keyspace.LockOf(partition).lock(); });
}

void Dispatcher::UnlockKeys() {
  ForEachPartition([&](unsigned partition) { server_.keyspace.LockOf(partition).unlock(); });
  partitions_ = {};
  keys_.clear();
  if (keys_.capacity() > kKeptKeys) keys_.shrink_to_fit();
}

void Dispatcher::LogUnit() {
  if (unit_.empty()) return;
  server_.log.Append(unit_.bytes());
  logged_lsn_ = server_.log.last_lsn();
  server_.changes_since_save.fetch_add(unit_.changes(), std::memory_order_relaxed);
  unit_.Clear();
}

void Dispatcher::NoteWrite(Session& session) {
  session.last_write_lsn = logged_lsn_;
  logged_lsn_ = 0;
}

void Dispatcher::Call(Session& session, const Command& command,
                      std::span<const std::string_view> args, Now now, Reply& reply,
                      engine::Key first_key) {
  if (server_.monitors.load(std::memory_order_relaxed) != 0 &&
      (command.flags & (kSkipMonitor | kAdmin)) == 0) [[unlikely]] {
    ShowToMonitors(session, args, now);
  }
  session.last_command = command.name;
  Context context = MakeContext(session, command, args, now, reply, first_key);
  // Refused requests are in `rejected` only, as in Redis.
  WorkerStats::PerCommand& counts = stats_.per_command[static_cast<std::size_t>(command.id)];
  Bump(stats_.commands);
  Bump(counts.calls);
  const bool had_error = reply.error() != nullptr;

  const bool sampled = (command.flags & kFast) != 0 && !TimesEveryCall(server_.settings.values());
  if (sampled && calls_until_timed_ != 0) [[likely]] {
    --calls_until_timed_;
    command.handler(context);
  } else {
    if (sampled) calls_until_timed_ = kTimingSample - 1;
    const MonoNs before = server_.host.MonotonicNow();
    command.handler(context);
    const std::int64_t microseconds = (server_.host.MonotonicNow() - before) / 1000;
    const std::uint64_t weight = sampled ? kTimingSample : 1;
    Bump(counts.microseconds, static_cast<std::uint64_t>(microseconds) * weight);
    RecordDuration(session, command, args, now, microseconds);
  }

  if (reply.error() != nullptr && !had_error) [[unlikely]] {
    Bump(stats_.error_replies);
    Bump(counts.failed);
  }
}

void Dispatcher::RecordDuration(const Session& session, const Command& command,
                                std::span<const std::string_view> args, Now now,
                                std::int64_t microseconds) {
  const Values& values = server_.settings.values();
  if (values.slowlog_log_slower_than >= 0 && microseconds >= values.slowlog_log_slower_than &&
      (command.flags & kSkipMonitor) == 0) {
    server_.slow_log.Add({.at_ms = now.wall_ms,
                          .microseconds = microseconds,
                          .address = session.address,
                          .client_name = session.name},
                         args, static_cast<std::size_t>(values.slowlog_max_len));
  }
  const std::int64_t threshold = values.latency_monitor_threshold;
  if (threshold > 0 && microseconds / 1000 >= threshold) {
    const bool fast = (command.flags & kFast) != 0;
    server_.latency_log.Add(fast ? "fast-command" : "command", now.wall_ms, microseconds / 1000);
  }
}

// 1339518083.107412 [0 127.0.0.1:60866] "keys" "*"
void Dispatcher::ShowToMonitors(const Session& session, std::span<const std::string_view> args,
                                Now now) {
  std::string millis = std::to_string(now.wall_ms % 1000);
  millis.insert(0, 3 - millis.size(), '0');
  std::string line =
      std::to_string(now.wall_ms / 1000) + "." + millis + "000 [0 " + session.address + "]";
  for (const std::string_view word : args) line.append(" ").append(QuoteForLog(word));
  server_.host.SendToMonitors(line);
}

bool Dispatcher::MustPause(const Session& session, std::span<const std::string_view> args,
                           Now now) const {
  if (now.wall_ms >= server_.pause_until_ms.load(std::memory_order_relaxed)) [[likely]] {
    return false;
  }
  return MustPause(session, Resolve(args), now);
}

bool Dispatcher::MustPause(const Session& session, const Command* command, Now now) const {
  if (now.wall_ms >= server_.pause_until_ms.load(std::memory_order_relaxed)) return false;
  if (command == nullptr || command->name == "client|unpause") return false;
  if (!server_.pause_writes_only.load(std::memory_order_relaxed)) return true;
  if (!IsExec(*command)) return (command->flags & kWrite) != 0;
  return std::any_of(
      session.queued.begin(), session.queued.end(), [&](const QueuedCommand& queued) {
        const std::vector<std::string_view> words(queued.arguments.begin(), queued.arguments.end());
        const Command* inner = Resolve(words);
        return inner != nullptr && (inner->flags & kWrite) != 0;
      });
}

}  // namespace jeton::command
