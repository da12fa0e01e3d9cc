// Cell: all that a node knows of one counter, or of one bucket of one key: what each origin has
// added, what resets have cancelled of it, and the last SET. Its value is
//
//   value = register + sum over origins of contribution(o) - orphan bases
//   contribution(o) = 0        no entry, or all we know of o was observed by a reset (known <= cut)
//                   = sum      no base; or the base is of an earlier life (birth > cut), or says
//                              that there was no entry at its cut (so this one came later)
//                   = sum - v  otherwise: what came after the reset that had observed v
//
// Entries are replaced by later ones of the same origin, bases join by the greater cut, registers
// by the greater version: applying anything twice, or in another order of origins, changes nothing.
//
// A fold moves the entry of an origin that nobody writes any more into the entry of another,
// without a change of the value. A base of the folded origin stays as an orphan and is subtracted,
// until a reset that had seen the fold makes it void.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/decimal.h"
#include "base/ids.h"
#include "crdt/clock.h"
#include "crdt/origin_table.h"

namespace jeton::crdt {

// What one origin has added in its present life of the cell, which began at `birth` (0: its first).
struct Entry {
  OriginIndex origin = 0;
  Lsn birth = 0;
  Decimal sum;

  friend bool operator==(const Entry&, const Entry&) = default;
};

// "Everything of the origin up to `cut` is cancelled; its sum was `sum` then."
struct Base {
  enum class Kind : std::uint8_t {
    kSum,
    kAbsent,  // it had no entry then
    kVoid     // of a folded origin: a reset has covered the fold, nothing is left to subtract
  };
  OriginIndex origin = 0;
  Kind kind = Kind::kSum;
  Lsn cut = 0;
  // Of two bases with one cut: 0 if another origin made the reset; if it was its own, the clock of
  // the reset. Its cut is the record before, but what its unit had added by then is observed, too.
  std::uint64_t stamp = 0;
  Decimal sum;

  friend bool operator==(const Base&, const Base&) = default;
};

// The last SET, or reset (`present` false, value 0).
struct SetRegister {
  Version version;
  Decimal value;
  bool present = false;

  friend bool operator==(const SetRegister&, const SetRegister&) = default;
};

// The entry of `closed` went into that of `into` by the record `lsn` of its log.
struct Fold {
  OriginIndex closed = 0;
  OriginIndex into = 0;
  Lsn lsn = 0;

  friend bool operator==(const Fold&, const Fold&) = default;
};

// Traps of REPLICATION.md's model that a test can plant.
struct CellBugs {
  bool no_void = false;
  bool no_pending = false;
  bool no_birth = false;
};

// How far each origin is known, by index.
class Known {
 public:
  CellBugs bugs = {};

  Lsn Of(OriginIndex origin) const { return origin < lsns_.size() ? lsns_[origin] : 0; }
  void Set(OriginIndex origin, Lsn lsn) {
    if (origin >= lsns_.size()) lsns_.resize(std::size_t{origin} + 1);
    lsns_[origin] = lsn;
  }
  std::size_t size() const { return lsns_.size(); }

 private:
  std::vector<Lsn> lsns_;
};

// What a SET or reset had observed when it was made.
struct Observation {
  struct Component {
    OriginIndex origin = 0;
    Lsn cut = 0;           // up to where the resetter knew the origin
    bool present = false;  // whether the cell had an entry of it
    Decimal sum;
  };
  std::vector<Component> components;  // ascending by origin; every origin that the resetter knew
  SetRegister set;
};

class Cell {
 public:
  Cell() = default;
  Cell(Cell&&) = default;
  Cell& operator=(Cell&&) = default;
  Cell Clone() const;

  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<Base>& bases() const { return extra_ ? extra_->bases : kNoBases; }
  const std::vector<Fold>& folds() const { return extra_ ? extra_->folds : kNoFolds; }
  const SetRegister* set() const {
    return extra_ && extra_->set.version.clock != 0 ? &extra_->set : nullptr;
  }

  const Entry* FindEntry(OriginIndex origin) const;
  Entry* FindEntry(OriginIndex origin);
  void PutEntry(const Entry& entry);  // replaces that of the same origin
  void RemoveEntry(OriginIndex origin);

  // Both are brought to the range of a Decimal.
  Decimal Contribution(const Entry& entry, const Known& known) const;
  Decimal Value(const Known& known) const;
  // Whether readers see it: something was set, or added and not wholly cancelled since.
  bool IsPresent(const Known& known) const;

  // What a reset made now would have observed; the caller adds the register.
  // `retired`: origins that everybody knows to be folded, by index.
  Observation Observe(const Known& known, const std::vector<bool>& retired) const;
  // `by` made it; `lazy` is the lazy origin of the same run (or `by`, if there is none), in which
  // the unit of the reset may have added, too.
  void ApplyReset(const Observation& observation, OriginIndex by, OriginIndex lazy,
                  const Known& known);
  void ApplyReset(const Observation& observation, OriginIndex by, const Known& known) {
    ApplyReset(observation, by, by, known);
  }
  // The entry of `closed` is gone; the caller has put the new entry of `into`. Idempotent.
  void ApplyFold(const Fold& fold, const Known& known);
  // Whether the entry of that origin went into another's: a late one is not to be put in again.
  bool HasFold(OriginIndex closed) const { return FindFold(closed) != nullptr; }
  // Drops bases that can have no effect any more.
  void DropUselessBases(const Known& known);
  // Forgets what is kept for the folds of this origin only: every member knows of its end.
  void Retire(OriginIndex closed);
  void RemoveBase(OriginIndex origin);
  const Base* FindBase(OriginIndex origin) const;
  // Forgets the register of a reset that every member knows.
  void ClearSet();

  bool empty() const { return entries_.empty() && !extra_; }
  // One entry and nothing else.
  bool IsPlain() const { return entries_.size() == 1 && !extra_; }

  // For snapshots and state transfer: puts in what was read, in any order.
  void PutBase(const Base& base);
  void PutFold(const Fold& fold);
  void PutSet(const SetRegister& set);

  std::size_t bytes() const;  // beyond the object itself

 private:
  struct Extra {
    std::vector<Base> bases;
    std::vector<Fold> folds;
    SetRegister set;
  };

  Extra& extra() {
    if (!extra_) extra_ = std::make_unique<Extra>();
    return *extra_;
  }
  void DropEmptyExtra();
  const Fold* FindFold(OriginIndex closed) const;
  bool IsFolded(OriginIndex origin, const Known& known) const;
  bool HasSeen(const Observation& observation, Fold fold) const;
  bool HolderIsHidden(OriginIndex folded, const Known& known) const;
  void JoinBase(const Observation::Component& component, std::uint64_t stamp, const Known& known);

  static const std::vector<Base> kNoBases;
  static const std::vector<Fold> kNoFolds;

  std::vector<Entry> entries_;  // ascending by origin
  std::unique_ptr<Extra> extra_;
};

}  // namespace jeton::crdt
