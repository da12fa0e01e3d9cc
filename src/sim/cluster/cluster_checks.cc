// What a ClusterSimulation compares.
#include <algorithm>

#include "engine/tree.h"
#include "sim/cluster/cluster_simulation_internal.h"

namespace jeton::sim {

namespace {

const engine::Tree* TreeAt(engine::Keyspace& keyspace, const std::string& name) {
  return keyspace.FindTree(keyspace.MakeKey(name), engine::kBeforeAnyExpiry);
}

std::string TextOf(const LedgerCell& cell) {
  if (!cell.in_tree) return cell.name;
  return cell.name + "/" + cell.key + "@" + std::to_string(cell.bucket);
}

}  // namespace

std::string TextOf(const OriginId& id) {
  return HexOf(id).substr(8, 8);
}

crdt::VersionVector ClusterSimulation::KnownVector(std::size_t n) {
  engine::Replica* replica = nodes_[n]->replica();
  if (replica == nullptr) return {};
  crdt::VersionVector known = replica->applied();
  for (const auto& [origin, end] : replica->folded()) known.Advance(origin, end);
  return known;
}

std::optional<Decimal> ClusterSimulation::Shown(std::size_t n, const LedgerCell& cell) {
  engine::Keyspace& keyspace = nodes_[n]->node().keyspace();
  if (cell.in_tree) {
    const engine::Tree* tree = TreeAt(keyspace, cell.name);
    if (tree == nullptr) return std::nullopt;
    return tree->Get(tree->MakeKey(cell.key), cell.bucket);
  }
  const auto entry = keyspace.Find(keyspace.MakeKey(cell.name), engine::kBeforeAnyExpiry);
  if (!entry || entry->kind != engine::Kind::kCounter) return std::nullopt;
  return entry->value;
}

// Whether the counter, the bucket or, without a key, the tree is there.
bool ClusterSimulation::Present(std::size_t n, const LedgerCell& cell) {
  if (!cell.in_tree) return Shown(n, cell).has_value();
  const engine::Tree* tree = TreeAt(nodes_[n]->node().keyspace(), cell.name);
  if (tree == nullptr || cell.key.empty()) return tree != nullptr;
  const auto view = tree->Find(tree->MakeKey(cell.key));
  return view && view->At(cell.bucket);
}

Ledger::Scope ClusterSimulation::ScopeOf(std::size_t n, const LedgerCell& cell) {
  engine::Replica* replica = nodes_[n]->replica();
  if (replica == nullptr) return {};
  Ledger::Scope scope{.epoch = replica->epoch()};
  if (!cell.in_tree) return scope;
  const auto facts = replica->FactsOf(nodes_[n]->node().keyspace().MakeKey(cell.name));
  scope.tree_epoch = facts.epoch;
  scope.watermark = facts.watermark;
  return scope;
}

// Brings what the node must show up to date, if it has learned something. False: not to be
// compared.
bool ClusterSimulation::Refresh(std::size_t n, const char* when) {
  Life& life = lives_[n];
  Seen& seen = life.seen;
  engine::Replica* replica = nodes_[n]->replica();
  const std::size_t folded = replica != nullptr ? replica->folded().size() : 0;
  const std::size_t own = ledger_.operations(life.origin);
  std::vector<Ledger::Scope> scopes;
  for (const char* name : {"", kTreeNames[0], kTreeNames[1]}) {
    scopes.push_back(ScopeOf(n, {name, *name != '\0', {}, 0}));
  }
  const bool same = seen.origin == life.origin && seen.folded == folded &&
                    seen.own_operations == own && seen.scopes == scopes &&
                    (replica == nullptr || seen.applied == replica->applied());
  if (same && life.catching_up.empty()) return true;
  const crdt::VersionVector vector = KnownVector(n);
  // A node that was set back has said that it holds what it does not: what the others have tidied
  // up because of that it sees in the order in which it comes back.
  const auto is_up = [](const auto& other) { return other->up(); };
  life.behind = life.behind && !std::all_of(nodes_.begin(), nodes_.end(), is_up);
  if (!vector.Covers(life.catching_up)) return false;
  life.catching_up = {};
  if (!vector.Covers(life.known)) {
    Explain();
    for (const auto& [origin, lsn] : life.known) {
      if (vector.Get(origin) >= lsn) continue;
      Fail(std::string(when) + ": what " + NameOf(n) + " knows of " + TextOf(origin) +
           " went back from " + std::to_string(lsn) + " to " + std::to_string(vector.Get(origin)));
    }
    return false;
  }
  life.known = vector;
  Ledger::Counts known = ledger_.Known(vector, life.origin);
  std::vector<bool> stale(ledger_.cells().size(), seen.scopes != scopes || seen.expected.empty());
  ledger_.MarkChanged(seen.known, known, stale);
  seen.expected.resize(ledger_.cells().size());
  for (std::size_t cell = 0; cell < stale.size(); ++cell) {
    if (!stale[cell]) continue;
    const Ledger::Scope scope = ScopeOf(n, ledger_.cells()[cell]);
    seen.expected[cell] = ledger_.Expected(static_cast<int>(cell), scope, known);
  }
  seen.applied = replica != nullptr ? replica->applied() : crdt::VersionVector();
  seen.folded = folded;
  seen.own_operations = own;
  seen.origin = life.origin;
  seen.scopes = std::move(scopes);
  seen.known = std::move(known);
  return true;
}

void ClusterSimulation::Check(std::size_t n, const char* when) {
  ClusterNode& node = *nodes_[n];
  if (!result_.ok || !node.up() || node.node().state().loading.load()) return;
  if (!Refresh(n, when)) return;
  CheckAcked(n);
  const std::vector<Decimal>& expected = lives_[n].seen.expected;
  engine::Keyspace& keyspace = node.node().keyspace();
  const engine::Tree* tree = nullptr;
  std::string_view tree_name;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const LedgerCell& cell = ledger_.cells()[i];
    // As Shown, with one look for each tree.
    if (cell.in_tree && tree_name != cell.name) {
      tree_name = cell.name;
      tree = TreeAt(keyspace, cell.name);
    }
    if (cell.in_tree && tree == nullptr) continue;
    const auto shown =
        cell.in_tree ? tree->Get(tree->MakeKey(cell.key), cell.bucket) : Shown(n, cell);
    if (!shown && cell.in_tree) continue;
    if (shown.value_or(0) == expected[i]) continue;
    // A newcomer may get resets before the fold that they had seen: it is not ready yet.
    if (node.cluster().replicator().status(node.now()).transfer.joining) return;
    ExplainCell(n, cell);
    return Fail(std::string(when) + ": " + NameOf(n) + " shows " + shown.value_or(0).ToString() +
                " and not " + expected[i].ToString() + " as " + TextOf(cell));
  }
}

