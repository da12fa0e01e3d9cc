// DEL UNLINK EXISTS TOUCH TYPE KEYS SCAN RANDOMKEY DBSIZE FLUSHALL FLUSHDB: names, whatever is
// behind them.
#include <charconv>

#include "base/prng.h"
#include "base/text.h"
#include "command/counter_access.h"

namespace jeton::command {

namespace {

using engine::Entry;
using engine::Key;
using engine::ScanStep;

constexpr std::string_view kInvalidCursor = "ERR invalid cursor";

std::string_view TypeName(engine::Kind kind) {
  return kind == engine::Kind::kTree ? "hash" : "string";
}

void Del(Context& ctx) {
  std::int64_t dropped = 0;
  for (std::size_t i = 1; i < ctx.args.size(); ++i) {
    const Key key = ctx.Key(i);
    if (!Find(ctx, key)) continue;
    ctx.unit.Drop(key);
    ++dropped;
  }
  ctx.reply.Integer(dropped);
}

// A name that is given twice counts twice, as in Redis.
void Exists(Context& ctx) {
  std::int64_t found = 0;
  for (std::size_t i = 1; i < ctx.args.size(); ++i) {
    if (FindAndCount(ctx, ctx.Key(i))) ++found;
  }
  ctx.reply.Integer(found);
}

void Type(Context& ctx) {
  const std::optional<Entry> entry = Find(ctx, ctx.Key(1));
  ctx.reply.Simple(entry ? TypeName(entry->kind) : "none");
}

// Names per step of a walk over everything: a partition is locked for one step at a time.
constexpr std::size_t kWalkStep = 512;

void Keys(Context& ctx) {
  const std::string_view pattern = ctx.args[1];
  const bool all = pattern == "*";
  const std::size_t array = ctx.reply.DeferArray();
  std::size_t count = 0;
  std::uint64_t cursor = 0;
  do {
    const ScanStep step = ctx.keyspace.Scan(cursor, kWalkStep, ctx.now.wall_ms,
                                            [&](std::string_view name, const Entry&) {
                                              if (!all && !GlobMatch(pattern, name)) return;
                                              ctx.reply.Bulk(name);
                                              ++count;
                                            });
    cursor = step.next;
  } while (cursor != 0);
  ctx.reply.SetDeferred(array, count);
}

struct ScanOptions {
  std::optional<std::string_view> match;
  std::optional<std::string_view> type;
  std::size_t count = 10;
};

// More than this in one step would only hold up everybody else.
constexpr std::int64_t kMaxScanCount = 100'000;

Status ParseScanOption(std::string_view word, std::string_view value, ScanOptions& options) {
  if (EqualsIgnoreCase(word, "MATCH")) {
    options.match = value;
  } else if (EqualsIgnoreCase(word, "TYPE")) {
    options.type = value;
  } else if (EqualsIgnoreCase(word, "COUNT")) {
    const Result<std::int64_t> count = ParseInteger(value);
    if (!count) return count.error();
    if (*count < 1) return Error{ErrorKind::kInvalid, std::string(kSyntaxError)};
    options.count = static_cast<std::size_t>(std::min(*count, kMaxScanCount));
  } else {
    return Error{ErrorKind::kInvalid, std::string(kSyntaxError)};
  }
  return {};
}

Result<ScanOptions> ParseScanOptions(std::span<const std::string_view> words) {
  ScanOptions options;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    if (i + 1 == words.size()) return Error{ErrorKind::kInvalid, std::string(kSyntaxError)};
    const Status status = ParseScanOption(words[i], words[i + 1], options);
    if (!status) return status.error();
  }
  return options;
}

std::optional<std::uint64_t> ParseCursor(std::string_view text) {
  std::uint64_t cursor = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cursor);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return cursor;
}

void Scan(Context& ctx) {
  const std::optional<std::uint64_t> cursor = ParseCursor(ctx.args[1]);
  if (!cursor) return ctx.reply.Error(kInvalidCursor);
  const Result<ScanOptions> options = ParseScanOptions(ctx.args.subspan(2));
  if (!options) return ctx.reply.Error(options.error());
  std::vector<std::string> names;  // the cursor goes out before them
  const ScanStep step = ctx.keyspace.Scan(
      *cursor, options->count, ctx.now.wall_ms, [&](std::string_view name, const Entry& entry) {
        if (options->type && !EqualsIgnoreCase(*options->type, TypeName(entry.kind))) return;
        if (options->match && !GlobMatch(*options->match, name)) return;
        names.emplace_back(name);
      });
  ctx.reply.Array(2);
  ctx.reply.Bulk(std::to_string(step.next));
  ctx.reply.Array(names.size());
  for (const std::string& name : names) ctx.reply.Bulk(name);
}

void RandomKey(Context& ctx) {
  // Any mix of what is at hand will do: nobody depends on how good the choice is, and a run of the
  // simulator must be able to repeat it.
  Prng prng(static_cast<std::uint64_t>(ctx.now.mono_ns) ^
            (static_cast<std::uint64_t>(ctx.now.wall_ms) << 20) ^ (ctx.session.id << 44) ^
            ctx.session.commands);
  const std::optional<std::string> name = ctx.keyspace.RandomName(prng, ctx.now.wall_ms);
  if (name) {
    ctx.reply.Bulk(*name);
  } else {
    ctx.reply.Null();
  }
}

