// counter.* of Karma 1.0, and series.batch_add and series.batch_set: what reads and changes single
// keys. A missing series is an error to what reads and to what deletes; what counts creates it.
#include "command/karma_access.h"

namespace jeton::command {
namespace {

std::optional<std::string_view> Optional(std::string_view word) {
  return Given(word) ? std::optional(word) : std::nullopt;
}

// series key bucket value
void Increment(Context& ctx) {
  auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const auto bucket = BucketToChange(ctx, *place, Optional(ctx.args[3]));
  if (!bucket) return ctx.reply.Error(bucket.error());
  const auto amount = Decimal::Parse(ctx.args[4]);
  if (!amount) return ctx.reply.Error(amount.error());
  const auto added = AddToBucket(ctx, *place, ctx.args[2], *bucket, *amount);
  if (!added) {
    return ctx.reply.Error("ERR Counter overflow key=" + std::string(ctx.args[2].substr(0, 128)) +
                               " bucket=" + place->calendar->Format(*bucket),
                           ErrorKind::kRange);
  }
  ctx.reply.Decimal(*amount);
}

void Decrement(Context& ctx) {
  auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const auto bucket = BucketToChange(ctx, *place, Optional(ctx.args[3]));
  if (!bucket) return ctx.reply.Error(bucket.error());
  const auto amount = Decimal::Parse(ctx.args[4]);
  if (!amount) return ctx.reply.Error(amount.error());
  TreeToChange(ctx, *place);
  const auto taken = TakeFromBucket(ctx, *place, ctx.args[2], *bucket, *amount);
  if (!taken) return ctx.reply.Error(taken.error());
  ctx.reply.Decimal(*amount);
}

// series [key bucket value]...
Result<std::vector<TreeAdd>> ItemsOf(const Context& ctx, const TreePlace& place) {
  std::vector<TreeAdd> items;
  items.reserve((ctx.args.size() - 2) / 3);
  for (std::size_t i = 2; i + 2 < ctx.args.size(); i += 3) {
    const auto bucket = BucketToChange(ctx, place, ctx.args[i + 1]);
    if (!bucket) return bucket.error();
    const auto value = Decimal::Parse(ctx.args[i + 2]);
    if (!value) return value.error();
    items.push_back({.key = ctx.args[i], .bucket = *bucket, .delta = *value});
  }
  return items;
}

void BatchAdd(Context& ctx) {
  auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const auto items = ItemsOf(ctx, *place);
  if (!items) return ctx.reply.Error(items.error());
  Decimal total;
  for (const TreeAdd& item : *items) {
    const auto sum = Decimal::Add(total, item.delta);
    if (!sum) return ctx.reply.Error(kOutOfRange, ErrorKind::kRange);
    total = *sum;
  }
  if (const Status status = CheckAdds(*place, *items); !status) {
    return ctx.reply.Error(status.error());
  }
  AddAll(ctx, *place, *items, [](std::span<const engine::Unit::BucketAdd>) {});
  ctx.reply.Map(2);
  ctx.reply.Bulk("applied");
  ctx.reply.Integer(static_cast<std::int64_t>(items->size()));
  ctx.reply.Bulk("total");
  ctx.reply.Decimal(total);
}

void BatchSet(Context& ctx) {
  auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const auto items = ItemsOf(ctx, *place);
  if (!items) return ctx.reply.Error(items.error());
  engine::Tree& tree = TreeToChange(ctx, *place);
  for (const TreeAdd& item : *items) {
    if (!item.delta.IsZero()) {
      SetBucket(ctx, *place, item.key, item.bucket, item.delta);
    } else {
      ctx.unit.ClearBuckets(place->name, tree, tree.MakeKey(item.key), {item.bucket, item.bucket});
    }
  }
  ctx.reply.Map(1);
  ctx.reply.Bulk("applied");
  ctx.reply.Integer(static_cast<std::int64_t>(items->size()));
}

// series key [from to]
void Sum(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  const auto range = RangeAt(ctx, *place, 3);
  if (!range) return ctx.reply.Error(range.error());
  ctx.reply.Decimal(SumOf(*place, ctx.args[2], *range));
}

// series [from to] key...
void BatchSum(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  const auto range = RangeAt(ctx, *place, 2);
  if (!range) return ctx.reply.Error(range.error());
  const auto keys = ctx.args.subspan(4);
  std::vector<Decimal> sums;
  SumEach(*place, keys, *range, sums);
  ctx.reply.Array(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ctx.reply.Map(2);
    ctx.reply.Bulk("key");
    ReplyKey(ctx.reply, keys[i]);
    ctx.reply.Bulk("value");
    ctx.reply.Decimal(sums[i]);
  }
}

// [from to] (series key)...
void MultiSum(Context& ctx) {
  const std::size_t count = (ctx.args.size() - 3) / 2;
  std::vector<Decimal> sums;
  sums.reserve(count);
  for (std::size_t i = 3; i + 1 < ctx.args.size(); i += 2) {
    const auto place = FindSeries(ctx, ctx.args[i]);
    if (!place) return ctx.reply.Error(place.error());
    const auto range = RangeAt(ctx, *place, 1);
    if (!range) return ctx.reply.Error(range.error());
    sums.push_back(SumOf(*place, ctx.args[i + 1], *range));
  }
  ctx.reply.Array(count);
  for (std::size_t i = 0; i < count; ++i) {
    ctx.reply.Map(3);
    ctx.reply.Bulk("series");
    ctx.reply.Bulk(ctx.args[3 + 2 * i]);
    ctx.reply.Bulk("key");
    ReplyKey(ctx.reply, ctx.args[4 + 2 * i]);
    ctx.reply.Bulk("value");
    ctx.reply.Decimal(sums[i]);
  }
}

void Points(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  const auto range = RangeAt(ctx, *place, 3);
  if (!range) return ctx.reply.Error(range.error());
  ReplyBuckets(ctx, *place, ctx.args[2], *range, Zeros::kLeaveOut);
}

void Reset(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  ctx.unit.ResetKey(place->name, *place->tree, place->tree->MakeKey(ctx.args[2]));
  ctx.reply.Ok();
}

void ReplyCounts(Context& ctx, std::string_view done, std::int64_t count, std::int64_t missing) {
  ctx.reply.Map(2);
  ctx.reply.Bulk(done);
  ctx.reply.Integer(count);
  ctx.reply.Bulk("missing");
  ctx.reply.Integer(missing);
}

// series key...
void BatchReset(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  const auto keys = ctx.args.subspan(2);
  std::int64_t reset = 0;
  for (const std::string_view key : keys) {
    reset += ctx.unit.ResetKey(place->name, *place->tree, place->tree->MakeKey(key)) ? 1 : 0;
  }
  ReplyCounts(ctx, "reset", reset, static_cast<std::int64_t>(keys.size()) - reset);
}

void DeleteRange(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  const auto range = RangeAt(ctx, *place, 3);
  if (!range) return ctx.reply.Error(range.error());
  ctx.unit.ClearBuckets(place->name, *place->tree, place->tree->MakeKey(ctx.args[2]), *range);
  ctx.reply.Bool(true);
}

// series [from to] key...: a key without buckets is missing; one that has none in the range is
// neither deleted nor missing.
void BatchDeleteRange(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  const auto range = RangeAt(ctx, *place, 2);
  if (!range) return ctx.reply.Error(range.error());
  std::int64_t deleted = 0;
  std::int64_t missing = 0;
  for (const std::string_view text : ctx.args.subspan(4)) {
    const engine::TreeKey key = place->tree->MakeKey(text);
    if (!place->tree->Has(key)) {
      ++missing;
    } else if (ctx.unit.ClearBuckets(place->name, *place->tree, key, *range) > 0) {
      ++deleted;
    }
  }
  ReplyCounts(ctx, "deleted", deleted, missing);
}

// ---- the table

struct Operation {
  std::string_view name;
  std::vector<std::string_view> aliases;
  std::string_view summary;
  std::uint32_t flags;
  std::vector<Argument> arguments;
  Handler handler;
};

void Add(CommandTable& table, Operation operation) {
  constexpr std::size_t kPrefix = std::string_view("karma.").size();
  table.Add({.name = operation.name,
             .json_op = operation.name.substr(kPrefix),
             .json_aliases = std::move(operation.aliases),
             .summary = operation.summary,
             .group = "karma 1.0",
             .flags = operation.flags | kJsonOnly,
             .arguments = std::move(operation.arguments),
             .handler = operation.handler});
}

Argument BucketArgument() {
  return {.name = "bucket", .optional = true, .json = JsonForm::kBucket};
}

Argument ValueArgument() {
  return {.name = "value", .optional = true, .json = JsonForm::kValue, .json_default = "1"};
}

Argument Many(std::string_view name, JsonForm form) {
  return {.name = name, .multiple = true, .json = form};
}

Argument ItemsArgument(JsonForm form) {
  return {.name = "items",
          .type = ArgumentType::kBlock,
          .multiple = true,
          .arguments = {{.name = "key"}, {.name = "bucket"}, {.name = "value"}},
          .json = form};
}

Argument SeriesKeysArgument() {
  return {.name = "items",
          .type = ArgumentType::kBlock,
          .multiple = true,
          .arguments = {{.name = "series", .type = ArgumentType::kKey}, {.name = "key"}},
          .json = JsonForm::kSeriesKeys};
}

}  // namespace

void AddKarmaCounterCommands(CommandTable& table) {
  constexpr std::uint32_t kCount = kWrite | kDenyOom | kFast;
  Add(table, {"karma.counter.increment",
              {"series.increment"},
              "Adds to a bucket of a key, today's by default, and says how much.",
              kCount,
              {KarmaSeriesArgument(), KarmaKeyArgument(), BucketArgument(), ValueArgument()},
              Increment});
  Add(table, {"karma.counter.decrement",
              {"series.decrement"},
              "Takes from a bucket of a key, but not below 0, and says how much was asked for.",
              kWrite | kFast,
              {KarmaSeriesArgument(), KarmaKeyArgument(), BucketArgument(), ValueArgument()},
              Decrement});
  Add(table, {"karma.series.batch_add",
              {"counter.batch_increment"},
              "Adds to many buckets: all or nothing.",
              kWrite | kDenyOom,
              {KarmaSeriesArgument(), ItemsArgument(JsonForm::kAdds)},
              BatchAdd});
  Add(table, {"karma.series.batch_set",
              {},
              "Sets many buckets; 0 deletes one.",
              kWrite | kDenyOom,
              {KarmaSeriesArgument(), ItemsArgument(JsonForm::kSets)},
              BatchSet});
  Add(table, {"karma.counter.sum",
              {"series.sum"},
              "The sum of a key.",
              kReadOnly | kFast,
              {KarmaSeriesArgument(), KarmaKeyArgument(), KarmaRangeArgument(true)},
              Sum});
  Add(table, {"karma.counter.batch_sum",
              {"series.batch_sum"},
              "The sums of many keys, in order.",
              kReadOnly,
              {KarmaSeriesArgument(), KarmaRangeArgument(true), Many("keys", JsonForm::kKeys)},
              BatchSum});
  Add(table, {"karma.counter.multi_sum",
              {},
              "The sums of keys of many series, in order.",
              kReadOnly,
              {KarmaRangeArgument(true), SeriesKeysArgument()},
              MultiSum});
  Add(table, {"karma.counter.series",
              {"series.points"},
              "The buckets of a key in a range, but for those that are 0.",
              kReadOnly,
              {KarmaSeriesArgument(), KarmaKeyArgument(), KarmaRangeArgument(false)},
              Points});
  Add(table, {"karma.counter.reset",
              {},
              "Clears a key.",
              kWrite,
              {KarmaSeriesArgument(), KarmaKeyArgument()},
              Reset});
  Add(table, {"karma.counter.batch_reset",
              {},
              "Clears many keys.",
              kWrite,
              {KarmaSeriesArgument(), Many("keys", JsonForm::kKeys)},
              BatchReset});
  Add(table, {"karma.counter.delete_range",
              {},
              "Clears the buckets of a range in a key.",
              kWrite,
              {KarmaSeriesArgument(), KarmaKeyArgument(), KarmaRangeArgument(false)},
              DeleteRange});
  Add(table, {"karma.counter.batch_delete_range",
              {},
              "Clears the buckets of a range in many keys.",
              kWrite,
              {KarmaSeriesArgument(), KarmaRangeArgument(false), Many("keys", JsonForm::kKeys)},
              BatchDeleteRange});
}

}  // namespace jeton::command
