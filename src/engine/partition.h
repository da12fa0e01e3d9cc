// Partition: one part of the keyspace with its own lock: a table, its records, and the indexes of
// what will go by itself. Keyspace hands it the names whose hashes begin with its number.
//
// Threads: `lock` guards everything but the figures, which anybody may read, and Prefetch.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/decimal.h"
#include "base/lock.h"
#include "engine/expiry.h"
#include "engine/keyspace.h"
#include "engine/record.h"
#include "engine/slab.h"
#include "engine/table.h"
#include "engine/tree.h"
#include "engine/zeros.h"

namespace jeton::engine {

class Partition {
 public:
  // With a line for itself: the directory's address at the begin of the table is read ahead by all
  // threads, and would come from the core that took the lock last.
  alignas(64) mutable SpinLock lock;

 private:
  alignas(64) Table table_;
  Slab slab_;

 public:
  Partition(BlockPool& pool, std::uint64_t hash_seed)
      : table_(pool, hash_seed),
        slab_(pool),
        expiry_(table_),
        zeros_(table_),
        home_{.pool = pool, .slab = slab_, .hash_seed = hash_seed} {}
  ~Partition() { Clear(); }
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  // Null if there is none; the record may have expired.
  Record* Find(const Key& key) const {
    const Table::Slot* slot = table_.Find(key.hash, key.name, key.hint);
    return slot != nullptr ? Table::RecordAt(*slot) : nullptr;
  }
  Record* FindLive(const Key& key, WallMs now) const {
    Record* record = Find(key);
    return record != nullptr && !record->ExpiredAt(now) ? record : nullptr;
  }

  // The counter's value is now `value`, whatever was there before.
  void Put(const Key& key, const Decimal& value, WallMs now);
  // These do nothing if the name is not there (any more): see docs/formats/mutation.md on replay.
  void SetExpiry(const Key& key, WallMs expires_at, WallMs now);
  void SetPrecision(const Key& key, const Decimal& precision, WallMs now);
  void Drop(const Key& key);
  void Clear();

  // Null if there is no such tree; it may have expired.
  Tree* FindTree(const Key& key) const {
    const Record* record = Find(key);
    return record != nullptr && record->form() == Record::kTree ? record->tree() : nullptr;
  }
  // The tree is there with these settings, whatever was there before.
  void CreateTree(const Key& key, const TreeSettings& settings);
  // The caller has changed the contents of `tree`.
  void TreeChanged(Tree& tree) {
    tree.Account();
    Publish();
  }
  const std::vector<std::unique_ptr<Tree>>& trees() const { return trees_; }
  // Gives back memory of trees: of about `max_keys` keys. True while there is more.
  bool ReleaseTreeMemory(std::size_t max_keys);

  // The caller has changed the value of `record` in its place.
  void Written(const Key& key, Record& record, WallMs now) {
    zeros_.Written(key.hash, record, now);
  }

  void Reserve(std::uint64_t names) { table_.Reserve(names); }

  const Table& table() const { return table_; }
  ExpiryIndex& expiry() { return expiry_; }
  ZeroQueue& zeros() { return zeros_; }

  std::uint64_t names() const { return names_.load(std::memory_order_relaxed); }
  std::uint64_t tree_count() const { return tree_count_.load(std::memory_order_relaxed); }
  std::uint64_t with_expiry() const { return with_expiry_.load(std::memory_order_relaxed); }
  // Beyond the pool's blocks.
  std::uint64_t other_bytes() const { return other_bytes_.load(std::memory_order_relaxed); }

  // Where the look for zero counters that nobody queued goes on, if there is one: see
  // Keyspace::set_drop_zero_counters.
  std::optional<std::uint64_t> zero_search;

 private:
  Record* Reshape(Table::Slot* slot, Record::Shape shape);
  void Forget(const Key& key, Table::Slot* slot);
  Tree* AddTree(std::string_view name, const TreeSettings& settings);
  void RemoveTree(Tree* tree);
  void Publish();

  ExpiryIndex expiry_;
  ZeroQueue zeros_;
  TreeHome home_;
  std::vector<std::unique_ptr<Tree>> trees_;
  std::atomic<std::uint64_t> names_{0};
  std::atomic<std::uint64_t> tree_count_{0};
  std::atomic<std::uint64_t> with_expiry_{0};
  std::atomic<std::uint64_t> other_bytes_{0};
};

}  // namespace jeton::engine