void ClusterSimulation::ExplainCell(std::size_t n, const LedgerCell& cell) {
  if (!options_.trace || nodes_[n]->replica() == nullptr) return;
  for (std::size_t other = 0; other < nodes_.size(); ++other) {
    engine::Replica* replica = nodes_[other]->up() ? nodes_[other]->replica() : nullptr;
    if (replica == nullptr) continue;
    const Ledger::Scope scope = ScopeOf(other, cell);
    Event(std::to_string(other) + ": " + Shown(other, cell).value_or(0).ToString() + " = " +
          replica->Describe({.name = cell.name,
                             .in_tree = cell.in_tree,
                             .key = cell.key,
                             .bucket = cell.bucket,
                             .tree_epoch = scope.tree_epoch}));
  }
  const Life& life = lives_[n];
  for (std::size_t i = 0; i < ledger_.origins(); ++i) {
    const OriginId& id = ledger_.IdOf(i);
    if (life.known.Get(id) == 0 && static_cast<int>(i) != life.origin) continue;
    Event(TextOf(id) + (static_cast<int>(i) == life.origin ? " (own)" : "") + " known to " +
          std::to_string(life.known.Get(id)) + ", " + std::to_string(life.seen.known[i]) +
          " operations" + (nodes_[n]->replica()->folded().contains(id) ? ", folded" : ""));
  }
}

