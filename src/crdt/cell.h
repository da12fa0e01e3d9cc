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

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
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

// An entry as most are, in 16 bytes: a sum of 64 bits, and a birth of 48.
class PackedEntry {
 public:
  static bool Fits(const Entry& entry) { return entry.sum.IsInt64() && entry.birth >> 48 == 0; }

  PackedEntry() = default;
  explicit PackedEntry(const Entry& entry)
      : birth_and_origin_(entry.birth << 16 | entry.origin), sum_(entry.sum.Int64()) {}

  OriginIndex origin() const { return static_cast<OriginIndex>(birth_and_origin_); }
  Lsn birth() const { return birth_and_origin_ >> 16; }
  std::int64_t sum() const { return sum_; }
  Entry Unpacked() const { return {.origin = origin(), .birth = birth(), .sum = sum_}; }

  // False, and nothing changed, if it would not fit.
  bool Add(std::int64_t delta) {
    return !__builtin_add_overflow(sum_, delta, &sum_) || Undo(delta);
  }

 private:
  // What has overflowed has wrapped round.
  bool Undo(std::int64_t delta) {
    sum_ = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum_) -
                                     static_cast<std::uint64_t>(delta));
    return false;
  }

  std::uint64_t birth_and_origin_;
  std::int64_t sum_;
};

// In memory a cell takes 24 bytes and, if its only entry is packed, nothing else. Several entries
// are an array; once one of them does not fit, all of them are kept unpacked.
class Cell {
 public:
  Cell() : one_() {}
  ~Cell() { Free(); }
  Cell(Cell&& other) noexcept { Take(other); }
  Cell& operator=(Cell&& other) noexcept {
    if (this == &other) return *this;
    Free();
    Take(other);
    return *this;
  }
  Cell Clone() const;

  // Ascending by origin; valid until the next change of the cell.
  class Entries {
   public:
    class Iterator {
     public:
      using value_type = Entry;
      using difference_type = std::ptrdiff_t;
      using pointer = const Entry*;
      using reference = Entry;
      using iterator_category = std::input_iterator_tag;
      Iterator(const Cell& cell, std::size_t i) : cell_(&cell), i_(i) {}
      Entry operator*() const { return cell_->EntryAt(i_); }
      Iterator& operator++() {
        ++i_;
        return *this;
      }
      Iterator operator++(int) {
        Iterator old = *this;
        ++i_;
        return old;
      }
      friend bool operator==(const Iterator&, const Iterator&) = default;

     private:
      const Cell* cell_;
      std::size_t i_;
    };
    explicit Entries(const Cell& cell) : cell_(cell) {}
    std::size_t size() const { return cell_.size_; }
    bool empty() const { return size() == 0; }
    Entry operator[](std::size_t i) const { return cell_.EntryAt(i); }
    Entry front() const { return cell_.EntryAt(0); }
    Iterator begin() const { return {cell_, 0}; }
    Iterator end() const { return {cell_, size()}; }
    friend bool operator==(const Entries& a, const Entries& b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end());
    }

   private:
    const Cell& cell_;
  };
  Entries entries() const { return Entries(*this); }
  const std::vector<Base>& bases() const { return extra() != nullptr ? extra()->bases : kNoBases; }
  const std::vector<Fold>& folds() const { return extra() != nullptr ? extra()->folds : kNoFolds; }
  const SetRegister* set() const {
    return extra() != nullptr && extra()->set.version.clock != 0 ? &extra()->set : nullptr;
  }

  std::optional<Entry> FindEntry(OriginIndex origin) const;
  bool HasEntry(OriginIndex origin) const { return PlaceOf(origin).found; }
  void PutEntry(const Entry& entry);  // replaces that of the same origin
  void RemoveEntry(OriginIndex origin);
  // The short ways for a cell whose entries are all packed. Null, and nothing changed, if there is
  // no entry of that origin, or it would not fit any more.
  const PackedEntry* AddPacked(OriginIndex origin, std::int64_t delta);
  // Of the entries; the cell itself is at hand.
  void Prefetch() const {
    if (is_many_) __builtin_prefetch(many_.entries);
  }
  // Nothing but entries, all of them packed.
  bool IsPacked() const { return extra() == nullptr; }
  // The sum of the entries, if IsPacked and there are some and it would be packed itself.
  std::optional<std::int64_t> PlainValue() const;

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

  bool empty() const { return size_ == 0 && !HasMore(); }
  // One entry and nothing else.
  bool IsPlain() const { return size_ == 1 && !HasMore(); }

  // For snapshots and state transfer: puts in what was read, in any order.
  void PutBase(const Base& base);
  void PutFold(const Fold& fold);
  void PutSet(const SetRegister& set);

  std::size_t bytes() const;  // beyond the object itself

 private:
  struct Extra {
    std::vector<Entry> unpacked;  // all entries, if is_unpacked
    bool is_unpacked = false;
    std::vector<Base> bases;
    std::vector<Fold> folds;
    SetRegister set;
  };
  struct Many {
    PackedEntry* entries;  // size_ of them; null if there are none, or they are unpacked
    Extra* extra;          // null if there is nothing in it
  };
  struct Place {
    std::size_t index = 0;  // where it is, or belongs
    bool found = false;
  };

  const Extra* extra() const { return is_many_ ? many_.extra : nullptr; }
  Extra* extra() { return is_many_ ? many_.extra : nullptr; }
  Extra& MakeExtra();
  bool HasMore() const;
  bool IsUnpacked() const { return extra() != nullptr && extra()->is_unpacked; }
  const PackedEntry* packed() const { return is_many_ ? many_.entries : &one_; }
  PackedEntry* packed() { return is_many_ ? many_.entries : &one_; }
  Entry EntryAt(std::size_t i) const {
    return IsUnpacked() ? extra()->unpacked[i] : packed()[i].Unpacked();
  }
  Place PlaceOf(OriginIndex origin) const;
  void Resize(std::size_t from, std::size_t size);
  void Unpack();
  void Free();
  void Take(Cell& other);

  void DropEmptyExtra();
  const Fold* FindFold(OriginIndex closed) const;
  bool IsFolded(OriginIndex origin, const Known& known) const;
  bool HasSeen(const Observation& observation, Fold fold) const;
  void VoidSeen(const Fold& fold);
  bool HolderIsHidden(OriginIndex folded, const Known& known) const;
  void JoinBase(const Observation::Component& component, std::uint64_t stamp, const Known& known);

  static const std::vector<Base> kNoBases;
  static const std::vector<Fold> kNoFolds;

  union {
    PackedEntry one_;  // if size_ is 1; not if is_many_
    Many many_;
  };
  std::uint16_t size_ = 0;  // how many entries
  bool is_many_ = false;    // or has more than entries
};

}  // namespace jeton::crdt
