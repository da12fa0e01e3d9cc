// MONITOR, SLOWLOG, LATENCY, MEMORY, OBJECT and DEBUG: looking into a running server.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/text.h"
#include "command/context.h"
#include "command/documentation.h"
#include "command/errors.h"
#include "engine/tree.h"

namespace jeton::command {

namespace {

constexpr std::uint32_t kLookFlags = kAdmin | kLoading | kNoScript;

void Monitor(Context& context) {
  if (!context.session.monitor) context.server.monitors.fetch_add(1, std::memory_order_relaxed);
  context.session.monitor = true;
  context.reply.Ok();
}

// ---- SLOWLOG

void SlowLogGet(Context& context) {
  constexpr std::int64_t kDefaultCount = 10;
  std::int64_t count = kDefaultCount;
  if (context.args.size() > 2) {
    const auto wanted = ParseInt64(context.args[2]);
    if (!wanted || *wanted < -1) {
      return context.reply.Error("ERR count should be greater than or equal to -1");
    }
    count = *wanted;
  }
  const std::size_t most =
      count < 0 ? static_cast<std::size_t>(-1) : static_cast<std::size_t>(count);
  const auto entries = context.server.slow_log.Newest(most);
  Reply& reply = context.reply;
  reply.Array(entries.size());
  for (const SlowEntry& entry : entries) {
    reply.Array(6);
    reply.Integer(static_cast<std::int64_t>(entry.id));
    reply.Integer(entry.at_ms / 1000);
    reply.Integer(entry.microseconds);
    reply.Array(entry.arguments.size());
    for (const std::string& argument : entry.arguments) reply.Bulk(argument);
    reply.Bulk(entry.address);
    reply.Bulk(entry.client_name);
  }
}

void AddSlowLog(CommandTable& table) {
  constexpr std::string_view kGroup = "server";
  table.Add({.name = "slowlog",
             .summary = "Commands that took longer than slowlog-log-slower-than.",
             .group = kGroup,
             .complexity = "Depends on the subcommand.",
             .flags = kLoading});
  table.Add({.name = "slowlog|get",
             .summary = "The newest entries: number, time, microseconds, arguments, client.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of entries",
             .flags = kLookFlags,
             .arguments = {{.name = "count", .type = ArgumentType::kInteger, .optional = true}},
             .examples = {{"SLOWLOG GET", "(empty array)"}},
             .handler = SlowLogGet});
  table.Add({.name = "slowlog|len",
             .summary = "How many entries there are.",
             .group = kGroup,
             .flags = kLookFlags,
             .examples = {{"SLOWLOG LEN", "(integer) 0"}},
             .handler = [](Context& context) {
               context.reply.Integer(static_cast<std::int64_t>(context.server.slow_log.size()));
             }});
  table.Add({.name = "slowlog|reset",
             .summary = "Forget all entries.",
             .group = kGroup,
             .flags = kLookFlags,
             .examples = {{"SLOWLOG RESET", "OK"}},
             .handler = [](Context& context) {
               context.server.slow_log.Clear();
               context.reply.Ok();
             }});
  table.Add({.name = "slowlog|help",
             .summary = "Print the subcommands.",
             .group = kGroup,
             .flags = kLoading,
             .handler = ReplyHelp});
}

// ---- LATENCY

void LatencyLatest(Context& context) {
  const auto events = context.server.latency_log.events();
  context.reply.Array(events.size());
  for (const auto& [name, event] : events) {
    context.reply.Array(4);
    context.reply.Bulk(name);
    context.reply.Integer(event.samples.back().at_seconds);
    context.reply.Integer(event.samples.back().milliseconds);
    context.reply.Integer(event.max_ms);
  }
}

void LatencyHistory(Context& context) {
  const auto events = context.server.latency_log.events();
  const auto found = events.find(context.args[2]);
  if (found == events.end()) return context.reply.Array(0);
  context.reply.Array(found->second.samples.size());
  for (const LatencySample& sample : found->second.samples) {
    context.reply.Array(2);
    context.reply.Integer(sample.at_seconds);
    context.reply.Integer(sample.milliseconds);
  }
}

void LatencyDoctor(Context& context) {
  const std::int64_t threshold = context.server.settings.values().latency_monitor_threshold;
  std::string text;
  if (threshold == 0) {
    text =
        "Nothing is watched: latency-monitor-threshold is 0 (off). CONFIG SET it to a number of "
        "milliseconds.\n";
  } else {
    const auto events = context.server.latency_log.events();
    if (events.empty()) text = "Nothing took longer than " + std::to_string(threshold) + " ms.\n";
    for (const auto& [name, event] : events) {
      text += name + ": " + std::to_string(event.samples.size()) + " samples, worst " +
              std::to_string(event.max_ms) + " ms.\n";
    }
  }
  context.reply.Verbatim("txt", text);
}

void AddLatency(CommandTable& table) {
  constexpr std::string_view kGroup = "server";
  table.Add({.name = "latency",
             .summary = "Events that took longer than latency-monitor-threshold.",
             .group = kGroup,
             .complexity = "Depends on the subcommand.",
             .flags = kLoading});
  table.Add({.name = "latency|latest",
             .summary = "The newest sample and the worst of each event.",
             .group = kGroup,
             .flags = kLookFlags,
             .examples = {{"LATENCY LATEST", "(empty array)"}},
             .handler = LatencyLatest});
  table.Add({.name = "latency|history",
             .summary = "Time and milliseconds of the samples of one event.",
             .group = kGroup,
             .flags = kLookFlags,
             .arguments = {{.name = "event"}},
             .examples = {{"LATENCY HISTORY command", "(empty array)"}},
             .handler = LatencyHistory});
  table.Add({.name = "latency|reset",
             .summary = "Forget all events, or some; replies how many.",
             .group = kGroup,
             .flags = kLookFlags,
             .arguments = {{.name = "event", .optional = true, .multiple = true}},
             .examples = {{"LATENCY RESET", "(integer) 0"}},
             .handler = [](Context& context) {
               const std::size_t count = context.server.latency_log.Reset(context.args.subspan(2));
               context.reply.Integer(static_cast<std::int64_t>(count));
             }});
  table.Add({.name = "latency|histogram",
             .summary = "Empty: the distribution of single commands is not kept.",
             .group = kGroup,
             .flags = kLookFlags,
             .arguments = {{.name = "command", .optional = true, .multiple = true}},
             .examples = {{"LATENCY HISTOGRAM", "(empty array)"}},
             .handler = [](Context& context) { context.reply.Map(0); }});
  table.Add({.name = "latency|doctor",
             .summary = "The events in plain words.",
             .group = kGroup,
             .flags = kLookFlags,
             .handler = LatencyDoctor});
  table.Add({.name = "latency|help",
             .summary = "Print the subcommands.",
             .group = kGroup,
             .flags = kLoading,
             .handler = ReplyHelp});
}

// ---- MEMORY

// A record's header and its share of the table; what the value adds depends on its form.
std::int64_t UsageOf(std::string_view name, const engine::Entry& entry) {
  constexpr std::int64_t kRecordBytes = 24;
  std::int64_t bytes = kRecordBytes + static_cast<std::int64_t>(name.size());
  bytes += entry.value.IsInt64() ? 8 : 16;
  if (entry.expires_at != 0) bytes += 8;
  if (entry.precision) bytes += 16;
  return bytes;
}

void MemoryUsage(Context& context) {
  if (context.args.size() > 3) {
    const bool samples = context.args.size() == 5 && EqualsIgnoreCase(context.args[3], "SAMPLES");
    if (!samples) return context.reply.Error(kSyntaxError);
    const auto count = ParseInt64(context.args[4]);
    if (!count || *count < 0) return context.reply.Error(kSyntaxError);
  }
  const auto entry = context.keyspace.Find(context.Key(2), context.now.wall_ms);
  if (!entry) return context.reply.Null();
  std::int64_t bytes = UsageOf(context.args[2], *entry);
  const engine::Tree* tree = context.keyspace.FindTree(context.Key(2), context.now.wall_ms);
  if (tree != nullptr) bytes += static_cast<std::int64_t>(tree->bytes());
  context.reply.Integer(bytes);
}

void MemoryStats(Context& context) {
  const auto facts = context.server.host.process_facts();
  const std::uint64_t used = context.keyspace.used_bytes();
  const std::uint64_t keys = context.keyspace.size(context.now.wall_ms);
  Reply& reply = context.reply;
  const std::pair<std::string_view, std::uint64_t> fields[] = {
      {"peak.allocated", std::max(facts.peak_resident_bytes, used)},
      {"total.allocated", used},
      {"dataset.bytes", used},
      {"keys.count", keys},
      {"keys.bytes-per-key", keys == 0 ? 0 : used / keys},
      {"process.resident", facts.resident_bytes},
      {"maxmemory", static_cast<std::uint64_t>(context.server.settings.values().maxmemory)},
  };
  reply.Map(std::size(fields));
  for (const auto& [name, value] : fields) {
    reply.Bulk(name);
    reply.Integer(static_cast<std::int64_t>(value));
  }
}

void MemoryDoctor(Context& context) {
  const auto& values = context.server.settings.values();
  const std::uint64_t used = context.keyspace.used_bytes();
  std::string text = "Counters take " + std::to_string(used) + " bytes.\n";
  if (values.maxmemory == 0) {
    text += "maxmemory is 0: nothing stops them from growing.\n";
  } else if (context.server.over_maxmemory.load()) {
    text += "That is beyond maxmemory: writes are refused.\n";
  }
  context.reply.Verbatim("txt", text);
}

void AddMemory(CommandTable& table) {
  constexpr std::string_view kGroup = "server";
  table.Add({.name = "memory",
             .summary = "What memory is used for.",
             .group = kGroup,
             .complexity = "Depends on the subcommand.",
             .flags = kLoading});
  table.Add({.name = "memory|usage",
             .summary = "About how many bytes a name takes.",
             .group = kGroup,
             .flags = kReadOnly,
             .arguments = {{.name = "key", .type = ArgumentType::kKey},
                           {.name = "count",
                            .type = ArgumentType::kInteger,
                            .token = "SAMPLES",
                            .optional = true}},
             .examples = {{"MEMORY USAGE nothing", "(nil)"}},
             .handler = MemoryUsage});
  table.Add({.name = "memory|stats",
             .summary = "Bytes in use, by what for.",
             .group = kGroup,
             .flags = kLoading,
             .handler = MemoryStats});
  table.Add({.name = "memory|doctor",
             .summary = "The same in plain words.",
             .group = kGroup,
             .flags = kLoading,
             .handler = MemoryDoctor});
  table.Add({.name = "memory|help",
             .summary = "Print the subcommands.",
             .group = kGroup,
             .flags = kLoading,
             .handler = ReplyHelp});
}

// ---- OBJECT

void ObjectEncoding(Context& context) {
  const auto entry = context.keyspace.Find(context.Key(2), context.now.wall_ms);
  if (!entry) return context.reply.Null();
  if (entry->kind == engine::Kind::kTree) return context.reply.Bulk("hashtable");
  context.reply.Bulk(entry->value.IsInt64() ? "int" : "embstr");
}

void ObjectRefCount(Context& context) {
  if (!context.keyspace.Find(context.Key(2), context.now.wall_ms)) return context.reply.Null();
  context.reply.Integer(1);
}

// Reading leaves no trace on a counter, so there is nothing honest to reply.
void NotTracked(Context& context) {
  if (!context.keyspace.Find(context.Key(2), context.now.wall_ms)) return context.reply.Null();
  context.reply.Error("ERR access times and frequencies are not tracked, nothing is evicted");
}

void AddObject(CommandTable& table) {
  constexpr std::string_view kGroup = "generic";
  const std::vector<Argument> key = {{.name = "key", .type = ArgumentType::kKey}};
  table.Add({.name = "object",
             .summary = "How a name is stored.",
             .group = kGroup,
             .complexity = "Depends on the subcommand.",
             .flags = 0});
  table.Add({.name = "object|encoding",
             .summary = "The form of the value, in the words of Redis.",
             .group = kGroup,
             .flags = kReadOnly,
             .arguments = key,
             .examples = {{"OBJECT ENCODING nothing", "(nil)"}},
             .handler = ObjectEncoding});
  table.Add({.name = "object|refcount",
             .summary = "1, for clients that ask.",
             .group = kGroup,
             .flags = kReadOnly,
             .arguments = key,
             .examples = {{"OBJECT REFCOUNT nothing", "(nil)"}},
             .handler = ObjectRefCount});
  table.Add({.name = "object|freq",
             .summary = "Refused: how often a counter is read is not tracked.",
             .group = kGroup,
             .flags = kReadOnly,
             .arguments = key,
             .examples = {{"OBJECT FREQ nothing", "(nil)"}},
             .handler = NotTracked});
  table.Add({.name = "object|idletime",
             .summary = "Refused: when a counter was read is not tracked.",
             .group = kGroup,
             .flags = kReadOnly,
             .arguments = key,
             .examples = {{"OBJECT IDLETIME nothing", "(nil)"}},
             .handler = NotTracked});
  table.Add({.name = "object|help",
             .summary = "Print the subcommands.",
             .group = kGroup,
             .flags = kLoading,
             .handler = ReplyHelp});
}

// ---- DEBUG

void DebugSleep(Context& context) {
  constexpr double kLongestSeconds = 3600;
  const std::string_view word = context.args[2];
  double seconds = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), seconds);
  const bool whole = error == std::errc() && end == word.data() + word.size();
  if (!whole || !std::isfinite(seconds)) return context.reply.Error(kNotAFloat);
  if (seconds < 0 || seconds > kLongestSeconds) {
    return context.reply.Error("ERR seconds must be from 0 to 3600");
  }
  const Status status = context.server.host.Sleep(seconds);
  if (!status.ok()) return context.reply.Error(status.error());
  context.reply.Ok();
}

