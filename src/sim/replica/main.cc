// jeton-replica-sim: runs seeds of the model of replication.
#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "sim/replica/bug_names.h"
#include "sim/replica/model.h"
#include "sim/runner/seed_runner.h"

namespace {

using jeton::sim::ReplicaRunOptions;
using jeton::sim::ReplicaRunResult;
using jeton::sim::SeedRunner;

bool Parse(int argc, char** argv, SeedRunner& runner, ReplicaRunOptions& run) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (runner.Take(argc, argv, i)) continue;
    if (word == "--steps") {
      run.steps = static_cast<int>(SeedRunner::Number(argc, argv, i));
    } else if (word == "--bug" && i + 1 < argc && jeton::sim::PlantBug(run.bugs, argv[i + 1])) {
      ++i;
    } else if (word == "--watch" && i + 1 < argc) {
      run.watch = argv[++i];
    } else if (word == "--no-merges") {
      run.merges = false;
    } else {
      std::fprintf(stderr,
                   "%s: not understood\njeton-replica-sim %s\n                  [--steps N] "
                   "[--bug NAME] [--watch CELL] [--no-merges]\n",
                   word.c_str(), SeedRunner::kUsage);
      return false;
    }
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
