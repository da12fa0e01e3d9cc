// tree.* of Karma 1.0, and series.delete_before and series.compact: whole series. A series is a
// tree.
#include <algorithm>

#include "base/text.h"
#include "command/karma_access.h"

namespace jeton::command {
namespace {

constexpr std::int64_t kBranches = 9;  // what Karma says of every tree

void Create(Context& ctx) {
  auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  TreeToChange(ctx, *place);
  ctx.reply.Ok();
}

void Drop(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  ctx.unit.Drop(place->name);
  ctx.reply.Ok();
}

void List(Context& ctx) {
  std::vector<std::string> names = ctx.keyspace.TreeNames(ctx.now.wall_ms);
  std::sort(names.begin(), names.end());
  ctx.reply.Array(names.size());
  for (const std::string& name : names) ctx.reply.Bulk(name);
}

void Reset(Context& ctx) {
  auto place = FindTree(ctx, ctx.Key(1));
  if (!place) return ctx.reply.Error(place.error());
  engine::Tree& tree = TreeToChange(ctx, *place);
  ctx.unit.ResetTree(place->name, tree);
  ctx.reply.Ok();
}

void Info(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  ctx.reply.Map(5);
  ctx.reply.Bulk("tree");
  ctx.reply.Bulk(ctx.args[1]);
  ctx.reply.Bulk("key_count");
  ctx.reply.Integer(static_cast<std::int64_t>(place->tree->keys()));
  ctx.reply.Bulk("bucket_count");
  ctx.reply.Integer(static_cast<std::int64_t>(place->tree->buckets()));
  ctx.reply.Bulk("total");
  ctx.reply.Decimal(place->tree->Total());
  ctx.reply.Bulk("branches");
  ctx.reply.Integer(kBranches);
}

// ---- tree.keys

// The page of keys behind a cursor. One key more than the page is kept, to know whether there is
// another page.
class KeysPage final : public TreeWalk {
 public:
  KeysPage(const engine::Tree& tree, std::size_t limit, std::optional<KeyName> cursor)
      : TreeWalk(tree), limit_(limit), cursor_(std::move(cursor)) {
    heap_.reserve(std::min<std::size_t>(limit_ + 1, tree.keys() + 1));
  }

 private:
  static bool Before(const KeyTotal& a, const KeyTotal& b) { return a.key < b.key; }

  std::size_t Visit(const engine::KeyView& view) override {
    KeyTotal item{.key = KeyName::Of(view), .value = view.Total()};
    if (cursor_ && item.key <= *cursor_) return 0;
    if (heap_.size() == limit_ + 1) {
      if (!(item.key < heap_.front().key)) return 0;
      std::pop_heap(heap_.begin(), heap_.end(), Before);
      heap_.back() = std::move(item);
    } else {
      heap_.push_back(std::move(item));
    }
    std::push_heap(heap_.begin(), heap_.end(), Before);
    return kKeyCost;
  }

  bool Finish(Context& ctx) override {
    std::sort(heap_.begin(), heap_.end(), Before);
    const bool more = heap_.size() > limit_;
    if (more) heap_.pop_back();
    Reply& reply = ctx.reply;
    reply.Map(5);
    reply.Bulk("tree");
    reply.Bulk(name());
    reply.Bulk("limit");
    reply.Integer(static_cast<std::int64_t>(limit_));
    reply.Bulk("cursor");
    cursor_ ? ReplyKey(reply, *cursor_) : reply.Null();
    reply.Bulk("next_cursor");
    more ? ReplyKey(reply, heap_.back().key) : reply.Null();
    reply.Bulk("keys");
    reply.Array(heap_.size());
    for (const KeyTotal& item : heap_) {
      reply.Map(2);
      reply.Bulk("key");
      ReplyKey(reply, item.key);
      reply.Bulk("total");
      reply.Decimal(item.value);
    }
    return true;
  }

