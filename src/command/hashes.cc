// HINCRBY HINCRBYFLOAT HSET HDEL HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSCAN: a tree as a
// hash of its keys and their totals. Programs that keep counters in Redis' hashes gain history by
// changing nothing: what they write goes to the bucket of now.
#include "base/text.h"
#include "command/tree_access.h"
#include "command/tree_query.h"
#include "command/tree_scan.h"
#include "command/trees.h"

namespace jeton::command {

namespace {

using engine::KeyView;
using engine::Tree;

constexpr std::string_view kHashNotAnInteger = "ERR hash value is not an integer";
constexpr std::string_view kOlder = "ERR bucket 20230701 is older than the tree keeps";

// ---- writes

enum class Numbers : std::uint8_t { kIntegers, kDecimals };

// The total that adding `delta` would lead to.
Result<Decimal> TotalAfter(const TreePlace& place, std::string_view field, const Decimal& delta,
                           Numbers numbers) {
  const Decimal total = SumOf(place, field, Tree::kAll);
  if (numbers == Numbers::kIntegers && !total.IsInt64()) {
    return Error{ErrorKind::kInvalid, std::string(kHashNotAnInteger)};
  }
  const std::optional<Decimal> sum = Decimal::Add(total, delta);
  if (numbers == Numbers::kIntegers && !(sum && sum->IsInt64())) {
    return Error{ErrorKind::kRange, std::string(kWouldOverflow)};
  }
  if (!sum) return Error{ErrorKind::kRange, std::string(kOutOfRange)};
  return *sum;
}

// The key's new total; nothing changed on an error.
Result<Decimal> AddToTotal(Context& ctx, const Decimal& delta, Numbers numbers) {
  Result<TreePlace> place = FindTree(ctx, ctx.Key(1));
  if (!place) return place.error();
  const Result<Bucket> bucket = BucketToChange(ctx, *place, std::nullopt);
  if (!bucket) return bucket.error();
  const Result<Decimal> total = TotalAfter(*place, ctx.args[2], delta, numbers);
  if (!total) return total;
  const Result<Decimal> added = AddToBucket(ctx, *place, ctx.args[2], *bucket, delta);
  if (!added) return added;
  return total;
}

void HIncrBy(Context& ctx) {
  Decimal delta;
  if (ctx.redis()) {
    const Result<std::int64_t> integer = ParseInteger(ctx.args[3]);
    if (!integer) return ctx.reply.Error(integer.error());
    delta = *integer;
  } else {
    const Result<Decimal> decimal = Decimal::Parse(ctx.args[3]);
    if (!decimal) return ctx.reply.Error(decimal.error());
    delta = *decimal;
  }
  const Result<Decimal> total =
      AddToTotal(ctx, delta, ctx.redis() ? Numbers::kIntegers : Numbers::kDecimals);
  if (!total) return ctx.reply.Error(total.error());
  ctx.reply.Decimal(*total);
}

void HIncrByFloat(Context& ctx) {
  const Result<Decimal> delta = Decimal::Parse(ctx.args[3]);
  if (!delta) return ctx.reply.Error(delta.error());
  const Result<Decimal> total = AddToTotal(ctx, *delta, Numbers::kDecimals);
  if (!total) return ctx.reply.Error(total.error());
  ctx.reply.DecimalBulk(*total);
}

void HSet(Context& ctx) {
  const std::span<const std::string_view> pairs = ctx.args.subspan(2);
  if (pairs.size() % 2 != 0) return ctx.reply.Error(WrongArguments(ctx.command.name));
  std::vector<Decimal> values;
  for (std::size_t i = 1; i < pairs.size(); i += 2) {
    const Result<Decimal> value = Decimal::Parse(pairs[i]);
    if (!value) return ctx.reply.Error(value.error());
    values.push_back(*value);
  }
  Result<TreePlace> place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const Result<Bucket> bucket = BucketToChange(ctx, *place, std::nullopt);
  if (!bucket) return ctx.reply.Error(bucket.error());
  Tree& tree = TreeToChange(ctx, *place);
  std::int64_t added = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const engine::TreeKey key = tree.MakeKey(pairs[2 * i]);
    if (!ctx.unit.ResetKey(place->name, tree, key)) ++added;
    ctx.unit.SetBucket(place->name, tree, key, *bucket, values[i]);
  }
  ctx.reply.Integer(added);
}

void HDel(Context& ctx) {
  const Result<TreePlace> place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  std::int64_t gone = 0;
  for (const std::string_view field : ctx.args.subspan(2)) {
    if (!*place) break;
    Tree& tree = *place->tree;
    if (ctx.unit.ResetKey(place->name, tree, tree.MakeKey(field))) ++gone;
  }
  ctx.reply.Integer(gone);
}

// ---- reads of keys that are named

void ReplyTotal(Context& ctx, const TreePlace& place, std::string_view field) {
  const auto key = place ? place.tree->Find(place.tree->MakeKey(field)) : std::nullopt;
  if (!key) return ctx.reply.Null();
  ctx.reply.DecimalBulk(key->Total());
}

void HGet(Context& ctx) {
  const Result<TreePlace> place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  ReplyTotal(ctx, *place, ctx.args[2]);
}

void HMGet(Context& ctx) {
  const Result<TreePlace> place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  ctx.reply.Array(ctx.args.size() - 2);
  for (const std::string_view field : ctx.args.subspan(2)) ReplyTotal(ctx, *place, field);
}

void HExists(Context& ctx) {
  const Result<TreePlace> place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const bool exists = *place && place->tree->Has(place->tree->MakeKey(ctx.args[2]));
  ctx.reply.Integer(exists ? 1 : 0);
}

void HLen(Context& ctx) {
  const Result<TreePlace> place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  ctx.reply.Integer(*place ? static_cast<std::int64_t>(place->tree->keys()) : 0);
}

// ---- reads of all keys

enum class Listed : std::uint8_t { kBoth, kKeys, kTotals };

class HashListing final : public ListKeys {
 public:
  HashListing(const Tree& tree, Listed listed) : ListKeys(tree), listed_(listed) {}

