// Replica: the changes that this node makes itself. See replica_apply.cc for frames,
// replica_state.cc for snapshots and recovery, replica_fold.cc for what keeps it small.
#include "engine/replica.h"

#include <mutex>

#include "base/sum.h"
#include "engine/tree.h"
#include "engine/tree_mutation.h"

namespace jeton::engine {

namespace {

constexpr std::size_t kPartitionsBytes = Keyspace::kPartitions * sizeof(SharedPartition);

}  // namespace

Replica::Replica(Keyspace& keyspace, WatchTable* watches, Options options)
    : keyspace_(keyspace),
      watches_(watches),
      options_(std::move(options)),
      sweeps_(Keyspace::kPartitions) {
  for (unsigned i = 0; i < Keyspace::kPartitions; ++i) {
    partitions_.push_back(std::make_unique<SharedPartition>(pool_, keyspace.hash_seed()));
  }
  BeginOwn(options_.own);
  home_ = own_;
}

Replica::~Replica() = default;

std::uint64_t Replica::used_bytes() const {
  std::uint64_t bytes = pool_.used_bytes() + kPartitionsBytes;
  for (const auto& partition : partitions_) bytes += partition->other_bytes();
  return bytes;
}

// ---- explicit and implicit cells

std::optional<Decimal> Replica::ViewOf(const Key& key) const {
  const auto entry = keyspace_.Find(key, kBeforeAnyExpiry);
  if (!entry || entry->kind != Kind::kCounter) return std::nullopt;
  return entry->value;
}

std::optional<Decimal> Replica::ViewOf(const Key& key, std::string_view tree_key,
                                       Bucket bucket) const {
  const Tree* tree = keyspace_.FindTree(key, kBeforeAnyExpiry);
  if (tree == nullptr) return std::nullopt;
  const auto view = tree->Find(tree->MakeKey(tree_key));
  return view ? view->At(bucket) : std::nullopt;
}

SharedCell* Replica::FindCounter(const Key& key) {
  SharedName* name = At(key).Find(key);
  return name != nullptr ? name->counter() : nullptr;
}

SharedCell& Replica::MakeCounter(const Key& key) {
  SharedPartition& partition = At(key);
  SharedName& name = partition.Make(key);
  if (SharedCell* counter = name.counter()) return *counter;
  SharedCell& made = partition.MakeCounter(name);
  if (const auto value = ViewOf(key)) {
    const SharedPartition::Change change(partition, made.cell);
    made.cell.PutEntry({.origin = home_, .birth = 0, .sum = *value});
  }
  return made;
}

TreeFacts Replica::FactsOf(const Key& key) const {
  const SharedName* name = At(key).Find(key);
  if (name != nullptr && name->tree()) return name->tree()->facts;
  TreeFacts facts;
  if (const Tree* tree = keyspace_.FindTree(key, kBeforeAnyExpiry)) {
    facts.exists = true;
    facts.settings = tree->settings();
    facts.watermark = tree->watermark();
  }
  return facts;
}

SharedTree& Replica::MakeTree(const Key& key) {
  SharedName& name = At(key).Make(key);
  if (SharedTree* tree = name.tree()) return *tree;
  const TreeFacts facts = FactsOf(key);
  SharedTree& made = At(key).MakeTree(name);
  made.facts = facts;
  return made;
}

SharedCell* Replica::FindBucket(SharedTree& shared, std::string_view tree_key, Bucket bucket) {
  const auto found = shared.keys.find(tree_key);
  if (found == shared.keys.end() || bucket < shared.facts.watermark) return nullptr;
  const auto cell = found->second.find(bucket);
  return cell == found->second.end() ? nullptr : &cell->second;
}

SharedCell& Replica::MakeBucket(const Key& key, SharedTree& shared, std::string_view tree_key,
                                Bucket bucket) {
  if (SharedCell* found = FindBucket(shared, tree_key, bucket)) return *found;
  SharedCell& made = At(key).MakeBucket(shared, tree_key, bucket);
  if (const auto value = ViewOf(key, tree_key, bucket)) {
    const SharedPartition::Change change(At(key), made.cell);
    made.cell.PutEntry({.origin = home_, .birth = 0, .sum = *value});
  }
  return made;
}

// ---- what every change does

// `name`: the counter's, or null if there is none.
void Replica::MarkDirty(const CellName& cell, const Key& key, SharedName* name) {
  SharedPartition& partition = At(key);
  if (!cell.in_tree && name != nullptr) {
    if (partition.MarkDirty(*name)) dirty_cells_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  EncodeCellId(cell, partition.scratch);
  const std::uint64_t id_hash =
      cell.in_tree ? HashBytes(partition.scratch, keyspace_.hash_seed()) : key.hash;
  if (!partition.dirty.Add(partition.scratch, id_hash)) return;
  dirty_cells_.fetch_add(1, std::memory_order_relaxed);
}

// A life that begins after entries were freed must be told from the ones before: they ended at or
// below this. It is the cut of a reset in the same unit, which is of this life already.
Lsn Replica::BirthNow() {
  return ever_freed_ ? options_.close_record() : 0;
}

crdt::Entry Replica::AddTo(crdt::OriginIndex origin, SharedPartition& partition, SharedCell& shared,
                           const Decimal& delta) {
  shared.candidate = shared.hidden = false;
  const auto old = shared.cell.FindEntry(origin);
  crdt::Entry entry{.origin = origin, .birth = old ? old->birth : BirthNow(), .sum = delta};
  if (old) {
    Sum sum(old->sum);
    sum.Add(delta);
    entry.sum = sum.value();
  }
  const SharedPartition::Change change(partition, shared.cell);
  shared.cell.PutEntry(entry);
  return entry;
}

void Replica::Control(const SharedMutation& mutation, std::string& log) {
  const std::size_t begin = log.size();
  SharedWriter(origins_, false).Write(mutation, log);
  const std::lock_guard guard(control_lock_);
  controls_.append(log, begin);
}

std::uint64_t Replica::clock() const {
  const std::lock_guard guard(control_lock_);
  return clock_.last();
}

void Replica::SawClock(std::uint64_t clock) {
  const std::lock_guard guard(control_lock_);
  clock_.Saw(clock);
}

std::uint64_t Replica::NextClock(WallMs wall) {
  const std::lock_guard guard(control_lock_);
  return clock_.Next(wall);
}

crdt::Version Replica::NextVersion() {
  const std::lock_guard guard(control_lock_);
  crdt::Version version{.clock = clock_.Next(options_.wall_now()), .origin = own()};
  if (bugs_.node_version) {
    version.origin = {};
    std::copy_n(options_.node.begin(), version.origin.size(), version.origin.begin());
  }
  return version;
}

// Everything that was written into the log before is at or below the cut, everything after above.
void Replica::Reset(const CellName& cell, SharedCell& shared, const Decimal& value, bool present,
                    std::string& log) {
  const Lsn cut = options_.close_record();
  SharedMutation reset{.type = SharedType::kReset, .cell = cell, .epoch = epoch_};
  reset.observation = shared.cell.Observe(known_, retired_);
  auto& components = reset.observation.components;
  for (auto& seen : components) {
    if (seen.origin == own_ || seen.origin == lazy_) seen.cut = cut;
  }
  if (!lazy_used_.load(std::memory_order_relaxed)) {
    std::erase_if(components, [&](const auto& seen) { return seen.origin == lazy_; });
  }
  reset.observation.set = {.version = NextVersion(), .value = value, .present = present};
  {
    const SharedPartition::Change change(At(keyspace_.MakeKey(cell.name)), shared.cell);
    shared.cell.ApplyReset(reset.observation, own_, lazy_, known_);
  }
  ForgetHeard(cell);
  shared.candidate = shared.hidden = false;
  Control(reset, log);
}

// ---- counters

void Replica::Add(const Key& key, const Decimal& value, const Decimal& delta, std::string& log) {
  SharedWriter writer(origins_, false);
  const CellName cell{.name = key.name};
  ForgetStaleAttributes(key, log);
  if (const Decimal precision = PrecisionOf(key); !precision.IsZero()) {
    return AddLazy(key, precision, delta, log);
  }
  SharedCell* shared = FindCounter(key);
  if (shared == nullptr && own_ == home_ && (!ever_freed_ || ViewOf(key))) {
    writer.WriteEntry(cell, epoch_, false, 0, value, log, false, 0, delta);
  } else {
    if (shared == nullptr) shared = &MakeCounter(key);
    const crdt::Entry entry = AddOwn(At(key), *shared, delta);
    writer.WriteEntry(cell, epoch_, false, entry.birth, entry.sum, log, false, 0, delta);
  }
  MarkDirty(cell, key);
}

void Replica::AddInteger(const Key& key, std::int64_t value, std::int64_t delta, std::string& log) {
  const bool eager =
      !keyspace_.has_precisions() && !default_is_lazy_.load(std::memory_order_relaxed);
  SharedName* name = At(key).Find(key);
  SharedCell* shared = name != nullptr ? name->counter() : nullptr;
  Lsn birth = 0;
  std::int64_t sum = value;
  if (shared != nullptr) {
    const crdt::PackedEntry* entry = eager ? shared->cell.AddPacked(own_, delta) : nullptr;
    if (entry == nullptr) return Add(key, value, delta, log);
    shared->candidate = shared->hidden = false;
    birth = entry->birth();
    sum = entry->sum();
  } else if (!eager || own_ != home_) {
    return Add(key, value, delta, log);
  }
  SharedWriter::WriteInteger(key.name, epoch_, birth, sum, delta, log);
  MarkDirty({.name = key.name}, key, name);
}

void Replica::Set(const Key& key, const Decimal& value, std::string& log) {
  ForgetStaleAttributes(key, log);
  Reset({.name = key.name}, MakeCounter(key), value, true, log);
}

void Replica::Drop(const Key& key, bool expired, std::string& log) {
  ClearAttributes(key, expired, log);
  const SharedName* name = At(key).Find(key);
  const bool is_tree = keyspace_.FindTree(key, kBeforeAnyExpiry) != nullptr ||
                       (name != nullptr && name->tree() != nullptr && name->tree()->facts.exists);
  if (!is_tree) return Reset({.name = key.name}, MakeCounter(key), 0, false, log);
  SharedTree& shared = MakeTree(key);
  At(key).ClearTree(shared);
  shared.emptied = last_copy_;
  ++shared.facts.epoch;
  shared.facts.exists = false;
  shared.facts.version = NextVersion();
  shared.facts.watermark = Tree::kNoWatermark;
  Control({.type = SharedType::kTree,
           .cell = {.name = key.name},
           .epoch = epoch_,
           .tree = shared.facts},
          log);
}

void Replica::HideZero(const Key& key, WallMs now) {
  MakeCounter(key).hidden = true;
  keyspace_.Apply({.type = MutationType::kDrop, .name = key.name}, key, now);
}

void Replica::SetExpiry(const Key& key, WallMs expires_at, std::string& log) {
  PutExpiry(key, expires_at, NextVersion(), log);
}

void Replica::PutExpiry(const Key& key, WallMs expires_at, const crdt::Version& version,
                        std::string& log) {
  Attributes& attributes = MakeAttributes(key);
  attributes.candidate = false;
  attributes.expires_at = expires_at;
  attributes.expiry_version = version;
  Control({.type = SharedType::kAttribute,
           .cell = {.name = key.name},
           .epoch = epoch_,
           .attribute = AttributeKind::kExpiry,
           .version = version,
           .expires_at = expires_at},
          log);
}

void Replica::SetPrecision(const Key& key, const Decimal& precision, std::string& log) {
  Attributes& attributes = MakeAttributes(key);
  attributes.candidate = false;
  attributes.precision = precision;
  attributes.precision_version = NextVersion();
  Control({.type = SharedType::kAttribute,
           .cell = {.name = key.name},
           .epoch = epoch_,
           .attribute = AttributeKind::kPrecision,
           .version = attributes.precision_version,
           .precision = precision},
          log);
}

Attributes& Replica::MakeAttributes(const Key& key) {
  SharedName& name = At(key).Make(key);
  if (Attributes* attributes = name.attributes()) return *attributes;
  Attributes& made = At(key).MakeAttributes(name);
  if (const auto view = keyspace_.Find(key, kBeforeAnyExpiry)) {
    made.expires_at = view->expires_at;
    if (view->precision) made.precision = *view->precision;
  }
  return made;
}

// What was said elsewhere of something that is gone here is not for a newcomer of its name: an
// expiry in the past would take its first increment away.
void Replica::ForgetStaleAttributes(const Key& key, std::string& log) {
  const SharedName* name = At(key).Find(key);
  if (name == nullptr || name->attributes() == nullptr) return;
  const Attributes& known = *name->attributes();
  if (known.expires_at == 0 && known.precision.IsNegative()) return;
  if (!keyspace_.Find(key, kBeforeAnyExpiry)) ClearAttributes(key, false, log);
}

// A name whose time has come gives up just that expiry: one that is set somewhere else meanwhile
// must win, so the version is only the next one.
void Replica::ClearAttributes(const Key& key, bool expired, std::string& log) {
  const auto view = keyspace_.Find(key, kBeforeAnyExpiry);
  const SharedName* name = At(key).Find(key);
  const Attributes* known = name != nullptr ? name->attributes() : nullptr;
  const bool has_expiry =
      (view && view->expires_at != 0) || (known != nullptr && known->expires_at != 0);
  const bool has_precision =
      (view && view->precision) || (known != nullptr && !known->precision.IsNegative());
  if (has_expiry) {
    const std::uint64_t old = known != nullptr ? known->expiry_version.clock : 0;
    PutExpiry(key, 0, expired ? crdt::Version{old + 1, own()} : NextVersion(), log);
  }
  if (has_precision) SetPrecision(key, Decimal(-1), log);
}

// ---- trees

void Replica::CreateTree(const Key& key, const TreeSettings& settings, std::string& log) {
  ForgetStaleAttributes(key, log);
  // A counter that is hidden by the tree must not be taken for nothing when it shows again.
  if (ViewOf(key)) MakeCounter(key);
  SharedTree& shared = MakeTree(key);
  shared.facts.exists = true;
  shared.facts.settings = settings;
  shared.facts.version = NextVersion();
  Control({.type = SharedType::kTree,
           .cell = {.name = key.name},
           .epoch = epoch_,
           .tree = shared.facts},
          log);
}

void Replica::AddToBucket(const Key& key, const Tree& tree, const TreeKey& tree_key, Bucket bucket,
                          const Decimal& value, const Decimal& delta, std::string& log) {
  const std::string text =
      tree_key.is_number ? std::to_string(tree_key.number) : std::string(tree_key.text);
  SharedName* name = At(key).Find(key);
  SharedTree* shared = name != nullptr ? name->tree() : nullptr;
  const CellName cell{.name = key.name,
                      .in_tree = true,
                      .key = text,
                      .bucket = bucket,
                      .tree_epoch = shared != nullptr ? shared->facts.epoch : 0};
  SharedCell* found = shared != nullptr ? FindBucket(*shared, text, bucket) : nullptr;
  SharedWriter writer(origins_, false);
  const auto view = tree.Find(tree_key);
  if (found == nullptr && own_ == home_ && (!ever_freed_ || (view && view->At(bucket)))) {
    writer.WriteEntry(cell, epoch_, false, 0, value, log, false, 0, delta);
  } else {
    if (found == nullptr) found = &MakeBucket(key, MakeTree(key), text, bucket);
    const crdt::Entry entry = AddOwn(At(key), *found, delta);
    writer.WriteEntry(cell, epoch_, false, entry.birth, entry.sum, log, false, 0, delta);
  }
  MarkDirty(cell, key);
}

void Replica::SetBucket(const Key& key, const Tree&, const TreeKey& tree_key, Bucket bucket,
                        const Decimal& value, bool present, std::string& log) {
  const std::string text =
      tree_key.is_number ? std::to_string(tree_key.number) : std::string(tree_key.text);
  SharedTree& shared = MakeTree(key);
  SharedCell& cell = MakeBucket(key, shared, text, bucket);
  Reset({.name = key.name,
         .in_tree = true,
         .key = text,
         .bucket = bucket,
         .tree_epoch = shared.facts.epoch},
        cell, value, present, log);
}

void Replica::TrimTree(const Key& key, const Tree&, Bucket first_live, std::string& log) {
  SharedTree& shared = MakeTree(key);
  shared.facts.watermark = std::max(shared.facts.watermark, first_live);
  At(key).TrimTree(shared);
  Control({.type = SharedType::kTree,
           .cell = {.name = key.name},
           .epoch = epoch_,
           .tree = shared.facts},
          log);
}

void Replica::ResetTree(const Key& key, std::string& log) {
  SharedTree& shared = MakeTree(key);
  At(key).ClearTree(shared);
  shared.emptied = last_copy_;
  ++shared.facts.epoch;
  Control({.type = SharedType::kTree,
           .cell = {.name = key.name},
           .epoch = epoch_,
           .tree = shared.facts},
          log);
}

void Replica::Flush(std::string& log) {
  SwitchEpoch(epoch_ + 1);
  Control({.type = SharedType::kEpoch, .epoch = epoch_}, log);
}

}  // namespace jeton::engine