  const std::size_t limit_;
  const std::optional<KeyName> cursor_;
  std::vector<KeyTotal> heap_;  // the last key is its first element
};

std::size_t LimitAt(const Context& ctx, std::size_t argument) {
  return static_cast<std::size_t>(*ParseInt64(ctx.args[argument]));  // the binder has checked it
}

// series limit cursor
void Keys(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  std::optional<KeyName> cursor;
  if (Given(ctx.args[3])) {
    const engine::TreeKey key = place->tree->MakeKey(ctx.args[3]);
    cursor = key.is_number ? KeyName{.number = key.number}
                           : KeyName{.is_text = true, .text = std::string(ctx.args[3])};
  }
  StartQuery(ctx, std::make_unique<KeysPage>(*place->tree, LimitAt(ctx, 2), std::move(cursor)));
}

// ---- tree.summary

class Summary final : public TreeWalk {
 public:
  Summary(const engine::Tree& tree, const BucketRange& range, std::string from, std::string to)
      : TreeWalk(tree), range_(range), from_(std::move(from)), to_(std::move(to)) {}

 private:
  bool all() const { return from_.empty(); }

  std::size_t Visit(const engine::KeyView& view) override {
    Decimal sum;
    std::size_t count = 0;
    view.ForEach(range_, [&](Bucket, const Decimal& value) { count += value.IsZero() ? 0 : 1; });
    sum = all() ? view.Total() : view.SumOf(range_);
    if (!all() && sum.IsZero()) return count * 10;
    ++active_;
    buckets_ += count;
    // Out of range only through values that no Karma can hold; the total stays at what fits.
    if (const auto total = Decimal::Add(total_, sum)) total_ = *total;
    return count * 10;
  }

  bool Finish(Context& ctx) override {
    Reply& reply = ctx.reply;
    reply.Map(all() ? 4 : 6);
    reply.Bulk("tree");
    reply.Bulk(name());
    if (!all()) {
      reply.Bulk("range_from");
      ReplyKey(reply, from_);
      reply.Bulk("range_to");
      ReplyKey(reply, to_);
    }
    reply.Bulk("total");
    reply.Decimal(total_);
    reply.Bulk("active_keys");
    reply.Integer(static_cast<std::int64_t>(active_));
    reply.Bulk("bucket_count");
    reply.Integer(static_cast<std::int64_t>(buckets_));
    return true;
  }

  const BucketRange range_;
  const std::string from_, to_;  // as the calendar writes them; empty for all of the tree
  Decimal total_;
  std::uint64_t active_ = 0;
  std::uint64_t buckets_ = 0;
};

// series [from to]
void Summarise(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  const auto range = RangeAt(ctx, *place, 2);
  if (!range) return ctx.reply.Error(range.error());
  const bool all = !Given(ctx.args[2]);
  StartQuery(ctx, std::make_unique<Summary>(*place->tree, *range,
                                            all ? "" : place->calendar->Format(range->first),
                                            all ? "" : place->calendar->Format(range->last)));
}

// ---- tree.top

class Top final : public SelectKeys {
 public:
  Top(const engine::Tree& tree, const Wanted& wanted)
      : SelectKeys(tree, wanted), limit_(wanted.count) {}

 private:
  void ReplyItems(Context& ctx, const std::vector<KeyTotal>& items, std::uint64_t) override {
    Reply& reply = ctx.reply;
    reply.Map(3);
    reply.Bulk("tree");
    reply.Bulk(name());
    reply.Bulk("limit");
    reply.Integer(static_cast<std::int64_t>(limit_));
    reply.Bulk("items");
    reply.Array(items.size());
    for (const KeyTotal& item : items) {
      reply.Map(2);
      reply.Bulk("key");
      ReplyKey(reply, item.key);
      reply.Bulk("value");
      reply.Decimal(item.value);
    }
  }

