// Tree: counters by key and calendar bucket. A tree has keys, a key has a value in each of its
// buckets. A bucket brought to 0 stays until it is cleared or trimmed; a key whose buckets are all
// gone does not exist.
//
// Retention is a watermark: buckets before it do not exist for anyone, from the moment it is set,
// and no write brings one back. Setting it costs what the buckets it passes cost, not what the keys
// cost; their memory comes back bit by bit (Prune).
//
// Threads: the lock of the partition of the tree's name guards all of it. Whole-tree queries go in
// slices by Scan, with the lock released in between: find the tree again for each slice.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/calendar.h"
#include "base/decimal.h"
#include "base/result.h"
#include "engine/bucket_index.h"
#include "engine/key_record.h"
#include "engine/slab.h"
#include "engine/table.h"
#include "engine/tree_key.h"

namespace jeton::engine {

struct TreeSettings {
  Width width = Width::kDay;
  std::string zone = "UTC";  // as given; checked by whoever creates the tree
  std::uint32_t retain = 0;  // buckets, the current one included; 0: all

  friend bool operator==(const TreeSettings&, const TreeSettings&) = default;
};

extern template class BasicTable<KeyRecord, 0>;
using KeyTable = BasicTable<KeyRecord, 0>;

// What trees of one partition share. Outlives them.
struct TreeHome {
  // Keys of dropped and reset trees, until they are freed.
  struct Grave {
    std::unique_ptr<KeyTable> keys;
    BucketIndex index;
  };

  BlockPool& pool;
  Slab& slab;
  std::uint64_t hash_seed;
  std::vector<Grave> graveyard = {};
  std::uint64_t overhead_bytes = 0;  // of trees, beyond blocks and slab; see Tree::Account
};

// What a reader sees of one key. Valid until the tree's next change or its partition's unlock.
class KeyView {
 public:
  KeyView(const KeyRecord& record, Bucket watermark)
      : record_(record), live_(record.first() >= watermark ? 0 : record.LowerBound(watermark)) {}

  bool exists() const { return live_ < record_.count(); }
  bool is_number() const { return record_.IsNumber(); }
  std::uint64_t number() const { return record_.Number(); }
  std::string_view text() const { return record_.Text(); }  // unless it is a number
  std::string ToString() const;
  void AppendTo(std::string& out) const;

  std::uint32_t buckets() const { return record_.count() - live_; }
  Bucket first() const { return record_.BucketAt(live_); }
  Bucket last() const { return record_.last(); }
  std::optional<Decimal> At(Bucket bucket) const;
  Decimal Total() const { return record_.SumOf(live_, record_.count()).value(); }
  Decimal SumOf(const BucketRange& range) const;
  // Calls visit(bucket, value), ascending.
  template <typename Visit>
  void ForEach(const BucketRange& range, Visit visit) const {
    const auto [from, to] = IndexesOf(range);
    for (auto i = from; i < to; ++i) visit(record_.BucketAt(i), record_.ValueAt(i));
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (auto i = live_; i < record_.count(); ++i) visit(record_.BucketAt(i), record_.ValueAt(i));
  }

 private:
  std::pair<KeyRecord::Index, KeyRecord::Index> IndexesOf(const BucketRange& range) const;

  const KeyRecord& record_;
  KeyRecord::Index live_;  // the first one that the watermark leaves
};

class Tree {
 public:
  static constexpr Bucket kNoWatermark = INT64_MIN;
  static constexpr BucketRange kAll{INT64_MIN, INT64_MAX};

  Tree(std::string name, TreeSettings settings, TreeHome& home);
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  const std::string& name() const { return name_; }
  const TreeSettings& settings() const { return settings_; }
  Bucket watermark() const { return watermark_; }
  std::uint64_t keys() const { return keys_; }
  std::uint64_t buckets() const { return buckets_; }
  std::uint64_t bytes() const;
  // No bucket holds anything but integers of 64 bits. False is a perhaps.
  bool integers_only() const { return integers_only_; }
  Decimal Total() const { return total_.value(); }
  // Costs what the distinct buckets in the range cost, whatever the number of keys.
  Decimal SumOf(const BucketRange& range) const;

  // The text must outlive the key. The hash is the same in every tree of a partition, and no other.
  TreeKey MakeKey(std::string_view text) const { return MakeTreeKey(text, home_.hash_seed); }
  // For a key that was decoded.
  std::uint64_t HashOf(const TreeKey& key) const {
    return (key.is_number ? MakeNumberKey(key.number, home_.hash_seed)
                          : MakeTextKey(key.text, home_.hash_seed))
        .hash;
  }
  // For a batch of keys: first Prefetch all, then PrefetchRecord all, then PrefetchBuckets all,
  // then use them.
  void Prefetch(const TreeKey& key) const { table_->Prefetch(key.hash); }
  void PrefetchRecord(TreeKey& key) const {
    key.hint = table_->PrefetchRecord(key.hash, head_bytes_);
  }
  // With no change of the tree since PrefetchRecord.
  void PrefetchBuckets(const TreeKey& key, const BucketRange& range) const {
    if (key.hint != nullptr && *key.hint != 0) KeyTable::RecordAt(*key.hint)->Prefetch(range);
  }