// What others believe that this node holds durably, of their own, is there after a crash.
void ClusterSimulation::CheckRows(std::size_t n) {
  if (result_.counts.rollbacks > 0) return;
  const NodeId id = nodes_[n]->cluster().node_id();
  const crdt::VersionVector known = KnownVector(n);
  for (std::size_t other = 0; other < nodes_.size(); ++other) {
    if (other == n || !nodes_[other]->up() || nodes_[other]->replica() == nullptr) continue;
    const auto& rows = nodes_[other]->replica()->rows();
    const auto row = rows.find(id);
    if (row == rows.end()) continue;
    const OriginId& theirs = nodes_[other]->origin();
    if (known.Get(theirs) >= row->second.Get(theirs)) continue;
    return Fail(NameOf(n) + " has lost what it had told that it held: of " + TextOf(theirs) + " " +
                std::to_string(row->second.Get(theirs)) + ", there is " +
                std::to_string(known.Get(theirs)));
  }
}

// What WAIT would say: so many others hold what was acknowledged, if they are up.
void ClusterSimulation::CheckAcked(std::size_t n) {
  Life& life = lives_[n];
  if (nodes_[n]->replica() == nullptr) return;
  // What a FLUSHALL somewhere else has swept away is in no frame.
  if (nodes_[n]->replica()->epoch() > life.recorded_epoch) life.recorded = life.recorded_late = 0;
  life.recorded_epoch = nodes_[n]->replica()->epoch();
  const Lsn lsn = std::max(life.recorded, life.recorded_late);
  if (lsn == 0 || result_.counts.rollbacks > 0) return;
  const OriginId own = nodes_[n]->origin();
  int may_hold = static_cast<int>(result_.counts.forgets);
  for (std::size_t other = 0; other < nodes_.size(); ++other) {
    if (other == n) continue;
    const bool is_up = nodes_[other]->up() && nodes_[other]->replica() != nullptr;
    const auto holds = [&](const OriginId& origin, Lsn acknowledged) {
      const node::Cluster& cluster = nodes_[other]->cluster();
      return cluster.durable().Get(origin) >= acknowledged || cluster.FoldedAt(origin).has_value();
    };
    if (is_up && (!holds(own, life.recorded) || !holds(LazyOf(own), life.recorded_late))) {
      continue;
    }
    ++may_hold;
  }
  const int said = nodes_[n]->cluster().AckedBy(lsn);
  if (said <= may_hold) return;
  for (std::size_t other = 0; other < nodes_.size(); ++other) {
    if (other == n || !nodes_[other]->up()) continue;
    const node::Cluster& cluster = nodes_[other]->cluster();
    Event(NameOf(other) + " holds " + std::to_string(cluster.durable().Get(own)) + " of " +
          std::to_string(life.recorded) + ", " +
          std::to_string(cluster.durable().Get(LazyOf(own))) + " of " +
          std::to_string(life.recorded_late) + " told late");
  }
  Fail(NameOf(n) + " says that " + std::to_string(said) + " others hold LSN " +
       std::to_string(lsn) + ", and at most " + std::to_string(may_hold) + " do");
}

// ---- in the end

std::string ClusterSimulation::ToFold(std::size_t n) {
  engine::Replica* replica = nodes_[n]->replica();
  std::string text;
  for (const auto& [origin, closing] : replica->closed()) {
    text += " " + TextOf(origin) + " known to " + std::to_string(replica->applied().Get(origin)) +
            " by " + TextOf(closing.by) + " at " + std::to_string(closing.at) +
            (closing.by == replica->own() ? " (itself)" : "") +
            (replica->folded().contains(closing.by) ? " (folded)" : "");
    for (const NodeId& member : replica->members()) {
      const auto row = replica->rows().find(member);
      text += row == replica->rows().end() ? ", no row"
                                           : ", " + std::to_string(row->second.Get(origin)) + "/" +
                                                 std::to_string(row->second.Get(closing.by));
    }
    text += ";";
  }
  return text;
}

bool ClusterSimulation::IsRunning(const OriginId& origin) const {
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    const OriginId& run = ledger_.IdOf(static_cast<std::size_t>(lives_[n].origin));
    if (!lives_[n].forgotten && (origin == run || origin == LazyOf(run))) return true;
  }
  return false;
}

