#include "engine/keyspace.h"

#include <mutex>

#include "base/assert.h"
#include "engine/blocks.h"
#include "engine/loader.h"
#include "engine/partition.h"
#include "engine/replica.h"
#include "engine/tree.h"
#include "engine/tree_mutation.h"

namespace jeton::engine {

namespace {

constexpr int kPartitionShift = 56;
// Records that one step of a scan looks at beyond those it returns.
constexpr std::size_t kScanPatience = 4096;
constexpr std::size_t kSliceWalk = 128;       // records between two looks at a slice's size
constexpr std::size_t kZeroSearchStep = 512;  // records per call of CollectZeros

Entry EntryOf(const Record& record) {
  Entry entry;
  entry.kind = record.form() == Record::kTree ? Kind::kTree : Kind::kCounter;
  if (entry.kind == Kind::kCounter) entry.value = record.value();
  entry.expires_at = record.expires_at();
  if (record.has_precision()) entry.precision = record.precision();
  return entry;
}

void EncodeCounter(const Record& record, std::string& out) {
  EncodeMutation({.type = MutationType::kCounter, .name = record.name(), .value = record.value()},
                 out);
  if (record.has_precision()) {
    EncodeMutation(
        {.type = MutationType::kPrecision, .name = record.name(), .value = record.precision()},
        out);
  }
}

void EncodeTreeHead(const Tree& tree, std::string& out) {
  EncodeTreeMutation(
      {.type = TreeMutationType::kCreate, .tree = tree.name(), .settings = tree.settings()}, false,
      out);
  if (tree.watermark() == Tree::kNoWatermark) return;
  EncodeTreeMutation({.type = TreeMutationType::kTrim,
                      .tree = tree.name(),
                      .range = {tree.watermark(), tree.watermark()}},
                     true, out);
}

void EncodeExpiry(const Record& record, std::string& out) {
  if (!record.has_expiry()) return;
  EncodeMutation(
      {.type = MutationType::kExpire, .name = record.name(), .expires_at = record.expires_at()},
      out);
}

// All of one key, in as many mutations as it takes.
void EncodeKey(const Tree& tree, const KeyView& key, std::string& out) {
  TreeMutation mutation{.type = TreeMutationType::kCells, .tree = tree.name()};
  mutation.key.is_number = key.is_number();
  if (key.is_number()) {
    mutation.key.number = key.number();
  } else {
    mutation.key.text = key.text();
  }
  key.ForEach([&](Bucket bucket, const Decimal& value) {
    mutation.cells.push_back({bucket, value});
    if (mutation.cells.size() < kMaxCellsPerMutation) return;
    EncodeTreeMutation(mutation, !out.empty(), out);
    mutation.cells.clear();
  });
  if (!mutation.cells.empty()) EncodeTreeMutation(mutation, !out.empty(), out);
}

void ApplyToTree(const TreeMutation& mutation, Tree& tree) {
  TreeKey key = mutation.key;
  key.hash = tree.HashOf(key);
  switch (mutation.type) {
    case TreeMutationType::kBucket:
      return tree.Set(key, mutation.range.first, mutation.value);
    case TreeMutationType::kCells:
      return tree.SetCells(key, mutation.cells);
    case TreeMutationType::kClear:
      tree.Clear(key, mutation.range);
      return;
    case TreeMutationType::kResetKey:
      tree.Clear(key, Tree::kAll);
      return;
    case TreeMutationType::kTrim:
      tree.Trim(mutation.range.first);
      return;
    case TreeMutationType::kReset:
      tree.Reset();
      return;
    case TreeMutationType::kCreate:
      return tree.set_settings(mutation.settings);
  }
}

}  // namespace

Keyspace::Keyspace(const Options& options)
    : hash_seed_(options.hash_seed),
      pool_(std::make_unique<BlockPool>()),
      drop_zero_counters_(options.drop_zero_counters) {
  partitions_.reserve(kPartitions);
  for (unsigned i = 0; i < kPartitions; ++i) {
    partitions_.push_back(std::make_unique<Partition>(*pool_, hash_seed_));
  }
}

Keyspace::~Keyspace() = default;

SpinLock& Keyspace::LockOf(PartitionId partition) {
  return partitions_[partition]->lock;
}

void Keyspace::Prefetch(const Key& key) const {
  At(key).table().Prefetch(key.hash);
  if (const Replica* replica = this->replica()) replica->Prefetch(key);
}

void Keyspace::PrefetchRecord(Key& key) const {
  key.hint = At(key).table().PrefetchRecord(key.hash);
  if (const Replica* replica = this->replica()) replica->PrefetchRecord(key);
}

void Keyspace::PrefetchSlots(std::span<const Key> keys) const {
  std::uint64_t before = 0;
  for (const Key& key : keys) {
    if (key.hash != before && key.hash != 0) At(key).table().Prefetch(key.hash);
    before = key.hash;
  }
}

// The locks, too, as they are wanted soon: a line that is fetched much ahead another thread takes
// away again.
void Keyspace::PrefetchRecords(std::span<Key> keys) const {
  std::uint64_t before = 0;
  for (Key& key : keys) {
    if (key.hash != before && key.hash != 0) {
      const Partition& partition = At(key);
      PrefetchForWriting(&partition.lock);
      key.hint = partition.table().PrefetchRecord(key.hash);
    }
    before = key.hash;
  }
}

void Keyspace::Prefetch(std::span<Key> keys) const {
  PrefetchSlots(keys);
  PrefetchRecords(keys);
}

std::optional<Entry> Keyspace::Find(const Key& key, WallMs now) const {
  const Record* record = At(key).FindLive(key, now);
  if (record == nullptr) return std::nullopt;
  return EntryOf(*record);
}

[[gnu::flatten]] CounterPlace Keyspace::FindInteger(const Key& key, WallMs now) {
  Record* record = At(key).Find(key);
  if (record == nullptr) return {};
  const bool usable = record->IsPlain() || (record->IsInteger() && !record->ExpiredAt(now));
  return usable ? CounterPlace(record->bytes()) : CounterPlace();
}

Tree* Keyspace::FindTree(const Key& key, WallMs now) const {
  const Record* record = At(key).FindLive(key, now);
  return record != nullptr && record->form() == Record::kTree ? record->tree() : nullptr;
}

bool Keyspace::IsExpired(const Key& key, WallMs now) const {
  const Record* record = At(key).Find(key);
  return record != nullptr && record->ExpiredAt(now);
}

void Keyspace::Apply(const Mutation& mutation, const Key& key, WallMs now) {
  switch (mutation.type) {
    case MutationType::kCounter:
      return At(key).Put(key, mutation.value, now);
    case MutationType::kDrop:
      return At(key).Drop(key);
    case MutationType::kExpire:
      return At(key).SetExpiry(key, mutation.expires_at, now);
    case MutationType::kPrecision:
      if (!mutation.value.IsNegative()) has_precisions_.store(true, std::memory_order_relaxed);
      return At(key).SetPrecision(key, mutation.value, now);
    case MutationType::kFlush:
      for (auto& partition : partitions_) partition->Clear();
      return;
  }
}

void Keyspace::Apply(const TreeMutation& mutation, const Key& key) {
  Partition& partition = At(key);
  if (mutation.type == TreeMutationType::kCreate)
    return partition.CreateTree(key, mutation.settings);
  Tree* tree = partition.FindTree(key);
  if (tree != nullptr) ApplyToTree(mutation, *tree);
  if (tree != nullptr) partition.TreeChanged(*tree);
}

void Keyspace::TreeChanged(const Key& key, Tree& tree) {
  At(key).TreeChanged(tree);
}

void Keyspace::ApplyUnusual(const Key& key, CounterPlace place, std::int64_t value, WallMs now) {
  if (!place.StoreIfFits(value)) return At(key).Put(key, value, now);
  if (value == 0) At(key).Written(key, *place.record(), now);
}

std::uint64_t Keyspace::size(WallMs) const {
  std::uint64_t sum = 0;
  for (const auto& partition : partitions_) sum += partition->names();
  return sum;
}

std::uint64_t Keyspace::NamesIn(PartitionId partition) const {
  return partitions_[partition]->names();
}

std::uint64_t Keyspace::counters() const {
  return size(0) - trees();
}

std::uint64_t Keyspace::trees() const {
  std::uint64_t sum = 0;
  for (const auto& partition : partitions_) sum += partition->tree_count();
  return sum;
}

std::uint64_t Keyspace::with_expiry() const {
  std::uint64_t sum = 0;
  for (const auto& partition : partitions_) sum += partition->with_expiry();
  return sum;
}

std::uint64_t Keyspace::used_bytes() const {
  std::uint64_t sum = pool_->used_bytes() + kPartitions * sizeof(Partition);
  for (const auto& partition : partitions_) sum += partition->other_bytes();
  return sum + shared_bytes_.load(std::memory_order_relaxed);
}

ScanStep Keyspace::Scan(std::uint64_t cursor, std::size_t count, WallMs now,
                        const std::function<void(std::string_view name, const Entry&)>& visit) {
  std::size_t left = std::max<std::size_t>(count, 1);
  std::size_t patience = kScanPatience;
  std::vector<Table::Walked> records;
  do {
    Partition& partition = *partitions_[cursor >> kPartitionShift];
    const std::lock_guard guard(partition.lock);
    records.clear();
    cursor = partition.table().Walk(cursor, std::min(left, kScanPatience), records);
    for (const Table::Walked& walked : records) {
      if (walked.record->ExpiredAt(now)) {
        patience -= std::min<std::size_t>(patience, 1);
        continue;
      }
      visit(walked.record->name(), EntryOf(*walked.record));
      left -= std::min<std::size_t>(left, 1);
    }
  } while (left > 0 && patience > 0 && cursor != 0);
  return {cursor};
}

std::optional<std::string> Keyspace::RandomName(Prng& prng, WallMs now) {
  // The first live name from a random place on, going round once. Names are as evenly spread as
  // their hashes, which makes this fair enough for a sample.
  const std::uint64_t start = prng.Next();
  std::uint64_t cursor = start;
  std::optional<std::string> found;
  bool wrapped = false;
  do {
    cursor = Scan(cursor, 1, now, [&](std::string_view name, const Entry&) { found = name; }).next;
    if (cursor == 0 && !wrapped)
      wrapped = true;
    else if (cursor == 0)
      break;
  } while (!found && !(wrapped && cursor > start));
  return found;
}

std::vector<std::string> Keyspace::TreeNames(WallMs now) const {
  std::vector<std::string> names;
  for (const auto& partition : partitions_) {
    const std::lock_guard guard(partition->lock);
    for (const auto& tree : partition->trees()) {
      if (FindTree(MakeKey(tree->name()), now) != nullptr) names.push_back(tree->name());
    }
  }
  return names;
}

bool Keyspace::ReleaseTreeMemory(PartitionId id, std::size_t max_keys) {
  const std::lock_guard guard(partitions_[id]->lock);
  return partitions_[id]->ReleaseTreeMemory(max_keys);
}

std::vector<std::string> Keyspace::CollectExpired(PartitionId id, WallMs now, std::size_t max) {
  std::vector<std::string> names;
  Partition& partition = *partitions_[id];
  const std::lock_guard guard(partition.lock);
  partition.expiry().Collect(now, max, names);
  return names;
}

std::vector<std::string> Keyspace::CollectZeros(PartitionId id, WallMs now, std::size_t max) {
  std::vector<std::string> names;
  if (!drop_zero_counters_.load(std::memory_order_relaxed)) return names;
  Partition& partition = *partitions_[id];
  const std::lock_guard guard(partition.lock);
  QueueFoundZeros(partition, now);
  partition.zeros().Collect(now, kZeroLifetimeMs, max, names);
  return names;
}

void Keyspace::QueueFoundZeros(Partition& partition, WallMs now) {
  if (!partition.zero_search) return;
  std::vector<Table::Walked> records;
  const std::uint64_t from = *partition.zero_search;
  const std::uint64_t next = partition.table().Walk(from, kZeroSearchStep, records);
  for (const Table::Walked& walked : records)
    partition.zeros().Found(walked.hash, *walked.record, now);
  partition.zero_search = next;
  if (next >> kPartitionShift != from >> kPartitionShift) partition.zero_search.reset();
}

bool Keyspace::IsIdleZero(const Key& key, WallMs) const {
  const Record* record = At(key).Find(key);
  return record != nullptr && drop_zero_counters_.load(std::memory_order_relaxed) &&
         record->zero_state() == ZeroState::kIdle && ZeroQueue::MayGo(*record);
}

void Keyspace::set_drop_zero_counters(bool drop) {
  if (drop_zero_counters_.exchange(drop) || !drop) return;
  for (PartitionId id = 0; id < kPartitions; ++id) {
    const std::lock_guard guard(partitions_[id]->lock);
    partitions_[id]->zero_search = std::uint64_t{id} << kPartitionShift;
  }
}

// One slice of one partition: what EncodeSlice keeps while it runs.
class Keyspace::Slice {
 public:
  Slice(SliceCursor& cursor, std::size_t max_bytes,
        const std::function<void(std::string_view)>& emit)
      : cursor_(cursor), left_(static_cast<std::int64_t>(max_bytes)), emit_(emit) {}