void AddDebug(CommandTable& table) {
  constexpr std::string_view kGroup = "server";
  table.Add({.name = "debug",
             .summary = "For tests of clients.",
             .group = kGroup,
             .complexity = "Depends on the subcommand.",
             .flags = kAdmin | kLoading | kNoScript});
  table.Add({.name = "debug|sleep",
             .summary = "Stop the whole server for some seconds.",
             .group = kGroup,
             .flags = kAdmin | kLoading | kNoScript | kExclusive,
             .arguments = {{.name = "seconds", .type = ArgumentType::kDouble}},
             .examples = {{"DEBUG SLEEP 0", "OK"}},
             .handler = DebugSleep});
  table.Add({.name = "debug|help",
             .summary = "Print the subcommands.",
             .group = kGroup,
             .flags = kLoading,
             .handler = ReplyHelp});
}

}  // namespace

void AddDiagnosisCommands(CommandTable& table) {
  table.Add({.name = "monitor",
             .summary = "Show every request of every client from now on.",
             .group = "server",
             .flags = kLookFlags | kNoMulti,
             .examples = {{"MONITOR", "OK"}},
             .handler = Monitor});
  AddSlowLog(table);
  AddLatency(table);
  AddMemory(table);
  AddObject(table);
  AddDebug(table);
}

}  // namespace jeton::command
