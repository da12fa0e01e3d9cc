// Replica: frames of others. See replica_view.cc for how what they say gets into view.
#include <algorithm>
#include <span>

#include "engine/frame_body.h"
#include "engine/replica_internal.h"
#include "engine/tree.h"

namespace jeton::engine {

void Replica::SetKnown(crdt::OriginIndex origin, Lsn lsn) {
  if (origin != own_ && origin != lazy_) known_.Set(origin, lsn);
  applied_.Advance(origins_.IdOf(origin), lsn);
}

// `folds_other`: it folds an origin at another end than is known here. With less, its sums would be
// there and its resets not; every member had all of it, so a newcomer must take a state. With more,
// this node was not asked: what it knows beyond the end would count, and nobody else has it.
bool Replica::Decodes(ByteReader in, const std::vector<OriginId>& dictionary, bool& folds_other) {
  SharedReader reader(origins_, &dictionary);
  SharedMutation mutation;
  SharedReader::CounterEntry entry;
  while (in.ok() && !in.AtEnd()) {
    if (reader.ReadCounter(in, entry)) continue;
    reader.Read(in, mutation);
    const bool folds = mutation.type == SharedType::kFold || mutation.type == SharedType::kFolded;
    if (!in.ok() || !folds) continue;
    const OriginId& origin = origins_.IdOf(mutation.origin);
    const Lsn end = mutation.type == SharedType::kFold ? mutation.end : mutation.lsn;
    if (!folded_.contains(origin) && applied_.Get(origin) != end) folds_other = true;
  }
  return in.ok();
}

// The short ways for entries: of counters some at a time, so that their memory is on its way before
// the first is touched; of buckets one by one.
class Replica::CounterBatch {
 public:
  CounterBatch(Replica& replica, crdt::OriginIndex origin, std::uint64_t epoch, Touched& touched)
      : replica_(replica), origin_(origin), epoch_(epoch), touched_(touched) {}

  // Takes the next mutation, if it is one.
  bool Read(ByteReader& in, SharedReader& reader) {
    SharedReader::CounterEntry read;
    if (!reader.ReadCounter(in, read)) return false;
    Item& item = items_[size_++];
    item.key = replica_.keyspace_.MakeKey(read.name);
    item.entry = {.origin = origin_, .birth = read.birth, .sum = read.sum};
    item.offset = names_.size();
    item.size = read.name.size();
    names_.append(read.name);
    replica_.keyspace_.Prefetch(item.key);
    if (size_ == kItems) Flush();
    return true;
  }

  void Flush() {
    for (Item& item : Items()) {
      item.key.name = std::string_view(names_).substr(item.offset, item.size);
      replica_.keyspace_.PrefetchRecord(item.key);
    }
    for (const Item& item : Items()) {
      if (epoch_ < replica_.epoch_ || replica_.TakeCounter(item.key, item.entry)) continue;
      const SharedMutation mutation{.type = SharedType::kEntry,
                                    .cell = {.name = item.key.name},
                                    .epoch = epoch_,
                                    .birth = item.entry.birth,
                                    .sum = item.entry.sum};
      replica_.ApplyEntry(mutation, origin_, touched_);
    }
    size_ = 0;
    names_.clear();
  }