 private:
  std::size_t Take(const KeyView& key, std::deque<KeyTotal>& items) override {
    KeyTotal& item = items.emplace_back();
    if (listed_ != Listed::kTotals) item.key = KeyName::Of(key);
    if (listed_ != Listed::kKeys) item.value = key.Total();
    return kKeyCost;
  }
  void Begin(Reply& reply, std::size_t items) override {
    if (listed_ == Listed::kBoth) return reply.Map(items);
    reply.Array(items);
  }
  void Say(Reply& reply, const KeyTotal& item) override {
    if (listed_ != Listed::kTotals) reply.Bulk(item.key.ToString());
    if (listed_ != Listed::kKeys) reply.DecimalBulk(item.value);
  }

  const Listed listed_;
};

template <Listed listed>
void ListAll(Context& ctx) {
  const Result<TreePlace> place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  if (*place) return StartQuery(ctx, std::make_unique<HashListing>(*place->tree, listed));
  if (listed == Listed::kBoth) return ctx.reply.Map(0);
  ctx.reply.Array(0);
}

void HScan(Context& ctx) {
  const Result<TreeScanStep> step = ScanTree(ctx, ctx.Key(1), ctx.args.subspan(2));
  if (!step) return ctx.reply.Error(step.error());
  ctx.reply.Array(2);
  ctx.reply.Bulk(std::to_string(step->next));
  ctx.reply.Array(2 * step->keys.size());
  for (const KeyTotal& item : step->keys) {
    ctx.reply.Bulk(item.key.ToString());
    ctx.reply.DecimalBulk(item.value);
  }
}

// ---- the table

constexpr std::string_view kGroup = "hash";
constexpr std::uint32_t kChange = kWrite | kDenyOom | kFast;
constexpr Example kTwo = {"HSET articles a 1 b 2", "(integer) 2"};
constexpr std::string_view kSlices =
    "O(N) where N is the number of keys, in slices between the commands of others";

void AddWrites(CommandTable& table) {
  table.Add({.name = "hincrby",
             .summary = "Adds to a key's bucket of now and replies the key's new total. Fractions "
                        "only in the discnt dialect.",
             .group = kGroup,
             .flags = kChange,
             .arguments = {TreeNameArgument(),
                           TreeKeyArgument(),
                           {.name = "increment", .type = ArgumentType::kInteger}},
             .errors = {kNotAnInteger, kNotAFloat, kHashNotAnInteger, kWouldOverflow, kOutOfRange,
                        kOlder, kWrongType},
             .examples = {{"HINCRBY articles 12345 1", "(integer) 1"},
                          {"HINCRBY articles 12345 2", "(integer) 3"},
                          {"TREE.GET articles 12345", "(integer) 3"}},
             .handler = HIncrBy});
  table.Add({.name = "hincrbyfloat",
             .summary = "Adds a decimal number to a key's bucket of now, exactly, and replies the "
                        "key's new total.",
             .group = kGroup,
             .flags = kChange,
             .arguments = {TreeNameArgument(),
                           TreeKeyArgument(),
                           {.name = "increment", .type = ArgumentType::kDouble}},
             .errors = {kNotAFloat, kOutOfRange, kOlder, kWrongType},
             .examples = {{"HINCRBYFLOAT litres tank 0.1", "\"0.1\""},
                          {"HINCRBYFLOAT litres tank 0.2", "\"0.3\""}},
             .handler = HIncrByFloat});
  table.Add(
      {.name = "hset",
       .summary = "Replaces the buckets of keys by one of now with the value; replies how "
                  "many keys are new.",
       .group = kGroup,
       .complexity = "O(N) where N is the number of keys",
       .flags = kChange,
       .arguments = {TreeNameArgument(),
                     {.name = "items",
                      .type = ArgumentType::kBlock,
                      .multiple = true,
                      .arguments = {TreeKeyArgument(),
                                    {.name = "value", .type = ArgumentType::kDouble}}}},
       .errors = {kNotAFloat, kOutOfRange, kOlder, kWrongType},
       .examples = {kTwo, {"HSET articles a 10", "(integer) 0"}, {"HGET articles a", "\"10\""}},
       .handler = HSet});
  table.Add(
      {.name = "hdel",
       .summary = "Takes keys out of a tree; replies how many there were. The tree stays.",
       .group = kGroup,
       .complexity = "O(N) where N is the number of keys",
       .flags = kWrite | kFast,
       .arguments = {TreeNameArgument(), {.name = "keys", .multiple = true}},
       .errors = {kWrongType},
       .examples = {kTwo, {"HDEL articles a c", "(integer) 1"}, {"HLEN articles", "(integer) 1"}},
       .handler = HDel});
}

void AddNamedReads(CommandTable& table) {
  table.Add({.name = "hget",
             .summary = "The total of a key; nil if there is none.",
             .group = kGroup,
             .flags = kReadOnly | kFast,
             .arguments = {TreeNameArgument(), TreeKeyArgument()},
             .errors = {kWrongType},
             .examples = {kTwo, {"HGET articles b", "\"2\""}, {"HGET articles c", "(nil)"}},
             .handler = HGet});
  table.Add({.name = "hmget",
             .summary = "The totals of keys, in order; nil for one that is not there.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of keys",
             .flags = kReadOnly | kFast,
             .arguments = {TreeNameArgument(), {.name = "keys", .multiple = true}},
             .errors = {kWrongType},
             .examples = {kTwo, {"HMGET articles b c", "1) \"2\"\n2) (nil)"}},
             .handler = HMGet});
  table.Add({.name = "hexists",
             .summary = "Whether a tree has a key: 1 or 0.",
             .group = kGroup,
             .flags = kReadOnly | kFast,
             .arguments = {TreeNameArgument(), TreeKeyArgument()},
             .errors = {kWrongType},
             .examples = {kTwo, {"HEXISTS articles a", "(integer) 1"}},
             .handler = HExists});
  table.Add({.name = "hlen",
             .summary = "How many keys a tree has.",
             .group = kGroup,
             .flags = kReadOnly | kFast,
             .arguments = {TreeNameArgument()},
             .errors = {kWrongType},
             .examples = {kTwo, {"HLEN articles", "(integer) 2"}},
             .handler = HLen});
}

void AddListings(CommandTable& table) {
  const Example one{"HSET articles a 1", "(integer) 1"};
  table.Add({.name = "hgetall",
             .summary = "All keys of a tree and their totals.",
             .group = kGroup,
             .complexity = kSlices,
             .flags = kReadOnly,
             .arguments = {TreeNameArgument()},
             .errors = {kWrongType},
             .examples = {one, {"HGETALL articles", "1) \"a\"\n2) \"1\""}},
             .handler = ListAll<Listed::kBoth>});
  table.Add({.name = "hkeys",
             .summary = "All keys of a tree.",
             .group = kGroup,
             .complexity = kSlices,
             .flags = kReadOnly,
             .arguments = {TreeNameArgument()},
             .errors = {kWrongType},
             .examples = {one, {"HKEYS articles", "1) \"a\""}},
             .handler = ListAll<Listed::kKeys>});
  table.Add({.name = "hvals",
             .summary = "The totals of all keys of a tree.",
             .group = kGroup,
             .complexity = kSlices,
             .flags = kReadOnly,
             .arguments = {TreeNameArgument()},
             .errors = {kWrongType},
             .examples = {one, {"HVALS articles", "1) \"1\""}},
             .handler = ListAll<Listed::kTotals>});
  table.Add(
      {.name = "hscan",
       .summary = "Walks over the keys of a tree and their totals, as TREE.SCAN does.",
       .group = kGroup,
       .complexity = "O(COUNT) for each step",
       .flags = kReadOnly,
       .arguments =
           {TreeNameArgument(),
            {.name = "cursor", .type = ArgumentType::kInteger},
            {.name = "pattern", .type = ArgumentType::kPattern, .token = "MATCH", .optional = true},
            {.name = "count", .type = ArgumentType::kInteger, .token = "COUNT", .optional = true}},
       .errors = {"ERR invalid cursor", kNotAnInteger, kSyntaxError, kWrongType},
       .examples = {one, {"HSCAN articles 0", "1) \"0\"\n2) 1) \"a\"\n   2) \"1\""}},
       .handler = HScan});
}

}  // namespace

void AddHashCommands(CommandTable& table) {
  AddWrites(table);
  AddNamedReads(table);
  AddListings(table);
}

}  // namespace jeton::command
