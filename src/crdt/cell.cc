#include "crdt/cell.h"

#include <algorithm>
#include <utility>

#include "base/heap.h"
#include "base/sum.h"

namespace jeton::crdt {

namespace {

// The element of that origin in an ascending vector, or where it belongs.
template <typename Vector, typename Project>
auto FindPlace(Vector& items, OriginIndex origin, Project project) {
  return std::lower_bound(items.begin(), items.end(), origin,
                          [&](const auto& item, OriginIndex o) { return project(item) < o; });
}

bool IsOlder(const Base& a, const Base& b) {
  return a.cut != b.cut ? a.cut < b.cut : a.stamp < b.stamp;
}

constexpr auto kOrigin = [](const auto& item) { return item.origin; };
constexpr auto kClosed = [](const Fold& fold) { return fold.closed; };

}  // namespace

const std::vector<Base> Cell::kNoBases;
const std::vector<Fold> Cell::kNoFolds;

// ---- how it is stored

void Cell::Free() {
  if (!is_many_) return;
  delete[] many_.entries;
  delete many_.extra;
}

void Cell::Take(Cell& other) {
  size_ = std::exchange(other.size_, std::uint16_t{0});
  is_many_ = std::exchange(other.is_many_, false);
  if (is_many_) {
    many_ = other.many_;
  } else {
    one_ = other.one_;
  }
}

Cell Cell::Clone() const {
  Cell copy;
  copy.size_ = size_;
  copy.is_many_ = is_many_;
  if (!is_many_) {
    copy.one_ = one_;
    return copy;
  }
  copy.many_ = {};
  if (many_.extra != nullptr) copy.many_.extra = new Extra(*many_.extra);
  if (many_.entries == nullptr) return copy;
  copy.many_.entries = new PackedEntry[size_];
  std::copy_n(many_.entries, size_, copy.many_.entries);
  return copy;
}

Cell::Extra& Cell::MakeExtra() {
  if (!is_many_) {
    PackedEntry* entries = nullptr;
    if (size_ == 1) entries = new PackedEntry[1]{one_};
    many_ = {.entries = entries, .extra = nullptr};
    is_many_ = true;
  }
  if (many_.extra == nullptr) many_.extra = new Extra;
  return *many_.extra;
}

bool Cell::HasMore() const {
  const Extra* more = extra();
  return more != nullptr &&
         (!more->bases.empty() || !more->folds.empty() || more->set.version.clock != 0);
}

// What is empty again goes back to the shortest form.
void Cell::DropEmptyExtra() {
  if (!is_many_ || HasMore()) return;
  if (IsUnpacked() && size_ > 0) return;
  delete std::exchange(many_.extra, nullptr);
  if (size_ > 1) return;
  PackedEntry* entries = many_.entries;
  is_many_ = false;
  if (size_ == 1) one_ = entries[0];
  delete[] entries;
}

// Makes room for an entry before the one at `from`, or takes that one away; all are packed.
void Cell::Resize(std::size_t from, std::size_t size) {
  const PackedEntry* old = packed();
  PackedEntry* entries = size > 0 ? new PackedEntry[size] : nullptr;
  std::copy_n(old, from, entries);
  if (size > size_) std::copy(old + from, old + size_, entries + from + 1);
  if (size < size_) std::copy(old + from + 1, old + size_, entries + from);
  size_ = static_cast<std::uint16_t>(size);
  if (is_many_) {
    delete[] std::exchange(many_.entries, entries);
    return;
  }
  many_ = {.entries = entries, .extra = nullptr};
  is_many_ = true;
}

void Cell::Unpack() {
  Extra& more = MakeExtra();
  if (more.is_unpacked) return;
  for (const Entry& entry : entries()) more.unpacked.push_back(entry);
  delete[] std::exchange(many_.entries, nullptr);
  more.is_unpacked = true;
}

std::size_t Cell::bytes() const {
  if (!is_many_) return 0;
  std::size_t bytes = many_.entries != nullptr ? HeapBytes(size_ * sizeof(PackedEntry)) : 0;
  if (const Extra* more = many_.extra) {
    bytes += HeapBytes(sizeof(Extra)) + more->unpacked.capacity() * sizeof(Entry) +
             more->bases.capacity() * sizeof(Base) + more->folds.capacity() * sizeof(Fold);
  }
  return bytes;
}

// ---- entries

Cell::Place Cell::PlaceOf(OriginIndex origin) const {
  std::size_t i = 0;
  if (IsUnpacked()) {
    while (i < size_ && extra()->unpacked[i].origin < origin) ++i;
    return {i, i < size_ && extra()->unpacked[i].origin == origin};
  }
  const PackedEntry* all = packed();
  while (i < size_ && all[i].origin() < origin) ++i;
  return {i, i < size_ && all[i].origin() == origin};
}

std::optional<Entry> Cell::FindEntry(OriginIndex origin) const {
  const Place place = PlaceOf(origin);
  if (!place.found) return std::nullopt;
  return EntryAt(place.index);
}

void Cell::PutEntry(const Entry& entry) {
  if (!PackedEntry::Fits(entry)) Unpack();
  const Place place = PlaceOf(entry.origin);
  if (IsUnpacked()) {
    auto& all = extra()->unpacked;
    const auto at = all.begin() + static_cast<std::ptrdiff_t>(place.index);
    if (place.found) {
      *at = entry;
    } else {
      all.insert(at, entry);
      ++size_;
    }
    return;
  }
  if (!place.found && size_ == 0 && !is_many_) {
    size_ = 1;
  } else if (!place.found) {
    Resize(place.index, std::size_t{size_} + 1);
  }
  packed()[place.index] = PackedEntry(entry);
}

void Cell::RemoveEntry(OriginIndex origin) {
  const Place place = PlaceOf(origin);
  if (!place.found) return;
  if (IsUnpacked()) {
    auto& all = extra()->unpacked;
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(place.index));
    --size_;
  } else {
    Resize(place.index, size_ - std::size_t{1});
  }
  DropEmptyExtra();
}

