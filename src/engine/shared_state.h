// What a partition keeps beside its keyspace once the node has peers: for each name the CRDT state
// that its visible value follows from. A name (or bucket) that is not here but is visible is
// *implicit*: one entry of the home origin, with the visible value as its sum. So a counter that
// only its first node ever wrote costs nothing more than on a lone node.
//
// Memory: a counter that one origin has written is one piece of 32 bytes and its name, and a slot
// of the table; with further origins there is a piece of 16 bytes for each. All of it is accounted.
//
// Threads: the partition's lock, as for the keyspace.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "crdt/cell.h"
#include "engine/dirty_set.h"
#include "engine/keyspace.h"
#include "engine/lazy.h"
#include "engine/shared_mutation.h"
#include "engine/table.h"

namespace jeton::engine {

struct SharedCell {
  [[no_unique_address]] crdt::Cell cell;
  bool hidden = false;     // a zero that was removed from view; any change shows it again
  bool candidate = false;  // of the sweep for entries that may be freed; any own change clears it
};

// Expiry and precision; each is the one with the greatest version.
struct Attributes {
  crdt::Version expiry_version;
  WallMs expires_at = 0;
  crdt::Version precision_version;
  Decimal precision = Decimal(-1);
  bool candidate = false;  // of the sweep, as in SharedCell
};

struct SharedTree {
  using Buckets = std::map<Bucket, SharedCell>;
  using Keys = std::map<std::string, Buckets, std::less<>>;

  TreeFacts facts;
  std::uint64_t emptied = 0;  // the number of the last copy that had begun when it last was
  // Explicit cells only; SharedPartition changes it. What is below the watermark says nothing, and
  // goes bit by bit.
  Keys keys;
  Bucket released_to = Tree::kNoWatermark;  // nothing below is there
  bool is_releasing = false;

  // The cells of a key that are not below the watermark.
  Buckets::iterator FirstLive(Keys::iterator key) const {
    return key->second.lower_bound(facts.watermark);
  }
};

// One name, with room for a counter; a record of a BasicTable. It stays where it is.
class SharedName {
 public:
  using Name = std::string_view;
  static constexpr std::size_t kUsualBytes = 64;

  static SharedName* Make(std::string_view name);
  void Destroy();
  SharedName(const SharedName&) = delete;
  SharedName& operator=(const SharedName&) = delete;

  std::string_view name() const {
    const char* text = reinterpret_cast<const char*>(this + 1);
    if (short_size_ < kLong) return {text, short_size_};
    std::uint32_t size;
    std::memcpy(&size, text, sizeof size);
    return {text + sizeof size, size};
  }
  bool HasName(std::string_view sought) const { return name() == sought; }
  std::uint64_t HashWith(std::uint64_t seed) const { return HashBytes(name(), seed); }
  std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(this); }
  void Prefetch() const { counter_.cell.Prefetch(); }
  std::size_t memory() const;  // without what belongs to the cell and the tree

  // Null: implicit, or nothing.
  SharedCell* counter() { return has_counter_ ? &counter_ : nullptr; }
  const SharedCell* counter() const { return has_counter_ ? &counter_ : nullptr; }
  Attributes* attributes() { return rest_ ? rest_->attributes.get() : nullptr; }
  const Attributes* attributes() const { return rest_ ? rest_->attributes.get() : nullptr; }
  SharedTree* tree() { return rest_ ? rest_->tree.get() : nullptr; }
  const SharedTree* tree() const { return rest_ ? rest_->tree.get() : nullptr; }
  bool empty() const { return !has_counter_ && !dirty_ && attributes() == nullptr && !tree(); }
  bool dirty() const { return dirty_; }

 private:
  friend class SharedPartition;
  struct Rest {
    std::unique_ptr<Attributes> attributes;
    std::unique_ptr<SharedTree> tree;
  };

  SharedName() = default;
  ~SharedName() = default;
  static constexpr std::uint8_t kLong = 255;
  // The name follows, after its size (u32) if it is long.
  static std::size_t SizeFor(std::size_t name) {
    return sizeof(SharedName) + (name >= kLong ? sizeof(std::uint32_t) : 0) + name;
  }

  [[no_unique_address]] SharedCell counter_;
  bool has_counter_ = false;
  bool dirty_ = false;           // its counter, see SharedPartition::MarkDirty
  std::uint8_t short_size_ = 0;  // of the name, or kLong
  std::unique_ptr<Rest> rest_;
};

static_assert(sizeof(SharedCell) == 24 && sizeof(SharedName) == 32);

extern template class BasicTable<SharedName, 8>;