void DbSize(Context& ctx) {
  ctx.reply.Integer(static_cast<std::int64_t>(ctx.keyspace.size(ctx.now.wall_ms)));
}

void Flush(Context& ctx) {
  const bool known =
      ctx.args.size() == 1 || (ctx.args.size() == 2 && (EqualsIgnoreCase(ctx.args[1], "ASYNC") ||
                                                        EqualsIgnoreCase(ctx.args[1], "SYNC")));
  if (!known) return ctx.reply.Error(kSyntaxError);
  ctx.unit.Flush();
  ctx.reply.Ok();
}

void AddNames(CommandTable& table) {
  const Argument keys{.name = "key", .type = ArgumentType::kKey, .multiple = true};
  const Example set{"MSET a 1 b 2", "OK"};
  constexpr std::string_view kEach = "O(N) where N is the number of names";
  table.Add({.name = "del",
             .summary = "Deletes counters and trees; replies how many there were.",
             .complexity = kEach,
             .flags = kWrite,
             .arguments = {keys},
             .examples = {set, {"DEL a nothing", "(integer) 1"}},
             .handler = Del});
  table.Add({.name = "unlink",
             .summary = "The same as DEL.",
             .complexity = kEach,
             .flags = kWrite | kFast,
             .arguments = {keys},
             .examples = {set, {"UNLINK a b", "(integer) 2"}},
             .handler = Del});
  table.Add({.name = "exists",
             .summary = "Counts how many of the names exist; one that is given twice counts twice.",
             .complexity = kEach,
             .flags = kReadOnly | kFast,
             .arguments = {keys},
             .examples = {set, {"EXISTS a b nothing", "(integer) 2"}},
             .handler = Exists});
  table.Add({.name = "touch",
             .summary = "Counts how many of the names exist.",
             .complexity = kEach,
             .flags = kReadOnly | kFast,
             .arguments = {keys},
             .examples = {set, {"TOUCH a nothing", "(integer) 1"}},
             .handler = Exists});
  table.Add({.name = "type",
             .summary = "What a name holds: string (a counter), hash (a tree) or none.",
             .flags = kReadOnly | kFast,
             .arguments = {{.name = "key", .type = ArgumentType::kKey}},
             .examples = {set, {"TYPE a", "string"}, {"TYPE nothing", "none"}},
             .handler = Type});
}

void AddWalks(CommandTable& table) {
  const Example set{"SET visits 1", "\"1\"", "OK"};
  constexpr std::string_view kAll = "O(N) where N is the number of names";
  table.Add({.name = "keys",
             .summary = "All names that match a pattern (* ? [a-z] [^a] \\).",
             .complexity = kAll,
             .flags = kReadOnly,
             .arguments = {{.name = "pattern", .type = ArgumentType::kPattern}},
             .examples = {set, {"KEYS v*", "1) \"visits\""}, {"KEYS x*", "(empty array)"}},
             .handler = Keys});
  table.Add(
      {.name = "scan",
       .summary = "Walks over all names in steps: start with cursor 0, go on with the one replied "
                  "until it is 0. A name that is there throughout is seen exactly once.",
       .complexity = "O(COUNT) for each step",
       .flags = kReadOnly,
       .arguments =
           {{.name = "cursor", .type = ArgumentType::kInteger},
            {.name = "pattern", .type = ArgumentType::kPattern, .token = "MATCH", .optional = true},
            {.name = "count", .type = ArgumentType::kInteger, .token = "COUNT", .optional = true},
            {.name = "type", .token = "TYPE", .optional = true}},
       .errors = {kInvalidCursor, kNotAnInteger, kSyntaxError},
       .examples = {set, {"SCAN 0 MATCH v* COUNT 1000", "1) \"0\"\n2) 1) \"visits\""}},
       .handler = Scan});
  table.Add({.name = "randomkey",
             .summary = "Some name, or nil if there is none.",
             .flags = kReadOnly,
             .examples = {{"RANDOMKEY", "(nil)"}, set, {"RANDOMKEY", "\"visits\""}},
             .handler = RandomKey});
  table.Add({.name = "dbsize",
             .summary = "The number of counters and trees.",
             .group = "server",
             .flags = kReadOnly | kFast,
             .examples = {set, {"DBSIZE", "(integer) 1"}},
             .handler = DbSize});
}

void AddFlushes(CommandTable& table) {
  const Argument mode{
      .name = "flush-type",
      .type = ArgumentType::kOneOf,
      .optional = true,
      .arguments = {{.name = "async", .type = ArgumentType::kPureToken, .token = "ASYNC"},
                    {.name = "sync", .type = ArgumentType::kPureToken, .token = "SYNC"}}};
  for (const std::string_view name : {std::string_view("flushall"), std::string_view("flushdb")}) {
    table.Add({.name = name,
               .summary = "Deletes everything.",
               .group = "server",
               .complexity = "O(N) where N is the number of names",
               .flags = kWrite | kExclusive,
               .arguments = {mode},
               .errors = {kSyntaxError},
               .examples = {{"SET visits 1", "\"1\"", "OK"},
                            {name == "flushall" ? "FLUSHALL" : "FLUSHDB", "OK"},
                            {"DBSIZE", "(integer) 0"}},
               .handler = Flush});
  }
}

}  // namespace

void AddKeyCommands(CommandTable& table) {
  AddNames(table);
  AddWalks(table);
  AddFlushes(table);
}

}  // namespace jeton::command