const PackedEntry* Cell::AddPacked(OriginIndex origin, std::int64_t delta) {
  if (IsUnpacked()) return nullptr;
  const Place place = PlaceOf(origin);
  if (!place.found) return nullptr;
  PackedEntry& entry = packed()[place.index];
  return entry.Add(delta) ? &entry : nullptr;
}

std::optional<std::int64_t> Cell::PlainValue() const {
  if (extra() != nullptr || size_ == 0) return std::nullopt;
  std::int64_t sum = 0;
  const PackedEntry* all = packed();
  for (std::size_t i = 0; i < size_; ++i) {
    if (__builtin_add_overflow(sum, all[i].sum(), &sum)) return std::nullopt;
  }
  return sum;
}

// ---- bases, folds, the register

const Base* Cell::FindBase(OriginIndex origin) const {
  const auto& all = bases();
  const auto place = FindPlace(all, origin, kOrigin);
  return place != all.end() && place->origin == origin ? &*place : nullptr;
}

void Cell::PutBase(const Base& base) {
  auto& all = MakeExtra().bases;
  const auto place = FindPlace(all, base.origin, kOrigin);
  if (place != all.end() && place->origin == base.origin) {
    *place = base;
  } else {
    all.insert(place, base);
  }
}

void Cell::RemoveBase(OriginIndex origin) {
  if (extra() == nullptr) return;
  const auto place = FindPlace(extra()->bases, origin, kOrigin);
  if (place != extra()->bases.end() && place->origin == origin) extra()->bases.erase(place);
  DropEmptyExtra();
}

const Fold* Cell::FindFold(OriginIndex closed) const {
  const auto& all = folds();
  const auto place = FindPlace(all, closed, kClosed);
  return place != all.end() && place->closed == closed ? &*place : nullptr;
}

void Cell::PutFold(const Fold& fold) {
  auto& all = MakeExtra().folds;
  const auto place = FindPlace(all, fold.closed, kClosed);
  if (place != all.end() && place->closed == fold.closed) {
    *place = fold;
  } else {
    all.insert(place, fold);
  }
}

void Cell::PutSet(const SetRegister& set) {
  MakeExtra().set = set;
}

void Cell::ClearSet() {
  if (extra() == nullptr) return;
  extra()->set = {};
  DropEmptyExtra();
}

bool Cell::IsFolded(OriginIndex origin, const Known& known) const {
  const Fold* fold = FindFold(origin);
  return fold != nullptr && known.Of(fold->into) >= fold->lsn;
}

// Whether the entry that a folded origin's sum went into is hidden as a whole by a base: then there
// is nothing to subtract an orphan from.
bool Cell::HolderIsHidden(OriginIndex folded, const Known& known) const {
  OriginIndex holder = folded;
  for (std::size_t hops = 0; hops <= folds().size() && !HasEntry(holder); ++hops) {
    const Fold* fold = FindFold(holder);
    if (fold == nullptr || known.Of(fold->into) < fold->lsn) break;
    holder = fold->into;
  }
  const Base* base = FindBase(holder);
  return base != nullptr && base->kind != Base::Kind::kVoid && known.Of(holder) <= base->cut;
}

