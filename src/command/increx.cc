#include "command/increx.h"

#include <limits>
#include <string>

#include "base/text.h"
#include "command/counter_access.h"

namespace jeton::command {

namespace {

constexpr std::string_view kBoundsCrossed = "ERR LBOUND can't be greater than UBOUND";
constexpr std::string_view kEnxAlone = "ERR ENX flag requires an expiration";

Decimal RangeEnd() {
  return *Decimal::Parse("1e20");
}

Bounds TypeLimits(bool int64) {
  if (int64) {
    return {.lower = std::numeric_limits<std::int64_t>::min(),
            .upper = std::numeric_limits<std::int64_t>::max()};
  }
  return {.lower = -RangeEnd(), .upper = RangeEnd()};
}

// The options as words: each at most once, numbers not looked at yet.
struct IncrexWords {
  std::optional<std::string_view> by_int, by_float, lower, upper;
  bool saturate = false;
  bool enx = false;
  ExpiryOption expiry;
};

// Takes `args[i + 1]` as the value of the option at `i`; false if it is missing or was given
// before.
bool TakeValue(std::span<const std::string_view> args, std::size_t& i,
               std::optional<std::string_view>& value) {
  if (value || i + 1 == args.size()) return false;
  value = args[++i];
  return true;
}

bool TakeFlag(bool& flag) {
  if (flag) return false;
  flag = true;
  return true;
}

bool TakeWord(std::span<const std::string_view> args, std::size_t& i, IncrexWords& words) {
  const std::string_view word = args[i];
  if (EqualsIgnoreCase(word, "BYINT")) return !words.by_float && TakeValue(args, i, words.by_int);
  if (EqualsIgnoreCase(word, "BYFLOAT")) return !words.by_int && TakeValue(args, i, words.by_float);
  if (EqualsIgnoreCase(word, "LBOUND")) return TakeValue(args, i, words.lower);
  if (EqualsIgnoreCase(word, "UBOUND")) return TakeValue(args, i, words.upper);
  if (EqualsIgnoreCase(word, "SATURATE")) return TakeFlag(words.saturate);
  if (EqualsIgnoreCase(word, "ENX")) return TakeFlag(words.enx);
  return words.expiry.word == ExpiryWord::kNone && ExpiryWordOf(word) != ExpiryWord::kKeepTtl &&
         TakeExpiry(args, i, words.expiry);
}

// The number of an option, in the words of Redis: "ERR UBOUND is not a valid float".
Result<Decimal> ParseOption(std::string_view name, std::string_view text, bool by_float) {
  if (!by_float) {
    if (const auto value = ParseInt64(text)) return Decimal(*value);
    return Error{ErrorKind::kInvalid,
                 "ERR " + std::string(name) + " is not an integer or out of range"};
  }
  Result<Decimal> value = Decimal::Parse(text);
  if (value || value.error().kind == ErrorKind::kRange) return value;
  return Error{ErrorKind::kInvalid, "ERR " + std::string(name) + " is not a valid float"};
}

}  // namespace

std::optional<BoundedSum> AddWithin(const Decimal& old, const Decimal& by, const Bounds& bounds,
                                    bool saturate) {
  const std::optional<Decimal> sum = Decimal::Add(old, by);
  const bool below = sum ? *sum < bounds.lower : by.IsNegative();
  const bool above = sum ? *sum > bounds.upper : !by.IsNegative();
  if (!below && !above) return BoundedSum{.value = *sum, .applied = by};
  if (!saturate) return BoundedSum{.value = old, .applied = 0, .refused = true};
  const Decimal value = below ? bounds.lower : bounds.upper;
  const std::optional<Decimal> applied = Decimal::Subtract(value, old);
  if (!applied) return std::nullopt;
  return BoundedSum{.value = value, .applied = *applied};
}

Result<IncrexOptions> ParseIncrex(std::span<const std::string_view> args, bool integers) {
  IncrexWords words;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (!TakeWord(args, i, words)) return Error{ErrorKind::kInvalid, std::string(kSyntaxError)};
  }
  if (words.enx && words.expiry.word == ExpiryWord::kPersist) {
    return Error{ErrorKind::kInvalid, std::string(kSyntaxError)};
  }
  if (words.enx && !words.expiry.has_time()) {
    return Error{ErrorKind::kInvalid, std::string(kEnxAlone)};
  }
  IncrexOptions options{.by_float = words.by_float.has_value(),
                        .saturate = words.saturate,
                        .only_if_no_expiry = words.enx,
                        .expiry = words.expiry};
  options.bounds = TypeLimits(integers && !options.by_float);
  struct Number {
    std::string_view name;
    std::optional<std::string_view> text;
    Decimal& value;
  };
  const Number numbers[] = {
      {"Increment", options.by_float ? words.by_float : words.by_int, options.by},
      {"LBOUND", words.lower, options.bounds.lower},
      {"UBOUND", words.upper, options.bounds.upper}};
  for (const Number& number : numbers) {
    if (!number.text) continue;
    Result<Decimal> value = ParseOption(number.name, *number.text, options.by_float);
    if (!value) return value.error();
    number.value = *value;
  }
  if (options.bounds.lower > options.bounds.upper) {
    return Error{ErrorKind::kInvalid, std::string(kBoundsCrossed)};
  }
  return options;
}

