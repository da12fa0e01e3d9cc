// BucketIndex: what a tree holds in each bucket, over all its keys: the sum, how many keys have the
// bucket, and for how many it is the newest. It makes the total of a tree over any range, and what
// a trim takes away, a matter of the buckets in it and not of the keys.
//
// Guarded by the lock of the tree's partition.
#pragma once

#include <cstdint>
#include <map>

#include "base/assert.h"
#include "base/calendar.h"
#include "base/sum.h"

namespace jeton::engine {

class BucketIndex {
 public:
  struct Entry {
    Sum sum;
    std::uint64_t keys = 0;       // that have this bucket
    std::uint64_t newest_of = 0;  // keys that have no later one
  };
  // A map's node with its pointers and malloc's header.
  static constexpr std::size_t kBytesPerEntry = 40 + 16 + sizeof(Entry) + 8;

  Entry& At(Bucket bucket) {
    // A command counts its keys in one bucket.
    if (recent_ == nullptr || bucket != recent_bucket_) {
      recent_ = &entries_[bucket];
      recent_bucket_ = bucket;
    }
    return *recent_;
  }
  // One key less has `bucket`, which was worth `value` to it.
  void Remove(Bucket bucket, const Decimal& value) {
    Entry& entry = At(bucket);
    entry.sum.Subtract(value);
    if (--entry.keys > 0) return;
    ASSERT(entry.newest_of == 0);
    entries_.erase(bucket);
    recent_ = nullptr;
  }
  // Takes away all entries before `bucket` and returns what they held together.
  Entry RemoveBefore(Bucket bucket) {
    Entry removed;
    recent_ = nullptr;
    while (!entries_.empty() && entries_.begin()->first < bucket) {
      const Entry& entry = entries_.begin()->second;
      removed.sum.Add(entry.sum);
      removed.keys += entry.keys;
      removed.newest_of += entry.newest_of;
      entries_.erase(entries_.begin());
    }
    return removed;
  }
  // False if there is none.
  bool RemoveOne() {
    recent_ = nullptr;
    if (entries_.empty()) return false;
    entries_.erase(entries_.begin());
    return true;
  }
  Sum SumOf(const BucketRange& range) const {
    Sum sum;
    for (auto i = entries_.lower_bound(range.first); i != entries_.end() && i->first <= range.last;
         ++i) {
      sum.Add(i->second.sum);
    }
    return sum;
  }

  const std::map<Bucket, Entry>& entries() const { return entries_; }

 private:
  std::map<Bucket, Entry> entries_;
  Entry* recent_ = nullptr;  // into entries_
  Bucket recent_bucket_ = 0;
};

}  // namespace jeton::engine
