// Unit: the changes of one command (or of one EXEC). Each is applied to the keyspace at once and
// encoded; the caller appends `bytes()` to the log as one piece, while it still holds the locks, so
// that the log has changes in the order in which they were applied and a crash keeps all or none.
//
// Check before log: a command is validated completely before its first call here; nothing here can
// fail. Not thread-safe; a worker reuses one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine/keyspace.h"
#include "engine/tree.h"
#include "engine/tree_mutation.h"
#include "engine/watch.h"

namespace jeton::engine {

class Unit {
 public:
  Unit(Keyspace& keyspace, WatchTable& watches) : keyspace_(keyspace), watches_(watches) {}

  // The caller holds the key's partition for each of these.
  // `delta` was added, and the counter is now `value`: on several masters both additions count.
  void Add(const Key& key, const Decimal& value, const Decimal& delta);
  // The counter is now `value`, whatever it was: on several masters the last such word holds.
  // `delta` is the difference, for audit.
  void Put(const Key& key, const Decimal& value, const Decimal& delta);
  // The hot path: `place` came from Keyspace::FindInteger for this key and is set to `value`.
  void PutInteger(const Key& key, CounterPlace place, std::int64_t value, std::int64_t delta);
  // The same for a name of at most kShortName bytes on a node without others, and not in bytes():
  // encoded at `out`, which has room for kIntegerMutationMax. Returns where that ends.
  char* PutInteger(const Key& key, CounterPlace place, std::int64_t value, std::int64_t delta,
                   char* out) {
    keyspace_.ApplyInteger(key, place, value, now_);
    watches_.Touch(key.name);
    return PutIntegerMutation(key.name, value, delta, out);
  }
  void Expire(const Key& key, WallMs expires_at);
  void SetPrecision(const Key& key, const Decimal& precision);  // negative: back to the default
  void Drop(const Key& key);
  // A zero counter that nobody has touched for a while goes. Other nodes see to theirs.
  void DropIdleZero(const Key& key);
  // Exclusive.
  void Flush();

  // ---- trees. `tree` is the one of that name, found under the lock that is still held.
  // Creates it or changes its settings; whoever wants an error for the latter asks first.
  void CreateTree(const Key& name, const TreeSettings& settings);
  // The bucket's new value; empty, and nothing changed, if it would leave the range. Check the
  // bucket with Tree::CheckWritable, and for all or nothing the sums with Tree::CanAdd, before.
  std::optional<Decimal> AddToBucket(const Key& name, Tree& tree, const TreeKey& key, Bucket bucket,
                                     const Decimal& delta);
  // The same for several keys, whose sums cannot leave the range.
  struct BucketAdd {
    TreeKey key;
    Bucket bucket = 0;
    Decimal delta;
    Decimal value = {};  // the bucket's new one
  };
  void AddToBuckets(const Key& name, Tree& tree, std::span<BucketAdd> adds);
  void SetBucket(const Key& name, Tree& tree, const TreeKey& key, Bucket bucket,
                 const Decimal& value);
  // How many buckets went; nothing is recorded for none.
  std::uint64_t ClearBuckets(const Key& name, Tree& tree, const TreeKey& key,
                             const BucketRange& range);
  bool ResetKey(const Key& name, Tree& tree, const TreeKey& key);  // whether it was there
  // Clears the range in all keys, in slices of about `max_keys` keys, so that the lock can be
  // released in between. Begin with cursor 0; the result is where to go on, 0 at the end.
  std::uint64_t ClearSlice(const Key& name, Tree& tree, std::uint64_t cursor, std::size_t max_keys,
                           const BucketRange& range, std::uint64_t& buckets_gone);
  std::uint64_t TrimTree(const Key& name, Tree& tree, Bucket first_live);  // how many buckets went
  std::uint64_t ResetTree(const Key& name, Tree& tree);                    // how many keys went

  void set_now(WallMs now) { now_ = now; }
  WallMs now() const { return now_; }
  const std::string& bytes() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }
  std::uint64_t changes() const { return changes_; }
  void Clear() {
    bytes_.clear();
    changes_ = 0;
    last_tree_ = nullptr;
  }

 private:
  void Record(const Mutation& mutation, const Key& key);
  void Show(const Mutation& mutation, const Key& key);
  std::uint64_t ClearShared(const Key& name, Tree& tree, const TreeKey& key,
                            const BucketRange& range);
  void RecordTree(const TreeMutation& mutation, const Key& name, Tree& tree);
  bool SameTree(const Tree& tree);
  void Touched(const Key& name, Tree& tree);

  Keyspace& keyspace_;
  WatchTable& watches_;
  std::string bytes_;
  std::uint64_t changes_ = 0;
  WallMs now_ = 0;
  const Tree* last_tree_ =
      nullptr;  // of the last tree mutation in bytes_; compared, never followed
};

}  // namespace jeton::engine
