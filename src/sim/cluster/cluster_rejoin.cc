// Forgotten nodes of a ClusterSimulation that come back on the same disk.
#include <algorithm>

#include "sim/cluster/cluster_simulation_internal.h"

namespace jeton::sim {

// What a node brings along becomes increments of its own in some tick.
void ClusterSimulation::Tick(std::size_t n) {
  ClusterNode& node = *nodes_[n];
  if (!node.cluster().rejoins()) return node.cluster().Tick(node.now());
  std::vector<std::optional<Decimal>> before;
  std::vector<bool> expired;
  for (const LedgerCell& cell : ledger_.cells()) {
    before.push_back(Shown(n, cell));
    expired.push_back(!cell.in_tree && HasExpired(n, cell.name));
  }
  node.cluster().Tick(node.now());
  NoteInjected(n, before, expired);
  if (node.cluster().rejoins()) return;
  Event(NameOf(n) + " has rejoined");
  NoteRejoined(n);
}

void ClusterSimulation::NoteRejoined(std::size_t n) {
  for (Brought& brought : brought_) brought.done = brought.done || brought.node == n;
}

// A tree that is made again shows what others have added to it beside one who dropped it: none of
// that was brought along.
Decimal ClusterSimulation::HeldOutOfView(std::size_t n, int bucket) {
  const LedgerCell& cell = ledger_.cells()[static_cast<std::size_t>(bucket)];
  return ledger_.Expected(bucket, ScopeOf(n, cell),
                          ledger_.Known(KnownVector(n), lives_[n].origin));
}

void ClusterSimulation::NoteInjected(std::size_t n,
                                     const std::vector<std::optional<Decimal>>& before,
                                     const std::vector<bool>& expired) {
  engine::Replica* replica = nodes_[n]->replica();
  if (replica == nullptr || nodes_[n]->node().state().loading.load()) return;
  const Life& life = lives_[n];
  for (std::size_t i = 0; i < before.size(); ++i) {
    const LedgerCell& cell = ledger_.cells()[i];
    const auto after = Shown(n, cell);
    if (after == before[i]) continue;
    Decimal was = before[i].value_or(0);
    if (cell.in_tree && !before[i]) was = HeldOutOfView(n, static_cast<int>(i));
    if (expired[i]) {
      NoteExpired(n, {static_cast<int>(i)}, {});
      was = 0;
    }
    const Decimal delta = *Decimal::Subtract(after.value_or(0), was);
    if (delta.IsZero()) continue;
    const bool late =
        !cell.in_tree &&
        !replica->PrecisionOf(nodes_[n]->node().keyspace().MakeKey(cell.name)).IsZero();
    const int stream = late ? Ledger::LazyPart(life.origin) : life.origin;
    Event(NameOf(n) + " brings " + delta.ToString() + " along for " + cell.name + " lsn " +
          std::to_string(nodes_[n]->node().appended_lsn()));
    // Of several times that it rejoined it is the last one: the others are over.
    const auto its = std::find_if(brought_.rbegin(), brought_.rend(), [&](const Brought& brought) {
      return std::find(brought.to.begin(), brought.to.end(), life.origin) != brought.to.end();
    });
    if (its != brought_.rend()) {
      its->added.push_back({stream, {ledger_.operations_of(stream), delta}});
      its->cells.push_back(static_cast<int>(i));
    }
    ledger_.Add(stream, static_cast<int>(i), ScopeOf(n, cell), delta);
    ++result_.counts.brought;
  }
  ledger_.Logged(life.origin, nodes_[n]->node().appended_lsn());
}

// It ends in order, or dies while it does.
void ClusterSimulation::SetAside(std::size_t n) {
  Life& life = lives_[n];
  crdt::VersionVector known = KnownVector(n);
  const OriginId& own = ledger_.IdOf(static_cast<std::size_t>(life.origin));
  known.Advance(own, nodes_[n]->node().appended_lsn());
  known.Advance(LazyOf(own), nodes_[n]->node().appended_lsn());
  life.set_aside = std::move(known);
  life.begins_again = nodes_[n]->cluster().rejoins();
  life.image.reset();  // as for Forget
  Event(NameOf(n) + " sets its life aside");
  if (returning_prng_.Chance(0.7)) {
    nodes_[n]->cluster().Stopping(nodes_[n]->now());
    network_->CarryOut(n, nodes_[n]->now());
    nodes_[n]->Flush();
  }
  Crash(n);
  if (returning_prng_.Chance(0.3)) nodes_[n]->disk().DieAt(returning_prng_.Below(60));
}

// The node has another id: its former life was set aside.
void ClusterSimulation::BeginNextLife(std::size_t n) {
  Life& life = lives_[n];
  Event(NameOf(n) + " rejoins");
  ++result_.counts.rejoined;
  if (life.begins_again) {
    Event(NameOf(n) + " begins again");
    ++result_.counts.begun_again;
  } else if (life.set_aside) {
    brought_.push_back({.node = n,
                        .from = life.runs,
                        .known = *life.set_aside,
                        .added = {},
                        .cells = {},
                        .to = {},
                        .uncertain = life.uncertain,
                        .done = false});
  } else {
    Fail(NameOf(n) + " begins another life without having said so");
  }
  const WallMs skew = life.skew;
  life = {};
  life.skew = skew;
  life.joined = true;
}

// It is not certain that its log has all that the others lack: somebody has to decide.
bool ClusterSimulation::StaysForgotten(std::size_t n) const {
  if (!nodes_[n]->up()) return false;
  const auto status = nodes_[n]->cluster().status();
  return std::any_of(status->alarms.begin(), status->alarms.end(), [](const std::string& alarm) {
    return alarm.find("it does not rejoin by itself") != std::string::npos ||
           alarm.find("from before is not added yet") != std::string::npos;
  });
}

// What a node has brought along and nobody has heard of before it was forgotten once more is part
// of what it brings along the next time.
bool ClusterSimulation::IsBroughtAgain(const OriginId& origin, Lsn lsn) const {
  return std::any_of(brought_.begin(), brought_.end(), [&](const Brought& brought) {
    return lsn <= brought.known.Get(origin) &&
           std::any_of(brought.from.begin(), brought.from.end(), [&](int run) {
             const OriginId& id = ledger_.IdOf(static_cast<std::size_t>(run));
             return origin == id || origin == LazyOf(id);
           });
  });
}

// Each increment that only it had counts once, unless it had reset that itself.
void ClusterSimulation::CheckBrought() {
  if (!result_.ok || result_.counts.rollbacks > 0 || requests_.flush_all > 0) return;
  const crdt::VersionVector known = KnownVector(0);
  const auto& folded = nodes_[0]->replica()->folded();
  for (const Brought& brought : brought_) {
    // Who has died meanwhile, or must not rejoin by himself, keeps the rest.
    if (brought.uncertain || !brought.done) continue;
    std::vector<Sum> due(ledger_.cells().size()), got(ledger_.cells().size());
    ledger_.AddTails(
        brought.from, brought.known,
        [&](const OriginId& origin) {
          const auto end = folded.find(origin);
          return end == folded.end() ? known.Get(origin) : end->second;
        },
        due);
    for (std::size_t i = 0; i < brought.added.size(); ++i) {
      const auto& [stream, what] = brought.added[i];
      const Lsn lsn = ledger_.LsnOf(stream, what.first);
      const OriginId& origin = ledger_.IdOf(static_cast<std::size_t>(stream));
      if (lsn > known.Get(origin) && !IsBroughtAgain(origin, lsn)) continue;
      got[static_cast<std::size_t>(brought.cells[i])].Add(what.second);
    }
    for (std::size_t i = 0; i < due.size(); ++i) {
      if (ledger_.cells()[i].in_tree || due[i].value() == got[i].value()) continue;
      return Fail(NameOf(brought.node) + " had " + due[i].value().ToString() + " of " +
                  ledger_.cells()[i].name + " that nobody else had, and has brought along " +
                  got[i].value().ToString());
    }
  }
}

}  // namespace jeton::sim
