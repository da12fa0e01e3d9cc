// Keyspace: every counter and tree, in memory. Split into a fixed number of partitions by the hash
// of the name; each has its own lock and table, so that workers touch different partitions at the
// same time. It knows no protocol and reads no clock.
//
// Threads: whoever touches it holds the TurnLock (shared or exclusive, see base/lock.h) and,
// unless exclusive, the lock of the key's partition. Methods say "self-locking" where they take
// partition locks themselves.
//
// Memory: a record is [header][value][name]: an integer value costs 1 to 8 bytes, a fraction
// 16; expiry and precision cost only where they are set. The table of a partition grows by
// splitting one small segment at a time (extendible hashing: Fagin et al., 1979), so no insert ever
// waits for a whole table to be rebuilt.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/decimal.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/prng.h"
#include "base/time.h"
#include "engine/mutation.h"

namespace jeton::engine {

struct Key {
  std::string_view name;
  std::uint64_t hash = 0;
  // Where PrefetchRecord saw it. It saves a search if it is still there, and is checked.
  const std::uint64_t* hint = nullptr;
};

enum class Kind : std::uint8_t { kCounter, kTree };

// What a reader sees of one name. A tree has no value of its own here; see Keyspace::FindTree.
struct Entry {
  Kind kind = Kind::kCounter;
  Decimal value;
  WallMs expires_at = 0;             // 0: never
  std::optional<Decimal> precision;  // empty: the default
};

class Record;
class Replica;
class Tree;
struct TreeMutation;

// Where a plain integer lives, for a change in place. Integers are kept in 1, 2, 4 or 8 bytes, so
// this is a place and not a pointer to an int64: read it with *place, change it with
// Unit::PutInteger, which widens it when the new value needs more bytes. Valid until the next
// change of the partition or its unlock. Reading and writing move 8 bytes whatever the width: a
// record is never shorter than that, and this way there is no branch to mispredict.
class CounterPlace {
 public:
  CounterPlace() = default;
  explicit CounterPlace(std::uint8_t* record) : record_(record) {}
  Record* record() const { return reinterpret_cast<Record*>(record_); }

  explicit operator bool() const { return record_ != nullptr; }
  friend bool operator==(const CounterPlace& place, std::nullptr_t) { return !place; }
  bool has_precision() const { return (record_[0] & kPrecisionBit) != 0; }

  std::int64_t operator*() const {
    return static_cast<std::int64_t>(Load() << Unused()) >> Unused();
  }

  // False, and nothing changed, if `value` needs more bytes than there are.
  bool StoreIfFits(std::int64_t value) {
    if (static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << Unused()) >> Unused() !=
        value)
      return false;
    const std::uint64_t mask = ~std::uint64_t{0} >> Unused();
    const std::uint64_t merged = (Load() & ~mask) | (static_cast<std::uint64_t>(value) & mask);
    std::memcpy(record_ + kValueOffset, &merged, sizeof merged);
    return true;
  }

 private:
  static constexpr std::size_t kValueOffset = 2;  // see engine/record.h
  static constexpr std::uint8_t kPrecisionBit = 1u << 4;

  int Unused() const { return 64 - (8 << (record_[0] & 3)); }
  std::uint64_t Load() const {
    std::uint64_t bytes;
    std::memcpy(&bytes, record_ + kValueOffset, sizeof bytes);
    return bytes;
  }

  std::uint8_t* record_ = nullptr;
};

// No expiry lies before it: a look at this time also sees what has expired and was not swept yet.
inline constexpr WallMs kBeforeAnyExpiry = std::numeric_limits<WallMs>::min();

// A step of a scan in hash order: `next` is the cursor to go on with, 0 at the end.
struct ScanStep {
  std::uint64_t next = 0;
};

class BlockPool;
class Partition;

class Keyspace {
 public:
  static constexpr unsigned kPartitions = 256;
  using PartitionId = unsigned;

  struct Options {
    std::uint64_t hash_seed = 0;
    // A counter that is 0, has no expiry and no precision and was not touched for
    // kZeroLifetimeMs is reported by CollectZeros.
    bool drop_zero_counters = true;
  };
  static constexpr WallMs kZeroLifetimeMs = 3000;

  explicit Keyspace(const Options& options);
  ~Keyspace();
  Keyspace(const Keyspace&) = delete;
  Keyspace& operator=(const Keyspace&) = delete;

  Key MakeKey(std::string_view name) const {
    return {.name = name, .hash = HashBytes(name, hash_seed_)};
  }
  static PartitionId PartitionOf(const Key& key) { return static_cast<unsigned>(key.hash >> 56); }
  SpinLock& LockOf(PartitionId partition);
  // Brings the key's slot towards the cache; needs no lock and promises nothing. For a batch: first
  // Prefetch all of it, then PrefetchRecord all of it, then execute.
  void Prefetch(const Key& key) const;
  // Brings the key's record towards the cache, once its slot is there, and notes the slot in the
  // key. Needs no lock either.
  void PrefetchRecord(Key& key) const;
  // The same for several at once: without other work in between the processor looks up several
  // addresses at the same time. Equal keys that follow each other are fetched once, and those
  // without a hash not at all.
  void PrefetchSlots(std::span<const Key> keys) const;
  void PrefetchRecords(std::span<Key> keys) const;
  // Both for all of these keys; best for about a hundred.
  void Prefetch(std::span<Key> keys) const;

  // ---- one key; the caller holds its partition
  // Empty if there is none or it has expired at `now`.
  std::optional<Entry> Find(const Key& key, WallMs now) const;
  // Hot path of INCR: the counter's place for an in-place change. Null if there is none, it has
  // expired, is a tree, or has a form that needs the general path (use Find then).
  CounterPlace FindInteger(const Key& key, WallMs now);

