// ClusterSimulation: three to seven whole nodes (node::Node with its Cluster and its Worker, each
// on a disk that fails) and the network between them, under a virtual clock, in one thread. Phases:
// a cluster comes together, clients write while everything breaks, then all heals and must converge
// within a bounded virtual time.
//
// What is checked, against a ledger that knows every operation of every node:
//  * each node shows exactly what follows from how far it knows each origin, at every moment (I2,
//    I5, I7, I8);
//  * what was acknowledged is there after the node's own crash, unless its disk was set back (I4);
//  * what a node knows never goes back while it runs, and what it has told that it holds is there
//    after its own crash (I3);
//  * in the end all know the same, have equal digests, and nothing is left to fold (I6).
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "engine/replica.h"
#include "node/node.h"

namespace jeton::sim {

struct ClusterRunOptions {
  std::uint64_t seed = 1;
  int steps = 0;  // of the phase with faults; 0: each seed draws them
  engine::ReplicaBugs bugs = {};
  node::ClusterBugs cluster_bugs = {};
  bool trace = false;
};

struct ClusterRunResult {
  bool ok = true;
  std::string reason;
  std::uint64_t hash = 0;  // over all events
  std::deque<std::string> events;
  struct Counts {
    std::uint64_t requests = 0, acknowledged = 0, crashes = 0, rollbacks = 0, partitions = 0,
                  forgets = 0, joins = 0, pieces = 0, bytes = 0, folded = 0, replaced = 0,
                  disk_failures = 0, full_disks = 0, rejoined = 0, brought = 0, begun_again = 0;
    double virtual_seconds = 0, healing_seconds = 0;
  } counts;
};

ClusterRunResult RunClusterSeed(const ClusterRunOptions& options);

}  // namespace jeton::sim
