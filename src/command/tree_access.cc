#include "command/tree_access.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>

#include "base/text.h"

namespace jeton::command {

namespace {

using engine::Key;
using engine::Tree;
using engine::TreeKey;

// Enough to hide the latency of memory, and few enough that nothing is displaced again.
constexpr std::size_t kBatch = 32;

std::string Shown(std::string_view text) {
  constexpr std::size_t kMaxShown = 128;
  return std::string(text.substr(0, kMaxShown));
}

// Calls use(index, tree key) for each of `count` keys, with the memory of these buckets on its way.
template <typename KeyOf, typename Use>
void ForEachKey(const Tree& tree, std::size_t count, const BucketRange& range, KeyOf key_of,
                Use use) {
  std::array<TreeKey, kBatch> keys;
  for (std::size_t begin = 0; begin < count; begin += kBatch) {
    const std::size_t size = std::min(kBatch, count - begin);
    for (std::size_t i = 0; i < size; ++i) {
      keys[i] = tree.MakeKey(key_of(begin + i));
      tree.Prefetch(keys[i]);
    }
    for (std::size_t i = 0; i < size; ++i) tree.PrefetchRecord(keys[i]);
    // A total stands in the head of a record.
    for (std::size_t i = 0; i < size && range != Tree::kAll; ++i)
      tree.PrefetchBuckets(keys[i], range);
    for (std::size_t i = 0; i < size; ++i) use(begin + i, keys[i]);
  }
}

Decimal SumOfKey(const Tree& tree, const TreeKey& key, const BucketRange& range) {
  return range == Tree::kAll ? tree.Total(key) : tree.SumOf(key, range);
}

Decimal Magnitude(const Decimal& value) {
  return value.IsNegative() ? -value : value;
}

// Goes through the additions in their order without making them.
Status CheckInOrder(const TreePlace& place, std::span<const TreeAdd> adds) {
  std::map<std::pair<std::string_view, Bucket>, Decimal> values;
  for (const TreeAdd& add : adds) {
    const auto [found, first] = values.try_emplace({add.key, add.bucket});
    if (first) found->second = ValueOf(place, add.key, add.bucket);
    const auto sum = Decimal::Add(found->second, add.delta);
    if (!sum) return Error{ErrorKind::kRange, std::string(kOutOfRange)};
    found->second = *sum;
  }
  return {};
}

// Whether no sum can leave the range, in whatever order and however often a key is there.
bool AllSurelyFit(const TreePlace& place, std::span<const TreeAdd> adds) {
  Decimal together;
  for (const TreeAdd& add : adds) {
    const auto sum = Decimal::Add(together, Magnitude(add.delta));
    if (!sum) return false;
    together = *sum;
  }
  if (!place) return true;
  // Values of 64 bits, the rule, are far inside the range: no look at each is needed.
  const Decimal most = Magnitude(std::numeric_limits<std::int64_t>::min());
  if (place.tree->integers_only() && Decimal::Add(together, most)) [[likely]]
    return true;
  bool fit = true;
  const auto key_of = [&](std::size_t i) { return adds[i].key; };
  if (adds.empty()) return true;
  const BucketRange first{adds[0].bucket, adds[0].bucket};  // and most often the only one
  ForEachKey(*place.tree, adds.size(), first, key_of, [&](std::size_t i, const TreeKey& key) {
    const Decimal value = place.tree->Get(key, adds[i].bucket);
    fit &= Decimal::Add(Magnitude(value), together).has_value();
  });
  return fit;
}

Status CheckBucketText(std::optional<std::string_view> text) {
  if (!text) return {};
  const auto parsed = ParseCalendarText(*text);
  return parsed.ok() ? Status() : Status(parsed.error());
}

}  // namespace

Result<TreePlace> FindTree(Context& ctx, const Key& name) {
  TreePlace place{.name = name, .tree = ctx.keyspace.FindTree(name, ctx.now.wall_ms)};
  if (!place && Find(ctx, name)) return Error{ErrorKind::kWrongType, std::string(kWrongType)};
  const auto calendar =
      place ? ctx.server.calendars.Find(place.tree->settings().width, place.tree->settings().zone)
            : ctx.server.calendars.Find(Width::kDay, "UTC");  // as in TreeSettings
  if (!calendar.ok()) return calendar.error();
  place.calendar = *calendar;
  return place;
}

Result<TreePlace> FindTreeToRead(Context& ctx, const Key& name) {
  Result<TreePlace> place = FindTree(ctx, name);
  if (place.ok()) CountLookups(ctx, place->tree != nullptr);
  return place;
}

Tree& TreeToChange(Context& ctx, TreePlace& place) {
  if (!place) {
    ctx.unit.CreateTree(place.name, {});
    place.tree = ctx.keyspace.FindTree(place.name, ctx.now.wall_ms);
    ASSERT(place.tree != nullptr);
  }
  return *place.tree;
}

Error NoSuchTree(std::string_view name) {
  return {ErrorKind::kNotFound, "ERR no such tree '" + Shown(name) + "'"};
}

// ---- buckets

Result<BucketRange> ParseRange(const TreePlace& place, std::optional<std::string_view> from,
                               std::optional<std::string_view> to) {
  if (!from && !to) return Tree::kAll;
  if (place) return place.calendar->ParseRange(from, to);
  if (const Status status = CheckBucketText(from); !status) return status.error();
  if (const Status status = CheckBucketText(to); !status) return status.error();
  return Tree::kAll;
}

Result<Bucket> ParseBucket(const Context& ctx, const TreePlace& place,
                           std::optional<std::string_view> at) {
  if (!at) return place.calendar->At(ctx.now.wall_ms);
  return place.calendar->ParseExact(*at);
}

Bucket OldestKept(const TreePlace& place, WallMs now) {
  if (!place) return Tree::kNoWatermark;
  const std::uint32_t retain = place.tree->settings().retain;
  if (retain == 0) return place.tree->watermark();
  const Bucket oldest = place.calendar->Back(place.calendar->At(now), retain - 1);
  return std::max(oldest, place.tree->watermark());
}

Status CheckWritable(const Context& ctx, const TreePlace& place, Bucket bucket) {
  const Bucket oldest = OldestKept(place, ctx.now.wall_ms);
  if (bucket >= oldest) [[likely]]
    return {};
  return Error{ErrorKind::kRange, "ERR bucket " + place.calendar->Format(bucket) +
                                      " is older than the tree keeps: its oldest is " +
                                      place.calendar->Format(oldest)};
}

Result<Bucket> BucketToChange(const Context& ctx, const TreePlace& place,
                              std::optional<std::string_view> at) {
  const Result<Bucket> bucket = ParseBucket(ctx, place, at);
  if (!bucket.ok()) return bucket;
  if (const Status status = CheckWritable(ctx, place, *bucket); !status) return status.error();
  return bucket;
}

// ---- reading

void SumEach(const TreePlace& place, std::span<const std::string_view> keys,
             const BucketRange& range, std::vector<Decimal>& sums) {
  sums.assign(keys.size(), Decimal());
  if (!place) return;
  const auto key_of = [&](std::size_t i) { return keys[i]; };
  ForEachKey(*place.tree, keys.size(), range, key_of, [&](std::size_t i, const TreeKey& key) {
    sums[i] = SumOfKey(*place.tree, key, range);
  });
}

void ReplySums(Context& ctx, const TreePlace& place, std::span<const std::string_view> keys,
               const BucketRange& range) {
  if (!place) {
    for (std::size_t i = 0; i < keys.size(); ++i) ctx.reply.Integer(0);
    return;
  }
  const auto key_of = [&](std::size_t i) { return keys[i]; };
  ForEachKey(*place.tree, keys.size(), range, key_of, [&](std::size_t, const TreeKey& key) {
    ctx.reply.Decimal(SumOfKey(*place.tree, key, range));
  });
}

// ---- changes

Result<Decimal> AddToBucket(Context& ctx, TreePlace& place, std::string_view key, Bucket bucket,
                            const Decimal& delta) {
  Tree& tree = TreeToChange(ctx, place);
  const auto value = ctx.unit.AddToBucket(place.name, tree, tree.MakeKey(key), bucket, delta);
  if (!value) return Error{ErrorKind::kRange, std::string(kOutOfRange)};
  return *value;
}

Result<Decimal> TakeFromBucket(Context& ctx, TreePlace& place, std::string_view key, Bucket bucket,
                               const Decimal& amount) {
  const Decimal old = ValueOf(place, key, bucket);
  Decimal taken = amount;
  if (!amount.IsNegative()) taken = std::min(amount, std::max(old, Decimal()));
  if (taken.IsZero()) return old;
  return AddToBucket(ctx, place, key, bucket, -taken);
}

void SetBucket(Context& ctx, TreePlace& place, std::string_view key, Bucket bucket,
               const Decimal& value) {
  Tree& tree = TreeToChange(ctx, place);
  ctx.unit.SetBucket(place.name, tree, tree.MakeKey(key), bucket, value);
}

Status CheckAdds(const TreePlace& place, std::span<const TreeAdd> adds) {
  return AllSurelyFit(place, adds) ? Status() : CheckInOrder(place, adds);
}

void AddAll(Context& ctx, TreePlace& place, std::span<const TreeAdd> adds, const AddsMade& made) {
  Tree& tree = TreeToChange(ctx, place);
  std::array<engine::Unit::BucketAdd, kBatch> batch;
  for (std::size_t begin = 0; begin < adds.size(); begin += kBatch) {
    const std::size_t size = std::min(kBatch, adds.size() - begin);
    for (std::size_t i = 0; i < size; ++i) {
      const TreeAdd& add = adds[begin + i];
      batch[i] = {.key = tree.MakeKey(add.key), .bucket = add.bucket, .delta = add.delta};
      tree.Prefetch(batch[i].key);
    }
    for (std::size_t i = 0; i < size; ++i) tree.PrefetchRecord(batch[i].key);
    for (std::size_t i = 0; i < size; ++i)
      tree.PrefetchBuckets(batch[i].key, {batch[i].bucket, batch[i].bucket});
    ctx.unit.AddToBuckets(place.name, tree, {batch.data(), size});
    made({batch.data(), size});
  }
}

}  // namespace jeton::command
