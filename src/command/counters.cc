// INCR INCRBY INCRBYFLOAT DECR DECRBY MINCRBY PRECISION (INCREX is in increx.cc).
//
// In the redis dialect the integer commands keep to Redis' integers; in the discnt dialect every
// number within the range will do.
#include "base/text.h"
#include "command/counter_access.h"
#include "command/increx.h"

namespace jeton::command {

namespace {

using engine::Entry;
using engine::Key;

enum class Numbers : std::uint8_t { kIntegers, kDecimals };

// Adds to a counter and returns its new value; nothing changed on an error.
Result<Decimal> Add(Context& ctx, const Key& key, const Decimal& delta, Numbers numbers) {
  const std::optional<Entry> entry = Find(ctx, key);
  if (entry && entry->kind == engine::Kind::kTree) {
    return Error{ErrorKind::kWrongType, std::string(kWrongType)};
  }
  const Decimal old = entry ? entry->value : Decimal();
  if (numbers == Numbers::kIntegers && !old.IsInt64()) {
    return Error{ErrorKind::kInvalid, std::string(kNotAnInteger)};
  }
  const std::optional<Decimal> sum = Decimal::Add(old, delta);
  if (numbers == Numbers::kIntegers && !(sum && sum->IsInt64())) {
    return Error{ErrorKind::kRange, std::string(kWouldOverflow)};
  }
  if (!sum) return Error{ErrorKind::kRange, std::string(kOutOfRange)};
  StoreSum(ctx, key, entry, *sum);
  return *sum;
}

// What nearly every request of a counting program is: no allocation, one look-up.
void AddInteger(Context& ctx, std::int64_t delta) {
  const Key key = ctx.Key(1);
  std::int64_t sum = 0;
  if (const auto place = ctx.keyspace.FindInteger(key, ctx.now.wall_ms)) {
    if (!__builtin_add_overflow(*place, delta, &sum)) [[likely]] {
      ctx.unit.PutInteger(key, place, sum, delta);
      ReplyCounter(ctx, sum);
      return;
    }
  }
  const Result<Decimal> value =
      Add(ctx, key, delta, ctx.redis() ? Numbers::kIntegers : Numbers::kDecimals);
  if (!value) return ctx.reply.Error(value.error());
  ReplyCounter(ctx, *value);
}

void AddDecimal(Context& ctx, const Decimal& delta) {
  if (delta.IsInt64()) return AddInteger(ctx, delta.Int64());
  const Result<Decimal> value = Add(ctx, ctx.Key(1), delta, Numbers::kDecimals);
  if (!value) return ctx.reply.Error(value.error());
  ReplyCounter(ctx, *value);
}

void Incr(Context& ctx) {
  AddInteger(ctx, 1);
}

void Decr(Context& ctx) {
  // Discnt's own DECR wanted a third word and ignored it; its clients still send one.
  const std::size_t most = ctx.redis() ? 2 : 3;
  if (ctx.args.size() > most) return ctx.reply.Error(WrongArguments(ctx.command.name));
  AddInteger(ctx, -1);
}

void IncrBy(Context& ctx) {
  if (ctx.redis()) {
    const Result<std::int64_t> delta = ParseInteger(ctx.args[2]);
    if (!delta) return ctx.reply.Error(delta.error());
    return AddInteger(ctx, *delta);
  }
  const Result<Decimal> delta = Decimal::Parse(ctx.args[2]);
  if (!delta) return ctx.reply.Error(delta.error());
  AddDecimal(ctx, *delta);
}

void DecrBy(Context& ctx) {
  if (ctx.redis()) {
    const Result<std::int64_t> delta = ParseInteger(ctx.args[2]);
    if (!delta) return ctx.reply.Error(delta.error());
    if (*delta == std::numeric_limits<std::int64_t>::min()) {
      return ctx.reply.Error("ERR decrement would overflow", ErrorKind::kRange);
    }
    return AddInteger(ctx, -*delta);
  }
  const Result<Decimal> delta = Decimal::Parse(ctx.args[2]);
  if (!delta) return ctx.reply.Error(delta.error());
  AddDecimal(ctx, -*delta);
}

void IncrByFloat(Context& ctx) {
  const Result<Decimal> delta = Decimal::Parse(ctx.args[2]);
  if (!delta) return ctx.reply.Error(delta.error());
  const Result<Decimal> value = Add(ctx, ctx.Key(1), *delta, Numbers::kDecimals);
  if (!value) return ctx.reply.Error(value.error());
  ctx.reply.DecimalBulk(*value);
}

// Each counter on its own, as in Discnt: one that cannot be changed gets an error in its place.
void MIncrBy(Context& ctx) {
  const Result<Decimal> delta = Decimal::Parse(ctx.args[1]);
  if (!delta) return ctx.reply.Error(delta.error());
  ctx.reply.Array(ctx.args.size() - 2);
  for (std::size_t i = 2; i < ctx.args.size(); ++i) {
    const Result<Decimal> value = Add(ctx, ctx.Key(i), *delta, Numbers::kDecimals);
    if (value) {
      ReplyCounter(ctx, *value);
    } else {
      ctx.reply.Error(value.error());
    }
  }
}

// PRECISION of a counter without a value makes the counter, with the value 0, so that the setting
// has something to live on; it stays until it is deleted.
void SetPrecision(Context& ctx, const Key& key, const std::optional<Entry>& entry) {
  const Result<Decimal> precision = Decimal::Parse(ctx.args[2]);
  if (!precision) return ctx.reply.Error(precision.error());
  if (precision->IsNegative()) {
    return ctx.reply.Error("ERR precision must be 0 (exact) or more", ErrorKind::kRange);
  }
  if (!entry) StoreSum(ctx, key, entry, 0);
  ctx.unit.SetPrecision(key, *precision);
  ctx.reply.DecimalBulk(*precision);
}

void Precision(Context& ctx) {
  if (ctx.args.size() > 3) return ctx.reply.Error(WrongArguments(ctx.command.name));
  const Key key = ctx.Key(1);
  const std::optional<Entry> entry = Find(ctx, key);
  if (RefuseTree(ctx, entry)) return;
  if (ctx.args.size() == 3) return SetPrecision(ctx, key, entry);
  const Decimal fallback = ctx.server.settings.values().default_precision;
  ctx.reply.DecimalBulk(entry ? entry->precision.value_or(fallback) : fallback);
}

constexpr std::uint32_t kChange = kWrite | kDenyOom | kFast;

void AddIncrements(CommandTable& table) {
  const Argument key{.name = "key", .type = ArgumentType::kKey};
  table.Add({.name = "incr",
             .summary = "Adds 1 to a counter; one that does not exist counts as 0.",
             .group = "string",
             .flags = kChange,
             .arguments = {key},
             .errors = {kNotAnInteger, kWouldOverflow, kOutOfRange, kWrongType},
             .examples = {{"INCR visits", "\"1\"", "(integer) 1"},
                          {"INCR visits", "\"2\"", "(integer) 2"}},
             .handler = Incr,
             .hot = HotForm::kIncr});
  table.Add({.name = "incrby",
             .summary = "Adds a number to a counter. Fractions only in the discnt dialect.",
             .group = "string",
             .flags = kChange,
             .arguments = {key, {.name = "increment", .type = ArgumentType::kInteger}},
             .errors = {kNotAnInteger, kNotAFloat, kWouldOverflow, kOutOfRange, kWrongType},
             .examples = {{"INCRBY sold 5", "\"5\"", "(integer) 5"},
                          {"INCRBY sold 0.5", "\"5.5\"",
                           "(error) ERR value is not an integer or out of range"}},
             .handler = IncrBy,
             .hot = HotForm::kIncrBy});
  table.Add(
      {.name = "incrbyfloat",
       .summary = "Adds a decimal number to a counter, exactly: up to 17 digits after the "
                  "point.",
       .group = "string",
       .flags = kChange,
       .arguments = {key, {.name = "increment", .type = ArgumentType::kDouble}},
       .errors = {kNotAFloat, kOutOfRange, kWrongType},
       .examples = {{"INCRBYFLOAT litres 0.1", "\"0.1\""}, {"INCRBYFLOAT litres 0.2", "\"0.3\""}},
       .handler = IncrByFloat});
}

void AddDecrements(CommandTable& table) {
  const Argument key{.name = "key", .type = ArgumentType::kKey};
  table.Add({.name = "decr",
             .summary = "Subtracts 1 from a counter. A second word is ignored in the discnt "
                        "dialect.",
             .group = "string",
             .flags = kChange,
             .arguments = {key, {.name = "ignored", .optional = true}},
             .errors = {kNotAnInteger, kWouldOverflow, kOutOfRange, kWrongType},
             .examples = {{"DECR stock", "\"-1\"", "(integer) -1"}},
             .handler = Decr,
             .hot = HotForm::kDecr});
  table.Add({.name = "decrby",
             .summary = "Subtracts a number from a counter. Fractions only in the discnt dialect.",
             .group = "string",
             .flags = kChange,
             .arguments = {key, {.name = "decrement", .type = ArgumentType::kInteger}},
             .errors = {kNotAnInteger, kNotAFloat, kWouldOverflow, kOutOfRange, kWrongType},
             .examples = {{"DECRBY stock 3", "\"-3\"", "(integer) -3"}},
             .handler = DecrBy,
             .hot = HotForm::kDecrBy});
}

void AddDiscntCounters(CommandTable& table) {
  const Argument key{.name = "key", .type = ArgumentType::kKey};
  table.Add({.name = "mincrby",
             .summary = "Adds one number to several counters and replies their values in order; a "
                        "counter that cannot be changed gets an error in its place.",
             .group = "counter",
             .complexity = "O(N) where N is the number of counters",
             .flags = kWrite | kDenyOom,
             .arguments = {{.name = "increment", .type = ArgumentType::kDouble},
                           {.name = "key", .type = ArgumentType::kKey, .multiple = true}},
             .errors = {kNotAFloat, kOutOfRange, kWrongType},
             .examples = {{"MINCRBY 2 clicks views", "1) \"2\"\n2) \"2\"",
                           "1) (integer) 2\n2) (integer) 2"}},
             .handler = MIncrBy});
  table.Add(
      {.name = "precision",
       .summary = "Shows or sets how far a counter may be off before other nodes are told; 0 "
                  "is exact. It makes the counter if there is none.",
       .group = "counter",
       .flags = kChange,
       .arguments = {key, {.name = "precision", .type = ArgumentType::kDouble, .optional = true}},
       .errors = {kNotAFloat, kOutOfRange, "ERR precision must be 0 (exact) or more", kWrongType},
       .examples = {{"PRECISION visits", "\"0\""}, {"PRECISION visits 2.2", "\"2.2\""}},
       .handler = Precision});
}

}  // namespace

void AddCounterCommands(CommandTable& table) {
  AddIncrements(table);
  AddDecrements(table);
  AddDiscntCounters(table);
  AddIncrexCommand(table);
}

}  // namespace jeton::command
