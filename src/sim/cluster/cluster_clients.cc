// The clients of a ClusterSimulation, and what the ledger is told of their requests.
#include <algorithm>

#include "sim/cluster/cluster_simulation_internal.h"

namespace jeton::sim {

// Whoever is empty may join; two clusters that have something do not merge. So clients wait until a
// node has joined, and joined the one that everybody will be in.
bool ClusterSimulation::MayWrite(std::size_t n) {
  if (n == 0 || !KnowsNobody(n)) return true;
  if (nodes_[n]->replica() == nullptr || !nodes_[0]->up()) return false;
  return nodes_[n]->cluster().cluster() == nodes_[0]->cluster().cluster() &&
         !nodes_[0]->cluster().IsEmpty();
}

bool ClusterSimulation::HasExpired(std::size_t n, const std::string& name) {
  engine::Keyspace& keyspace = nodes_[n]->node().keyspace();
  return keyspace.IsExpired(keyspace.MakeKey(name), nodes_[n]->now().wall_ms);
}

// Whether what the request has just added goes into the lazy origin of the run.
bool ClusterSimulation::IsToldLate(std::size_t n, const ClusterRequest& request) {
  engine::Replica* replica = nodes_[n]->replica();
  if (replica == nullptr || request.kind != ClusterRequest::Kind::kAdd || request.cell.in_tree) {
    return false;
  }
  const engine::Keyspace& keyspace = nodes_[n]->node().keyspace();
  return !replica->PrecisionOf(keyspace.MakeKey(request.cell.name)).IsZero();
}

// The cells of a key of a tree that are there.
std::vector<int> ClusterSimulation::CellsOfKey(std::size_t n, const LedgerCell& of) {
  std::vector<int> cells;
  for (std::size_t i = 0; i < ledger_.cells().size(); ++i) {
    const LedgerCell& cell = ledger_.cells()[i];
    if (cell.name != of.name || cell.key != of.key || !cell.in_tree) continue;
    if (Present(n, cell)) cells.push_back(static_cast<int>(i));
  }
  return cells;
}

// The reset that this node has just made of a cell.
void ClusterSimulation::NoteReset(std::size_t n, int cell, const Decimal& value) {
  engine::Replica& replica = *nodes_[n]->replica();
  const LedgerCell& where = ledger_.cells()[static_cast<std::size_t>(cell)];
  const engine::SharedCell* shared = replica.Look(
      {.name = where.name, .in_tree = where.in_tree, .key = where.key, .bucket = where.bucket});
  if (shared == nullptr || shared->cell.set() == nullptr) {
    // A trim from elsewhere has come since.
    if (where.in_tree && where.bucket < ScopeOf(n, where).watermark) return;
    return Fail(NameOf(n) + " does not know the reset that it has made");
  }
  ledger_.Reset(lives_[n].origin, cell, ScopeOf(n, where), Observed(n), shared->cell.set()->version,
                value);
}

// Somebody came upon counters whose time had come, and dropped them.
void ClusterSimulation::NoteExpired(std::size_t n, const std::vector<int>& cells,
                                    const std::vector<Decimal>& before) {
  for (const int cell : cells) {
    if (nodes_[n]->replica() != nullptr) {
      NoteReset(n, cell, 0);
    } else {
      const Decimal& value = before[static_cast<std::size_t>(cell)];
      ledger_.Add(lives_[n].origin, cell, {}, *Decimal::Subtract(0, value));
    }
  }
}

void ClusterSimulation::Note(std::size_t n, const ClusterRequest& request, const Decimal& before,
                             const std::vector<int>& of_key) {
  using Kind = ClusterRequest::Kind;
  engine::Replica* replica = nodes_[n]->replica();
  const int origin = lives_[n].origin;
  const Ledger::Scope scope = ScopeOf(n, request.cell);
  switch (request.kind) {
    case Kind::kExpire:
    case Kind::kPrecision:
    case Kind::kTrim:  // the scope of its cells says so
      return;
    case Kind::kFlushAll:
      return ledger_.Epoch(origin, replica->epoch());
    case Kind::kDropTree:
    case Kind::kResetTree:
      return ledger_.TreeEpoch(origin, request.cell.name, scope);
    case Kind::kResetKey:
      for (const int cell : of_key) NoteReset(n, cell, 0);
      return;
    default:
      break;
  }
  const int cell = ledger_.Find(request.cell);
  const Decimal after = Shown(n, request.cell).value_or(0);
  if (request.kind == Kind::kAdd) {
    const int stream = IsToldLate(n, request) ? Ledger::LazyPart(origin) : origin;
    return ledger_.Add(stream, cell, scope, request.delta);
  }
  if (replica == nullptr) {
    // A node alone has no sets: the others learn what it shows.
    return ledger_.Add(origin, cell, scope, *Decimal::Subtract(after, before));
  }
  NoteReset(n, cell, after);
}

void ClusterSimulation::Write(std::size_t n) {
  using Kind = ClusterRequest::Kind;
  ClusterNode& node = *nodes_[n];
  if (!node.up() || node.wants_restart() || !node.node().ready() || node.waiting() || !MayWrite(n))
    return;
  const ClusterRequest request = DrawClusterRequest(requests_, prng_);
  const bool in_tree = request.cell.in_tree;
  if (node.replica() == nullptr && (in_tree || request.kind == Kind::kFlushAll)) return;
  const auto was = Shown(n, request.cell);
  const bool there = in_tree ? Present(n, {request.cell.name, true, {}, 0}) : was.has_value();
  const bool makes = request.kind == Kind::kAdd || request.kind == Kind::kSet;
  if (!there && !makes && request.kind != Kind::kFlushAll) return;
  const std::vector<int> of_key = CellsOfKey(n, request.cell);
  const bool expired = !in_tree && !request.cell.name.empty() && HasExpired(n, request.cell.name);
  const Lsn lsn_before = node.node().appended_lsn();
  const std::vector<std::string_view> views(request.words.begin(), request.words.end());
  ++result_.counts.requests;
  const std::string reply = node.Request(views);
  const bool refused = !reply.empty() && reply.front() == '-';
  const Lsn lsn = node.node().appended_lsn();
  std::string text = std::to_string(n) + ":";
  for (const std::string& word : request.words) text += " " + word;
  Event(text + (expired ? " (expired)" : "") +
        (refused ? " refused: " + reply : " lsn " + std::to_string(lsn)));
  Decimal before = was.value_or(0);
  const bool adds = request.kind == Kind::kAdd && !refused;
  const bool replaces = adds || (request.kind == Kind::kPrecision && !refused);
  if (expired && (replaces || !Shown(n, request.cell))) {
    std::vector<Decimal> values(ledger_.cells().size());
    const int cell = ledger_.Find(request.cell);
    values[static_cast<std::size_t>(cell)] = before;
    NoteExpired(n, {cell}, values);
    before = 0;
  }
  // To all but these what has expired is not there.
  const bool done = !refused && (!expired || adds || request.kind == Kind::kSet);
  if (done) Note(n, request, before, of_key);
  ledger_.Logged(lives_[n].origin, lsn);
  // What a node alone has acknowledged may be part of the next run's begin. A request that changed
  // nothing waits for nothing; one that did may share the record of the one before.
  const bool changed = lsn > lsn_before || (done && makes);
  lives_[n].to_acknowledge = refused || !changed || node.replica() == nullptr ? 0 : lsn;
  lives_[n].has_record = lsn > lsn_before;
  lives_[n].told_late = IsToldLate(n, request);
  if (node.replica() != nullptr) lives_[n].to_acknowledge_epoch = node.replica()->epoch();
  Check(n, "a request");
}

void ClusterSimulation::Upkeep(std::size_t n) {
  std::vector<int> expired;
  std::vector<Decimal> before(ledger_.cells().size());
  for (const char* name : kCounterNames) {
    const auto shown = Shown(n, {name});
    if (!shown || !HasExpired(n, name)) continue;
    expired.push_back(ledger_.Find({name}));
    before[static_cast<std::size_t>(expired.back())] = *shown;
  }
  // Which of several has which LSN is not known here: no power loss may come between two.
  const bool several = expired.size() > 1;
  if (several && rates_.disk > 0 && !healing_) return;
  nodes_[n]->Upkeep();
  if (expired.empty()) return;
  const auto cell_of = [&](int cell) { return ledger_.cells()[static_cast<std::size_t>(cell)]; };
  std::erase_if(expired, [&](int cell) { return Shown(n, cell_of(cell)).has_value(); });
  if (expired.empty()) return;
  for (const int cell : expired) Event(NameOf(n) + " drops " + cell_of(cell).name + ": expired");
  NoteExpired(n, expired, before);
  ledger_.Logged(lives_[n].origin, nodes_[n]->node().appended_lsn());
  if (several) nodes_[n]->Flush();
}

}  // namespace jeton::sim
