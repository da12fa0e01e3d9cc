// jeton-cluster-sim: runs seeds of the simulation of a cluster.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "sim/cluster/cluster_simulation.h"
#include "sim/replica/bug_names.h"
#include "sim/runner/seed_runner.h"

namespace {

using jeton::sim::ClusterRunOptions;
using jeton::sim::ClusterRunResult;
using jeton::sim::SeedRunner;

bool PlantBug(ClusterRunOptions& run, const std::string& name) {
  jeton::node::ClusterBugs& bugs = run.cluster_bugs;
  if (name == "publish-early") return bugs.publish_early = true;
  if (name == "row-unsynced") return bugs.row_unsynced = true;
  if (name == "forget-tail") return bugs.forget_tail = true;
  if (name == "lonely-folds") return bugs.lonely_folds = true;
  if (name == "mark-unsynced") return bugs.mark_unsynced = true;
  if (name == "no-close") return bugs.no_close = true;
  if (name == "take-gaps") return bugs.take_gaps = run.bugs.take_gaps = true;
  return jeton::sim::PlantBug(run.bugs, name);
}

bool Parse(int argc, char** argv, SeedRunner& runner, ClusterRunOptions& run) {
  const auto take = [&run](int count, char** words, int& i) {
    const std::string word = words[i];
    if (word == "--steps") {
      run.steps = static_cast<int>(SeedRunner::Number(count, words, i));
      return true;
    }
    return word == "--bug" && i + 1 < count && PlantBug(run, words[++i]);
  };
  if (!runner.Parse(argc, argv, "jeton-cluster-sim", "[--steps N] [--bug NAME]", take)) {
    return false;
  }
  run.trace = runner.trace();
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  SeedRunner runner;
  ClusterRunOptions options;
  if (!Parse(argc, argv, runner, options)) return 2;
  ClusterRunResult::Counts sum;
  const auto run = [&](std::uint64_t seed, bool again) -> jeton::sim::SeedOutcome {
    ClusterRunOptions one = options;
    one.seed = seed;
    ClusterRunResult result = RunClusterSeed(one);
    if (!again) {
      sum.requests += result.counts.requests;
      sum.acknowledged += result.counts.acknowledged;
      sum.crashes += result.counts.crashes;
      sum.rollbacks += result.counts.rollbacks;
      sum.partitions += result.counts.partitions;
      sum.forgets += result.counts.forgets;
      sum.joins += result.counts.joins;
      sum.replaced += result.counts.replaced;
      sum.disk_failures += result.counts.disk_failures;
      sum.full_disks += result.counts.full_disks;
      sum.rejoined += result.counts.rejoined;
      sum.brought += result.counts.brought;
      sum.begun_again += result.counts.begun_again;
      sum.bytes += result.counts.bytes;
      sum.folded += result.counts.folded;
      sum.virtual_seconds += result.counts.virtual_seconds;
      sum.healing_seconds = std::max(sum.healing_seconds, result.counts.healing_seconds);
    }
    return {result.ok, std::move(result.reason), result.hash, std::move(result.events)};
  };
  return runner.RunAll(run, [&] {
    return fmt::format(
        "{} requests, {} acknowledged, {} crashes, {} older disks, {} full disks, {} failing "
        "syncs, {} partitions, {} forgets, {} replaced, {} rejoined with {} sums, {} of them "
        "again, {} joins, {} "
        "bytes, {} origins folded\n"
        "{:.0f} virtual seconds, healed in {:.1f} at most",
        sum.requests, sum.acknowledged, sum.crashes, sum.rollbacks, sum.full_disks,
        sum.disk_failures, sum.partitions, sum.forgets, sum.replaced, sum.rejoined, sum.brought,
        sum.begun_again, sum.joins, sum.bytes, sum.folded, sum.virtual_seconds,
        sum.healing_seconds);
  });
}
