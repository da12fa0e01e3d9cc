// ZeroQueue: counters of one partition that are 0 and may go. A queue of {time, hash} in the order
// of writes, and two bits in the record (ZeroState) that say where it is on its way:
//
//   kNone -> kQueued (a write left it 0) -> kTouched (another one did) -> kQueued (back in the
//   queue)
//                                        -> kIdle (reported; a write makes it kTouched again)
//
// So a counter has at most one entry, and is reported one to two lifetimes after its last write.
// Guarded by the partition's lock.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "engine/record.h"
#include "engine/table.h"

namespace jeton::engine {

class ZeroQueue {
 public:
  explicit ZeroQueue(const Table& table) : table_(table) {}

  static bool MayGo(const Record& record) {
    return record.IsZero() && !record.has_expiry() && !record.has_precision();
  }
  // A write has left `record` as it is now.
  void Written(std::uint64_t hash, Record& record, WallMs now) {
    if (MayGo(record)) [[unlikely]]
      Note(hash, record, now);
  }
  // A walk through the table has met `record`.
  void Found(std::uint64_t hash, Record& record, WallMs now) {
    if (record.zero_state() == ZeroState::kNone) Written(hash, record, now);
  }
  // `record` is about to go. Its entry stays in the queue and is passed over when its turn comes:
  // it must not be taken for that of a later counter of this name.
  void Forgotten(std::uint64_t hash, const Record& record) {
    if (record.zero_state() != ZeroState::kNone) [[unlikely]]
      ++forgotten_[hash];
  }
  // Appends names of counters that were 0 and untouched for `lifetime`, at most `max`.
  void Collect(WallMs now, WallMs lifetime, std::size_t max, std::vector<std::string>& names);
  void Clear();

  std::uint64_t bytes() const { return queue_.capacity() * sizeof(Entry); }

 private:
  struct Entry {
    WallMs at;
    std::uint64_t hash;
  };

  void Note(std::uint64_t hash, Record& record, WallMs now);
  void Check(const Entry& entry, WallMs now, std::vector<std::string>& names);
  void Compact();

  // Whether the entry is that of a counter that is gone. Entries of one hash are in order of age.
  bool IsForgotten(std::uint64_t hash);

  const Table& table_;  // of the same partition
  std::vector<Entry> queue_;
  std::size_t head_ = 0;                                        // entries before it are done
  std::unordered_map<std::uint64_t, std::uint32_t> forgotten_;  // entries of counters that are gone
  std::vector<Record*> found_;                                  // reused
};

}  // namespace jeton::engine