  // A bucket of a tree that is in view, and of which nothing but integers is known: what ApplyEntry
  // and ShowBucket come to. False if the long way has to be gone, which may come after this.
  bool TakeBucket(const SharedMutation& mutation) {
    const CellName& cell = mutation.cell;
    const crdt::Entry entry{.origin = origin_, .birth = mutation.birth, .sum = mutation.sum};
    if (!cell.in_tree || mutation.gone || mutation.rate != 0 || epoch_ != replica_.epoch_ ||
        !crdt::PackedEntry::Fits(entry)) {
      return false;
    }
    if (tree_ != cell.name) {
      tree_ = cell.name;
      tree_hash_ = replica_.keyspace_.MakeKey(tree_).hash;
    }
    const Key key{.name = tree_, .hash = tree_hash_};
    SharedName* name = replica_.At(key).Find(key);
    SharedTree* shared = name != nullptr ? name->tree() : nullptr;
    if (shared == nullptr || !shared->facts.exists || shared->facts.epoch != cell.tree_epoch) {
      return false;
    }
    SharedCell* found = replica_.FindBucket(*shared, cell.key, cell.bucket);
    Tree* tree = replica_.keyspace_.FindTree(key, kBeforeAnyExpiry);
    if (tree == nullptr || found == nullptr || found->hidden || !found->cell.IsPacked()) {
      return false;
    }
    found->candidate = false;
    const SharedPartition::Change change(replica_.At(key), found->cell);
    found->cell.PutEntry(entry);
    const auto value = found->cell.PlainValue();
    if (!value) return false;
    tree->Set(tree->MakeKey(cell.key), cell.bucket, *value);
    replica_.keyspace_.TreeChanged(key, *tree);
    if (replica_.watches_ != nullptr) replica_.watches_->Touch(tree_);
    return true;
  }

 private:
  static constexpr std::size_t kItems = 32;
  struct Item {
    Key key;
    crdt::Entry entry;
    std::size_t offset = 0, size = 0;  // of its name
  };

  std::span<Item> Items() { return {items_, size_}; }

