// The inside of a ClusterSimulation. cluster_simulation.cc draws and runs, cluster_clients.cc makes
// requests and tells the ledger, cluster_faults.cc breaks things, cluster_checks.cc compares.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "sim/cluster/cluster_node.h"
#include "sim/cluster/cluster_simulation.h"
#include "sim/cluster/cluster_workload.h"
#include "sim/cluster/network.h"
#include "sim/replica/ledger.h"

namespace jeton::sim {

std::string TextOf(const OriginId& id);

class ClusterSimulation {
 public:
  explicit ClusterSimulation(const ClusterRunOptions& options);

  ClusterRunResult Run();

 private:
  // What followed from what a node knew at its last check.
  struct Seen {
    crdt::VersionVector applied;
    std::size_t folded = 0, own_operations = 0;
    int origin = -1;
    std::vector<Ledger::Scope> scopes;
    Ledger::Counts known;
    std::vector<Decimal> expected;
  };
  struct Life {
    int origin = -1;          // the ledger's number
    Lsn acknowledged = 0;     // of the run
    Lsn to_acknowledge = 0;   // of the request that waits
    bool told_late = false;   // what it has added
    bool has_record = false;  // of its own in the log
    std::uint64_t recorded_epoch = 0;
    Lsn recorded = 0, recorded_late = 0;  // the last ones of those that are acknowledged
    std::uint64_t acknowledged_epoch = 0, to_acknowledge_epoch = 0;
    crdt::VersionVector known;
    crdt::VersionVector catching_up;
    bool behind = false;  // set back, and some node that may know more was down ever since
    bool forgotten = false;
    bool joined = false;
    MonoNs next_tick = 0;
    WallMs skew = 0;
    bool excused = false;  // its disk was set back
    bool failed = false;   // its disk, before it died
    std::optional<SimDisk::Image> image;
    Seen seen;
    NodeId node{};
    std::vector<int> runs;   // the ledger's numbers
    bool returns = false;    // if it is forgotten: on the same disk
    bool uncertain = false;  // some of its disk went back
    bool helped = false;
    std::optional<crdt::VersionVector> set_aside;  // how far it knew its runs
    bool begins_again = false;                     // with what the life before it brings along
  };
  // What a node that was forgotten has brought along, as another one.
  struct Brought {
    std::size_t node = 0;
    std::vector<int> from;  // runs
    crdt::VersionVector known;
    // Origin, place in it, amount; and the cells.
    std::vector<std::pair<int, std::pair<std::size_t, Decimal>>> added;
    std::vector<int> cells;
    std::vector<int> to;  // runs of the next life
    bool uncertain = false;
    bool done = false;
  };
  // How often what happens; each run draws its own.
  struct Rates {
    double crash = 0, partition = 0, write = 0.3, flush = 0.6, power = 0, back = 0, forget = 0,
           snapshot = 0, jump = 0, disk = 0;
  };

  // ---- cluster_simulation.cc
  void Draw();
  void MakeNode(std::size_t n);
  void Step();
  void Advance(MonoNs by);
  void Serve(std::size_t n);
  void HelpLost();
  void Heal();

  // ---- cluster_clients.cc
  bool MayWrite(std::size_t n);
  void Write(std::size_t n);
  void Note(std::size_t n, const ClusterRequest& request, const Decimal& before,
            const std::vector<int>& of_key);
  void NoteReset(std::size_t n, int cell, const Decimal& value);
  void NoteExpired(std::size_t n, const std::vector<int>& cells,
                   const std::vector<Decimal>& before);
  bool IsToldLate(std::size_t n, const ClusterRequest& request);
  bool HasExpired(std::size_t n, const std::string& name);
  std::vector<int> CellsOfKey(std::size_t n, const LedgerCell& of);
  void Upkeep(std::size_t n);

  // ---- cluster_faults.cc
  void Start(std::size_t n);
  void Crash(std::size_t n);
  void Break();
  void BreakDisk(std::size_t n);
  void Shift();
  void Forget(std::size_t gone);
  void ForgetAgain();
  void SeeForgotten(std::size_t by);
  void Replace(std::size_t n);

  // ---- cluster_rejoin.cc
  void Tick(std::size_t n);
  Decimal HeldOutOfView(std::size_t n, int bucket);
  void NoteInjected(std::size_t n, const std::vector<std::optional<Decimal>>& before,
                    const std::vector<bool>& expired);
  void NoteRejoined(std::size_t n);
  void SetAside(std::size_t n);
  void BeginNextLife(std::size_t n);
  bool Returns(std::size_t n) const { return !lives_[n].forgotten || lives_[n].returns; }
  bool StaysForgotten(std::size_t n) const;
  bool IsBroughtAgain(const OriginId& origin, Lsn lsn) const;
  void CheckBrought();
  void Join(std::size_t n);

  // ---- cluster_checks.cc
  void Check(std::size_t n, const char* when);
  bool Refresh(std::size_t n, const char* when);
  void CheckRows(std::size_t n);
  void CheckAcked(std::size_t n);
  void ExplainCell(std::size_t n, const LedgerCell& cell);
  bool Converged(std::string& why);
  std::string ToFold(std::size_t n);
  bool IsRunning(const OriginId& origin) const;
  void Explain();
  void CompareAll();
  crdt::VersionVector KnownVector(std::size_t n);
  // It has not joined, or a crash came between that and the file that says so.
  bool KnowsNobody(std::size_t n) {
    return nodes_[n]->cluster().replicator().members().size() <= 1;
  }
  Ledger::Scope ScopeOf(std::size_t n, const LedgerCell& cell);
  // What readers see but for expiries; nothing if the tree is not there.
  std::optional<Decimal> Shown(std::size_t n, const LedgerCell& cell);
  bool Present(std::size_t n, const LedgerCell& cell);
  Ledger::Counts Observed(std::size_t n) { return ledger_.Known(KnownVector(n), lives_[n].origin); }

  std::size_t AnyNode() { return static_cast<std::size_t>(prng_.Below(nodes_.size())); }
  bool Chance(double p) { return prng_.Chance(p); }
  std::string NameOf(std::size_t n) const { return "node " + std::to_string(n); }
  void Fail(const std::string& reason) {
    if (!result_.ok) return;
    result_.ok = false;
    result_.reason = reason;
  }
  void Event(const std::string& text) {
    result_.hash = HashBytes(text, result_.hash);
    if (!options_.trace) return;
    result_.events.push_back(std::to_string(mono_ / kNsPerMs) + " ms: " + text);
  }

  const ClusterRunOptions options_;
  Prng prng_, returning_prng_;
  ClusterRunResult result_;
  Ledger ledger_;
  MonoNs mono_ = kNsPerSecond;
  WallMs wall_ = 1'700'000'000'000;
  std::vector<std::unique_ptr<ClusterNode>> nodes_;
  std::vector<node::PeerDriver*> drivers_;
  std::unique_ptr<Network> network_;
  std::vector<Life> lives_;
  std::vector<NodeId> forgotten_;
  std::vector<Brought> brought_;
  Rates rates_;
  ClusterRequestRates requests_;
  int steps_ = 0;
  bool sync_always_ = true;
  bool healing_ = false;
};

}  // namespace jeton::sim