  // Null if there is none, it has expired, or the name is a counter's. Valid until the tree is
  // dropped: find it again after an unlock.
  Tree* FindTree(const Key& key, WallMs now) const;

  // Whether the name is a tree's, expired or not.
  bool HasTree(const Key& key) const { return FindTree(key, INT64_MIN) != nullptr; }

  // True if something is there that has expired at `now`: nobody sees it, but it must be dropped
  // before the name is used again, or the newcomer would inherit its expiry.
  bool IsExpired(const Key& key, WallMs now) const;

  // The one Apply: the only way by which state changes (live, in recovery, from peers). The caller
  // holds the partition (kFlush: everything exclusively). Cannot fail on a decoded mutation.
  // `now` is for bookkeeping of zero counters only.
  void Apply(const Mutation& mutation, const Key& key, WallMs now);
  void Apply(const TreeMutation& mutation, const Key& key);
  // Bookkeeping for Unit, which changes a tree by its methods.
  void TreeChanged(const Key& key, Tree& tree);
  // The same as applying a kCounter mutation, for a place from FindInteger.
  void ApplyInteger(const Key& key, CounterPlace place, std::int64_t value, WallMs now) {
    if (value == 0 || !place.StoreIfFits(value)) [[unlikely]]
      ApplyUnusual(key, place, value, now);
  }

  // ---- whole keyspace; self-locking
  std::uint64_t size(WallMs now) const;  // live counters and trees (expired ones count until swept)
  std::uint64_t counters() const;
  std::uint64_t NamesIn(PartitionId partition) const;
  std::uint64_t trees() const;
  std::uint64_t with_expiry() const;
  std::uint64_t used_bytes() const;  // tables, records and indexes
  // Calls `visit` for the next `count` live names (1 for 0) from `cursor` on, in hash order; 0
  // begins. It may be fewer, even none, before the end: a step looks at some thousand expired names
  // at most. A full scan (until next is 0) sees every name that was there throughout, exactly once.
  // `visit` runs under the partition's lock: it must not call the keyspace.
  ScanStep Scan(std::uint64_t cursor, std::size_t count, WallMs now,
                const std::function<void(std::string_view name, const Entry&)>& visit);
  std::optional<std::string> RandomName(Prng& prng, WallMs now);
  // In no order. Costs what the trees cost, not the counters.
  std::vector<std::string> TreeNames(WallMs now) const;

  // ---- upkeep; self-locking. Names that have expired at `now` / zero counters past their
  // lifetime, at most `max`; the caller re-checks each under its partition's lock and drops it by a
  // mutation.
  std::vector<std::string> CollectExpired(PartitionId partition, WallMs now, std::size_t max);
  std::vector<std::string> CollectZeros(PartitionId partition, WallMs now, std::size_t max);
  // Frees what dropped, reset and trimmed trees of the partition left, of about `max_keys` keys,
  // which take about 100 ns each. True while there is more.
  bool ReleaseTreeMemory(PartitionId partition, std::size_t max_keys);
  // True if `key` is still a zero counter that may go (the caller holds the partition).
  bool IsIdleZero(const Key& key, WallMs now) const;
  // Turned on, it also covers the zero counters that are there already: CollectZeros finds them bit
  // by bit.
  void set_drop_zero_counters(bool drop);

  // ---- snapshots: encoded mutations that rebuild a partition, in slices of about `max_bytes`.
  // Self-locking for one slice at a time. Start with a default cursor; done when it says so.
  // Changes between two slices are fine: the snapshot is fuzzy, and exact once the log since the
  // first slice is replayed onto it (docs/formats/mutation.md says why). `emit` gets all about one
  // counter at once, under the lock.
  struct SliceCursor {
    std::uint64_t hash = 0;
    std::uint64_t inner = 0;  // where to go on in the tree at `hash`; 0 before its begin
    bool done = false;
  };
  void EncodeSlice(PartitionId partition, SliceCursor& cursor, std::size_t max_bytes,
                   const std::function<void(std::string_view encoded_mutation)>& emit);

  // Applies every mutation in `bytes`, as Loader does, which is for much of it.
  bool ApplyEncoded(std::string_view bytes, WallMs now);

  std::uint64_t hash_seed() const { return hash_seed_; }
  // Whether any counter has had a precision since the start: if not, nobody need look.
  bool has_precisions() const { return has_precisions_.load(std::memory_order_relaxed); }

  // What the node knows of other nodes' part in its values; null while it is alone. Set and cleared
  // exclusively; outlives its use here.
  Replica* replica() const { return replica_.load(std::memory_order_relaxed); }
  void set_replica(Replica* replica) {
    replica_.store(replica, std::memory_order_relaxed);
    set_shared_bytes(0);
  }
  // What that takes, as it says itself now and then; part of used_bytes.
  void set_shared_bytes(std::uint64_t bytes) {
    shared_bytes_.store(bytes, std::memory_order_relaxed);
  }

 private:
  class Slice;
  friend class Loader;

  Partition& At(const Key& key) const { return *partitions_[PartitionOf(key)]; }
  void ApplyUnusual(const Key& key, CounterPlace place, std::int64_t value, WallMs now);
  void QueueFoundZeros(Partition& partition, WallMs now);

  std::uint64_t hash_seed_;
  std::atomic<Replica*> replica_{nullptr};
  std::atomic<std::uint64_t> shared_bytes_{0};
  std::unique_ptr<BlockPool> pool_;  // outlives the partitions
  std::atomic<bool> drop_zero_counters_;
  std::atomic<bool> has_precisions_{false};
  std::vector<std::unique_ptr<Partition>> partitions_;
};

}  // namespace jeton::engine
