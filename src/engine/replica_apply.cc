// Replica: frames, both ways, and how what they say gets into view.
#include <algorithm>
#include <limits>
#include <mutex>

#include "engine/frame_body.h"
#include "engine/replica_internal.h"
#include "engine/tree.h"
#include "engine/tree_mutation.h"

namespace jeton::engine {

namespace {

constexpr WallMs kBeforeAnyExpiry = std::numeric_limits<WallMs>::min();

}  // namespace

// ---- cutting

bool Replica::HasUncut() const {
  const std::lock_guard guard(control_lock_);
  return dirty_cells() > 0 || !controls_.empty();
}

bool Replica::KnowsNames() const {
  const auto has_names = [](const auto& partition) { return !partition->names().empty(); };
  return epoch_ != 0 || std::any_of(partitions_.begin(), partitions_.end(), has_names);
}

std::string Replica::EncodeDirty(SharedWriter& writer, bool& all) {
  std::string out, forgotten, told_tree;
  std::size_t left = dirty_cells();
  for (Keyspace::PartitionId id = 0; id < Keyspace::kPartitions && left > 0; ++id) {
    SharedPartition& partition = *partitions_[id];
    left -= std::min(left, partition.dirty.size());
    std::size_t count = partition.dirty.size();
    if (bugs_.partial_cut && count > 0 && forgotten.empty() && dirty_cells() > 1) {
      forgotten = partition.dirty[--count];
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (out.size() >= kCutBytes) {
        partition.dirty.DropFirst(i);
        std::size_t rest = 0;
        for (const auto& other : partitions_) rest += other->dirty.size();
        dirty_cells_.store(rest, std::memory_order_relaxed);
        all = false;
        return out;
      }
      const CellName cell = DecodeCellId(partition.dirty[i]);
      if (!IsCurrent(cell, epoch_)) {
        // Emptied or trimmed away meanwhile, by what a receiver may not know yet.
        if (!cell.in_tree || cell.name == told_tree) continue;
        told_tree = cell.name;
        writer.Write({.type = SharedType::kTree,
                      .cell = {.name = cell.name},
                      .epoch = epoch_,
                      .tree = FactsOf(keyspace_.MakeKey(cell.name))},
                     out);
        continue;
      }
      if (const SharedCell* shared = CellOf(cell, false)) {
        const crdt::Entry* entry = shared->cell.FindEntry(own_);
        writer.WriteEntry(cell, epoch_, entry == nullptr, entry != nullptr ? entry->birth : 0,
                          entry != nullptr ? entry->sum : 0, out);
        continue;
      }
      // An implicit cell, or one whose entry was freed and of which nothing is left here.
      const Key key = keyspace_.MakeKey(cell.name);
      const auto value = cell.in_tree ? ViewOf(key, cell.key, cell.bucket) : ViewOf(key);
      const bool there = own_ == home_ && value;
      writer.WriteEntry(cell, epoch_, !there, 0, there ? *value : 0, out);
    }
    partition.dirty.Clear();
  }
  dirty_cells_.store(0, std::memory_order_relaxed);
  if (!forgotten.empty()) {
    const CellName cell = DecodeCellId(forgotten);
    MarkDirty(cell, keyspace_.MakeKey(cell.name).hash);
  }
  return out;
}

std::optional<std::string> Replica::Cut(Lsn to, const crdt::VersionVector& row, bool row_too) {
  if (to <= sent_ || (!HasUncut() && !row_too)) return std::nullopt;
  std::string controls;
  std::uint64_t clock;
  {
    const std::lock_guard guard(control_lock_);
    controls.swap(controls_);
    clock = clock_.last();
  }
  SharedWriter writer(origins_, true);
  std::string body, rest;
  bool all = true;
  // Sections in the order of their types; entries stand between trees and resets. What cancels
  // waits for all of what it cancels.
  for (int type = static_cast<int>(SharedType::kEpoch);
       type <= static_cast<int>(SharedType::kFolded); ++type) {
    if (type == static_cast<int>(SharedType::kEntry)) {
      body += EncodeDirty(writer, all);
      continue;
    }
    ByteReader in(controls);
    SharedReader reader(origins_, nullptr);
    SharedMutation mutation;
    while (in.ok() && !in.AtEnd()) {
      const char* begin = in.Position();
      reader.Read(in, mutation);
      if (static_cast<int>(mutation.type) != type) continue;
      all = all && body.size() < kCutBytes;
      if (all || type < static_cast<int>(SharedType::kEntry)) {
        writer.Write(mutation, body);
      } else {
        rest.append(begin, static_cast<std::size_t>(in.Position() - begin));
      }
    }
  }
  if (!all) {
    to = sent_ + 1;
    const std::lock_guard guard(control_lock_);
    controls_.insert(0, rest);
  }
  std::string head;
  PutHead(
      {.node = options_.node, .partial = !all, .epoch = epoch_, .dictionary = writer.dictionary()},
      head);
  body.insert(0, head);
  const crdt::Frame frame{
      .origin = own(), .from = sent_, .to = to, .clock = clock, .row = row, .body = body};
  sent_ = to;
  applied_.Advance(own(), to);
  rows_[options_.node] = row;
  return crdt::EncodeFrame(frame);
}

bool Replica::IsPartial(const crdt::Frame& frame) {
  ByteReader in(frame.body);
  return GetHead(in).partial;
}

bool Replica::HasContent(const crdt::Frame& frame) {
  ByteReader in(frame.body);
  GetHead(in);
  return !in.AtEnd();
}

// ---- applying

void Replica::SetKnown(crdt::OriginIndex origin, Lsn lsn) {
  if (origin != own_ && origin != lazy_) known_.Set(origin, lsn);
  applied_.Advance(origins_.IdOf(origin), lsn);
}

// `lacks_folded`: it folds an origin of which not everything is known here. Its sums would be there
// and its resets not; every member had all of it, so a newcomer must take a state.
bool Replica::Decodes(ByteReader in, const std::vector<OriginId>& dictionary, bool& lacks_folded) {
  SharedReader reader(origins_, &dictionary);
  SharedMutation mutation;
  while (in.ok() && !in.AtEnd()) {
    reader.Read(in, mutation);
    const bool folds = mutation.type == SharedType::kFold || mutation.type == SharedType::kFolded;
    if (!in.ok() || !folds) continue;
    const OriginId& origin = origins_.IdOf(mutation.origin);
    const Lsn end = mutation.type == SharedType::kFold ? mutation.end : mutation.lsn;
    if (!folded_.contains(origin) && applied_.Get(origin) < end) lacks_folded = true;
  }
  return in.ok();
}

Replica::Outcome Replica::ApplyFrame(const crdt::Frame& frame, WallMs now, std::string* why) {
  if (folded_.contains(frame.origin)) return Outcome::kKnown;
  if (frame.to <= applied_.Get(frame.origin)) return Outcome::kKnown;
  if (frame.from > applied_.Get(frame.origin)) return Outcome::kGap;
  ByteReader in(frame.body);
  const BodyHead head = GetHead(in);
  const auto origin = origins_.Add(frame.origin);
  bool lacks_folded = false;
  if (!in.ok() || !origin || !Decodes(in, head.dictionary, lacks_folded)) {
    if (why != nullptr) *why = "the body of the frame does not decode";
    return Outcome::kRefused;
  }
  if (lacks_folded) return Outcome::kGap;
  touched_now_ = now;
  SawClock(frame.clock);
  if (head.epoch > epoch_) SwitchEpoch(head.epoch);
  const Lsn before = applied_.Get(frame.origin);
  SetKnown(*origin, frame.to);
  Touched touched;
  SharedReader reader(origins_, &head.dictionary);
  SharedMutation mutation;
  Lsn said = frame.to;
  while (!in.AtEnd()) {
    reader.Read(in, mutation);
    if (mutation.type == SharedType::kUpTo) said = mutation.lsn;
    // Of a merged frame some may be known here, and what came of it forgotten again.
    if (mutation.type == SharedType::kEntry) {
      mutation.epoch = head.epoch;
    } else if (said <= before) {
      continue;
    }
    Apply(mutation, *origin, said, touched);
  }
  // What a run that is over has said no longer holds: its node may have lost some of it since.
  // A lazy frame has no row: it may come before others that its row would vouch for.
  if (!closed_.contains(frame.origin) && !frame.row.empty()) rows_[head.node] = frame.row;
  if (!folded_.contains(frame.origin)) writers_[frame.origin] = head.node;
  Show(touched, now);
  return Outcome::kApplied;
}

bool Replica::IsCurrent(const CellName& cell, std::uint64_t epoch) {
  if (epoch < epoch_) return false;
  if (!cell.in_tree) return true;
  const SharedName* name = At(keyspace_.MakeKey(cell.name)).Find(keyspace_.MakeKey(cell.name));
  const TreeFacts* facts = name != nullptr && name->tree ? &name->tree->facts : nullptr;
  const std::uint64_t current = facts != nullptr ? facts->epoch : 0;
  if (cell.tree_epoch < current) return false;
  if (facts != nullptr) return cell.bucket >= facts->watermark;
  const Tree* tree = keyspace_.FindTree(keyspace_.MakeKey(cell.name), kBeforeAnyExpiry);
  return tree == nullptr || cell.bucket >= tree->watermark();
}

SharedCell* Replica::CellOf(const CellName& cell, bool make) {
  const Key key = keyspace_.MakeKey(cell.name);
  if (!cell.in_tree) return make ? &MakeCounter(key) : FindCounter(key);
  if (make) return &MakeBucket(key, MakeTree(key), cell.key, cell.bucket);
  const SharedName* name = At(key).Find(key);
  return name != nullptr && name->tree ? FindBucket(*name->tree, cell.key, cell.bucket) : nullptr;
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
    if (tree != nullptr || (name != nullptr && name->tree && name->tree->facts.exists))
      return false;
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
  if (name != nullptr && name->tree && name->tree->facts.epoch >= cell.tree_epoch) return;
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
  if (mutation.gone) {
    shared.cell.RemoveEntry(origin);
  } else {
    shared.cell.PutEntry({.origin = origin, .birth = mutation.birth, .sum = mutation.sum});
  }
  if (!cell.in_tree) NoteHeard(keyspace_.MakeKey(cell.name), origin, mutation);
  touched.Add(cell);
}

void Replica::ApplyTree(const Key& key, const TreeFacts& facts, Touched& touched) {
  SharedTree& shared = MakeTree(key);
  TreeFacts& known = shared.facts;
  if (facts.epoch > known.epoch) {
    // Out of view, too, with its watermark; ShowTree makes it anew.
    shared.keys.clear();
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
      shared.cell.ApplyReset(mutation.observation, origin, LazyOfIndex(origin), known_);
      ForgetHeard(cell);
      return touched.Add(cell);
    }
    case SharedType::kFold: {
      if (!IsCurrent(cell, mutation.epoch)) return;
      SharedCell& shared = *CellOf(cell, true);
      shared.candidate = false;
      shared.cell.ApplyFold({.closed = mutation.origin, .into = origin, .lsn = mutation.lsn},
                            known_);
      return touched.Add(cell);
    }
    case SharedType::kCell: {
      if (!IsCurrent(cell, mutation.epoch)) return;
      *CellOf(cell, true) = {.cell = mutation.state.Clone()};
      return touched.Add(cell);
    }
    default:
      return;
  }
}

