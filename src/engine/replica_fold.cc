// Replica: closing and folding of origins that nobody writes any more, and freeing of entries that
// contribute nothing. REPLICATION.md, sections 5 and 8, says why each condition is needed.
#include <algorithm>

#include "engine/replica_internal.h"
#include "engine/tree.h"

namespace jeton::engine {

namespace {
constexpr std::size_t kKeysAtOnce = 256;  // of a tree that becomes explicit
constexpr std::size_t kNamesAtOnce = 1024;
constexpr std::size_t kReleasedKeys = 4096;  // of trees, in one go
}  // namespace

// One call of FoldSome.
struct Replica::Folding {
  crdt::OriginIndex closed;
  Lsn lsn;            // above everything that was logged before
  std::size_t looks;  // that may still be taken; a fold costs kLooksPerFold
  std::string& log;

  void Spend(std::size_t some) { looks -= std::min(looks, some); }
};

void Replica::Close(const OriginId& origin, std::string& log) {
  const auto index = origins_.Add(origin);
  if (!index || *index == own_ || *index == lazy_ || folded_.contains(origin)) return;
  // The greater of two that close it folds it; the others would not take our word.
  const auto known = closed_.find(origin);
  const bool in_hands = known != closed_.end() && !folded_.contains(known->second.by);
  if (in_hands && known->second.by > own()) return;
  const Lsn at = options_.close_record() + 1;
  Claim(origin, own(), at);
  Control({.type = SharedType::kClose, .epoch = epoch_, .origin = *index, .lsn = at}, log);
}

void Replica::Claim(const OriginId& closed, const OriginId& by, Lsn at) {
  if (folded_.contains(closed)) return;
  Lsn& said = claims_[closed][by];
  said = std::max(said, at);
  ChooseCloser(closed);
}

// All of one that is folded is known here, what it has folded, too, so another may go on from
// there. All agree on who: whoever folds has heard from each of the others that they know of its
// claim.
void Replica::ChooseCloser(const OriginId& closed) {
  const auto& claims = claims_.at(closed);
  auto best = std::prev(claims.end());
  for (auto next = claims.rbegin(); next != claims.rend(); ++next) {
    if (folded_.contains(next->first)) continue;
    best = std::prev(next.base());
    break;
  }
  closed_[closed] = {best->first, best->second};
}

// What an origin that is over has left to do is the work of the node whose run it was, of whoever
// closed it, and of everybody if that node was forgotten or the origin is folded. Any of it may
// come here, by way of others, when all that is known already: frames of a run that its own node
// has lost with the end of its log, or those of a forgotten node, or a CLOSE of theirs.
bool Replica::FallsToUs(const OriginId& origin) const {
  if (IsOwn(origin)) return false;
  if (folded_.contains(origin) || (options_.was_ours && options_.was_ours(origin))) return true;
  const auto closing = closed_.find(origin);
  if (closing != closed_.end() && closing->second.by == own()) return true;
  const auto writer = writers_.find(origin);
  return writer != writers_.end() &&
         std::find(forgotten_.begin(), forgotten_.end(), writer->second) != forgotten_.end();
}

std::vector<OriginId> Replica::Abandoned() const {
  std::vector<OriginId> abandoned;
  for (const auto& [origin, lsn] : applied_) {
    if (!closed_.contains(origin) && FallsToUs(origin)) abandoned.push_back(origin);
  }
  for (const auto& [origin, closing] : closed_) {
    if (FallsToUs(closing.by)) abandoned.push_back(origin);
  }
  return abandoned;
}

// Whether every member has the last of the closed origin, and said so after it knew that it is
// closed: then nobody has more of it.
bool Replica::AllHaveEnd(const OriginId& closed, const Closed& closing) const {
  if (bugs_.fold_early) return true;
  if (members_.empty()) return false;  // they are not known yet
  const Lsn end = applied_.Get(closed);
  return std::all_of(members_.begin(), members_.end(), [&](const NodeId& member) {
    const auto row = rows_.find(member);
    if (row == rows_.end() || row->second.Get(closed) != end) return false;
    if (member == options_.node) return true;
    return row->second.Get(own()) >= closing.at && KnowsFoldersIn(row->second, closed);
  });
}

// On an older disk: what the row vouches for may be folded already, by a run that is not known here
// yet, or not as far as it went.
bool Replica::KnowsFoldersIn(const crdt::VersionVector& row, const OriginId& closed) const {
  const auto claims = claims_.find(closed);
  return std::all_of(row.begin(), row.end(), [&](const auto& item) {
    const auto& [origin, held] = item;
    // A lazy origin folds nothing, and there may be no frame of it although it is held.
    if (IsOwn(origin) || IsLazy(origin) || folded_.contains(origin)) return true;
    const bool may_fold = claims != claims_.end() && claims->second.contains(origin);
    return applied_.Get(origin) >= (may_fold ? held : 1);
  });
}

// An earlier run of this node may have folded some cells in frames that have not come back here
// yet; it is closed, too, and has all its frames here when its own end is known.
bool Replica::AllHaveEnds() const {
  return std::all_of(closed_.begin(), closed_.end(), [&](const auto& item) {
    return item.second.by != own() || AllHaveEnd(item.first, item.second);
  });
}

void Replica::FoldCell(const CellName& cell, SharedCell& shared, Folding& folding) {
  const auto entry = shared.cell.FindEntry(folding.closed);
  if (!entry) return;
  const bool hidden = shared.hidden;
  const Key key = keyspace_.MakeKey(cell.name);
  const crdt::Entry own_entry = AddOwn(At(key), shared, entry->sum);
  shared.hidden = hidden;
  const SharedPartition::Change change(At(key), shared.cell);
  shared.cell.ApplyFold({.closed = folding.closed, .into = own_, .lsn = folding.lsn}, known_);
  SharedWriter(origins_, false)
      .WriteEntry(cell, epoch_, false, own_entry.birth, own_entry.sum, folding.log);
  Control({.type = SharedType::kFold,
           .cell = cell,
           .epoch = epoch_,
           .origin = folding.closed,
           .lsn = folding.lsn,
           .end = applied_.Get(origins_.IdOf(folding.closed))},
          folding.log);
  MarkDirty(cell, key);
  folding.Spend(kLooksPerFold);
}

void Replica::MakeAllBuckets(const Key& key, const Tree& tree) {
  SharedTree& shared = MakeTree(key);
  std::uint64_t cursor = 0;
  do {
    cursor = tree.Scan(cursor, 1000, [&](const KeyView& view) {
      const std::string text = view.ToString();
      view.ForEach([&](Bucket bucket, const Decimal&) { MakeBucket(key, shared, text, bucket); });
    });
  } while (cursor != 0);
}

// The implicit cells of one name. True when all of them are explicit.
bool Replica::MakeExplicit(const Key& key, Folding& folding) {
  folding.Spend(1);
  if (ViewOf(key)) MakeCounter(key);
  const Tree* tree = keyspace_.FindTree(key, kBeforeAnyExpiry);
  if (tree == nullptr) return true;
  SharedTree& shared = MakeTree(key);
  std::uint64_t& inner = fold_cursor_->inner;
  inner = tree->Scan(inner, kKeysAtOnce, [&](const KeyView& view) {
    const std::string text = view.ToString();
    view.ForEach([&](Bucket bucket, const Decimal&) {
      MakeBucket(key, shared, text, bucket);
      folding.Spend(1);
    });
  });
  return inner == 0;
}

// True when all of the view has been looked at.
bool Replica::FoldView(Folding& folding) {
  if (home_ != folding.closed) return true;
  FoldCursor& cursor = *fold_cursor_;
  while (folding.looks > 0) {
    if (!cursor.names.empty()) {
      const std::string name = cursor.names.back();
      if (MakeExplicit(keyspace_.MakeKey(name), folding)) cursor.names.pop_back();
      continue;
    }
    if (cursor.view_done) return true;
    cursor.view = keyspace_
                      .Scan(cursor.view, 64, kBeforeAnyExpiry,
                            [&](std::string_view name, const engine::Entry&) {
                              cursor.names.emplace_back(name);
                            })
                      .next;
    cursor.view_done = cursor.view == 0;
  }
  return false;
}

bool Replica::FoldShared(Folding& folding) {
  FoldCursor& cursor = *fold_cursor_;
  const auto fold = [&](SharedName& name, std::string& key) {
    if (folding.looks == 0) return false;
    folding.Spend(1);
    if (key.empty() && name.counter() != nullptr) {
      FoldCell({.name = name.name()}, *name.counter(), folding);
    }
    return ForEachBucket(name, key, [&](const CellName& cell, SharedCell& shared) {
      folding.Spend(1);
      FoldCell(cell, shared, folding);
      return folding.looks > 0;
    });
  };
  while (cursor.partition < Keyspace::kPartitions) {
    if (WalkNames(cursor.partition, cursor, kNamesAtOnce, fold)) {
      ++cursor.partition;
    } else if (folding.looks == 0) {
      return false;
    }
  }
  return true;
}

bool Replica::FoldSome(std::size_t max_cells, std::string& log) {
  const auto due = std::find_if(closed_.begin(), closed_.end(),
                                [&](const auto& item) { return item.second.by == own(); });
  if (due == closed_.end() || !AllHaveEnds()) return false;
  const OriginId closed = due->first;
  if (!fold_cursor_ || fold_cursor_->closed != closed) fold_cursor_ = FoldCursor{.closed = closed};
  const crdt::OriginIndex index = *origins_.Add(closed);
  Folding folding{.closed = index,
                  .lsn = options_.close_record() + 1,
                  .looks = max_cells * kLooksPerFold,
                  .log = log};
  if (!FoldView(folding) || !FoldShared(folding)) return true;
  const Lsn end = applied_.Get(closed);
  Control({.type = SharedType::kFolded, .epoch = epoch_, .origin = index, .lsn = end}, log);
  NoteFolded(closed, end);
  fold_cursor_.reset();
  return !closed_.empty();
}

// No cell has an entry of it any more, so there is no implicit cell either if it was the home.
void Replica::NoteFolded(const OriginId& origin, Lsn end) {
  const auto closing = closed_.find(origin);
  const OriginId by = closing != closed_.end() ? closing->second.by : own();
  if (closing != closed_.end()) closed_.erase(closing);
  claims_.erase(origin);
  writers_.erase(origin);
  folded_[origin] = std::max(folded_[origin], end);
  for (const auto& [closed, claims] : claims_) {
    if (claims.contains(origin)) ChooseCloser(closed);
  }
  retiring_[origin] = VectorWithOwn(options_.close_record());
  applied_.Remove(origin);
  if (origins_.IdOf(home_) == origin) home_ = *origins_.Add(by);
}

crdt::VersionVector Replica::VectorWithOwn(Lsn lsn) const {
  crdt::VersionVector vector = applied_;
  vector.Advance(own(), lsn);
  if (dirty_lazy() > 0) vector.Advance(lazy(), lsn);
  return vector;
}

bool Replica::IsStable(const crdt::VersionVector& vector) const {
  return !members_.empty() &&
         std::all_of(members_.begin(), members_.end(), [&](const NodeId& member) {
           const auto row = rows_.find(member);
           return row != rows_.end() &&
                  std::all_of(vector.begin(), vector.end(), [&](const auto& item) {
                    return folded_.contains(item.first) ||
                           row->second.Get(item.first) >= item.second;
                  });
         });
}

std::optional<NodeId> Replica::BlockedBy() const {
  for (const NodeId& member : members_) {
    const auto row = rows_.find(member);
    if (row == rows_.end()) return member;
    for (const auto& [origin, lsn] : applied_) {
      if (!IsOwn(origin) && row->second.Get(origin) < lsn) return member;
    }
  }
  return std::nullopt;
}

void Replica::RetireStable() {
  for (auto next = retiring_.begin(); next != retiring_.end();) {
    if (!IsStable(next->second)) {
      ++next;
      continue;
    }
    const crdt::OriginIndex index = *origins_.Add(next->first);
    if (index >= retired_.size()) retired_.resize(std::size_t{index} + 1);
    retired_[index] = true;
    next = retiring_.erase(next);
  }
}

// ---- freeing

// One slice of it.
struct Replica::Freeing {
  SharedPartition& partition;
  const Sweep& sweep;
  bool folding;
  std::size_t looks;
  std::string& log;
};

void Replica::MarkCell(SharedCell& shared) const {
  const auto is_idle = [&](crdt::OriginIndex origin) {
    const auto entry = shared.cell.FindEntry(origin);
    return entry && shared.cell.Contribution(*entry, known_).IsZero();
  };
  const bool only_set = shared.cell.entries().empty();
  shared.candidate = only_set || !shared.cell.folds().empty() || is_idle(own_) || is_idle(lazy_);
}

// True at the end of the partition.
bool Replica::MarkSome(Keyspace::PartitionId partition) {
  std::size_t looks = kSweepCells;
  return WalkNames(partition, *sweeps_[partition], kSweepCells,
                   [&](SharedName& name, std::string& key) {
                     if (key.empty() && name.counter() != nullptr) MarkCell(*name.counter());
                     if (name.attributes() != nullptr) name.attributes()->candidate = true;
                     return ForEachBucket(name, key, [&](const CellName&, SharedCell& shared) {
                       MarkCell(shared);
                       if (looks > 0) --looks;
                       return looks > 0;
                     });
                   });
}

void Replica::FreeCell(const CellName& cell, SharedCell& shared, Freeing& freeing) {
  if (freeing.looks > 0) --freeing.looks;
  const SharedPartition::Change change(freeing.partition, shared.cell);
  for (const crdt::OriginIndex origin : freeing.sweep.folded) shared.cell.Retire(origin);
  if (!shared.candidate) return;
  shared.candidate = false;
  shared.cell.DropUselessBases(known_);
  bool freed = false;
  for (const crdt::OriginIndex origin : {own_, lazy_}) {
    const auto entry = shared.cell.FindEntry(origin);
    // A zero that everybody sees does so by its entry.
    const bool shows = !shared.hidden && shared.cell.entries().size() == 1 && !shared.cell.set();
    if (!entry || freeing.folding || shows || !shared.cell.Contribution(*entry, known_).IsZero()) {
      continue;
    }
    shared.cell.RemoveEntry(origin);
    shared.cell.RemoveBase(origin);
    ever_freed_ = freed = true;
    SharedWriter(origins_, false)
        .WriteEntry(cell, epoch_, true, 0, 0, freeing.log, origin == lazy_);
    const Key key = keyspace_.MakeKey(cell.name);
    origin == lazy_ ? MarkDirtyLazy(key) : MarkDirty(cell, key);
  }
  if (freed) return;
  const crdt::SetRegister* set = shared.cell.set();
  if (shared.cell.entries().empty() && shared.cell.bases().empty() && set != nullptr &&
      !set->present) {
    shared.cell.ClearSet();
  }
}

// Frees what can be of one name and erases what says nothing: cells without contents, cells that
// could as well be implicit, attributes that only say that there are none.
bool Replica::FreeName(SharedName& name, std::string& from, Freeing& freeing) {
  SharedPartition& partition = freeing.partition;
  const Key key = keyspace_.MakeKey(name.name());
  const bool may_forget = *copies_ == 0;
  if (SharedCell* counter = name.counter(); counter != nullptr && from.empty()) {
    FreeCell({.name = name.name()}, *counter, freeing);
    const crdt::Cell& cell = counter->cell;
    const auto view = ViewOf(key);
    const bool plain = cell.IsPlain() && cell.entries().front().origin == home_ &&
                       cell.entries().front().birth == 0 && view &&
                       *view == cell.entries().front().sum;
    if (may_forget && (cell.empty() ? !view : plain)) partition.DropCounter(name);
  }
  if (const Attributes* known = name.attributes();
      known != nullptr && may_forget && known->candidate && known->expires_at == 0 &&
      known->precision.IsNegative() && !ViewOf(key) && name.counter() == nullptr) {
    partition.DropAttributes(name);
  }
  if (SharedTree* tree = name.tree()) {
    for (auto next = tree->keys.lower_bound(from); next != tree->keys.end();) {
      if (freeing.looks == 0) {
        from = next->first;
        return false;
      }
      FreeBuckets(key, *tree, next++, freeing);
    }
  }
  if (may_forget) partition.EraseIfEmpty(key);
  return true;
}

void Replica::FreeBuckets(const Key& key, SharedTree& tree, SharedTree::Keys::iterator item,
                          Freeing& freeing) {
  std::vector<Bucket> useless;
  for (auto live = tree.FirstLive(item); live != item->second.end(); ++live) {
    auto& [bucket, cell] = *live;
    FreeCell({.name = key.name,
              .in_tree = true,
              .key = item->first,
              .bucket = bucket,
              .tree_epoch = tree.facts.epoch},
             cell, freeing);
    // What is in view and not here counts as the home origin's.
    if (*copies_ == 0 && cell.cell.empty() && !ViewOf(key, item->first, bucket)) {
      useless.push_back(bucket);
    }
  }
  for (const Bucket bucket : useless) freeing.partition.EraseBucket(tree, item, bucket);
}

// True at the end of the partition.
bool Replica::FreeSomeOf(Keyspace::PartitionId partition, std::string& log) {
  const bool folding = std::any_of(closed_.begin(), closed_.end(),
                                   [&](const auto& item) { return item.second.by == own(); });
  Sweep& sweep = *sweeps_[partition];
  Freeing freeing{.partition = *partitions_[partition],
                  .sweep = sweep,
                  .folding = folding,
                  .looks = kSweepCells,
                  .log = log};
  return WalkNames(partition, sweep, kSweepCells, [&](SharedName& name, std::string& key) {
    return FreeName(name, key, freeing);
  });
}

// Of trees that were emptied or trimmed.
void Replica::ReleaseSome() {
  std::size_t left = kReleasedKeys;
  for (auto& partition : partitions_) left -= partition->Release(left);
}

void Replica::FreeSome(std::string& log) {
  RetireStable();
  ReleaseSome();
  TellBytes();
  const Keyspace::PartitionId partition = sweep_partition_;
  const auto done = [&] { sweep_partition_ = (partition + 1) % Keyspace::kPartitions; };
  if (partitions_[partition]->empty()) return done();
  std::optional<Sweep>& sweep = sweeps_[partition];
  if (!sweep) {
    sweep = Sweep{.folded = {}};
    for (const auto& [origin, end] : folded_) sweep->folded.push_back(*origins_.Add(origin));
  }
  if (!sweep->marked) {
    if (!MarkSome(partition)) return;
    sweep->marked = true;
    sweep->seen = VectorWithOwn(options_.close_record());
    sweep->hash = 0;
    return done();
  }
  if (!bugs_.free_unstable && !IsStable(sweep->seen)) return done();
  if (!FreeSomeOf(partition, log)) return;
  sweep.reset();
  done();
}

}  // namespace jeton::engine
