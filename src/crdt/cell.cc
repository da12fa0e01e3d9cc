#include "crdt/cell.h"

#include <algorithm>

#include "base/sum.h"

namespace jeton::crdt {

namespace {

// The element of that origin in an ascending vector, or where it belongs.
template <typename Vector, typename Project>
auto PlaceOf(Vector& items, OriginIndex origin, Project project) {
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

Cell Cell::Clone() const {
  Cell copy;
  copy.entries_ = entries_;
  if (extra_) copy.extra_ = std::make_unique<Extra>(*extra_);
  return copy;
}

const Entry* Cell::FindEntry(OriginIndex origin) const {
  const auto place = PlaceOf(entries_, origin, kOrigin);
  return place != entries_.end() && place->origin == origin ? &*place : nullptr;
}

Entry* Cell::FindEntry(OriginIndex origin) {
  return const_cast<Entry*>(std::as_const(*this).FindEntry(origin));
}

void Cell::PutEntry(const Entry& entry) {
  const auto place = PlaceOf(entries_, entry.origin, kOrigin);
  if (place != entries_.end() && place->origin == entry.origin) {
    *place = entry;
  } else {
    entries_.insert(place, entry);
  }
}

void Cell::RemoveEntry(OriginIndex origin) {
  const auto place = PlaceOf(entries_, origin, kOrigin);
  if (place != entries_.end() && place->origin == origin) entries_.erase(place);
}

const Base* Cell::FindBase(OriginIndex origin) const {
  const auto& all = bases();
  const auto place = PlaceOf(all, origin, kOrigin);
  return place != all.end() && place->origin == origin ? &*place : nullptr;
}

void Cell::PutBase(const Base& base) {
  auto& all = extra().bases;
  const auto place = PlaceOf(all, base.origin, kOrigin);
  if (place != all.end() && place->origin == base.origin) {
    *place = base;
  } else {
    all.insert(place, base);
  }
}

void Cell::RemoveBase(OriginIndex origin) {
  if (!extra_) return;
  const auto place = PlaceOf(extra_->bases, origin, kOrigin);
  if (place != extra_->bases.end() && place->origin == origin) extra_->bases.erase(place);
  DropEmptyExtra();
}

const Fold* Cell::FindFold(OriginIndex closed) const {
  const auto& all = folds();
  const auto place = PlaceOf(all, closed, kClosed);
  return place != all.end() && place->closed == closed ? &*place : nullptr;
}

void Cell::PutFold(const Fold& fold) {
  auto& all = extra().folds;
  const auto place = PlaceOf(all, fold.closed, kClosed);
  if (place != all.end() && place->closed == fold.closed) {
    *place = fold;
  } else {
    all.insert(place, fold);
  }
}

void Cell::PutSet(const SetRegister& set) {
  extra().set = set;
}

void Cell::ClearSet() {
  if (!extra_) return;
  extra_->set = {};
  DropEmptyExtra();
}

void Cell::DropEmptyExtra() {
  if (extra_ && extra_->bases.empty() && extra_->folds.empty() && extra_->set.version.clock == 0) {
    extra_.reset();
  }
}

bool Cell::IsFolded(OriginIndex origin, const Known& known) const {
  const Fold* fold = FindFold(origin);
  return fold != nullptr && known.Of(fold->into) >= fold->lsn;
}

// Whether the entry that a folded origin's sum went into is hidden as a whole by a base: then there
// is nothing to subtract an orphan from.
bool Cell::HolderIsHidden(OriginIndex folded, const Known& known) const {
  OriginIndex holder = folded;
  for (std::size_t hops = 0; hops <= folds().size() && FindEntry(holder) == nullptr; ++hops) {
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
  if (!extra_ && entries_.size() == 1) return entries_.front().sum;
  Sum total;
  for (const Entry& entry : entries_) {
    const Base* base = FindBase(entry.origin);
    if (base != nullptr && base->kind != Base::Kind::kVoid &&
        (entry.birth <= base->cut || known.bugs.no_birth)) {
      if (known.Of(entry.origin) <= base->cut && !known.bugs.no_pending) continue;
      if (base->kind == Base::Kind::kSum) total.Subtract(base->sum);
    }
    total.Add(entry.sum);
  }
  for (const Base& base : bases()) {
    if (base.kind != Base::Kind::kSum || FindEntry(base.origin) != nullptr) continue;
    if (!IsFolded(base.origin, known) || HolderIsHidden(base.origin, known)) continue;
    total.Subtract(base.sum);
  }
  if (extra_) total.Add(extra_->set.value);
  return total.value();
}

bool Cell::IsPresent(const Known& known) const {
  if (const SetRegister* last = set()) return last->present || !Value(known).IsZero();
  return !entries_.empty();
}

Observation Cell::Observe(const Known& known, const std::vector<bool>& retired) const {
  Observation observation;
  auto next = entries_.begin();
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (i < retired.size() && retired[i]) continue;
    const auto origin = static_cast<OriginIndex>(i);
    Observation::Component component{.origin = origin, .cut = known.Of(origin), .sum = 0};
    if (next != entries_.end() && next->origin == origin) {
      component.present = true;
      component.sum = next->sum;
      ++next;
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
  const bool has_entry = FindEntry(seen.origin) != nullptr;
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
  if (!extra_ || extra_->set.version < observation.set.version) extra().set = observation.set;
  for (const auto& seen : observation.components) {
    const bool own = seen.origin == by || seen.origin == lazy;
    JoinBase(seen, own ? observation.set.version.clock : 0, known);
  }
  if (known.bugs.no_void) return;
  // What the resetter had seen folded is covered by its view of the origin that took it over.
  for (const Fold& fold : std::vector<Fold>(folds())) {
    if (!IsFolded(fold.closed, known) || FindEntry(fold.closed) != nullptr) continue;
    if (!HasSeen(observation, fold)) continue;
    PutBase({.origin = fold.closed, .kind = Base::Kind::kVoid, .cut = fold.lsn, .sum = 0});
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
  const Entry* entry = FindEntry(fold.closed);
  const Base* seen = FindBase(fold.closed);
  if (entry != nullptr && seen != nullptr && seen->kind == Base::Kind::kSum &&
      entry->birth <= seen->cut && known.Of(fold.closed) <= seen->cut) {
    Base all = *seen;
    all.sum = entry->sum;
    PutBase(all);
  }
  RemoveEntry(fold.closed);
  PutFold(fold);
  const Base* base = FindBase(fold.closed);
  if (base == nullptr || base->kind != Base::Kind::kAbsent || known.bugs.no_void) return;
  // A reset that was made before there was an entry leaves nothing to subtract. One that knew the
  // origin to its end and saw none had seen the fold.
  if (known.Of(fold.closed) > base->cut) return RemoveBase(fold.closed);
  PutBase({.origin = fold.closed, .kind = Base::Kind::kVoid, .cut = base->cut, .sum = 0});
}

void Cell::DropUselessBases(const Known& known) {
  if (!extra_) return;
  std::erase_if(extra_->bases, [&](const Base& base) {
    if (base.kind == Base::Kind::kVoid || known.Of(base.origin) < base.cut) return false;
    if (base.stamp != 0 && known.Of(base.origin) == base.cut) return false;
    const Entry* entry = FindEntry(base.origin);
    if (entry == nullptr) return FindFold(base.origin) == nullptr;
    return entry->birth > base.cut && !known.bugs.no_birth;
  });
  DropEmptyExtra();
}

void Cell::Retire(OriginIndex closed) {
  if (!extra_) return;
  // An orphan that no reset has made void is part of the value for ever.
  const Base* base = FindBase(closed);
  if (base != nullptr && base->kind == Base::Kind::kSum) return;
  // What had been folded into it went on with it.
  if (const Fold* last = FindFold(closed)) {
    const Fold gone = *last;
    for (Fold& fold : extra_->folds) {
      if (fold.into != closed) continue;
      fold.into = gone.into;
      fold.lsn = gone.lsn;
    }
  }
  std::erase_if(extra_->folds, [&](const Fold& fold) { return fold.closed == closed; });
  std::erase_if(extra_->bases, [&](const Base& old) { return old.origin == closed; });
  DropEmptyExtra();
}

std::size_t Cell::bytes() const {
  std::size_t bytes = entries_.capacity() * sizeof(Entry);
  if (extra_) {
    bytes += sizeof(Extra) + extra_->bases.capacity() * sizeof(Base) +
             extra_->folds.capacity() * sizeof(Fold);
  }
  return bytes;
}

}  // namespace jeton::crdt