Decimal Cell::Contribution(const Entry& entry, const Known& known) const {
  const Base* base = FindBase(entry.origin);
  if (base == nullptr || base->kind == Base::Kind::kVoid) return entry.sum;
  if (entry.birth > base->cut && !known.bugs.no_birth) return entry.sum;
  if (known.Of(entry.origin) <= base->cut && !known.bugs.no_pending) return 0;
  if (base->kind == Base::Kind::kAbsent) return entry.sum;
  Sum rest(entry.sum);
  rest.Subtract(base->sum);
  return rest.value();
}

Decimal Cell::Value(const Known& known) const {
  if (const auto plain = PlainValue()) return *plain;
  Sum total;
  for (const Entry& entry : entries()) {
    const Base* base = FindBase(entry.origin);
    if (base != nullptr && base->kind != Base::Kind::kVoid &&
        (entry.birth <= base->cut || known.bugs.no_birth)) {
      if (known.Of(entry.origin) <= base->cut && !known.bugs.no_pending) continue;
      if (base->kind == Base::Kind::kSum) total.Subtract(base->sum);
    }
    total.Add(entry.sum);
  }
  for (const Base& base : bases()) {
    if (base.kind != Base::Kind::kSum || HasEntry(base.origin)) continue;
    if (!IsFolded(base.origin, known) || HolderIsHidden(base.origin, known)) continue;
    total.Subtract(base.sum);
  }
  if (extra() != nullptr) total.Add(extra()->set.value);
  return total.value();
}

bool Cell::IsPresent(const Known& known) const {
  if (const SetRegister* last = set()) return last->present || !Value(known).IsZero();
  return size_ > 0;
}

Observation Cell::Observe(const Known& known, const std::vector<bool>& retired) const {
  Observation observation;
  std::size_t next = 0;
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (i < retired.size() && retired[i]) continue;
    const auto origin = static_cast<OriginIndex>(i);
    Observation::Component component{.origin = origin, .cut = known.Of(origin), .sum = 0};
    while (next < size_ && EntryAt(next).origin < origin) ++next;
    if (next < size_ && EntryAt(next).origin == origin) {
      component.present = true;
      component.sum = EntryAt(next).sum;
    }
    if (component.cut > 0) observation.components.push_back(component);
  }
  return observation;
}

void Cell::JoinBase(const Observation::Component& seen, std::uint64_t stamp, const Known& known) {
  const Base made{.origin = seen.origin,
                  .kind = seen.present ? Base::Kind::kSum : Base::Kind::kAbsent,
                  .cut = seen.cut,
                  .stamp = stamp,
                  .sum = seen.sum};
  const Base* old = FindBase(seen.origin);
  if (old != nullptr && old->kind == Base::Kind::kVoid) return;
  const bool has_entry = HasEntry(seen.origin);
  if (!has_entry && IsFolded(seen.origin, known)) {
    const bool newer = old == nullptr || IsOlder(*old, made) || old->kind == Base::Kind::kAbsent;
    if (seen.present && newer) PutBase(made);
    return;
  }
  if (old != nullptr && !IsOlder(*old, made)) {
    // A reset that was made after a fold no longer saw the entry, at the same (last) LSN.
    const bool same = old->cut == made.cut && old->stamp == made.stamp;
    if (same && !seen.present && !known.bugs.no_void) PutBase(made);
    return;
  }
  // Of a lazy origin the unit of the reset may have added something that is not here yet.
  const bool beyond = stamp != 0 && seen.present && known.Of(seen.origin) == seen.cut;
  if (!has_entry && known.Of(seen.origin) >= seen.cut && !beyond)
    return;  // nothing of it is left here
  // Nothing is known of the origin beyond the cut, or it has an entry here.
  if (has_entry || seen.present || seen.cut > known.Of(seen.origin)) PutBase(made);
}