  const std::size_t limit_;
};

// series limit [from to]
void TopKeys(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  const auto range = RangeAt(ctx, *place, 3);
  if (!range) return ctx.reply.Error(range.error());
  StartQuery(ctx, std::make_unique<Top>(
                      *place->tree, SelectKeys::Wanted{.count = LimitAt(ctx, 2), .range = *range}));
}

// ---- ranges of the whole series

void Points(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  const auto range = RangeAt(ctx, *place, 2);
  if (!range) return ctx.reply.Error(range.error());
  StartQuery(ctx,
             std::make_unique<FindAll>(*place->tree, *place->calendar, *range, Zeros::kLeaveOut));
}

void DeleteRange(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  const auto range = RangeAt(ctx, *place, 2);
  if (!range) return ctx.reply.Error(range.error());
  StartQuery(ctx, std::make_unique<KarmaClear>(*place->tree, *range, KarmaClear::Says::kTrue));
}

// What is deleted may be counted again, as in Karma: this is no watermark as TREE.TRIM's.
void DeleteBefore(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  const auto range = ParseRange(*place, ctx.args[2], std::nullopt);
  if (!range) return ctx.reply.Error(range.error());
  StartQuery(ctx, std::make_unique<KarmaClear>(
                      *place->tree, BucketRange{engine::Tree::kAll.first, range->first - 1},
                      KarmaClear::Says::kOk));
}

// Memory of what was deleted comes back by itself.
void Compact(Context& ctx) {
  const auto place = FindSeries(ctx, ctx.args[1]);
  if (!place) return ctx.reply.Error(place.error());
  ctx.reply.Ok();
}

// ---- the table

void Add(CommandTable& table, std::string_view name, std::vector<std::string_view> aliases,
         std::string_view summary, std::uint32_t flags, std::vector<Argument> arguments,
         Handler handler) {
  constexpr std::size_t kPrefix = std::string_view("karma.").size();
  table.Add({.name = name,
             .json_op = name.substr(kPrefix),
             .json_aliases = std::move(aliases),
             .summary = summary,
             .group = "karma 1.0",
             .flags = flags | kJsonOnly,
             .arguments = std::move(arguments),
             .handler = handler});
}

Argument LimitArgument(std::string_view by_default, std::int64_t max) {
  return {.name = "limit",
          .type = ArgumentType::kInteger,
          .optional = true,
          .json = JsonForm::kLimit,
          .json_default = by_default,
          .json_max = max};
}

Argument BeforeArgument() {
  return {.name = "before", .json = JsonForm::kBefore};
}
Argument CursorArgument() {
  return {.name = "cursor", .optional = true, .json = JsonForm::kCursor};
}

}  // namespace

void AddKarmaSeriesCommands(CommandTable& table) {
  Add(table, "karma.tree.create", {}, "Makes a series of days; nothing if it is there.",
      kWrite | kDenyOom | kFast, {KarmaSeriesArgument()}, Create);
  Add(table, "karma.tree.drop", {}, "Drops a series.", kWrite, {KarmaSeriesArgument()}, Drop);
  Add(table, "karma.tree.list", {}, "The names of all series.", kReadOnly, {}, List);
  Add(table, "karma.tree.reset", {}, "Clears a series, and makes it if it is not there.",
      kWrite | kDenyOom, {KarmaSeriesArgument()}, Reset);
  Add(table, "karma.tree.info", {}, "How many keys and buckets a series has, and their total.",
      kReadOnly | kFast, {KarmaSeriesArgument()}, Info);
  Add(table, "karma.tree.keys", {}, "A page of keys in ascending order, with their totals.",
      kReadOnly, {KarmaSeriesArgument(), LimitArgument("100", 10'000), CursorArgument()}, Keys);
  Add(table, "karma.tree.summary", {}, "The total of a series, and how much is in it.", kReadOnly,
      {KarmaSeriesArgument(), KarmaRangeArgument(true)}, Summarise);
  Add(table, "karma.tree.top", {}, "The keys with the largest sums.", kReadOnly,
      {KarmaSeriesArgument(), LimitArgument("50", 1'000), KarmaRangeArgument(true)}, TopKeys);
  Add(table, "karma.tree.series", {}, "The buckets of a range, of every key.", kReadOnly,
      {KarmaSeriesArgument(), KarmaRangeArgument(false)}, Points);
  Add(table, "karma.tree.delete_range", {}, "Clears the buckets of a range in every key.", kWrite,
      {KarmaSeriesArgument(), KarmaRangeArgument(false)}, DeleteRange);
  Add(table, "karma.series.delete_before", {"tree.delete_before"}, "Clears all buckets before one.",
      kWrite, {KarmaSeriesArgument(), BeforeArgument()}, DeleteBefore);
  Add(table, "karma.series.compact", {"tree.compact"},
      "Nothing: memory of what was deleted comes back by itself.", kWrite, {KarmaSeriesArgument()},
      Compact);
}

}  // namespace jeton::command
