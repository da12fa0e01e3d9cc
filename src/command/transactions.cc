// MULTI EXEC DISCARD WATCH UNWATCH. Queueing, and refusing to queue, is the dispatcher's; here a
// transaction begins and ends. EXEC runs alone and its changes are one unit in the log: all of them
// are there after a crash, or none.
#include <algorithm>
#include <atomic>

#include "command/counter_access.h"
#include "command/dispatcher.h"

namespace jeton::command {

namespace {

using engine::Key;

constexpr std::string_view kNested = "ERR MULTI calls can not be nested";
constexpr std::string_view kExecWithoutMulti = "ERR EXEC without MULTI";
constexpr std::string_view kDiscardWithoutMulti = "ERR DISCARD without MULTI";
constexpr std::string_view kWatchInside = "ERR WATCH inside MULTI is not allowed";
constexpr std::string_view kAborted = "EXECABORT Transaction discarded because of previous errors.";

// A session may watch this many names; WATCH looks through those that it has already.
constexpr std::size_t kMaxWatched = 4096;

void Multi(Context& ctx) {
  if (ctx.session.in_multi) return ctx.reply.Error(kNested);
  ctx.session.in_multi = true;
  ctx.reply.Ok();
}

void Discard(Context& ctx) {
  if (!ctx.session.in_multi) return ctx.reply.Error(kDiscardWithoutMulti);
  DiscardTransaction(ctx.server, ctx.session);
  ctx.reply.Ok();
}

// Changed since WATCH, or expired: an expired counter that was not swept yet touched nobody.
bool WatchedNameChanged(const Context& ctx) {
  const Session& session = ctx.session;
  if (session.watch_dirty != nullptr && session.watch_dirty->load()) return true;
  return std::any_of(session.watched.begin(), session.watched.end(), [&](const std::string& name) {
    const Key key = ctx.keyspace.MakeKey(name);
    return !Find(ctx, key) && ctx.keyspace.Find(key, kBeforeAnyExpiry);
  });
}

void Exec(Context& ctx) {
  if (!ctx.session.in_multi) return ctx.reply.Error(kExecWithoutMulti);
  const bool failed = ctx.session.multi_failed;
  const bool changed = WatchedNameChanged(ctx);
  const std::vector<QueuedCommand> queued = std::move(ctx.session.queued);
  DiscardTransaction(ctx.server, ctx.session);
  if (failed) return ctx.reply.Error(kAborted);
  if (changed) return ctx.reply.NullArray();
  ctx.reply.Array(queued.size());
  std::vector<std::string_view> words;
  for (const QueuedCommand& command : queued) {
    words.assign(command.arguments.begin(), command.arguments.end());
    ctx.dispatcher.ExecuteQueued(ctx.session, words, ctx.now, ctx.reply);
  }
}

void Watch(Context& ctx) {
  Session& session = ctx.session;
  if (session.in_multi) return ctx.reply.Error(kWatchInside);
  if (session.watched.size() + ctx.args.size() - 1 > kMaxWatched) {
    return ctx.reply.Error("ERR a client may watch at most " + std::to_string(kMaxWatched) +
                           " names");
  }
  if (session.watch_dirty == nullptr) {
    session.watch_dirty = std::make_shared<std::atomic<bool>>(false);
  }
  for (const std::string_view name : ctx.args.subspan(1)) {
    if (std::find(session.watched.begin(), session.watched.end(), name) != session.watched.end()) {
      continue;
    }
    session.watched.emplace_back(name);
    ctx.server.watches.Watch(name, session.watch_dirty);
  }
  ctx.reply.Ok();
}

void Unwatch(Context& ctx) {
  UnwatchAll(ctx.server, ctx.session);
  ctx.reply.Ok();
}

void AddMultiExec(CommandTable& table) {
  const Example incr{"INCR visits", "QUEUED"};
  table.Add({.name = "multi",
             .summary = "Begins a transaction: what follows is queued until EXEC.",
             .group = "transactions",
             .flags = kFast | kImmediate | kLoading | kNoScript,
             .errors = {kNested},
             .examples = {{"MULTI", "OK"}, incr, {"EXEC", "1) \"1\"", "1) (integer) 1"}},
             .handler = Multi});
  table.Add({.name = "exec",
             .summary = "Runs the queued commands with nothing in between; a crash keeps all of "
                        "their changes or none. Nil, and nothing runs, if a watched name changed.",
             .group = "transactions",
             .complexity = "That of the queued commands",
             .flags = kImmediate | kExclusive | kLoading | kNoScript,
             .errors = {kExecWithoutMulti, kAborted},
             .examples = {{"MULTI", "OK"},
                          incr,
                          {"INCRBY sold 5", "QUEUED"},
                          {"EXEC", "1) \"1\"\n2) \"5\"", "1) (integer) 1\n2) (integer) 5"}},
             .handler = Exec});
  table.Add(
      {.name = "discard",
       .summary = "Ends a transaction without running it.",
       .group = "transactions",
       .complexity = "O(N) where N is the number of queued commands",
       .flags = kFast | kImmediate | kLoading | kNoScript,
       .errors = {kDiscardWithoutMulti},
       .examples = {{"MULTI", "OK"}, incr, {"DISCARD", "OK"}, {"EXISTS visits", "(integer) 0"}},
       .handler = Discard});
}

}  // namespace

void AddTransactionCommands(CommandTable& table) {
  AddMultiExec(table);
  table.Add({.name = "watch",
             .summary = "Makes the next EXEC do nothing if one of the names changes before it.",
             .group = "transactions",
             .complexity = "O(N) where N is the number of names",
             .flags = kFast | kImmediate | kLoading | kNoScript,
             .arguments = {{.name = "key", .type = ArgumentType::kKey, .multiple = true}},
             .errors = {kWatchInside},
             .examples = {{"WATCH visits", "OK"},
                          {"INCR visits", "\"1\"", "(integer) 1"},
                          {"MULTI", "OK"},
                          {"INCR visits", "QUEUED"},
                          {"EXEC", "(nil)"}},
             .handler = Watch});
  table.Add({.name = "unwatch",
             .summary = "Forgets all watched names.",
             .group = "transactions",
             .flags = kFast | kLoading | kNoScript,
             .examples = {{"WATCH visits", "OK"}, {"UNWATCH", "OK"}},
             .handler = Unwatch});
}

}  // namespace jeton::command