  bool full() const { return left_ <= 0; }

  void AddCounter(const Record& record) {
    encoded_.clear();
    EncodeCounter(record, encoded_);
    EncodeExpiry(record, encoded_);
    Emit();
  }

  // True if the tree is done; if not, the cursor's inner position says where to go on.
  bool AddTree(const Record& record) {
    const Tree& tree = *record.tree();
    if (cursor_.inner == 0) {
      encoded_.clear();
      EncodeTreeHead(tree, encoded_);
      EncodeExpiry(record, encoded_);
      Emit();
    }
    do {
      cursor_.inner = tree.Scan(cursor_.inner, kSliceWalk, [&](const KeyView& key) {
        encoded_.clear();
        EncodeKey(tree, key, encoded_);
        Emit();
      });
    } while (cursor_.inner != 0 && !full());
    return cursor_.inner == 0;
  }

 private:
  void Emit() {
    left_ -= static_cast<std::int64_t>(encoded_.size());
    emit_(encoded_);
  }

  SliceCursor& cursor_;
  std::int64_t left_;  // bytes
  const std::function<void(std::string_view)>& emit_;
  std::string encoded_;
};

void Keyspace::EncodeSlice(PartitionId id, SliceCursor& cursor, std::size_t max_bytes,
                           const std::function<void(std::string_view)>& emit) {
  const std::uint64_t first = std::uint64_t{id} << kPartitionShift;
  if (cursor.hash < first) cursor.hash = first;
  Slice slice(cursor, max_bytes, emit);
  std::vector<Table::Walked> records;
  Partition& partition = *partitions_[id];
  const std::lock_guard guard(partition.lock);
  while (!cursor.done && !slice.full()) {
    records.clear();
    const std::uint64_t next = partition.table().Walk(cursor.hash, kSliceWalk, records);
    for (const Table::Walked& walked : records) {
      // What comes before is in the snapshot; only a tree that was begun goes on where it was.
      if (walked.hash != cursor.hash) cursor = {.hash = walked.hash};
      if (walked.record->form() != Record::kTree) {
        slice.AddCounter(*walked.record);
      } else if (!slice.AddTree(*walked.record)) {
        return;
      }
    }
    cursor = {.hash = next, .done = next >> kPartitionShift != id};
  }
}

bool Keyspace::ApplyEncoded(std::string_view bytes, WallMs now) {
  Loader loader(*this, now);
  const bool good = loader.Apply(bytes);
  loader.Flush();
  return good;
}

}  // namespace jeton::engine
