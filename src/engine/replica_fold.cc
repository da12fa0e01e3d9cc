// Replica: closing and folding of origins that nobody writes any more, and freeing of entries that
// contribute nothing. REPLICATION.md, sections 5 and 8, says why each condition is needed.
#include <algorithm>
#include <limits>

#include "engine/replica_internal.h"
#include "engine/tree.h"

namespace jeton::engine {

namespace {
constexpr WallMs kBeforeAnyExpiry = std::numeric_limits<WallMs>::min();
}  // namespace

// One call of FoldSome.
struct Replica::Folding {
  crdt::OriginIndex closed;
  Lsn lsn;  // above everything that was logged before
  std::size_t left;
  std::string& log;
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

// A CLOSE may come here, by way of others, after its own origin was closed or folded; and frames of
// a node's last run after it was forgotten.
std::vector<OriginId> Replica::Abandoned() const {
  std::vector<OriginId> abandoned;
  for (const auto& [origin, node] : writers_) {
    const bool forgotten = std::find(forgotten_.begin(), forgotten_.end(), node) != forgotten_.end();
    if (forgotten && !closed_.contains(origin)) abandoned.push_back(origin);
  }
  for (const auto& [origin, closing] : closed_) {
    const auto of_closer = closed_.find(closing.by);
    const bool ours = of_closer != closed_.end() && of_closer->second.by == own();
    if (closing.by != own() && (ours || folded_.contains(closing.by))) abandoned.push_back(origin);
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
    return member == options_.node || row->second.Get(own()) >= closing.at;
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
  const crdt::Entry* entry = shared.cell.FindEntry(folding.closed);
  if (entry == nullptr) return;
  const bool hidden = shared.hidden;
  const Decimal sum = entry->sum;  // the entry moves
  const crdt::Entry own_entry = AddOwn(shared, sum);
  shared.hidden = hidden;
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
  MarkDirty(cell, keyspace_.MakeKey(cell.name).hash);
  folding.left -= std::min<std::size_t>(folding.left, 1);
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

// Everything of one name. Its implicit cells become explicit if they are the closed origin's.
void Replica::FoldName(const Key& key, Folding& folding) {
  const bool implicit = home_ == folding.closed;
  if (implicit && ViewOf(key)) MakeCounter(key);
  if (SharedCell* shared = FindCounter(key)) FoldCell({.name = key.name}, *shared, folding);
  const Tree* tree = keyspace_.FindTree(key, kBeforeAnyExpiry);
  if (implicit && tree != nullptr) MakeAllBuckets(key, *tree);
  const SharedName* name = At(key).Find(key);
  if (name == nullptr || !name->tree) return;
  for (auto& [text, buckets] : name->tree->keys) {
    for (auto& [bucket, cell] : buckets) {
      FoldCell({.name = key.name,
                .in_tree = true,
                .key = text,
                .bucket = bucket,
                .tree_epoch = name->tree->facts.epoch},
               cell, folding);
    }
  }
}

// True when all of the view has been looked at.
bool Replica::FoldView(Folding& folding) {
  if (home_ != folding.closed) return true;
  std::vector<std::string> names;
  while (folding.left > 0) {
    names.clear();
    fold_cursor_->view =
        keyspace_
            .Scan(fold_cursor_->view, 64, kBeforeAnyExpiry,
                  [&](std::string_view name, const engine::Entry&) { names.emplace_back(name); })
            .next;
    for (const std::string& name : names) FoldName(keyspace_.MakeKey(name), folding);
    if (fold_cursor_->view == 0) return true;
  }
  return false;
}

bool Replica::FoldShared(Folding& folding) {
  FoldCursor& cursor = *fold_cursor_;
  while (cursor.partition < Keyspace::kPartitions) {
    auto& names = partitions_[cursor.partition]->names();
    auto next = cursor.name.empty() ? names.begin() : names.upper_bound(cursor.name);
    for (; next != names.end(); ++next) {
      if (folding.left == 0) return false;
      cursor.name = next->first;
      FoldName(keyspace_.MakeKey(cursor.name), folding);
    }
    ++cursor.partition;
    cursor.name.clear();
  }
  return true;
}

bool Replica::FoldSome(std::size_t max_cells, std::string& log) {
  const auto due = std::find_if(closed_.begin(), closed_.end(),
                                [&](const auto& item) { return item.second.by == own(); });
  if (due == closed_.end() || !AllHaveEnds()) return false;
  const OriginId closed = due->first;
  if (!fold_cursor_ || fold_cursor_->closed != closed)
    fold_cursor_ = {.closed = closed, .name = {}};
  const crdt::OriginIndex index = *origins_.Add(closed);
  Folding folding{
      .closed = index, .lsn = options_.close_record() + 1, .left = max_cells, .log = log};
  if (!fold_cursor_->view_done) {
    if (!FoldView(folding)) return true;
    fold_cursor_->view_done = true;
  }
  if (!FoldShared(folding)) return true;
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
  folded_[origin] = end;
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

void Replica::MarkCandidates(Keyspace::PartitionId partition) {
  ForEachCell(partition, [&](const CellName&, SharedCell& shared) {
    const auto is_idle = [&](crdt::OriginIndex origin) {
      const crdt::Entry* entry = shared.cell.FindEntry(origin);
      return entry != nullptr && shared.cell.Contribution(*entry, known_).IsZero();
    };
    const bool idle = is_idle(own_) || is_idle(lazy_);
    const bool only_set = shared.cell.entries().empty();
    shared.candidate = idle || only_set || !shared.cell.folds().empty();
  });
  for (auto& [name, shared] : partitions_[partition]->names()) {
    if (shared.attributes) shared.attributes->candidate = true;
  }
  Sweep sweep{.seen = VectorWithOwn(options_.close_record()), .folded = {}};
  for (const auto& [origin, end] : folded_) sweep.folded.push_back(*origins_.Add(origin));
  sweeps_[partition] = std::move(sweep);
}

void Replica::FreeCandidates(Keyspace::PartitionId partition, std::string& log) {
  const bool folding = std::any_of(closed_.begin(), closed_.end(),
                                   [&](const auto& item) { return item.second.by == own(); });
  const Sweep sweep = std::move(*sweeps_[partition]);
  sweeps_[partition].reset();
  ForEachCell(partition, [&](const CellName& cell, SharedCell& shared) {
    for (const crdt::OriginIndex origin : sweep.folded) shared.cell.Retire(origin);
    if (!shared.candidate) return;
    shared.candidate = false;
    shared.cell.DropUselessBases(known_);
    bool freed = false;
    for (const crdt::OriginIndex origin : {own_, lazy_}) {
      const crdt::Entry* entry = shared.cell.FindEntry(origin);
      // A zero that everybody sees does so by its entry.
      const bool shows = !shared.hidden && shared.cell.entries().size() == 1 && !shared.cell.set();
      if (entry == nullptr || folding || shows ||
          !shared.cell.Contribution(*entry, known_).IsZero()) {
        continue;
      }
      shared.cell.RemoveEntry(origin);
      shared.cell.RemoveBase(origin);
      ever_freed_ = freed = true;
      SharedWriter(origins_, false).WriteEntry(cell, epoch_, true, 0, 0, log, origin == lazy_);
      const Key key = keyspace_.MakeKey(cell.name);
      origin == lazy_ ? MarkDirtyLazy(key) : MarkDirty(cell, key.hash);
    }
    if (freed) return;
    const crdt::SetRegister* set = shared.cell.set();
    if (shared.cell.entries().empty() && shared.cell.bases().empty() && set != nullptr &&
        !set->present) {
      shared.cell.ClearSet();
    }
  });
  ForgetIfUseless(partition);
}

// What says nothing is erased: cells without contents, cells that could as well be implicit,
// attributes that only say that there are none.
void Replica::ForgetIfUseless(Keyspace::PartitionId partition) {
  if (*copies_ > 0) return;
  auto& names = partitions_[partition]->names();
  for (auto next = names.begin(); next != names.end();) {
    const Key key = keyspace_.MakeKey(next->first);
    SharedName& name = next->second;
    const auto view = ViewOf(key);
    if (name.counter) {
      const crdt::Cell& cell = name.counter->cell;
      const bool plain = cell.IsPlain() && cell.entries().front().origin == home_ &&
                         cell.entries().front().birth == 0 && view &&
                         *view == cell.entries().front().sum;
      if (cell.empty() ? !view : plain) name.counter.reset();
    }
    if (name.attributes && name.attributes->candidate && name.attributes->expires_at == 0 &&
        name.attributes->precision.IsNegative() && !view && !name.counter) {
      name.attributes.reset();
    }
    if (name.tree) {
      auto& keys = name.tree->keys;
      for (auto item = keys.begin(); item != keys.end();) {
        // What is in view and not here counts as the home origin's.
        std::erase_if(item->second, [&](const auto& cell) {
          return cell.second.cell.empty() && !ViewOf(key, item->first, cell.first);
        });
        item = item->second.empty() ? keys.erase(item) : std::next(item);
      }
    }
    next = name.empty() ? names.erase(next) : std::next(next);
  }
}

void Replica::FreeSome(std::string& log) {
  RetireStable();
  const Keyspace::PartitionId partition = sweep_partition_;
  sweep_partition_ = (sweep_partition_ + 1) % Keyspace::kPartitions;
  if (partitions_[partition]->names().empty()) return;
  if (!sweeps_[partition]) return MarkCandidates(partition);
  if (bugs_.free_unstable || IsStable(sweeps_[partition]->seen)) FreeCandidates(partition, log);
}

}  // namespace jeton::engine