// ---- into view

void Replica::Show(const Touched& touched, WallMs now) {
  for (const std::string& name : touched.trees) ShowTree(keyspace_.MakeKey(name), now);
  for (const auto& cell : touched.buckets) {
    const Key key = keyspace_.MakeKey(cell.name);
    SharedName* name = At(key).Find(key);
    if (name != nullptr && name->tree) ShowBucket(key, *name->tree, cell.key, cell.bucket);
  }
  for (const std::string& name : touched.counters) ShowCounter(keyspace_.MakeKey(name), now);
  for (const std::string& name : touched.attributes) ShowAttributes(keyspace_.MakeKey(name), now);
}

void Replica::ShowCounter(const Key& key, WallMs now) {
  SharedName* name = At(key).Find(key);
  if (name == nullptr || !name->counter) return;
  if (name->tree && name->tree->facts.exists) return;  // hidden by a tree of that name
  SharedCell& shared = *name->counter;
  shared.cell.DropUselessBases(known_);
  const auto view = keyspace_.Find(key, kBeforeAnyExpiry);
  if (view && view->kind == Kind::kTree) return;
  if (shared.hidden || !shared.cell.IsPresent(known_)) {
    if (view) keyspace_.Apply({.type = MutationType::kDrop, .name = key.name}, key, now);
    if (shared.cell.empty() && *copies_ == 0) name->counter.reset();
    if (name->empty()) At(key).Erase(key);
    return;
  }
  Decimal value = shared.cell.Value(known_);
  if (bugs_.store_estimate) [[unlikely]] {
    const std::int64_t grown = static_cast<std::int64_t>(PredictAll(key));
    value = Decimal::Add(value, grown).value_or(value);
  }
  if (!view || view->value != value) {
    keyspace_.Apply({.type = MutationType::kCounter, .name = key.name, .value = value}, key, now);
    if (watches_ != nullptr) watches_->Touch(key.name);
  }
  if (!view) ShowAttributes(key, now);
}

