// EXPIRE PEXPIRE EXPIREAT PEXPIREAT TTL PTTL EXPIRETIME PEXPIRETIME PERSIST, for counters and trees
// alike, with the rules and texts of Redis 7.
#include <limits>

#include "base/text.h"
#include "command/counter_access.h"
#include "command/expiry_option.h"

namespace jeton::command {

namespace {

using engine::Entry;
using engine::Key;

constexpr std::string_view kNxWithOthers =
    "ERR NX and XX, GT or LT options at the same time are not compatible";
constexpr std::string_view kGtWithLt = "ERR GT and LT options at the same time are not compatible";

struct ExpireConditions {
  bool nx = false, xx = false, gt = false, lt = false;

  // No expiry counts as one that is infinitely far away.
  bool Hold(WallMs at, WallMs old) const {
    const bool has_expiry = old != 0;
    if (nx && has_expiry) return false;
    if (xx && !has_expiry) return false;
    if (gt && (!has_expiry || at <= old)) return false;
    return !(lt && has_expiry && at >= old);
  }
};

Result<ExpireConditions> ParseConditions(std::span<const std::string_view> words) {
  ExpireConditions conditions;
  for (const std::string_view word : words) {
    if (EqualsIgnoreCase(word, "NX")) {
      conditions.nx = true;
    } else if (EqualsIgnoreCase(word, "XX")) {
      conditions.xx = true;
    } else if (EqualsIgnoreCase(word, "GT")) {
      conditions.gt = true;
    } else if (EqualsIgnoreCase(word, "LT")) {
      conditions.lt = true;
    } else {
      constexpr std::size_t kMaxShown = 128;
      return Error{ErrorKind::kInvalid,
                   "ERR Unsupported option " + std::string(word.substr(0, kMaxShown))};
    }
  }
  if (conditions.nx && (conditions.xx || conditions.gt || conditions.lt)) {
    return Error{ErrorKind::kInvalid, std::string(kNxWithOthers)};
  }
  if (conditions.gt && conditions.lt) return Error{ErrorKind::kInvalid, std::string(kGtWithLt)};
  return conditions;
}

struct TimeUnit {
  bool seconds = false;
  bool absolute = false;
};

// Negative times are fine (they delete); only what leaves 64 bits is not.
Result<WallMs> ParseExpireTime(std::string_view text, TimeUnit unit, WallMs now,
                               std::string_view command) {
  const Result<std::int64_t> amount = ParseInteger(text);
  if (!amount) return amount.error();
  WallMs at = *amount;
  if (unit.seconds && __builtin_mul_overflow(at, 1000, &at)) return InvalidExpireTime(command);
  if (!unit.absolute && __builtin_add_overflow(at, now, &at)) return InvalidExpireTime(command);
  return at;
}

template <TimeUnit unit>
void ExpireIn(Context& ctx) {
  const Result<ExpireConditions> conditions = ParseConditions(ctx.args.subspan(3));
  if (!conditions) return ctx.reply.Error(conditions.error());
  const Result<WallMs> at = ParseExpireTime(ctx.args[2], unit, ctx.now.wall_ms, ctx.command.name);
  if (!at) return ctx.reply.Error(at.error());
  const Key key = ctx.Key(1);
  const std::optional<Entry> entry = Find(ctx, key);
  if (!entry || !conditions->Hold(*at, entry->expires_at)) return ctx.reply.Integer(0);
  StoreExpiry(ctx, key, *at);
  ctx.reply.Integer(1);
}

constexpr std::int64_t kNoSuchKey = -2;
constexpr std::int64_t kNoExpiry = -1;

template <TimeUnit unit>
void TimeLeft(Context& ctx) {
  const std::optional<Entry> entry = Find(ctx, ctx.Key(1));
  if (!entry) return ctx.reply.Integer(kNoSuchKey);
  if (entry->expires_at == 0) return ctx.reply.Integer(kNoExpiry);
  const WallMs shown = unit.absolute ? entry->expires_at : entry->expires_at - ctx.now.wall_ms;
  if (!unit.seconds) return ctx.reply.Integer(shown);
  // Rounded to the nearest second, as in Redis, without leaving 64 bits.
  ctx.reply.Integer(shown / 1000 + (shown % 1000 >= 500 ? 1 : 0));
}

void Persist(Context& ctx) {
  const Key key = ctx.Key(1);
  const std::optional<Entry> entry = Find(ctx, key);
  const bool had_expiry = entry && entry->expires_at != 0;
  if (had_expiry) ctx.unit.Expire(key, 0);
  ctx.reply.Integer(had_expiry ? 1 : 0);
}

constexpr TimeUnit kSecondsFromNow{.seconds = true};
constexpr TimeUnit kMillisecondsFromNow{};
constexpr TimeUnit kUnixSeconds{.seconds = true, .absolute = true};
constexpr TimeUnit kUnixMilliseconds{.absolute = true};

Argument ConditionArgument() {
  const auto word = [](std::string_view name, std::string_view token) {
    return Argument{.name = name, .type = ArgumentType::kPureToken, .token = token};
  };
  return {.name = "condition",
          .type = ArgumentType::kOneOf,
          .optional = true,
          .arguments = {word("nx", "NX"), word("xx", "XX"), word("gt", "GT"), word("lt", "LT")}};
}

struct ExpireEntry {
  std::string_view name;
  std::string_view summary;
  Argument time;
  std::string_view invalid_time;
  std::vector<Example> examples;
  Handler handler;
};

void AddExpire(CommandTable& table, const ExpireEntry& entry) {
  table.Add(
      {.name = entry.name,
       .summary = entry.summary,
       .flags = kWrite | kFast,
       .arguments = {{.name = "key", .type = ArgumentType::kKey}, entry.time, ConditionArgument()},
       .errors = {kNotAnInteger, entry.invalid_time, "ERR Unsupported option x", kNxWithOthers,
                  kGtWithLt},
       .examples = entry.examples,
       .handler = entry.handler});
}

void AddReader(CommandTable& table, std::string_view name, std::string_view summary,
               const std::vector<Example>& examples, Handler handler) {
  table.Add({.name = name,
             .summary = summary,
             .flags = kReadOnly | kFast,
             .arguments = {{.name = "key", .type = ArgumentType::kKey}},
             .examples = examples,
             .handler = handler});
}

constexpr std::string_view kOne = "(integer) 1";

}  // namespace

void AddExpiryCommands(CommandTable& table) {
  const Example set{"SET calls 5", "\"5\"", "OK"};
  AddExpire(table,
            {.name = "expire",
             .summary = "Lets a counter or tree go after so many seconds; at once if they "
                        "are not more than 0.",
             .time = {.name = "seconds", .type = ArgumentType::kInteger},
             .invalid_time = "ERR invalid expire time in 'expire' command",
             .examples = {set, {"EXPIRE calls 60", kOne}, {"EXPIRE calls 30 GT", "(integer) 0"}},
             .handler = ExpireIn<kSecondsFromNow>});
  AddExpire(table, {.name = "pexpire",
                    .summary = "Lets a counter or tree go after so many milliseconds.",
                    .time = {.name = "milliseconds", .type = ArgumentType::kInteger},
                    .invalid_time = "ERR invalid expire time in 'pexpire' command",
                    .examples = {set, {"PEXPIRE calls 1500", kOne}},
                    .handler = ExpireIn<kMillisecondsFromNow>});
  AddExpire(table, {.name = "expireat",
                    .summary = "Lets a counter or tree go at a Unix time in seconds; at once if it "
                               "has passed.",
                    .time = {.name = "unix-time-seconds", .type = ArgumentType::kUnixTime},
                    .invalid_time = "ERR invalid expire time in 'expireat' command",
                    .examples = {set, {"EXPIREAT calls 4102444800", kOne}},
                    .handler = ExpireIn<kUnixSeconds>});
  AddExpire(table, {.name = "pexpireat",
                    .summary = "Lets a counter or tree go at a Unix time in milliseconds.",
                    .time = {.name = "unix-time-milliseconds", .type = ArgumentType::kUnixTime},
                    .invalid_time = "ERR invalid expire time in 'pexpireat' command",
                    .examples = {set, {"PEXPIREAT calls 4102444800000", kOne}},
                    .handler = ExpireIn<kUnixMilliseconds>});
  AddReader(table, "ttl",
            "Seconds until a counter or tree goes, rounded; -1 if it stays, -2 if there is none.",
            {set, {"TTL calls", "(integer) -1"}, {"TTL nothing", "(integer) -2"}},
            TimeLeft<kSecondsFromNow>);
  AddReader(table, "pttl",
            "Milliseconds until a counter or tree goes; -1 if it stays, -2 if there is none.",
            {set, {"PTTL calls", "(integer) -1"}}, TimeLeft<kMillisecondsFromNow>);
  AddReader(
      table, "expiretime",
      "The Unix time in seconds at which a counter or tree goes; -1 if it stays, -2 if there "
      "is none.",
      {set, {"EXPIREAT calls 4102444800", kOne}, {"EXPIRETIME calls", "(integer) 4102444800"}},
      TimeLeft<kUnixSeconds>);
  AddReader(table, "pexpiretime",
            "The Unix time in milliseconds at which a counter or tree goes; -1 if it stays, -2 if "
            "there is none.",
            {set,
             {"PEXPIREAT calls 4102444800000", kOne},
             {"PEXPIRETIME calls", "(integer) 4102444800000"}},
            TimeLeft<kUnixMilliseconds>);
  table.Add({.name = "persist",
             .summary = "Takes the expiry from a counter or tree; replies 1 if it had one.",
             .flags = kWrite | kFast,
             .arguments = {{.name = "key", .type = ArgumentType::kKey}},
             .examples = {set,
                          {"EXPIRE calls 60", kOne},
                          {"PERSIST calls", kOne},
                          {"TTL calls", "(integer) -1"}},
             .handler = Persist});
}

}  // namespace jeton::command
