// Karma 0.1, version 1 of its protocol: {"command":"increment","tree_name":"a","key":1}.
//
// Replies are those of release 0.1, byte for byte; its defects stay out: reads create nothing,
// totals follow `delete`, a missing field gets a sentence. A tree that does not exist reads as an
// empty one. Trees come in the order of their names and days in theirs, where release 0.1 had the
// order of insertion. Dumps are in karma_dumps.cc.
#include <algorithm>

#include "command/karma_access.h"

namespace jeton::command {
namespace {

void Ping(Context& ctx) {
  ctx.reply.Bulk("pong");
}

void Trees(Context& ctx) {
  std::vector<std::string> names = ctx.keyspace.TreeNames(ctx.now.wall_ms);
  std::sort(names.begin(), names.end());
  ctx.reply.Array(names.size());
  for (const std::string& name : names) ctx.reply.Bulk(name);
}

void Create(Context& ctx) {
  auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  TreeToChange(ctx, *place);
  ctx.reply.Ok();
}

void Drop(Context& ctx) {
  const auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  if (!*place) {
    return ctx.reply.Error("ERR Tree \"" + std::string(ctx.args[1]) + "\" not exists",
                           ErrorKind::kNotFound);
  }
  ctx.unit.Drop(place->name);
  ctx.reply.Ok();
}

void Increment(Context& ctx) {
  auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const auto bucket = BucketToChange(ctx, *place, std::nullopt);
  if (!bucket) return ctx.reply.Error(bucket.error());
  const auto added = AddToBucket(ctx, *place, ctx.args[2], *bucket, 1);
  if (!added) return ctx.reply.Error(added.error());
  ctx.reply.Integer(1);
}

void Decrement(Context& ctx) {
  auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const auto bucket = BucketToChange(ctx, *place, std::nullopt);
  if (!bucket) return ctx.reply.Error(bucket.error());
  TreeToChange(ctx, *place);
  const auto taken = TakeFromBucket(ctx, *place, ctx.args[2], *bucket, 1);
  if (!taken) return ctx.reply.Error(taken.error());
  ctx.reply.Integer(1);
}

void Sum(Context& ctx) {
  const auto place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const auto range = DaysAt(ctx, *place, 3);
  if (!range) return ctx.reply.Error(range.error());
  ctx.reply.Decimal(SumOf(*place, ctx.args[2], *range));
}

void Find(Context& ctx) {
  const auto place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const auto range = DaysAt(ctx, *place, 3);
  if (!range) return ctx.reply.Error(range.error());
  if (!*place) return ctx.reply.Map(0);
  if (Given(ctx.args[2])) return ReplyBuckets(ctx, *place, ctx.args[2], *range, Zeros::kShow);
  StartQuery(ctx, std::make_unique<FindAll>(*place->tree, *place->calendar, *range, Zeros::kShow));
}

void Delete(Context& ctx) {
  const auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const auto range = DaysAt(ctx, *place, 3);
  if (!range) return ctx.reply.Error(range.error());
  if (!*place) return ctx.reply.Bool(true);
  if (Given(ctx.args[2])) {
    ctx.unit.ClearBuckets(place->name, *place->tree, place->tree->MakeKey(ctx.args[2]), *range);
    return ctx.reply.Bool(true);
  }
  StartQuery(ctx, std::make_unique<KarmaClear>(*place->tree, *range, KarmaClear::Says::kTrue));
}

void Reset(Context& ctx) {
  const auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  if (*place && Given(ctx.args[2])) {
    ctx.unit.ResetKey(place->name, *place->tree, place->tree->MakeKey(ctx.args[2]));
  } else if (*place) {
    ctx.unit.ResetTree(place->name, *place->tree);
  }
  ctx.reply.Ok();
}

Argument TreeArgument() {
  return {.name = "tree_name", .type = ArgumentType::kKey, .json = JsonForm::kTree};
}

Argument AnyKeyArgument() {
  Argument argument = KarmaKeyArgument();
  argument.optional = true;
  return argument;
}

Argument FromToArgument(bool optional) {
  return {.name = "time_from, time_to",
          .type = ArgumentType::kBlock,
          .optional = optional,
          .arguments = {{.name = "time_from"}, {.name = "time_to"}},
          .json = JsonForm::kFromTo};
}

void Add(CommandTable& table, std::string_view name, std::string_view command,
         std::string_view summary, std::uint32_t flags, std::vector<Argument> arguments,
         Handler handler) {
  table.Add({.name = name,
             .json_op = command,
             .json_version = 1,
             .summary = summary,
             .group = "karma 0.1",
             .flags = flags | kJsonOnly,
             .arguments = std::move(arguments),
             .handler = handler});
}

}  // namespace

void AddKarmaV1Commands(CommandTable& table) {
  Add(table, "karma.v1.ping", "ping", "Says \"pong\".", kFast, {}, Ping);
  Add(table, "karma.v1.trees", "trees", "The names of all trees.", kReadOnly, {}, Trees);
  Add(table, "karma.v1.create", "create", "Makes a tree of days; nothing if it is there.",
      kWrite | kDenyOom | kFast, {TreeArgument()}, Create);
  Add(table, "karma.v1.drop", "drop", "Drops a tree.", kWrite, {TreeArgument()}, Drop);
  Add(table, "karma.v1.increment", "increment", "Adds 1 to today's bucket of a key and says 1.",
      kWrite | kDenyOom | kFast, {TreeArgument(), KarmaKeyArgument()}, Increment);
  Add(table, "karma.v1.decrement", "decrement",
      "Takes 1 from today's bucket of a key, but not below 0, and says 1.", kWrite | kFast,
      {TreeArgument(), KarmaKeyArgument()}, Decrement);
  Add(table, "karma.v1.sum", "sum", "The sum of a key, of all days or of a range.",
      kReadOnly | kFast, {TreeArgument(), KarmaKeyArgument(), FromToArgument(true)}, Sum);
  Add(table, "karma.v1.find", "find", "The days of a range of one key, or of every key.", kReadOnly,
      {TreeArgument(), AnyKeyArgument(), FromToArgument(false)}, Find);
  Add(table, "karma.v1.delete", "delete", "Clears the days of a range in one key, or in every key.",
      kWrite, {TreeArgument(), AnyKeyArgument(), FromToArgument(false)}, Delete);
  Add(table, "karma.v1.reset", "reset", "Clears a key, or a whole tree.", kWrite,
      {TreeArgument(), AnyKeyArgument()}, Reset);
}

}  // namespace jeton::command