void Replica::ShowAttributes(const Key& key, WallMs now) {
  const SharedName* name = At(key).Find(key);
  if (name == nullptr || !name->attributes || !keyspace_.Find(key, kBeforeAnyExpiry)) return;
  const Attributes& attributes = *name->attributes;
  keyspace_.Apply(
      {.type = MutationType::kExpire, .name = key.name, .expires_at = attributes.expires_at}, key,
      now);
  keyspace_.Apply(
      {.type = MutationType::kPrecision, .name = key.name, .value = attributes.precision}, key,
      now);
}

void Replica::ShowBucket(const Key& key, SharedTree& shared, std::string_view tree_key,
                         Bucket bucket) {
  Tree* tree = keyspace_.FindTree(key, kBeforeAnyExpiry);
  SharedCell* cell = FindBucket(shared, tree_key, bucket);
  if (tree == nullptr || cell == nullptr) return;
  cell->cell.DropUselessBases(known_);
  const TreeKey found = tree->MakeKey(tree_key);
  if (cell->cell.IsPresent(known_)) {
    tree->Set(found, bucket, cell->cell.Value(known_));
  } else {
    tree->Clear(found, {bucket, bucket});
  }
  const auto buckets = shared.keys.find(tree_key);
  if (cell->cell.empty() && *copies_ == 0) buckets->second.erase(bucket);
  if (buckets->second.empty()) shared.keys.erase(buckets);
  keyspace_.TreeChanged(key, *tree);
  if (watches_ != nullptr) watches_->Touch(key.name);
}

