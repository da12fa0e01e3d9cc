// TREE.TOTAL TREE.TOP TREE.SCAN: what all keys of a tree hold. Those that look at each go in
// slices.
#include <charconv>

#include "base/text.h"
#include "command/tree_access.h"
#include "command/tree_query.h"
#include "command/tree_scan.h"
#include "command/trees.h"

namespace jeton::command {

namespace {

// Choosing and sorting more would be a listing: that is what TREE.SCAN is for.
constexpr std::int64_t kMaxTop = 10'000;
constexpr std::string_view kTopCount = "ERR n must be from 1 to 10000";
constexpr std::string_view kTooNarrow =
    "ERR bucket \"2023070113\" is too narrow for buckets of a day";

// The tree and the range of a command with FROM and TO behind `words_before` words.
struct Wanted {
  TreePlace place;
  BucketRange range;
};

Result<Wanted> ParseWanted(Context& ctx, std::size_t words_before) {
  TreeOptions options;
  if (!ParseTreeOptions(ctx.args.subspan(words_before), kRangeWords, options)) {
    return Error{ErrorKind::kInvalid, std::string(kSyntaxError)};
  }
  const Result<TreePlace> place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return place.error();
  const Result<BucketRange> range = ParseRange(*place, options.from, options.to);
  if (!range) return range.error();
  return Wanted{.place = *place, .range = *range};
}

void Total(Context& ctx) {
  const Result<Wanted> wanted = ParseWanted(ctx, 2);
  if (!wanted) return ctx.reply.Error(wanted.error());
  if (!wanted->place) return ctx.reply.Integer(0);
  const engine::Tree& tree = *wanted->place.tree;
  const bool all = wanted->range == engine::Tree::kAll;
  ctx.reply.Decimal(all ? tree.Total() : tree.SumOf(wanted->range));
}

class TopQuery final : public SelectKeys {
 public:
  using SelectKeys::SelectKeys;

 private:
  void ReplyItems(Context& ctx, const std::vector<KeyTotal>& items, std::uint64_t) override {
    ctx.reply.Array(2 * items.size());
    for (const KeyTotal& item : items) {
      ctx.reply.Bulk(item.key.ToString());
      ctx.reply.Decimal(item.value);
    }
  }
};

void Top(Context& ctx) {
  const Result<std::int64_t> count = ParseInteger(ctx.args[2]);
  if (!count) return ctx.reply.Error(count.error());
  if (*count < 1 || *count > kMaxTop) return ctx.reply.Error(kTopCount, ErrorKind::kRange);
  const Result<Wanted> wanted = ParseWanted(ctx, 3);
  if (!wanted) return ctx.reply.Error(wanted.error());
  if (!wanted->place) return ctx.reply.Array(0);
  StartQuery(
      ctx, std::make_unique<TopQuery>(*wanted->place.tree,
                                      SelectKeys::Wanted{.count = static_cast<std::size_t>(*count),
                                                         .range = wanted->range}));
}

void Scan(Context& ctx) {
  const Result<TreeScanStep> step = ScanTree(ctx, ctx.Key(1), ctx.args.subspan(2));
  if (!step) return ctx.reply.Error(step.error());
  ctx.reply.Array(2);
  ctx.reply.Bulk(std::to_string(step->next));
  ctx.reply.Array(2 * step->keys.size());
  for (const KeyTotal& item : step->keys) {
    ctx.reply.Bulk(item.key.ToString());
    ctx.reply.Decimal(item.value);
  }
}

}  // namespace

void AddTreeWalkCommands(CommandTable& table) {
  constexpr std::string_view kGroup = "tree";
  const Example add{"TREE.MINCRBY articles AT 20230701 a 1 b 3 c 3",
                    "1) (integer) 1\n2) (integer) 3\n3) (integer) 3"};
  table.Add({.name = "tree.total",
             .summary = "The sum over all keys of a tree, of all buckets or of those from FROM to "
                        "TO.",
             .group = kGroup,
             .complexity = "O(1), with FROM or TO O(N) where N is the number of different buckets",
             .flags = kReadOnly,
             .arguments = {TreeNameArgument(), FromOption(), ToOption()},
             .errors = {kTooNarrow, kSyntaxError, kWrongType},
             .examples = {add,
                          {"TREE.TOTAL articles", "(integer) 7"},
                          {"TREE.TOTAL articles FROM 202308", "(integer) 0"}},
             .handler = Total});
  table.Add(
      {.name = "tree.top",
       .summary = "The n keys with the largest sums and these, largest first; of equals "
                  "numbers first and in order, then the others by their bytes. Sums of 0 are "
                  "left out.",
       .group = kGroup,
       .complexity = "O(N log n) where N is the number of keys, in slices between the "
                     "commands of others",
       .flags = kReadOnly,
       .arguments = {TreeNameArgument(),
                     {.name = "n", .type = ArgumentType::kInteger},
                     FromOption(),
                     ToOption()},
       .errors = {kNotAnInteger, kTopCount, kTooNarrow, kSyntaxError, kWrongType},
       .examples = {add,
                    {"TREE.TOP articles 2", "1) \"b\"\n2) (integer) 3\n3) \"c\"\n4) (integer) 3"}},
       .handler = Top});
  table.Add(
      {.name = "tree.scan",
       .summary = "Walks over the keys of a tree and their totals: start with cursor 0, go on with "
                  "the one replied until it is 0. A key that is there throughout is seen exactly "
                  "once.",
       .group = kGroup,
       .complexity = "O(COUNT) for each step",
       .flags = kReadOnly,
       .arguments =
           {TreeNameArgument(),
            {.name = "cursor", .type = ArgumentType::kInteger},
            {.name = "pattern", .type = ArgumentType::kPattern, .token = "MATCH", .optional = true},
            {.name = "count", .type = ArgumentType::kInteger, .token = "COUNT", .optional = true}},
       .errors = {"ERR invalid cursor", kNotAnInteger, kSyntaxError, kWrongType},
       .examples = {{"TREE.INCRBY articles 12345 1", "(integer) 1"},
                    {"TREE.SCAN articles 0 COUNT 1000",
                     "1) \"0\"\n2) 1) \"12345\"\n   2) (integer) 1"}},
       .handler = Scan});
}

}  // namespace jeton::command
