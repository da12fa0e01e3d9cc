#include "sim/replica/ledger.h"

#include <algorithm>

namespace jeton::sim {

int Ledger::Find(const LedgerCell& cell) const {
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    const LedgerCell& known = cells_[i];
    if (known.name == cell.name && known.in_tree == cell.in_tree && known.key == cell.key &&
        known.bucket == cell.bucket) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

int Ledger::AddOrigin(const OriginId& id) {
  origins_.push_back({id, {}, {}});
  origins_.push_back({LazyOf(id), {}, {}});
  return static_cast<int>(origins_.size()) - 2;
}

std::size_t Ledger::operations(int origin) const {
  return origins_[static_cast<std::size_t>(origin)].lsns.size() +
         origins_[static_cast<std::size_t>(LazyPart(origin))].lsns.size();
}

void Ledger::MarkChanged(const Counts& from, const Counts& to, std::vector<bool>& cells) const {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const std::uint32_t begin = i < from.size() ? from[i] : 0;
    if (begin > to[i]) cells.assign(cells.size(), true);
    for (std::uint32_t op = begin; op < to[i]; ++op) {
      const int cell = origins_[i].cells[op];
      if (cell >= 0) cells[static_cast<std::size_t>(cell)] = true;
    }
  }
}

Ledger::Op& Ledger::Append(Kind kind, int origin, const Scope& scope, int cell) {
  Origin& log = origins_[static_cast<std::size_t>(origin)];
  ops_.push_back({.kind = kind,
                  .origin = origin,
                  .place = static_cast<std::uint32_t>(log.lsns.size()),
                  .scope = scope,
                  .value = 0});
  log.lsns.push_back(kPending);
  log.cells.push_back(cell);
  return ops_.back();
}

void Ledger::Add(int origin, int cell, const Scope& scope, const Decimal& delta) {
  Append(Kind::kAdd, origin, scope, cell).value = delta;
  of_cell_[static_cast<std::size_t>(cell)].push_back(ops_.size() - 1);
}

void Ledger::Reset(int origin, int cell, const Scope& scope, Counts observed,
                   const crdt::Version& version, const Decimal& value) {
  Op& op = Append(Kind::kReset, origin, scope, cell);
  op.value = value;
  op.observed = std::move(observed);
  op.version = version;
  of_cell_[static_cast<std::size_t>(cell)].push_back(ops_.size() - 1);
}

void Ledger::Epoch(int origin, std::uint64_t epoch) {
  Append(Kind::kEpoch, origin, {.epoch = epoch}, -1);
  scopes_.push_back(ops_.size() - 1);
}

void Ledger::TreeEpoch(int origin, const std::string& name, const Scope& scope) {
  Append(Kind::kTreeEpoch, origin, scope, -1).tree = name;
  scopes_.push_back(ops_.size() - 1);
}

void Ledger::Logged(int origin, Lsn lsn) {
  for (const int part : {origin, LazyPart(origin)}) {
    auto& lsns = origins_[static_cast<std::size_t>(part)].lsns;
    for (auto at = lsns.rbegin(); at != lsns.rend() && *at == kPending; ++at) *at = lsn;
  }
}

Ledger::Counts Ledger::Known(const crdt::VersionVector& vector, int whole) const {
  Counts counts(origins_.size());
  for (std::size_t i = 0; i < origins_.size(); ++i) {
    const Origin& origin = origins_[i];
    const auto end =
        static_cast<int>(i) == whole || static_cast<int>(i) == LazyPart(whole)
            ? origin.lsns.end()
            : std::upper_bound(origin.lsns.begin(), origin.lsns.end(), vector.Get(origin.id));
    counts[i] = static_cast<std::uint32_t>(end - origin.lsns.begin());
  }
  return counts;
}

Decimal Ledger::Expected(int cell, const Scope& scope, const Counts& known) const {
  const LedgerCell& where = cells_[static_cast<std::size_t>(cell)];
  if (where.in_tree && where.bucket < scope.watermark) return 0;
  auto& [adds, cancelled] = scratch_;
  adds.clear();
  cancelled.assign(origins_.size(), 0);
  const Op* last = nullptr;
  for (const std::size_t i : of_cell_[static_cast<std::size_t>(cell)]) {
    const Op& op = ops_[i];
    if (op.scope.epoch != scope.epoch || !IsKnown(op, known)) continue;
    if (where.in_tree && op.scope.tree_epoch != scope.tree_epoch) continue;
    if (op.kind == Kind::kAdd) {
      adds.push_back(&op);
      continue;
    }
    if (last == nullptr || last->version < op.version) last = &op;
    for (std::size_t o = 0; o < op.observed.size(); ++o) {
      cancelled[o] = std::max(cancelled[o], op.observed[o]);
    }
  }
  Sum sum;
  if (last != nullptr) sum.Add(last->value);
  for (const Op* op : adds) {
    if (op->place >= cancelled[static_cast<std::size_t>(op->origin)]) sum.Add(op->value);
  }
  return sum.value();
}

void Ledger::AddTails(const std::vector<int>& runs, const crdt::VersionVector& upto,
                      const std::function<Lsn(const OriginId&)>& after,
                      std::vector<Sum>& sums) const {
  const auto is_its = [&](const Op& op) {
    return std::find_if(runs.begin(), runs.end(), [&](int run) {
             return op.origin == run || op.origin == LazyPart(run);
           }) != runs.end();
  };
  for (std::size_t cell = 0; cell < cells_.size(); ++cell) {
    bool reset_later = false;
    for (auto i = of_cell_[cell].rbegin(); i != of_cell_[cell].rend() && !reset_later; ++i) {
      const Op& op = ops_[*i];
      if (!is_its(op)) continue;
      const OriginId& origin = IdOf(static_cast<std::size_t>(op.origin));
      const Lsn lsn = LsnOf(op.origin, op.place);
      if (lsn > upto.Get(origin)) continue;
      reset_later = op.kind == Kind::kReset;
      if (op.kind == Kind::kAdd && lsn > after(origin)) sums[cell].Add(op.value);
    }
  }
}

std::uint64_t Ledger::EpochOf(const Counts& known) const {
  std::uint64_t epoch = 0;
  for (const std::size_t i : scopes_) {
    const Op& op = ops_[i];
    if (IsKnown(op, known)) epoch = std::max(epoch, op.scope.epoch);
  }
  return epoch;
}

std::uint64_t Ledger::TreeEpochOf(const std::string& name, std::uint64_t epoch,
                                  const Counts& known) const {
  std::uint64_t tree_epoch = 0;
  for (const std::size_t i : scopes_) {
    const Op& op = ops_[i];
    if (op.kind != Kind::kTreeEpoch || op.tree != name || op.scope.epoch != epoch) continue;
    if (IsKnown(op, known)) tree_epoch = std::max(tree_epoch, op.scope.tree_epoch);
  }
  return tree_epoch;
}

}  // namespace jeton::sim
