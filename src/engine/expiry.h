// ExpiryIndex: which records of one partition expire when. A min-heap of {time, hash} with lazy
// deletion: an entry is never looked for when an expiry changes, but verified against the record
// when its time has come. Invariant: every record with an expiry has an entry at exactly that time;
// all other entries are stale.
//
// When more than half the entries are stale each addition also checks a few others and removes the
// stale ones, so that memory stays within a small multiple of what is needed, without a pause.
//
// Guarded by the partition's lock.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "engine/record.h"
#include "engine/table.h"

namespace jeton::engine {

class ExpiryIndex {
 public:
  explicit ExpiryIndex(const Table& table) : table_(table) {}

  // The record with this hash has changed its expiry from `before` to `after` (0: none; a record
  // that is gone goes to 0). The record has its new state already.
  void Changed(std::uint64_t hash, WallMs before, WallMs after);
  // Appends names that have expired at `now`, at most `max`. They stay in the index until they are
  // gone, so whoever cannot drop them now sees them again. Looks at 4 * max + 16 entries at most.
  void Collect(WallMs now, std::size_t max, std::vector<std::string>& names);
  void Clear();

  std::uint64_t live() const { return live_; }
  std::uint64_t entries() const { return heap_.size(); }
  std::uint64_t bytes() const { return heap_.capacity() * sizeof(Entry); }

 private:
  static constexpr std::size_t kTolerated = 64;  // stale entries that are not worth a look
  static constexpr int kChecksPerPush = 4;       // finds two stale ones where half are stale

  struct Entry {
    WallMs at;
    std::uint64_t hash;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };

  void Push(Entry entry);
  void CheckOne();
  bool IsStale(const Entry& entry);  // leaves the records of its hash in found_
  void RemoveAt(std::size_t index);

  const Table& table_;  // of the same partition
  std::vector<Entry> heap_;
  std::size_t next_check_ = 0;
  std::uint64_t live_ = 0;
  std::vector<Record*> found_;  // reused
};

}  // namespace jeton::engine
