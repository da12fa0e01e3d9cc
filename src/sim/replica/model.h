// The model of REPLICATION.md (its Python form is replication_model.py) held against the real
// Keyspace, Unit and Replica: two to four nodes, random changes of everything, partial pulls in any
// order of origins, crashes that lose the end of the log, restarts, folds, frees, state transfers;
// after every step the value of every cell of the node that was touched is compared with the
// ledger's. In the end everything heals, and all nodes must agree.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "engine/replica.h"

namespace jeton::sim {

struct ReplicaRunOptions {
  std::uint64_t seed = 1;
  int steps = 250;
  engine::ReplicaBugs bugs = {};
  bool merges = true;  // frames, on their way
  bool trace = false;
  std::string watch = {};  // a cell as a failure names it, to be shown at each step of the trace
};

struct ReplicaRunResult {
  bool ok = true;
  std::string reason;
  std::uint64_t hash = 0;
  std::deque<std::string> events;
  // How much happened.
  struct Counts {
    std::uint64_t changes = 0, frames = 0, crashes = 0, lost_records = 0, transfers = 0, folded = 0,
                  merged = 0, checks = 0;
  } counts;
};

ReplicaRunResult RunReplicaSeed(const ReplicaRunOptions& options);

}  // namespace jeton::sim
