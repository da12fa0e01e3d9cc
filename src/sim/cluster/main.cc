// jeton-cluster-sim: runs seeds of the simulation of a cluster.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "sim/cluster/cluster_simulation.h"

namespace {

using jeton::sim::ClusterRunOptions;
using jeton::sim::ClusterRunResult;

constexpr const char* kUsage =
    "jeton-cluster-sim [--seed N] [--seeds K] [--steps N] [--bug NAME] [--trace] "
    "[--keep-going]\n"
    "                  [--expect-failure] [--check-determinism]\n";

struct Arguments {
  ClusterRunOptions run;
  std::uint64_t seeds = 1;
  bool expect_failure = false;
  bool keep_going = false;
  bool check_determinism = false;
};

volatile std::sig_atomic_t current_seed = 0;

void OnAbort(int) {
  char text[64];
  const int size =
      std::snprintf(text, sizeof text, "aborted in seed %ld\n", static_cast<long>(current_seed));
  if (write(2, text, static_cast<std::size_t>(size)) < 0) _exit(2);
  _exit(1);
}

bool* BugByName(ClusterRunOptions& run, const std::string& name) {
  jeton::engine::ReplicaBugs& bugs = run.bugs;
  const std::map<std::string, bool*> all = {{"partial-cut", &bugs.partial_cut},
                                            {"fold-early", &bugs.fold_early},
                                            {"no-void", &bugs.no_void},
                                            {"no-pending", &bugs.no_pending},
                                            {"no-birth", &bugs.no_birth},
                                            {"free-unstable", &bugs.free_unstable},
                                            {"reuse-origin", &bugs.reuse_origin},
                                            {"node-version", &bugs.node_version},
                                            {"store-estimate", &bugs.store_estimate},
                                            {"publish-early", &run.cluster_bugs.publish_early},
                                            {"row-unsynced", &run.cluster_bugs.row_unsynced},
                                            {"forget-tail", &run.cluster_bugs.forget_tail},
                                            {"lonely-folds", &run.cluster_bugs.lonely_folds},
                                            {"mark-unsynced", &run.cluster_bugs.mark_unsynced}};
  const auto found = all.find(name);
  return found == all.end() ? nullptr : found->second;
}

bool Parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto number = [&]() -> std::uint64_t {
      return i + 1 < argc ? std::strtoull(argv[++i], nullptr, 10) : 0;
    };
    if (word == "--seed") {
      arguments.run.seed = number();
    } else if (word == "--seeds") {
      arguments.seeds = number();
    } else if (word == "--steps") {
      arguments.run.steps = static_cast<int>(number());
    } else if (word == "--bug" && i + 1 < argc && BugByName(arguments.run, argv[i + 1])) {
      *BugByName(arguments.run, argv[++i]) = true;
    } else if (word == "--trace") {
      arguments.run.trace = true;
    } else if (word == "--keep-going") {
      arguments.keep_going = true;
    } else if (word == "--expect-failure") {
      arguments.expect_failure = true;
    } else if (word == "--check-determinism") {
      arguments.check_determinism = true;
    } else {
      std::fprintf(stderr, "%s: not understood\n%s", word.c_str(), kUsage);
      return false;
    }
  }
  return true;
}

int Run(const Arguments& arguments) {
  const auto began = std::chrono::steady_clock::now();
  ClusterRunResult::Counts sum;
  std::uint64_t failed = 0;
  for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
    ClusterRunOptions run = arguments.run;
    run.seed += i;
    current_seed = static_cast<std::sig_atomic_t>(run.seed);
    const ClusterRunResult result = RunClusterSeed(run);
    const auto seed = static_cast<unsigned long long>(run.seed);
    if (arguments.check_determinism && RunClusterSeed(run).hash != result.hash) {
      std::printf("seed %llu: two runs differ\n", seed);
      return 1;
    }
    sum.requests += result.counts.requests;
    sum.acknowledged += result.counts.acknowledged;
    sum.crashes += result.counts.crashes;
    sum.rollbacks += result.counts.rollbacks;
    sum.partitions += result.counts.partitions;
    sum.forgets += result.counts.forgets;
    sum.joins += result.counts.joins;
    sum.bytes += result.counts.bytes;
    sum.folded += result.counts.folded;
    sum.virtual_seconds += result.counts.virtual_seconds;
    sum.healing_seconds = std::max(sum.healing_seconds, result.counts.healing_seconds);
    for (const std::string& event : result.events) std::printf("  %s\n", event.c_str());
    if (result.ok) continue;
    ++failed;
    if (arguments.expect_failure) {
      std::printf("seed %llu fails, as it should: %s\n", seed, result.reason.c_str());
      return 0;
    }
    std::printf("seed %llu: %s\n", seed, result.reason.c_str());
    if (!arguments.keep_going) return 1;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const auto shown = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
  std::printf("%llu seeds from %llu: %llu failed, %.1f seeds/s\n", shown(arguments.seeds),
              shown(arguments.run.seed), shown(failed),
              static_cast<double>(arguments.seeds) / seconds);
  std::printf(
      "%llu requests, %llu acknowledged, %llu crashes, %llu older disks, %llu partitions, "
      "%llu forgets, %llu joins, %llu bytes, %llu origins folded\n"
      "%.0f virtual seconds, healed in %.1f at most\n",
      shown(sum.requests), shown(sum.acknowledged), shown(sum.crashes), shown(sum.rollbacks),
      shown(sum.partitions), shown(sum.forgets), shown(sum.joins), shown(sum.bytes),
      shown(sum.folded), sum.virtual_seconds, sum.healing_seconds);
  return arguments.expect_failure || failed > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, arguments)) return 2;
  std::signal(SIGABRT, OnAbort);
  return Run(arguments);
}