// The names of one partition, in the order of their hashes, so that a walk can go on where it was.
class SharedPartition {
 public:
  using Table = BasicTable<SharedName, 8>;

  // `pool` outlives it.
  SharedPartition(BlockPool& pool, std::uint64_t hash_seed)
      : hash_seed_(hash_seed), table_(pool, hash_seed) {}
  ~SharedPartition() { Clear(); }

  SharedName* Find(const Key& key) const {
    const Table::Slot* slot = table_.Find(key.hash, key.name);
    return slot != nullptr ? Table::RecordAt(*slot) : nullptr;
  }
  SharedName& Make(const Key& key);
  // If nothing is left of the name.
  void EraseIfEmpty(const Key& key);
  void Clear();
  std::uint64_t size() const { return table_.size(); }
  bool empty() const { return size() == 0; }
  // As BasicTable::Reserve.
  void Reserve(std::uint64_t names) { table_.Reserve(names); }
  void Prefetch(const Key& key) const { table_.Prefetch(key.hash); }
  void PrefetchRecord(const Key& key) const { (void)table_.PrefetchRecord(key.hash); }
  // As BasicTable::Walk.
  std::uint64_t Walk(std::uint64_t from, std::size_t count, std::vector<Table::Walked>& out) const {
    return table_.Walk(from, count, out);
  }

  // ---- what belongs to a name
  SharedCell& MakeCounter(SharedName& name);
  void DropCounter(SharedName& name);
  Attributes& MakeAttributes(SharedName& name);
  void DropAttributes(SharedName& name);
  SharedTree& MakeTree(SharedName& name);
  SharedCell& MakeBucket(SharedTree& tree, std::string_view key, Bucket bucket);
  void EraseBucket(SharedTree& tree, SharedTree::Keys::iterator key, Bucket bucket);
  // Its watermark was raised, or it is empty from here on; the memory goes with Release.
  void TrimTree(SharedTree& tree);
  void ClearTree(SharedTree& tree);
  // Frees what they have left, looking at `max_keys` keys at most; returns how many that were.
  std::size_t Release(std::size_t max_keys);

  // Counters that were changed since the last frame was cut and have a cell or attributes of their
  // own; `dirty` has the others, and buckets. True if it was not one yet.
  bool MarkDirty(SharedName& name) {
    if (name.dirty_) return false;
    name.dirty_ = true;
    dirty_names_.push_back(&name);
    return true;
  }
  const std::vector<SharedName*>& dirty_names() const { return dirty_names_; }
  void CleanNames(std::size_t first);  // takes out the first so many
  std::size_t dirty_size() const { return dirty.size() + dirty_names_.size(); }
  void Clean();

  // Beside the pool's blocks; any thread.
  std::uint64_t other_bytes() const { return other_bytes_.load(std::memory_order_relaxed); }

  // Accounts for what becomes of a cell in its life time.
  class Change {
   public:
    Change(SharedPartition& partition, const crdt::Cell& cell)
        : partition_(partition), cell_(cell), before_(cell.bytes()) {}
    ~Change() { partition_.Account(before_, cell_.bytes()); }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    SharedPartition& partition_;
    const crdt::Cell& cell_;
    const std::size_t before_;
  };

  DirtySet dirty;       // ids as EncodeCellId makes them
  std::string scratch;  // for an id, reused
  // By counter: what this node tells late, and what it was told of others' growth.
  std::map<std::string, LazyCell, std::less<>> lazy;
  std::map<std::string, std::vector<HeardRate>, std::less<>> heard;

 private:
  void Account(std::size_t before, std::size_t after) {
    if (before == after) return;
    const auto bytes = other_bytes_.load(std::memory_order_relaxed) + after - before;
    other_bytes_.store(bytes, std::memory_order_relaxed);
  }

  const std::uint64_t hash_seed_;
  void ReleaseKey(SharedTree::Keys& keys, SharedTree::Keys::iterator& next,
                  SharedTree::Buckets::iterator end);
  bool ReleaseTrimmed(SharedTree& tree, std::size_t& left);

  Table table_;
  std::vector<SharedName*> dirty_names_;
  std::vector<SharedTree::Keys> graves_;  // of emptied trees
  std::deque<SharedTree*> trimmed_;       // a tree is never dropped
  std::string release_from_;              // the key to go on with in the first of them
  std::atomic<std::uint64_t> other_bytes_{0};
};

// The bytes by which a cell is known in a DirtySet.
void EncodeCellId(const CellName& cell, std::string& out);
CellName DecodeCellId(std::string_view id);

}  // namespace jeton::engine