namespace {

void ReplyPair(Context& ctx, const IncrexOptions& options, const BoundedSum& sum) {
  ctx.reply.Array(2);
  for (const Decimal& value : {sum.value, sum.applied}) {
    if (options.by_float) {
      ctx.reply.DecimalBulk(value);  // as INCRBYFLOAT: never an integer
    } else {
      ReplyCounter(ctx, value);
    }
  }
}

void ChangeExpiry(Context& ctx, const engine::Key& key, const IncrexOptions& options,
                  bool has_expiry, WallMs at) {
  if (options.expiry.word == ExpiryWord::kPersist) {
    if (has_expiry) ctx.unit.Expire(key, 0);
  } else if (options.expiry.has_time() && !(options.only_if_no_expiry && has_expiry)) {
    StoreExpiry(ctx, key, at);
  }
}

void Increx(Context& ctx) {
  const bool integers = ctx.redis();
  const Result<IncrexOptions> options = ParseIncrex(ctx.args.subspan(2), integers);
  if (!options) return ctx.reply.Error(options.error());
  WallMs at = 0;
  if (options->expiry.has_time()) {
    const Result<WallMs> time = ExpiryTime(options->expiry, ctx.now.wall_ms, ctx.command.name);
    if (!time) return ctx.reply.Error(time.error());
    at = *time;
  }
  const engine::Key key = ctx.Key(1);
  const std::optional<engine::Entry> entry = Find(ctx, key);
  if (RefuseTree(ctx, entry)) return;
  const Decimal old = entry ? entry->value : Decimal();
  if (integers && !options->by_float && !old.IsInt64()) return ctx.reply.Error(kNotAnInteger);
  const std::optional<BoundedSum> sum =
      AddWithin(old, options->by, options->bounds, options->saturate);
  if (!sum) return ctx.reply.Error(kOutOfRange, ErrorKind::kRange);
  if (!sum->refused) {
    const bool has_expiry = entry && entry->expires_at != 0;
    StoreSum(ctx, key, entry, sum->value);
    ChangeExpiry(ctx, key, *options, has_expiry, at);
  }
  ReplyPair(ctx, *options, *sum);
}

Argument IncrementArgument() {
  return {.name = "increment",
          .type = ArgumentType::kOneOf,
          .optional = true,
          .arguments = {{.name = "integer", .type = ArgumentType::kInteger, .token = "BYINT"},
                        {.name = "float", .type = ArgumentType::kDouble, .token = "BYFLOAT"}}};
}

Argument ExpirationArgument() {
  return {.name = "expiration",
          .type = ArgumentType::kOneOf,
          .optional = true,
          .arguments = {
              {.name = "seconds", .type = ArgumentType::kInteger, .token = "EX"},
              {.name = "milliseconds", .type = ArgumentType::kInteger, .token = "PX"},
              {.name = "unix-time-seconds", .type = ArgumentType::kUnixTime, .token = "EXAT"},
              {.name = "unix-time-milliseconds", .type = ArgumentType::kUnixTime, .token = "PXAT"},
              {.name = "persist", .type = ArgumentType::kPureToken, .token = "PERSIST"}}};
}

}  // namespace

void AddIncrexCommand(CommandTable& table) {
  table.Add(
      {.name = "increx",
       .summary =
           "Adds to a counter within bounds and sets its expiry, in one step. Replies the new "
           "value and the amount applied: 0 if it would have left the bounds.",
       .group = "string",
       .flags = kWrite | kDenyOom | kFast,
       .arguments =
           {{.name = "key", .type = ArgumentType::kKey},
            IncrementArgument(),
            {.name = "lowerbound", .token = "LBOUND", .optional = true},
            {.name = "upperbound", .token = "UBOUND", .optional = true},
            {.name = "saturate",
             .type = ArgumentType::kPureToken,
             .token = "SATURATE",
             .optional = true},
            ExpirationArgument(),
            {.name = "enx", .type = ArgumentType::kPureToken, .token = "ENX", .optional = true}},
       .errors = {kSyntaxError, kEnxAlone, kBoundsCrossed,
                  "ERR Increment is not an integer or out of range",
                  "ERR Increment is not a valid float",
                  "ERR invalid expire time in 'increx' command", kNotAnInteger, kOutOfRange,
                  kWrongType},
       .examples = {{"INCREX calls BYINT 3 UBOUND 5 EX 60 ENX", "1) \"3\"\n2) \"3\"",
                     "1) (integer) 3\n2) (integer) 3"},
                    {"INCREX calls BYINT 3 UBOUND 5", "1) \"3\"\n2) \"0\"",
                     "1) (integer) 3\n2) (integer) 0"},
                    {"INCREX calls BYINT 3 UBOUND 5 SATURATE", "1) \"5\"\n2) \"2\"",
                     "1) (integer) 5\n2) (integer) 2"}},
       .handler = Increx});
}

}  // namespace jeton::command