  Replica& replica_;
  const crdt::OriginIndex origin_;
  const std::uint64_t epoch_;
  Touched& touched_;
  Item items_[kItems];
  std::size_t size_ = 0;
  std::string names_;
  std::string tree_;  // of the last bucket
  std::uint64_t tree_hash_ = replica_.keyspace_.MakeKey({}).hash;
};

// A frame of an earlier run of this node, which comes back by way of others, says that the node
// held more durably than its disk has: it is an older one. The others may have tidied up what would
// be needed to follow frame by frame.
bool Replica::WasSetBack(const crdt::Frame& frame, const NodeId& node) const {
  if (node != options_.node || !from_disk_) return false;
  return std::any_of(frame.row.begin(), frame.row.end(), [&](const auto& item) {
    const auto& [origin, held] = item;
    if (folded_.contains(origin) || origin == LazyOf(frame.origin)) return false;
    if (origin != frame.origin) return from_disk_->Get(origin) < held;
    // Of the run itself the row counts records; not all of them are in frames.
    const auto end = run_ends_.find(origin);
    return end != run_ends_.end() && end->second < std::min(held, frame.from);
  });
}

Replica::Outcome Replica::ApplyFrame(const crdt::Frame& frame, WallMs now, std::string* why) {
  if (folded_.contains(frame.origin)) return Outcome::kKnown;
  if (frame.to <= applied_.Get(frame.origin)) return Outcome::kKnown;
  if (frame.from > applied_.Get(frame.origin) && !bugs_.take_gaps) return Outcome::kGap;
  ByteReader in(frame.body);
  const BodyHead head = GetHead(in);
  const auto origin = origins_.Add(frame.origin);
  bool folds_other = false;
  if (!in.ok() || !origin || !Decodes(in, head.dictionary, folds_other)) {
    if (why != nullptr) *why = "the body of the frame does not decode";
    return Outcome::kRefused;
  }
  if (folds_other || WasSetBack(frame, head.node)) return Outcome::kGap;
  touched_now_ = now;
  SawClock(frame.clock);
  if (head.epoch > epoch_) SwitchEpoch(head.epoch);
  const Lsn before = applied_.Get(frame.origin);
  SetKnown(*origin, frame.to);
  Touched touched;
  SharedReader reader(origins_, &head.dictionary);
  SharedMutation mutation;
  CounterBatch batch(*this, *origin, head.epoch, touched);
  Lsn said = frame.to;
  while (!in.AtEnd()) {
    if (batch.Read(in, reader)) continue;
    batch.Flush();
    reader.Read(in, mutation);
    if (mutation.type == SharedType::kUpTo) said = mutation.lsn;
    // Of a merged frame some may be known here, and what came of it forgotten again.
    if (mutation.type == SharedType::kEntry) {
      mutation.epoch = head.epoch;
      if (batch.TakeBucket(mutation)) continue;
    } else if (said <= before) {
      continue;
    }
    Apply(mutation, *origin, said, touched);
  }
  batch.Flush();
  // What a run that is over has said no longer holds: its node may have lost some of it since.
  // A lazy frame has no row: it may come before others that its row would vouch for.
  if (!closed_.contains(frame.origin) && !frame.row.empty()) rows_[head.node] = frame.row;
  if (!folded_.contains(frame.origin)) writers_[frame.origin] = head.node;
  Show(touched, now);
  TellBytes();
  return Outcome::kApplied;
}

bool Replica::IsCurrent(const CellName& cell, std::uint64_t epoch) {
  if (epoch < epoch_) return false;
  if (!cell.in_tree) return true;
  const Key key = keyspace_.MakeKey(cell.name);
  const SharedName* name = At(key).Find(key);
  const SharedTree* shared = name != nullptr ? name->tree() : nullptr;
  const TreeFacts* facts = shared != nullptr ? &shared->facts : nullptr;
  const std::uint64_t current = facts != nullptr ? facts->epoch : 0;
  if (cell.tree_epoch < current) return false;
  if (facts != nullptr) return cell.bucket >= facts->watermark;
  const Tree* tree = keyspace_.FindTree(key, kBeforeAnyExpiry);
  return tree == nullptr || cell.bucket >= tree->watermark();
}

SharedCell* Replica::CellOf(const CellName& cell, bool make) {
  const Key key = keyspace_.MakeKey(cell.name);
  if (!cell.in_tree) return make ? &MakeCounter(key) : FindCounter(key);
  if (make) return &MakeBucket(key, MakeTree(key), cell.key, cell.bucket);
  SharedName* name = At(key).Find(key);
  SharedTree* tree = name != nullptr ? name->tree() : nullptr;
  return tree != nullptr ? FindBucket(*tree, cell.key, cell.bucket) : nullptr;
}

void Replica::SwitchEpoch(std::uint64_t epoch) {
  keyspace_.Apply({.type = MutationType::kFlush}, {}, 0);
  for (auto& partition : partitions_) partition->Clear();
  dirty_cells_.store(0, std::memory_order_relaxed);
  ClearLazyDirty();
  lazy_cells_.store(0, std::memory_order_relaxed);
  sweeps_.assign(Keyspace::kPartitions, std::nullopt);
  epoch_ = epoch;
}

// An entry of the home origin's first life needs nothing but the view, as long as nobody else has
// touched the cell. True if that was so.
bool Replica::ApplyImplicit(const SharedMutation& mutation) {
  const CellName& cell = mutation.cell;
  if (CellOf(cell, false) != nullptr) return false;
  const Key key = keyspace_.MakeKey(cell.name);
  Tree* tree = keyspace_.FindTree(key, kBeforeAnyExpiry);
  if (cell.in_tree) {
    if (tree == nullptr) return false;
    tree->Set(tree->MakeKey(cell.key), cell.bucket, mutation.sum);
    keyspace_.TreeChanged(key, *tree);
  } else {
    const SharedName* name = At(key).Find(key);
    const SharedTree* hides = name != nullptr ? name->tree() : nullptr;
    if (tree != nullptr || (hides != nullptr && hides->facts.exists)) return false;
    const bool is_new = !ViewOf(key);
    keyspace_.Apply({.type = MutationType::kCounter, .name = cell.name, .value = mutation.sum}, key,
                    touched_now_);
    if (is_new) ShowAttributes(key, touched_now_);
  }
  if (watches_ != nullptr) watches_->Touch(cell.name);
  return true;
}

// Whoever wrote of the cell may know of a drop or reset of its tree that has not come here yet.
void Replica::RaiseTreeEpoch(const CellName& cell, Touched& touched) {
  if (!cell.in_tree || cell.tree_epoch == 0) return;
  const Key key = keyspace_.MakeKey(cell.name);
  const SharedName* name = At(key).Find(key);
  const SharedTree* known = name != nullptr ? name->tree() : nullptr;
  if (known != nullptr && known->facts.epoch >= cell.tree_epoch) return;
  TreeFacts facts = MakeTree(key).facts;
  facts.epoch = cell.tree_epoch;
  facts.watermark = Tree::kNoWatermark;
  ApplyTree(key, facts, touched);
}

void Replica::ApplyEntry(const SharedMutation& mutation, crdt::OriginIndex origin,
                         Touched& touched) {
  const CellName& cell = mutation.cell;
  const bool plain = origin == home_ && mutation.birth == 0 && !mutation.gone;
  if (plain && ApplyImplicit(mutation)) return;
  SharedCell& shared = *CellOf(cell, true);
  if (shared.cell.HasFold(origin)) return;  // its sum is in another's entry by now
  shared.hidden = shared.candidate = false;
  const SharedPartition::Change change(At(keyspace_.MakeKey(cell.name)), shared.cell);
  if (mutation.gone) {
    shared.cell.RemoveEntry(origin);
  } else {
    shared.cell.PutEntry({.origin = origin, .birth = mutation.birth, .sum = mutation.sum});
  }
  if (!cell.in_tree) NoteHeard(keyspace_.MakeKey(cell.name), origin, mutation);
  touched.Add(cell);
}

// The short way of ApplyEntry and ShowCounter, for a counter of which nothing but integers is
// known, or nothing at all. False if it is not one: then the long way has to be gone.
bool Replica::TakeCounter(const Key& key, const crdt::Entry& entry) {
  if (!crdt::PackedEntry::Fits(entry) || bugs_.store_estimate) return false;
  CounterPlace place = keyspace_.FindInteger(key, kBeforeAnyExpiry);
  if (!place && keyspace_.Find(key, kBeforeAnyExpiry)) return false;
  const auto view = place ? std::optional<std::int64_t>(*place) : std::nullopt;
  const auto value = TakeIntoCell(key, entry, view);
  if (!value) return false;
  if (!place) {
    keyspace_.Apply({.type = MutationType::kCounter, .name = key.name, .value = *value}, key,
                    touched_now_);
  } else if (*view != *value) {
    keyspace_.ApplyInteger(key, place, *value, touched_now_);
  }
  if (watches_ != nullptr && view != value) watches_->Touch(key.name);
  return true;
}

// What is then to be seen; empty if the long way has to be gone, which may come after this.
std::optional<std::int64_t> Replica::TakeIntoCell(const Key& key, const crdt::Entry& entry,
                                                  std::optional<std::int64_t> view) {
  SharedPartition& partition = At(key);
  SharedName* name = partition.Find(key);
  if (!partition.heard.empty()) return std::nullopt;
  if (name != nullptr && (!view || name->tree() != nullptr)) return std::nullopt;
  SharedCell* shared = name != nullptr ? name->counter() : nullptr;
  if (shared == nullptr) {
    if (entry.origin == home_ && entry.birth == 0) return entry.sum.Int64();
    shared = &MakeCounter(key);
  }
  if (shared->hidden || !shared->cell.IsPacked()) return std::nullopt;
  shared->candidate = false;
  const SharedPartition::Change change(partition, shared->cell);
  shared->cell.PutEntry(entry);
  return shared->cell.PlainValue();
}

void Replica::ApplyTree(const Key& key, const TreeFacts& facts, Touched& touched) {
  SharedTree& shared = MakeTree(key);
  TreeFacts& known = shared.facts;
  if (facts.epoch > known.epoch) {
    // Out of view, too, with its watermark; ShowTree makes it anew.
    At(key).ClearTree(shared);
    if (keyspace_.HasTree(key)) {
      MakeAttributes(key);
      keyspace_.Apply({.type = MutationType::kDrop, .name = key.name}, key, touched_now_);
    }
    known.epoch = facts.epoch;
    known.watermark = facts.watermark;
    shared.emptied = last_copy_;
  } else if (facts.epoch == known.epoch) {
    known.watermark = std::max(known.watermark, facts.watermark);
  }
  // Existence and settings do not depend on the epoch, or the order of arrival would matter.
  if (facts.version > known.version) {
    known.exists = facts.exists;
    known.settings = facts.settings;
    known.version = facts.version;
  }
  SawClock(facts.version.clock);
  touched.trees.emplace_back(key.name);
}

void Replica::ApplyAttribute(const Key& key, const SharedMutation& mutation, Touched& touched) {
  Attributes& known = MakeAttributes(key);
  known.candidate = false;
  SawClock(mutation.version.clock);
  if (mutation.attribute == AttributeKind::kExpiry) {
    if (mutation.version <= known.expiry_version) return;
    known.expiry_version = mutation.version;
    known.expires_at = mutation.expires_at;
  } else {
    if (mutation.version <= known.precision_version) return;
    known.precision_version = mutation.version;
    known.precision = mutation.precision;
  }
  touched.attributes.emplace_back(key.name);
  // Who set it saw the counter, so it is a zero that shows.
  SharedCell* counter = FindCounter(key);
  if (counter == nullptr || !counter->hidden) return;
  if (known.expires_at == 0 && known.precision.IsNegative()) return;
  counter->hidden = false;
  touched.counters.emplace_back(key.name);
}

void Replica::Apply(const SharedMutation& mutation, crdt::OriginIndex origin, Lsn to,
                    Touched& touched) {
  const CellName& cell = mutation.cell;
  switch (mutation.type) {
    case SharedType::kEpoch:
      if (mutation.epoch > epoch_) SwitchEpoch(mutation.epoch);
      return;
    case SharedType::kClose:
      return Claim(origins_.IdOf(mutation.origin), origins_.IdOf(origin), to);
    case SharedType::kFolded:
      return NoteFolded(origins_.IdOf(mutation.origin), mutation.lsn);
    case SharedType::kClustered:
    case SharedType::kUpTo:
      return;
    default:
      break;
  }
  if (mutation.epoch < epoch_) return;
  if (mutation.epoch > epoch_) SwitchEpoch(mutation.epoch);
  RaiseTreeEpoch(cell, touched);
  switch (mutation.type) {
    case SharedType::kTree:
      return ApplyTree(keyspace_.MakeKey(cell.name), mutation.tree, touched);
    case SharedType::kAttribute:
      return ApplyAttribute(keyspace_.MakeKey(cell.name), mutation, touched);
    case SharedType::kEntry:
      if (IsCurrent(cell, mutation.epoch)) ApplyEntry(mutation, origin, touched);
      return;
    case SharedType::kReset: {
      if (!IsCurrent(cell, mutation.epoch)) return;
      SawClock(mutation.observation.set.version.clock);
      SharedCell& shared = *CellOf(cell, true);
      shared.hidden = shared.candidate = false;
      const SharedPartition::Change change(At(keyspace_.MakeKey(cell.name)), shared.cell);
      shared.cell.ApplyReset(mutation.observation, origin, LazyOfIndex(origin), known_);
      ForgetHeard(cell);
      return touched.Add(cell);
    }
    case SharedType::kFold: {
      if (!IsCurrent(cell, mutation.epoch)) return;
      SharedCell& shared = *CellOf(cell, true);
      shared.candidate = false;
      const SharedPartition::Change change(At(keyspace_.MakeKey(cell.name)), shared.cell);
      shared.cell.ApplyFold({.closed = mutation.origin, .into = origin, .lsn = mutation.lsn},
                            known_);
      return touched.Add(cell);
    }
    case SharedType::kCell: {
      if (!IsCurrent(cell, mutation.epoch)) return;
      SharedCell& shared = *CellOf(cell, true);
      const SharedPartition::Change change(At(keyspace_.MakeKey(cell.name)), shared.cell);
      shared.cell = mutation.state.Clone();
      shared.hidden = shared.candidate = false;
      return touched.Add(cell);
    }
    default:
      return;
  }
}

}  // namespace jeton::engine
