// TREE.CREATE TREE.DROP TREE.LIST TREE.INFO TREE.RESET TREE.CLEAR TREE.TRIM: a tree as a whole, and
// what takes parts of it away.
#include <algorithm>

#include "base/text.h"
#include "command/tree_access.h"
#include "command/tree_query.h"
#include "command/trees.h"

namespace jeton::command {

namespace {

constexpr std::string_view kRetainRange = "ERR RETAIN must be from 0 (all) to 4294967295 buckets";
constexpr std::string_view kExists =
    "ERR tree 'articles' exists with other settings: BUCKET day TZ UTC RETAIN 0";
constexpr std::string_view kNoTree = "ERR no such tree 'articles'";
constexpr std::string_view kTooNarrow =
    "ERR bucket \"2023070113\" is too narrow for buckets of a day";

Error Refused(std::string_view text) {
  return {ErrorKind::kInvalid, std::string(text)};
}

// ---- TREE.CREATE

Status ParseSetting(std::string_view word, std::string_view value, engine::TreeSettings& settings) {
  if (EqualsIgnoreCase(word, "BUCKET")) {
    const Result<Width> width = ParseWidth(value);
    if (!width) return width.error();
    settings.width = *width;
  } else if (EqualsIgnoreCase(word, "TZ")) {
    settings.zone = value;
  } else if (EqualsIgnoreCase(word, "RETAIN")) {
    const Result<std::int64_t> retain = ParseInteger(value);
    if (!retain) return retain.error();
    if (*retain < 0 || *retain > std::numeric_limits<std::uint32_t>::max()) {
      return Error{ErrorKind::kRange, std::string(kRetainRange)};
    }
    settings.retain = static_cast<std::uint32_t>(*retain);
  } else {
    return Refused(kSyntaxError);
  }
  return {};
}

Result<engine::TreeSettings> ParseSettings(Context& ctx, std::span<const std::string_view> words) {
  engine::TreeSettings settings;
  if (words.size() % 2 != 0) return Refused(kSyntaxError);
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const Status status = ParseSetting(words[i], words[i + 1], settings);
    if (!status) return status.error();
  }
  const auto calendar = ctx.server.calendars.Find(settings.width, settings.zone);
  if (!calendar.ok()) return calendar.error();
  settings.zone = (*calendar)->zone();  // one spelling for each zone
  return settings;
}

std::string Exists(const engine::Tree& tree) {
  constexpr std::size_t kMaxShown = 128;
  const engine::TreeSettings& settings = tree.settings();
  return "ERR tree '" + tree.name().substr(0, kMaxShown) + "' exists with other settings: BUCKET " +
         std::string(WidthName(settings.width)) + " TZ " + settings.zone + " RETAIN " +
         std::to_string(settings.retain);
}

void Create(Context& ctx) {
  const Result<engine::TreeSettings> settings = ParseSettings(ctx, ctx.args.subspan(2));
  if (!settings) return ctx.reply.Error(settings.error());
  const Result<TreePlace> place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  if (!*place) {
    ctx.unit.CreateTree(place->name, *settings);
  } else if (place->tree->settings() != *settings) {
    return ctx.reply.Error(Exists(*place->tree), ErrorKind::kConflict);
  }
  ctx.reply.Ok();
}

// ---- the tree as a whole

void Drop(Context& ctx) {
  const Result<TreePlace> place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  if (!*place) return ctx.reply.Error(NoSuchTree(ctx.args[1]));
  ctx.unit.Drop(place->name);
  ctx.reply.Ok();
}

void List(Context& ctx) {
  std::vector<std::string> names = ctx.keyspace.TreeNames(ctx.now.wall_ms);
  std::sort(names.begin(), names.end());
  ctx.reply.Array(names.size());
  for (const std::string& name : names) ctx.reply.Bulk(name);
}

void Info(Context& ctx) {
  const Result<TreePlace> place = FindTreeToRead(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  if (!*place) return ctx.reply.Error(NoSuchTree(ctx.args[1]));
  const engine::Tree& tree = *place->tree;
  Reply& reply = ctx.reply;
  reply.Map(7);
  reply.Bulk("bucket");
  reply.Bulk(WidthName(tree.settings().width));
  reply.Bulk("timezone");
  reply.Bulk(tree.settings().zone);
  const auto figure = [&](std::string_view name, std::uint64_t value) {
    reply.Bulk(name);
    reply.Integer(static_cast<std::int64_t>(value));
  };
  figure("retain", tree.settings().retain);
  figure("keys", tree.keys());
  figure("buckets", tree.buckets());
  reply.Bulk("total");
  reply.Decimal(tree.Total());
  figure("bytes", tree.bytes());
}

// ---- taking away

void Reset(Context& ctx) {
  const Result<TreePlace> place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  if (!*place) return ctx.reply.Integer(0);
  engine::Tree& tree = *place->tree;
  if (ctx.args.size() == 2) {
    return ctx.reply.Integer(static_cast<std::int64_t>(ctx.unit.ResetTree(place->name, tree)));
  }
  std::int64_t gone = 0;
  for (const std::string_view key : ctx.args.subspan(2)) {
    if (ctx.unit.ResetKey(place->name, tree, tree.MakeKey(key))) ++gone;
  }
  ctx.reply.Integer(gone);
}

void Clear(Context& ctx) {
  constexpr std::array<std::string_view, 3> kWords = {"KEY", "FROM", "TO"};
  TreeOptions options;
  if (!ParseTreeOptions(ctx.args.subspan(2), kWords, options) || !options.from || !options.to) {
    return ctx.reply.Error(kSyntaxError);
  }
  const Result<TreePlace> place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const Result<BucketRange> range = ParseRange(*place, options.from, options.to);
  if (!range) return ctx.reply.Error(range.error());
  if (!*place) return ctx.reply.Integer(0);
  engine::Tree& tree = *place->tree;
  if (!options.key) return StartQuery(ctx, std::make_unique<ClearTree>(tree, *range));
  const std::uint64_t gone =
      ctx.unit.ClearBuckets(place->name, tree, tree.MakeKey(*options.key), *range);
  ctx.reply.Integer(static_cast<std::int64_t>(gone));
}

// What lies in the future is cleared, key by key: a watermark there would refuse today's writes.
class ClearFuture final : public ClearTree {
 public:
  ClearFuture(const engine::Tree& tree, const BucketRange& range, std::uint64_t trimmed)
      : ClearTree(tree, range), trimmed_(trimmed) {}

 private:
  void ReplyCleared(Context& ctx, std::uint64_t buckets) override {
    ctx.reply.Integer(static_cast<std::int64_t>(trimmed_ + buckets));
  }

  const std::uint64_t trimmed_;
};

void Trim(Context& ctx) {
  constexpr std::array<std::string_view, 1> kWords = {"BEFORE"};
  TreeOptions options;
  if (!ParseTreeOptions(ctx.args.subspan(2), kWords, options) || !options.before) {
    return ctx.reply.Error(kSyntaxError);
  }
  const Result<TreePlace> place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  const Result<BucketRange> from = ParseRange(*place, options.before, std::nullopt);
  if (!from) return ctx.reply.Error(from.error());
  if (!*place) return ctx.reply.Integer(0);
  engine::Tree& tree = *place->tree;
  const Bucket current = place->calendar->At(ctx.now.wall_ms);
  const std::uint64_t gone = ctx.unit.TrimTree(place->name, tree, std::min(from->first, current));
  if (from->first <= current) return ctx.reply.Integer(static_cast<std::int64_t>(gone));
  const BucketRange rest{.first = current, .last = from->first - 1};
  StartQuery(ctx, std::make_unique<ClearFuture>(tree, rest, gone));
}

constexpr std::string_view kGroup = "tree";
constexpr Example kAdd = {"TREE.MINCRBY articles AT 20230701 1 10 2 20",
                          "1) (integer) 10\n2) (integer) 20"};

void AddWhole(CommandTable& table) {
  table.Add({.name = "tree.create",
             .summary = "Makes a tree: the width of its buckets (second, minute, hour, day, week, "
                        "month or year), the time zone of its calendar, and how many buckets it "
                        "keeps, the current one included. Fine if it is there with these settings.",
             .group = kGroup,
             .flags = kWrite | kDenyOom | kFast,
             .arguments = {TreeNameArgument(),
                           {.name = "bucket", .token = "BUCKET", .optional = true},
                           {.name = "timezone", .token = "TZ", .optional = true},
                           {.name = "retain",
                            .type = ArgumentType::kInteger,
                            .token = "RETAIN",
                            .optional = true}},
             .errors = {kExists, "ERR unknown time zone 'Europe/Atlantis'", kRetainRange,
                        kNotAnInteger, kSyntaxError, kWrongType},
             .examples = {{"TREE.CREATE articles BUCKET hour TZ Europe/Berlin RETAIN 48", "OK"},
                          {"TREE.LIST", "1) \"articles\""}},
             .handler = Create});
  table.Add({.name = "tree.drop",
             .summary = "Drops a tree with all that it holds. DEL does, too.",
             .group = kGroup,
             .flags = kWrite | kFast,
             .arguments = {TreeNameArgument()},
             .errors = {kNoTree, kWrongType},
             .examples = {{"TREE.CREATE articles", "OK"}, {"TREE.DROP articles", "OK"}},
             .handler = Drop});
  table.Add({.name = "tree.list",
             .summary = "The names of all trees, sorted.",
             .group = kGroup,
             .complexity = "O(N log N) where N is the number of trees",
             .flags = kReadOnly,
             .examples = {{"TREE.CREATE b", "OK"},
                          {"TREE.CREATE a", "OK"},
                          {"TREE.LIST", "1) \"a\"\n2) \"b\""}},
             .handler = List});
  table.Add({.name = "tree.info",
             .summary = "A tree's settings, how many keys and buckets it has, their total, and the "
                        "memory that it takes.",
             .group = kGroup,
             .flags = kReadOnly | kFast,
             .arguments = {TreeNameArgument()},
             .errors = {kNoTree, kWrongType},
             .handler = Info});
}

void AddTakingAway(CommandTable& table) {
  table.Add(
      {.name = "tree.reset",
       .summary = "Takes keys out of a tree, or all of them; replies how many there were. The "
                  "tree and its settings stay.",
       .group = kGroup,
       .complexity = "O(N) where N is the number of keys named; for all O(1), their memory "
                     "comes back bit by bit",
       .flags = kWrite,
       .arguments = {TreeNameArgument(), {.name = "keys", .optional = true, .multiple = true}},
       .errors = {kWrongType},
       .examples = {kAdd,
                    {"TREE.RESET articles 1 3", "(integer) 1"},
                    {"TREE.RESET articles", "(integer) 1"}},
       .handler = Reset});
  table.Add({.name = "tree.clear",
             .summary = "Takes the buckets from FROM to TO, both included, out of one key or all; "
                        "replies how many there were.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of keys, in slices between the commands of "
                           "others",
             .flags = kWrite,
             .arguments = {TreeNameArgument(),
                           {.name = "key", .token = "KEY", .optional = true},
                           {.name = "from", .token = "FROM"},
                           {.name = "to", .token = "TO"}},
             .errors = {kTooNarrow, kSyntaxError, kWrongType},
             .examples = {kAdd,
                          {"TREE.CLEAR articles KEY 1 FROM 20230701 TO 20230701", "(integer) 1"},
                          {"TREE.CLEAR articles FROM 202307 TO 202307", "(integer) 1"},
                          {"TREE.TOTAL articles", "(integer) 0"}},
             .handler = Clear});
  table.Add({.name = "tree.trim",
             .summary = "Takes all buckets before one out of a tree; replies how many there were. "
                        "From then on writes to them are refused, but for the current one's.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of different buckets that go; their memory "
                           "comes back bit by bit",
             .flags = kWrite,
             .arguments = {TreeNameArgument(), {.name = "before", .token = "BEFORE"}},
             .errors = {kTooNarrow, kSyntaxError, kWrongType},
             .examples = {kAdd,
                          {"TREE.TRIM articles BEFORE 20230801", "(integer) 2"},
                          {"TREE.INCRBY articles 1 1 AT 20230701",
                           "(error) ERR bucket 20230701 is older than the tree keeps: its oldest "
                           "is 20230801"}},
             .handler = Trim});
}

}  // namespace

void AddTreeLifeCommands(CommandTable& table) {
  AddWhole(table);
  AddTakingAway(table);
}

}  // namespace jeton::command
