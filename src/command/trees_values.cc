// TREE.INCRBY TREE.DECRBY TREE.MINCRBY TREE.SET TREE.GET TREE.SUM TREE.MSUM TREE.RANGE: the values
// of one key, or of some that are named.
#include "base/text.h"
#include "command/tree_access.h"
#include "command/trees.h"

namespace jeton::command {

namespace {

constexpr std::array<std::string_view, 1> kAtWord = {"AT"};
constexpr std::string_view kOlder = "ERR bucket 20230701 is older than the tree keeps";
constexpr std::string_view kWrongWidth = "ERR bucket \"202307\" is too wide for buckets of a day";
constexpr std::string_view kTooNarrow =
    "ERR bucket \"2023070113\" is too narrow for buckets of a day";

// TREE.INCRBY and TREE.DECRBY: tree key amount [AT bucket].
struct OneChange {
  TreePlace place;
  Bucket bucket = 0;
  Decimal amount;
};

Result<OneChange> ParseOneChange(Context& ctx) {
  TreeOptions options;
  if (!ParseTreeOptions(ctx.args.subspan(4), kAtWord, options)) {
    return Error{ErrorKind::kInvalid, std::string(kSyntaxError)};
  }
  const Result<Decimal> amount = Decimal::Parse(ctx.args[3]);
  if (!amount) return amount.error();
  const Result<TreePlace> place = FindTree(ctx, ctx.Key(1));
  if (!place) return place.error();
  const Result<Bucket> bucket = BucketToChange(ctx, *place, options.at);
  if (!bucket) return bucket.error();
  return OneChange{.place = *place, .bucket = *bucket, .amount = *amount};
}

void ReplyValue(Context& ctx, const Result<Decimal>& value) {
  if (!value) return ctx.reply.Error(value.error());
  ctx.reply.Decimal(*value);
}

void IncrBy(Context& ctx) {
  Result<OneChange> change = ParseOneChange(ctx);
  if (!change) return ctx.reply.Error(change.error());
  ReplyValue(ctx, AddToBucket(ctx, change->place, ctx.args[2], change->bucket, change->amount));
}

void DecrBy(Context& ctx) {
  Result<OneChange> change = ParseOneChange(ctx);
  if (!change) return ctx.reply.Error(change.error());
  ReplyValue(ctx, TakeFromBucket(ctx, change->place, ctx.args[2], change->bucket, change->amount));
}

Status ParseAdds(std::span<const std::string_view> words, Bucket bucket,
                 std::vector<TreeAdd>& adds) {
  adds.reserve(words.size() / 2);
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const Result<Decimal> delta = Decimal::Parse(words[i + 1]);
    if (!delta) return delta.error();
    // In place, and an integer made anew: a copy reads as one what was just written in parts, and
    // waits for it.
    TreeAdd& add = adds.emplace_back();
    add.key = words[i];
    add.bucket = bucket;
    if (delta->IsInt64()) [[likely]]
      add.delta = delta->Int64();
    else
      add.delta = *delta;
  }
  return {};
}

void MIncrBy(Context& ctx) {
  std::span<const std::string_view> words = ctx.args.subspan(2);
  std::optional<std::string_view> at;
  if (EqualsIgnoreCase(words[0], "AT")) {
    at = words[1];
    words = words.subspan(2);
  }
  if (words.empty() || words.size() % 2 != 0) {
    return ctx.reply.Error(WrongArguments(ctx.command.name));
  }
  Result<TreePlace> place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const Result<Bucket> bucket = BucketToChange(ctx, *place, at);
  if (!bucket) return ctx.reply.Error(bucket.error());
  std::vector<TreeAdd> adds;
  if (const Status status = ParseAdds(words, *bucket, adds); !status) {
    return ctx.reply.Error(status.error());
  }
  if (const Status status = CheckAdds(*place, adds); !status) {
    return ctx.reply.Error(status.error());
  }
  ctx.reply.Array(adds.size());
  AddAll(ctx, *place, adds, [&](std::span<const engine::Unit::BucketAdd> made) {
    for (const engine::Unit::BucketAdd& add : made) ctx.reply.Decimal(add.value);
  });
}

void Set(Context& ctx) {
  const Result<Decimal> value = Decimal::Parse(ctx.args[4]);
  if (!value) return ctx.reply.Error(value.error());
  Result<TreePlace> place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const Result<Bucket> bucket = BucketToChange(ctx, *place, ctx.args[3]);
  if (!bucket) return ctx.reply.Error(bucket.error());
  SetBucket(ctx, *place, ctx.args[2], *bucket, *value);
  ctx.reply.Ok();
}

void Get(Context& ctx) {
  TreeOptions options;
  if (!ParseTreeOptions(ctx.args.subspan(3), kAtWord, options)) {
    return ctx.reply.Error(kSyntaxError);
  }
  const Result<TreePlace> place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const Result<Bucket> bucket = ParseBucket(ctx, *place, options.at);
  if (!bucket) return ctx.reply.Error(bucket.error());
  ctx.reply.Decimal(ValueOf(*place, ctx.args[2], *bucket));
}

void Sum(Context& ctx) {
  TreeOptions options;
  if (!ParseTreeOptions(ctx.args.subspan(3), kRangeWords, options)) {
    return ctx.reply.Error(kSyntaxError);
  }
  const Result<TreePlace> place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const Result<BucketRange> range = ParseRange(*place, options.from, options.to);
  if (!range) return ctx.reply.Error(range.error());
  ctx.reply.Decimal(SumOf(*place, ctx.args[2], *range));
}

void MSum(Context& ctx) {
  TreeOptions options;
  std::span<const std::string_view> words = ctx.args.subspan(2);
  if (!TakeTreeOptions(words, kRangeWords, options)) return ctx.reply.Error(kSyntaxError);
  if (words.size() < 2 || !EqualsIgnoreCase(words[0], "KEYS")) {
    return ctx.reply.Error(kSyntaxError);
  }
  words = words.subspan(1);
  const Result<TreePlace> place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const Result<BucketRange> range = ParseRange(*place, options.from, options.to);
  if (!range) return ctx.reply.Error(range.error());
  ctx.reply.Array(words.size());
  ReplySums(ctx, *place, words, *range);
}

void Range(Context& ctx) {
  TreeOptions options;
  if (!ParseTreeOptions(ctx.args.subspan(3), kRangeWords, options)) {
    return ctx.reply.Error(kSyntaxError);
  }
  const Result<TreePlace> place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const Result<BucketRange> range = ParseRange(*place, options.from, options.to);
  if (!range) return ctx.reply.Error(range.error());
  const auto key = *place ? place->tree->Find(place->tree->MakeKey(ctx.args[2])) : std::nullopt;
  if (!key) return ctx.reply.Map(0);
  const std::size_t map = ctx.reply.DeferMap();
  std::size_t pairs = 0;
  key->ForEach(*range, [&](Bucket bucket, const Decimal& value) {
    if (value.IsZero()) return;
    ctx.reply.Bulk(place->calendar->Format(bucket));
    ctx.reply.Decimal(value);
    ++pairs;
  });
  ctx.reply.SetDeferred(map, pairs);
}

constexpr std::string_view kGroup = "tree";
constexpr std::uint32_t kChange = kWrite | kDenyOom | kFast;
constexpr Example kTwoDays[] = {{"TREE.SET articles 12345 20230701 2", "OK"},
                                {"TREE.SET articles 12345 20230702 5", "OK"}};

void AddChanges(CommandTable& table) {
  const Argument amount{.name = "value", .type = ArgumentType::kDouble};
  table.Add({.name = "tree.incrby",
             .summary =
                 "Adds to a key's bucket, today's if none is named, and replies the bucket's "
                 "new value. Makes the tree (days in UTC) and the key.",
             .group = kGroup,
             .complexity = "O(log N) where N is the number of the key's buckets",
             .flags = kChange,
             .arguments = {TreeNameArgument(), TreeKeyArgument(), amount, AtOption()},
             .errors = {kNotAFloat, kOutOfRange, kWrongWidth, kOlder, kSyntaxError, kWrongType},
             .examples = {{"TREE.INCRBY articles 12345 1", "(integer) 1"},
                          {"TREE.INCRBY articles 12345 0.5", "\"1.5\""},
                          {"TREE.INCRBY articles 12345 3 AT 20230701", "(integer) 3"}},
             .handler = IncrBy});
  table.Add({.name = "tree.decrby",
             .summary = "Takes away from a key's bucket, but never below 0, and replies the "
                        "bucket's new value. Makes nothing.",
             .group = kGroup,
             .complexity = "O(log N) where N is the number of the key's buckets",
             .flags = kChange,
             .arguments = {TreeNameArgument(), TreeKeyArgument(), amount, AtOption()},
             .errors = {kNotAFloat, kOutOfRange, kWrongWidth, kOlder, kSyntaxError, kWrongType},
             .examples = {{"TREE.INCRBY articles 12345 3", "(integer) 3"},
                          {"TREE.DECRBY articles 12345 2", "(integer) 1"},
                          {"TREE.DECRBY articles 12345 2", "(integer) 0"}},
             .handler = DecrBy});
  table.Add({.name = "tree.mincrby",
             .summary =
                 "Adds to one bucket of several keys and replies the new values, in order. All or "
                 "nothing. AT as the third word is the option, never a key.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of keys",
             .flags = kWrite | kDenyOom,
             .arguments = {TreeNameArgument(),
                           AtOption(),
                           {.name = "items",
                            .type = ArgumentType::kBlock,
                            .multiple = true,
                            .arguments = {TreeKeyArgument(), amount}}},
             .errors = {kNotAFloat, kOutOfRange, kWrongWidth, kOlder, kWrongType},
             .examples = {{"TREE.MINCRBY articles 1 10 2 20", "1) (integer) 10\n2) (integer) 20"},
                          {"TREE.MINCRBY articles AT 20230701 1 5", "1) (integer) 5"}},
             .handler = MIncrBy});
  table.Add({.name = "tree.set",
             .summary = "Sets a key's bucket to a value.",
             .group = kGroup,
             .complexity = "O(log N) where N is the number of the key's buckets",
             .flags = kChange,
             .arguments = {TreeNameArgument(), TreeKeyArgument(), {.name = "bucket"}, amount},
             .errors = {kNotAFloat, kOutOfRange, kWrongWidth, kOlder, kWrongType},
             .examples = {{"TREE.SET articles 12345 20230701 7", "OK"},
                          {"TREE.GET articles 12345 AT 20230701", "(integer) 7"}},
             .handler = Set});
}

void AddReads(CommandTable& table) {
  const auto [first, second] = std::pair(kTwoDays[0], kTwoDays[1]);
  table.Add(
      {.name = "tree.get",
       .summary = "A key's value in one bucket, today's if none is named; 0 if there is none.",
       .group = kGroup,
       .complexity = "O(log N) where N is the number of the key's buckets",
       .flags = kReadOnly | kFast,
       .arguments = {TreeNameArgument(), TreeKeyArgument(), AtOption()},
       .errors = {kWrongWidth, kSyntaxError, kWrongType},
       .examples = {first,
                    {"TREE.GET articles 12345 AT 2023-07-01", "(integer) 2"},
                    {"TREE.GET articles 12345", "(integer) 0"}},
       .handler = Get});
  table.Add({.name = "tree.sum",
             .summary = "The sum of a key's buckets, of all or of those from FROM to TO, both "
                        "included; 0 if there is none.",
             .group = kGroup,
             .complexity = "O(log N + M) where N is the number of the key's buckets and M of those "
                           "in the range",
             .flags = kReadOnly | kFast,
             .arguments = {TreeNameArgument(), TreeKeyArgument(), FromOption(), ToOption()},
             .errors = {kTooNarrow, kSyntaxError, kWrongType},
             .examples = {first,
                          second,
                          {"TREE.SUM articles 12345", "(integer) 7"},
                          {"TREE.SUM articles 12345 FROM 20230702", "(integer) 5"},
                          {"TREE.SUM articles 12345 FROM 202307 TO 202307", "(integer) 7"}},
             .handler = Sum});
  table.Add(
      {.name = "tree.msum",
       .summary = "The sums of several keys, in order; 0 for one that is not there.",
       .group = kGroup,
       .complexity = "O(N) where N is the number of keys, for few buckets of each in the range",
       .flags = kReadOnly,
       .arguments = {TreeNameArgument(),
                     FromOption(),
                     ToOption(),
                     {.name = "keys", .token = "KEYS", .multiple = true}},
       .errors = {kTooNarrow, kSyntaxError, kWrongType},
       .examples = {first,
                    {"TREE.MSUM articles FROM 2023 KEYS 12345 1",
                     "1) (integer) 2\n2) (integer) 0"}},
       .handler = MSum});
  table.Add(
      {.name = "tree.range",
       .summary = "A key's buckets and their values, ascending; those that are 0 are left out.",
       .group = kGroup,
       .complexity = "O(log N + M) where N is the number of the key's buckets and M of those "
                     "in the range",
       .flags = kReadOnly,
       .arguments = {TreeNameArgument(), TreeKeyArgument(), FromOption(), ToOption()},
       .errors = {kTooNarrow, kSyntaxError, kWrongType},
       .examples = {first,
                    second,
                    {"TREE.RANGE articles 12345 FROM 202307",
                     "1) \"20230701\"\n2) (integer) 2\n3) \"20230702\"\n4) (integer) 5"}},
       .handler = Range});
}

}  // namespace

void AddTreeValueCommands(CommandTable& table) {
  AddChanges(table);
  AddReads(table);
}

}  // namespace jeton::command
