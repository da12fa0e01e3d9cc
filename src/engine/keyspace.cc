#include "engine/keyspace.h"

#include <array>
#include <mutex>

#include "base/assert.h"
#include "engine/blocks.h"
#include "engine/partition.h"

namespace jeton::engine {

namespace {

constexpr int kPartitionShift = 56;
// Records that one step of a scan looks at beyond those it returns.
constexpr std::size_t kScanPatience = 4096;
constexpr std::size_t kSliceWalk = 128;       // records between two looks at a slice's size
constexpr std::size_t kZeroSearchStep = 512;  // records per call of CollectZeros
constexpr std::size_t kApplyBatch = 16;       // mutations that are prefetched together

Entry EntryOf(const Record& record) {
  Entry entry;
  entry.value = record.value();
  entry.expires_at = record.expires_at();
  if (record.has_precision()) entry.precision = record.precision();
  return entry;
}

void EncodeRecord(const Record& record, std::string& out) {
  out.clear();
  EncodeMutation({.type = MutationType::kCounter, .name = record.name(), .value = record.value()},
                 out);
  if (record.has_expiry()) {
    EncodeMutation(
        {.type = MutationType::kExpire, .name = record.name(), .expires_at = record.expires_at()},
        out);
  }
  if (record.has_precision()) {
    EncodeMutation(
        {.type = MutationType::kPrecision, .name = record.name(), .value = record.precision()},
        out);
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
}

void Keyspace::PrefetchRecord(const Key& key) const {
  Partition& partition = At(key);
  const std::unique_lock guard(partition.lock, std::try_to_lock);
  if (guard.owns_lock()) partition.table().PrefetchRecord(key.hash);
}

std::optional<Entry> Keyspace::Find(const Key& key, WallMs now) const {
  const Record* record = At(key).FindLive(key, now);
  if (record == nullptr) return std::nullopt;
  return EntryOf(*record);
}

CounterPlace Keyspace::FindInteger(const Key& key, WallMs now) {
  Record* record = At(key).FindLive(key, now);
  if (record == nullptr || !record->IsInteger()) return {};
  return CounterPlace(record->bytes());
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
      return At(key).SetPrecision(key, mutation.value, now);
    case MutationType::kFlush:
      for (auto& partition : partitions_) partition->Clear();
      return;
  }
}

void Keyspace::ApplyInteger(const Key& key, CounterPlace place, std::int64_t value, WallMs now) {
  if (!place.StoreIfFits(value)) return At(key).Put(key, value, now);
  if (value == 0) At(key).Written(key, *place.record(), now);
}

std::uint64_t Keyspace::size(WallMs) const {
  std::uint64_t sum = 0;
  for (const auto& partition : partitions_) sum += partition->names();
  return sum;
}

std::uint64_t Keyspace::counters() const {
  return size(0);
}

std::uint64_t Keyspace::with_expiry() const {
  std::uint64_t sum = 0;
  for (const auto& partition : partitions_) sum += partition->with_expiry();
  return sum;
}

std::uint64_t Keyspace::used_bytes() const {
  std::uint64_t sum = pool_->used_bytes() + kPartitions * sizeof(Partition);
  for (const auto& partition : partitions_) sum += partition->other_bytes();
  return sum;
}

ScanStep Keyspace::Scan(std::uint64_t cursor, std::size_t count, WallMs now,
                        const std::function<void(std::string_view name, const Entry&)>& visit) {
  std::size_t left = std::max<std::size_t>(count, 1);
  std::size_t patience = kScanPatience;
  std::vector<Walked> records;
  do {
    Partition& partition = *partitions_[cursor >> kPartitionShift];
    const std::lock_guard guard(partition.lock);
    records.clear();
    cursor = partition.table().Walk(cursor, std::min(left, kScanPatience), records);
    for (const Walked& walked : records) {
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
  std::vector<Walked> records;
  const std::uint64_t from = *partition.zero_search;
  const std::uint64_t next = partition.table().Walk(from, kZeroSearchStep, records);
  for (const Walked& walked : records) partition.zeros().Found(walked.hash, *walked.record, now);
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

void Keyspace::EncodeSlice(PartitionId id, SliceCursor& cursor, std::size_t max_bytes,
                           const std::function<void(std::string_view)>& emit) {
  if (cursor.done) return;
  Partition& partition = *partitions_[id];
  const std::uint64_t first = std::uint64_t{id} << kPartitionShift;
  if (cursor.hash < first) cursor.hash = first;
  std::vector<Walked> records;
  std::string encoded;
  const std::lock_guard guard(partition.lock);
  for (std::size_t bytes = 0; bytes < max_bytes && !cursor.done;) {
    records.clear();
    cursor.hash = partition.table().Walk(cursor.hash, kSliceWalk, records);
    cursor.done = cursor.hash >> kPartitionShift != id;
    for (const Walked& walked : records) {
      EncodeRecord(*walked.record, encoded);
      bytes += encoded.size();
      emit(encoded);
    }
  }
}

bool Keyspace::ApplyEncoded(std::string_view bytes, WallMs now) {
  ByteReader in(bytes);
  std::array<Mutation, kApplyBatch> batch;
  std::array<Key, kApplyBatch> keys;
  while (in.ok() && !in.AtEnd()) {
    std::size_t n = 0;
    for (; n < kApplyBatch && !in.AtEnd(); ++n) {
      batch[n] = DecodeMutation(in);
      if (!in.ok()) break;
      keys[n] = MakeKey(batch[n].name);
      Prefetch(keys[n]);
    }
    for (std::size_t i = 0; i < n; ++i) Apply(batch[i], keys[i], now);
  }
  return in.ok();
}

}  // namespace jeton::engine
