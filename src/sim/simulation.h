// Simulation: one whole node, from the parser to the log, under a virtual clock and on a disk that
// fails, with its clients, in one thread. A run is a seed: the driver decides at each step by its
// Prng what happens next (bytes arrive, a turn runs, the log is flushed, time passes, something
// breaks), so that the same seed gives the same run, and the same trace hash.
//
// What is checked:
//  * every reply, against the oracle; the whole keyspace after every turn;
//  * after a crash, that the state is the one after some step, and after none that is earlier than
//    what a reply has shown (fsync always), was written (the process died) or synced (power loss);
//  * that a healthy node answers everything in the end, sweeps what has expired, and takes writes
//    again once a full disk has room.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/prng.h"
#include "command/settings.h"
#include "node/node.h"
#include "sim/history.h"
#include "sim/oracle.h"
#include "sim/sim_disk.h"
#include "sim/swarm.h"
#include "sim/workload.h"

namespace jeton::sim {

struct RunOptions {
  std::uint64_t seed = 1;
  int steps = 600;
  std::uint64_t features_off = 0;
  Canary canary = Canary::kNone;
  bool trace = false;  // keep the last events as text; the run is the same
};

struct RunResult {
  bool ok = true;
  std::string reason;
  int failed_at = 0;       // the step
  std::uint64_t hash = 0;  // over all events and replies
  std::vector<std::string> last_events;
  // How much happened, for those who wonder whether the seeds reach anything.
  struct Counts {
    std::uint64_t requests = 0, replies = 0, crashes = 0, recoveries = 0, failed_recoveries = 0,
                  disk_failures = 0, full_disks = 0, snapshots = 0, lost_steps = 0, sliced = 0;
  } counts;
};

class Simulation {
 public:
  explicit Simulation(const RunOptions& options);
  ~Simulation();
  Simulation(const Simulation&) = delete;

  RunResult Run();

 private:
  struct Client;
  enum class CrashKind : std::uint8_t { kKill, kPowerLoss };

  // simulation.cc: what may happen in a step.
  void Step();
  void Write(Client& client);
  void Deliver(Client& client);
  void Turn(int worker);
  void Flush();
  void Send(int worker);
  void Tick(int worker);
  void Upkeep();
  void Snapshot();
  void PassTime();
  void Churn();
  void BreakSomething();
  void Settle();
  void CheckSwept();

  // clients
  void Connect(Client& client);
  void Disconnect(Client& client);
  void Receive(Client& client, std::string_view bytes);
  void OnReply(Client& client, const RespValue& reply);
  Client* Owner(const node::Connection& connection);
  bool AllAnswered() const;

  // simulation_process.cc: the life of the process.
  void Start();
  bool TryStart(bool with_faults);
  void CheckRecovered();
  void PlantAfterRecovery();
  void PlantInTree(const std::string& name, const TreeModel& tree);
  void Crash(CrashKind kind);
  CrashKind DrawCrash();
  void ShutDown();
  void Shut(CrashKind kind);
  void FailGates();
  void HandleDeath();
  node::Environment MakeEnvironment();
  std::size_t StepsPromised(CrashKind kind) const;

  // the state
  State ReadState(std::string& trouble) const;
  void CompareState(const char* when);
  void NoteSweeps(bool checked);
  void NoteTrims(bool checked);
  Now NodeNow() const;

  void Fail(const std::string& reason);
  bool failed() const { return !result_.ok; }
  void Mix(std::uint64_t word) {
    result_.hash = HashBytes({reinterpret_cast<const char*>(&word), 8}, result_.hash);
  }
  void Event(std::uint64_t kind, std::uint64_t detail, const std::function<std::string()>& text);

  const RunOptions options_;
  const Swarm swarm_;
  Prng prng_;
  Prng disk_prng_;
  RunResult result_;
  int step_ = 0;

  WallMs wall_ms_;
  MonoNs mono_ns_ = kNsPerSecond;
  SimDisk disk_;
  std::unique_ptr<Directory> directory_;
  command::Settings settings_;
  std::unique_ptr<node::Node> node_;  // null while the process is down
  bool ready_ = false;
  bool disk_failure_ = false;  // the node has said so
  bool gates_failed_ = false;  // and its clients know: what they read from now on may be lost
  bool log_wanted_ = false;
  bool disk_limited_ = false;

  History history_;
  Oracle oracle_;
  Workload workload_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::vector<Client*>>
      queues_;                  // by worker: who has input for the next turn, in order
  std::size_t seen_steps_ = 0;  // what replies that arrived have shown of the history
  // At the last crash: which steps have to be there after each kind of crash.
  std::size_t must_survive_kill_ = 0, must_survive_power_ = 0;
  bool power_was_lost_ = false;  // since the last recovery
  std::deque<std::string> events_;
};

RunResult RunSeed(const RunOptions& options);

}  // namespace jeton::sim
