// What the commands about trees have in common, in every dialect (RESP and Karma's JSON): finding a
// tree, its calendar, ranges of buckets, and changes that are checked completely before they begin.
// Whole trees are walked by tree_query.h.
//
// A handler finds the tree's place, parses what the client sent with the place's calendar, and
// reads or changes it. A tree that does not exist reads as an empty one and comes into being with
// the first change, after every check. The caller holds the partition of the tree's name.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/calendar.h"
#include "base/decimal.h"
#include "command/calendar_cache.h"
#include "command/context.h"
#include "command/counter_access.h"
#include "command/errors.h"
#include "engine/tree.h"

namespace jeton::command {

// Valid until the partition is unlocked.
struct TreePlace {
  engine::Key name;
  engine::Tree* tree = nullptr;        // null: there is none
  const Calendar* calendar = nullptr;  // the tree's; without a tree that of the default settings

  explicit operator bool() const { return tree != nullptr; }
};

// Errors: kWrongType for a counter; kInvalid if the zone of the tree is unknown to this system.
Result<TreePlace> FindTree(Context& ctx, const engine::Key& name);
// The same for commands that read: counts a hit or a miss for INFO.
Result<TreePlace> FindTreeToRead(Context& ctx, const engine::Key& name);
// Creates the tree with default settings if there is none. Only after every check.
engine::Tree& TreeToChange(Context& ctx, TreePlace& place);
// "ERR no such tree 'articles'", kNotFound: for the commands to which a missing tree is an error.
Error NoSuchTree(std::string_view name);

// ---- buckets

// `FROM` and `TO`, each optional, as wide as the tree's buckets or wider, both inclusive. Without a
// tree any bucket text will do.
Result<BucketRange> ParseRange(const TreePlace& place, std::optional<std::string_view> from,
                               std::optional<std::string_view> to);
// `AT`, exact; without it the bucket of now.
Result<Bucket> ParseBucket(const Context& ctx, const TreePlace& place,
                           std::optional<std::string_view> at);
// The oldest bucket that a write may change: RETAIN counts the current bucket, and the watermark
// holds even if the clock went back.
Bucket OldestKept(const TreePlace& place, WallMs now);
// kRange if the bucket is older than the tree keeps.
Status CheckWritable(const Context& ctx, const TreePlace& place, Bucket bucket);
// ParseBucket and CheckWritable.
Result<Bucket> BucketToChange(const Context& ctx, const TreePlace& place,
                              std::optional<std::string_view> at);

// ---- reading: 0 where there is nothing

inline Decimal ValueOf(const TreePlace& place, std::string_view key, Bucket bucket) {
  return place ? place.tree->Get(place.tree->MakeKey(key), bucket) : Decimal();
}
inline Decimal SumOf(const TreePlace& place, std::string_view key, const BucketRange& range) {
  return place ? place.tree->SumOf(place.tree->MakeKey(key), range) : Decimal();
}
// The sums of many keys, in their order; memory is fetched ahead.
void SumEach(const TreePlace& place, std::span<const std::string_view> keys,
             const BucketRange& range, std::vector<Decimal>& sums);
// SumEach into the reply, which has its container already.
void ReplySums(Context& ctx, const TreePlace& place, std::span<const std::string_view> keys,
               const BucketRange& range);

// ---- changes. `bucket` is writable already.

// The bucket's new value; kRange, and nothing changed, if it would leave the range of a Decimal.
Result<Decimal> AddToBucket(Context& ctx, TreePlace& place, std::string_view key, Bucket bucket,
                            const Decimal& delta);
// Takes `amount` away, but never goes below 0; one that is below stays where it is. Creates
// nothing. The bucket's new value.
Result<Decimal> TakeFromBucket(Context& ctx, TreePlace& place, std::string_view key, Bucket bucket,
                               const Decimal& amount);
void SetBucket(Context& ctx, TreePlace& place, std::string_view key, Bucket bucket,
               const Decimal& value);

struct TreeAdd {
  std::string_view key;
  Bucket bucket = 0;
  Decimal delta;
};
// Whether all of them can be made, in order; a key may be there several times.
Status CheckAdds(const TreePlace& place, std::span<const TreeAdd> adds);
// Makes them, after CheckAdds. `made` gets some at a time, in order, with the buckets' new values.
using AddsMade = std::function<void(std::span<const engine::Unit::BucketAdd>)>;
void AddAll(Context& ctx, TreePlace& place, std::span<const TreeAdd> adds, const AddsMade& made);

}  // namespace jeton::command
