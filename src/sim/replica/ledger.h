// Ledger: who did what, known to nobody but the checker. Every operation of every node is kept with
// its place in the log of its origin, and every reset with what it had observed; so the value that
// a node must show follows from nothing but how far it knows each origin (REPLICATION.md, I5).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/calendar.h"
#include "base/decimal.h"
#include "base/ids.h"
#include "base/sum.h"
#include "crdt/clock.h"
#include "crdt/version_vector.h"

namespace jeton::sim {

struct LedgerCell {
  std::string name;
  bool in_tree = false;
  std::string key = {};
  Bucket bucket = 0;
};

class Ledger {
 public:
  static constexpr Lsn kPending = ~Lsn{0};  // its record is not in the log yet
  // How many operations of each origin, by index, somebody knows.
  using Counts = std::vector<std::uint32_t>;
  // What a node says of the scope of a cell: which epoch it is in, and from which bucket on.
  struct Scope {
    std::uint64_t epoch = 0;
    std::uint64_t tree_epoch = 0;
    Bucket watermark = INT64_MIN;
    friend bool operator==(const Scope&, const Scope&) = default;
  };

  explicit Ledger(std::vector<LedgerCell> cells) : cells_(std::move(cells)) {
    of_cell_.resize(cells_.size());
  }

  const std::vector<LedgerCell>& cells() const { return cells_; }
  // The index of a cell, or -1.
  int Find(const LedgerCell& cell) const;

  // A run has two origins, the second for what it may tell late.
  static int LazyPart(int origin) { return origin + 1; }
  int AddOrigin(const OriginId& id);
  std::size_t origins() const { return origins_.size(); }
  const OriginId& IdOf(std::size_t origin) const { return origins_[origin].id; }

  void Add(int origin, int cell, const Scope& scope, const Decimal& delta);
  void Reset(int origin, int cell, const Scope& scope, Counts observed,
             const crdt::Version& version, const Decimal& value);
  void Epoch(int origin, std::uint64_t epoch);
  void TreeEpoch(int origin, const std::string& name, const Scope& scope);
  // The operations of `origin` that were pending stand in the record `lsn`.
  void Logged(int origin, Lsn lsn);

  // How many operations `origin` and its lazy part have.
  std::size_t operations(int origin) const;
  // Of that origin alone, and where they stand.
  std::size_t operations_of(int origin) const {
    return origins_[static_cast<std::size_t>(origin)].lsns.size();
  }
  Lsn LsnOf(int origin, std::size_t place) const {
    return origins_[static_cast<std::size_t>(origin)].lsns[place];
  }
  // What the runs, which are one node's, have added to each cell above `after` of each origin and
  // up to `upto`, and have not reset themselves since.
  void AddTails(const std::vector<int>& runs, const crdt::VersionVector& upto,
                const std::function<Lsn(const OriginId&)>& after, std::vector<Sum>& sums) const;
  // Marks the cells that the operations between the two concern; all of them if it goes back.
  void MarkChanged(const Counts& from, const Counts& to, std::vector<bool>& cells) const;
  // With `whole` all of the operations of that origin count.
  Counts Known(const crdt::VersionVector& vector, int whole) const;
  Decimal Expected(int cell, const Scope& scope, const Counts& known) const;
  // The epochs that the operations known tell of: a node's are never below.
  std::uint64_t EpochOf(const Counts& known) const;
  std::uint64_t TreeEpochOf(const std::string& name, std::uint64_t epoch,
                            const Counts& known) const;

 private:
  enum class Kind : std::uint8_t { kAdd, kReset, kEpoch, kTreeEpoch };
  struct Op {
    Kind kind;
    int origin;
    std::uint32_t place;  // in its origin
    Scope scope;
    Decimal value;
    Counts observed = {};
    crdt::Version version = {};
    std::string tree = {};
  };
  struct Origin {
    OriginId id;
    std::vector<Lsn> lsns;   // of its operations, ascending
    std::vector<int> cells;  // of its operations; -1: they change epochs
  };

  // Of Expected, which is asked often.
  struct Scratch {
    std::vector<const Op*> adds;
    Counts cancelled;
  };

  Op& Append(Kind kind, int origin, const Scope& scope, int cell);
  static bool IsKnown(const Op& op, const Counts& known) {
    const auto origin = static_cast<std::size_t>(op.origin);
    return origin < known.size() && op.place < known[origin];
  }

  std::vector<LedgerCell> cells_;
  std::vector<Origin> origins_;
  std::vector<Op> ops_;
  std::vector<std::vector<std::size_t>> of_cell_;  // indexes into ops_
  std::vector<std::size_t> scopes_;                // the operations that change epochs
  mutable Scratch scratch_;
};

}  // namespace jeton::sim
