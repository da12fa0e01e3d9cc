// jeton-replica-sim: runs seeds of the model of replication.
#include <fmt/format.h>

#include <string>

#include "sim/replica/bug_names.h"
#include "sim/replica/model.h"
#include "sim/runner/seed_runner.h"

namespace {

using jeton::sim::ReplicaRunOptions;
using jeton::sim::ReplicaRunResult;
using jeton::sim::SeedRunner;

bool Parse(int argc, char** argv, SeedRunner& runner, ReplicaRunOptions& run) {
  const auto take = [&run](int count, char** words, int& i) {
    const std::string word = words[i];
    const bool more = i + 1 < count;
    if (word == "--steps") {
      run.steps = static_cast<int>(SeedRunner::Number(count, words, i));
    } else if (word == "--watch" && more) {
      run.watch = words[++i];
    } else if (word == "--no-merges") {
      run.merges = false;
    } else {
      return word == "--bug" && more && jeton::sim::PlantBug(run.bugs, words[++i]);
    }
    return true;
  };
  if (!runner.Parse(argc, argv, "jeton-replica-sim",
                    "[--steps N] [--bug NAME] [--watch CELL] [--no-merges]", take)) {
    return false;
  }
  run.trace = runner.trace() || !run.watch.empty();
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  SeedRunner runner;
  ReplicaRunOptions options;
  if (!Parse(argc, argv, runner, options)) return 2;
  ReplicaRunResult::Counts sum;
  const auto run = [&](std::uint64_t seed, bool again) -> jeton::sim::SeedOutcome {
    ReplicaRunOptions one = options;
    one.seed = seed;
    ReplicaRunResult result = RunReplicaSeed(one);
    if (!again) {
      sum.changes += result.counts.changes;
      sum.frames += result.counts.frames;
      sum.crashes += result.counts.crashes;
      sum.lost_records += result.counts.lost_records;
      sum.transfers += result.counts.transfers;
      sum.folded += result.counts.folded;
      sum.merged += result.counts.merged;
      sum.checks += result.counts.checks;
    }
    return {result.ok, std::move(result.reason), result.hash, std::move(result.events)};
  };
  return runner.RunAll(run, [&] {
    return fmt::format(
        "{} changes, {} frames ({} merged), {} crashes, {} records lost, {} transfers, {} origins "
        "folded, {} checks",
        sum.changes, sum.frames, sum.merged, sum.crashes, sum.lost_records, sum.transfers,
        sum.folded, sum.checks);
  });
}