  std::optional<KeyView> Find(const TreeKey& key) const;
  bool Has(const TreeKey& key) const { return Find(key).has_value(); }
  Decimal Get(const TreeKey& key, Bucket bucket) const;               // 0 if it is not there
  Decimal SumOf(const TreeKey& key, const BucketRange& range) const;  // 0 if it is not there
  Decimal Total(const TreeKey& key) const;                            // 0 if it is not there

  // Calls `visit` for the next `count` keys (1 for 0) from `cursor` on, in hash order; 0 begins. A
  // full scan (until the result is 0) sees every key that was there throughout, exactly once. It
  // may be fewer keys, even none, before the end. 2,000 keys take well under a millisecond.
  std::uint64_t Scan(std::uint64_t cursor, std::size_t count,
                     const std::function<void(const KeyView&)>& visit) const;

  // kRange if a write to this bucket is refused: it is before the watermark.
  Status CheckWritable(Bucket bucket) const;
  // Whether Add would succeed: the bucket's new value is within the range of a Decimal.
  bool CanAdd(const TreeKey& key, Bucket bucket, const Decimal& delta) const;

  // ---- changes: only Unit and the Apply of recovery call these. A write before the watermark does
  // nothing.

  // The bucket's new value; empty, and nothing changed, if it would leave the range.
  std::optional<Decimal> Add(const TreeKey& key, Bucket bucket, const Decimal& delta);
  // The same for an integer, where that is a load and a store. False, and nothing changed, if it is
  // not: Add does it then.
  bool AddInPlace(const TreeKey& key, Bucket bucket, std::int64_t delta, std::int64_t& value);
  void Set(const TreeKey& key, Bucket bucket, const Decimal& value);
  void SetCells(const TreeKey& key, const std::vector<Cell>& cells);  // ascending
  std::uint64_t Clear(const TreeKey& key, const BucketRange& range);  // how many buckets went
  std::uint64_t Trim(Bucket first_live);                              // how many buckets went
  std::uint64_t Reset();                                              // how many keys went
  void set_settings(TreeSettings settings) { settings_ = std::move(settings); }

  // Gives back memory of trimmed buckets, of at most `max_keys` keys. True while there is more.
  bool Prune(std::size_t max_keys);
  bool NeedsPruning() const { return pruned_to_ < watermark_; }

  // Brings home.overhead_bytes up to date after changes.
  void Account();

  // Frees pieces that are not part of a block; everything else goes when the slab is cleared.
  void FreeLargePieces();

 private:
  friend class Partition;

  KeyTable::Slot* FindPruned(const TreeKey& key);
  void InsertKey(const TreeKey& key, const std::vector<Cell>& cells);
  void StoreAt(KeyTable::Slot* slot, KeyRecord::Index i, Bucket bucket, const Decimal& old,
               const Decimal& value);
  void InsertAt(KeyTable::Slot* slot, KeyRecord::Index i, Bucket bucket, const Decimal& value);
  bool AddToRecord(KeyRecord& record, Bucket bucket, std::int64_t delta, std::int64_t& value);
  std::uint64_t OverheadBytes() const;
  bool PruneSlot(std::uint64_t hash, KeyTable::Slot* slot);

  std::string name_;
  TreeSettings settings_;
  TreeHome& home_;
  std::unique_ptr<KeyTable> table_;
  BucketIndex index_;  // of live buckets only
  Sum total_;
  std::uint64_t keys_ = 0;     // live ones; the table may hold more until they are pruned
  std::uint64_t buckets_ = 0;  // live ones
  std::uint64_t record_bytes_ = 0;
  bool integers_only_ = true;
  Bucket watermark_ = kNoWatermark;
  Bucket pruned_to_ = kNoWatermark;
  Bucket pruning_to_ = kNoWatermark;  // the watermark when this round of pruning began
  std::uint64_t prune_cursor_ = 0;
  std::uint64_t accounted_ = 0;  // in home_.overhead_bytes
  std::size_t head_bytes_ = 1;   // of an average record, to be fetched ahead
  std::size_t place_ = 0;        // among the trees of its partition
};

// Frees what dropped and reset trees left, of about `max_keys` keys. True while there is more.
bool EmptyGraves(TreeHome& home, std::size_t max_keys);

}  // namespace jeton::engine