void Cell::ApplyReset(const Observation& observation, OriginIndex by, OriginIndex lazy,
                      const Known& known) {
  SetRegister& last = MakeExtra().set;
  if (last.version.clock == 0 || last.version < observation.set.version) last = observation.set;
  for (const auto& seen : observation.components) {
    const bool own = seen.origin == by || seen.origin == lazy;
    JoinBase(seen, own ? observation.set.version.clock : 0, known);
  }
  if (known.bugs.no_void) return;
  // What the resetter had seen folded is covered by its view of the origin that took it over.
  for (const Fold& fold : std::vector<Fold>(folds())) {
    if (!IsFolded(fold.closed, known) || HasEntry(fold.closed)) continue;
    if (!HasSeen(observation, fold)) continue;
    PutBase({.origin = fold.closed, .kind = Base::Kind::kVoid, .cut = fold.lsn, .sum = 0});
  }
}

// A reset that had seen the fold came before it: from one for whom the folded origin was over for
// good, so that it had nothing to say of it. Nor of those that had been folded into that one.
void Cell::VoidSeen(const Fold& fold) {
  PutBase({.origin = fold.closed, .kind = Base::Kind::kVoid, .cut = fold.lsn, .sum = 0});
  for (const Fold& earlier : std::vector<Fold>(folds())) {
    const Base* base = FindBase(earlier.closed);
    const bool is_void = base != nullptr && base->kind == Base::Kind::kVoid;
    if (earlier.into == fold.closed && !is_void) VoidSeen(earlier);
  }
}

// Whether the resetter knew of the fold, or of one by which what it made went on: that could not
// begin before every member had the first.
bool Cell::HasSeen(const Observation& observation, Fold fold) const {
  for (std::size_t hops = 0; hops <= folds().size(); ++hops) {
    const bool seen = std::any_of(
        observation.components.begin(), observation.components.end(),
        [&](const auto& part) { return part.origin == fold.into && part.cut >= fold.lsn; });
    if (seen) return true;
    const Fold* next = FindFold(fold.into);
    if (next == nullptr) return false;
    fold = *next;
  }
  return false;
}

void Cell::ApplyFold(const Fold& fold, const Known& known) {
  // A reset may have observed what its run had added lazily and then lost with its disk: what there
  // is of that was observed, and no more can be taken away.
  const std::optional<Entry> entry = FindEntry(fold.closed);
  const Base* seen = FindBase(fold.closed);
  if (entry && seen != nullptr && seen->kind == Base::Kind::kSum && entry->birth <= seen->cut &&
      known.Of(fold.closed) <= seen->cut) {
    Base all = *seen;
    all.sum = entry->sum;
    PutBase(all);
  }
  RemoveEntry(fold.closed);
  PutFold(fold);
  if (known.bugs.no_void) return;
  const Base* holder = FindBase(fold.into);
  if (holder != nullptr && holder->kind != Base::Kind::kVoid && holder->cut >= fold.lsn) {
    return VoidSeen(fold);
  }
  const Base* base = FindBase(fold.closed);
  if (base == nullptr || base->kind != Base::Kind::kAbsent) return;
  // A reset that was made before there was an entry leaves nothing to subtract. One that knew the
  // origin to its end and saw none had seen the fold.
  if (known.Of(fold.closed) > base->cut) return RemoveBase(fold.closed);
  PutBase({.origin = fold.closed, .kind = Base::Kind::kVoid, .cut = base->cut, .sum = 0});
}

void Cell::DropUselessBases(const Known& known) {
  if (extra() == nullptr) return;
  std::erase_if(extra()->bases, [&](const Base& base) {
    if (base.kind == Base::Kind::kVoid || known.Of(base.origin) < base.cut) return false;
    if (base.stamp != 0 && known.Of(base.origin) == base.cut) return false;
    const std::optional<Entry> entry = FindEntry(base.origin);
    if (!entry) return FindFold(base.origin) == nullptr;
    return entry->birth > base.cut && !known.bugs.no_birth;
  });
  DropEmptyExtra();
}

void Cell::Retire(OriginIndex closed) {
  if (extra() == nullptr) return;
  // An orphan that no reset has made void is part of the value for ever.
  const Base* base = FindBase(closed);
  if (base != nullptr && base->kind == Base::Kind::kSum) return;
  // What had been folded into it went on with it.
  if (const Fold* last = FindFold(closed)) {
    const Fold gone = *last;
    for (Fold& fold : extra()->folds) {
      if (fold.into != closed) continue;
      fold.into = gone.into;
      fold.lsn = gone.lsn;
    }
  }
  std::erase_if(extra()->folds, [&](const Fold& fold) { return fold.closed == closed; });
  std::erase_if(extra()->bases, [&](const Base& old) { return old.origin == closed; });
  DropEmptyExtra();
}

}  // namespace jeton::crdt