bool ClusterSimulation::Converged(std::string& why) {
  std::size_t first = nodes_.size();
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    const std::string who = NameOf(n);
    if (lives_[n].forgotten && lives_[n].returns && !StaysForgotten(n)) {
      return why = who + " was not told", false;
    }
    if (lives_[n].forgotten) continue;
    if (nodes_[n]->up() && nodes_[n]->cluster().rejoins()) return why = who + " rejoins", false;
    engine::Replica* replica = nodes_[n]->replica();
    if (replica == nullptr || nodes_[n]->node().state().loading.load()) {
      why = who + (replica == nullptr ? " is alone" : " is loading");
      return false;
    }
    if (replica->HasUncut() || replica->dirty_lazy() > 0)
      return why = who + " has changes that are in no frame", false;
    // A closer that its own node does not know any more, on an older disk, folds nothing.
    if (!replica->closed().empty() && result_.counts.rollbacks == 0) {
      return why = who + " has something to fold:" + ToFold(n), false;
    }
    if (result_.counts.rollbacks == 0) {
      for (const auto& [origin, lsn] : replica->applied()) {
        if (IsRunning(origin)) continue;
        return why = who + " knows " + TextOf(origin) + ", which is over and closed by nobody",
               false;
      }
    }
    if (first == nodes_.size()) {
      first = n;
    } else if (!(KnownVector(n) == KnownVector(first))) {
      return why = who + " knows less or more", false;
    }
  }
  return true;
}

// What each node knows of each origin, and has frames of.
void ClusterSimulation::Explain() {
  if (!options_.trace) return;
  for (std::size_t i = 0; i < ledger_.origins(); ++i) {
    const OriginId& id = ledger_.IdOf(i);
    std::string text = TextOf(id);
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
      if (!nodes_[n]->up() || nodes_[n]->replica() == nullptr) continue;
      const engine::Replica& replica = *nodes_[n]->replica();
      const bool folded = replica.folded().contains(id);
      text += " | " + std::to_string(n) + ": " + std::to_string(KnownVector(n).Get(id)) +
              (folded ? " folded" : "");
      const auto closed = replica.closed().find(id);
      if (closed != replica.closed().end()) text += " closed by " + TextOf(closed->second.by);
      for (const std::string& record : nodes_[n]->cluster().FrameRecords()) {
        ByteReader in(std::string_view(record).substr(1));
        const crdt::Frame frame = crdt::DecodeFrame(in);
        if (frame.origin != id) continue;
        text += " (" + std::to_string(frame.from) + "," + std::to_string(frame.to) + "]";
      }
    }
    Event(text);
  }
}

void ClusterSimulation::CompareAll() {
  engine::Replica* first = nodes_[0]->replica();
  engine::Keyspace& ours = nodes_[0]->node().keyspace();
  const auto expiry_of = [](engine::Keyspace& keyspace, const char* name) {
    const auto entry = keyspace.Find(keyspace.MakeKey(name), engine::kBeforeAnyExpiry);
    return entry && !entry->value.IsZero() ? entry->expires_at : 0;
  };
  const auto precision_of = [](engine::Keyspace& keyspace, const char* name) {
    const auto entry = keyspace.Find(keyspace.MakeKey(name), engine::kBeforeAnyExpiry);
    return entry && !entry->value.IsZero() && entry->precision ? *entry->precision : Decimal(0);
  };
  for (std::size_t n = 1; n < nodes_.size(); ++n) {
    if (lives_[n].forgotten) continue;
    const std::string both = "node 0 and " + NameOf(n);
    if (nodes_[n]->replica()->DigestAll() != first->DigestAll()) {
      return Fail(both + " have different digests");
    }
    for (const LedgerCell& cell : ledger_.cells()) {
      if (Shown(0, cell).value_or(0) == Shown(n, cell).value_or(0)) continue;
      return Fail(both + " differ in " + TextOf(cell));
    }
    engine::Keyspace& theirs = nodes_[n]->node().keyspace();
    for (const char* name : kCounterNames) {
      if (expiry_of(ours, name) == expiry_of(theirs, name)) continue;
      return Fail(both + " let " + name + " expire at different times");
    }
    for (const char* name : kCounterNames) {
      if (precision_of(ours, name) == precision_of(theirs, name)) continue;
      ExplainCell(n, {.name = name});
      return Fail(both + " have different precisions of " + name + ": " +
                  precision_of(ours, name).ToString() + " and " +
                  precision_of(theirs, name).ToString());
    }
    for (const char* name : kTreeNames) {
      const engine::Tree* a = TreeAt(ours, name);
      const engine::Tree* b = TreeAt(theirs, name);
      if ((a == nullptr) != (b == nullptr) || (a != nullptr && a->watermark() != b->watermark())) {
        return Fail(both + " differ in tree " + name);
      }
    }
  }
}

}  // namespace jeton::sim