void Replica::ShowTree(const Key& key, WallMs now) {
  SharedTree& shared = MakeTree(key);
  const TreeFacts& facts = shared.facts;
  Tree* tree = keyspace_.FindTree(key, kBeforeAnyExpiry);
  if (watches_ != nullptr) watches_->Touch(key.name);
  if (!facts.exists) {
    if (tree != nullptr) {
      // Dropped elsewhere by somebody who did not know this life of it, which may show again.
      MakeAllBuckets(key, *tree);
      keyspace_.Apply({.type = MutationType::kDrop, .name = key.name}, key, now);
    }
    ForgetTrimmed(shared);
    return ShowCounter(key, now);
  }
  const bool is_new = tree == nullptr;
  if (is_new && ViewOf(key)) MakeCounter(key);
  if (is_new || !(tree->settings() == facts.settings)) {
    keyspace_.Apply(
        TreeMutation{
            .type = TreeMutationType::kCreate, .tree = key.name, .settings = facts.settings},
        key);
  }
  if (facts.watermark != Tree::kNoWatermark) {
    keyspace_.Apply(TreeMutation{.type = TreeMutationType::kTrim,
                                 .tree = key.name,
                                 .range = {facts.watermark, facts.watermark}},
                    key);
    ForgetTrimmed(shared);
  }
  if (is_new) ShowContents(key, now);
}

// What a tree that was not in view holds.
void Replica::ShowContents(const Key& key, WallMs now) {
  SharedTree& shared = MakeTree(key);
  if (shared.facts.watermark != Tree::kNoWatermark) {
    keyspace_.Apply(TreeMutation{.type = TreeMutationType::kTrim,
                                 .tree = key.name,
                                 .range = {shared.facts.watermark, shared.facts.watermark}},
                    key);
  }
  for (auto next = shared.keys.begin(); next != shared.keys.end();) {
    const std::string tree_key = next->first;
    std::vector<Bucket> buckets;
    for (const auto& [bucket, cell] : next->second) buckets.push_back(bucket);
    for (const Bucket bucket : buckets) ShowBucket(key, shared, tree_key, bucket);
    next = shared.keys.upper_bound(tree_key);
  }
  ShowAttributes(key, now);
}

}  // namespace jeton::engine
