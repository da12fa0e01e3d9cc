// jeton-replica-sim: runs seeds of the model of replication.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "sim/replica/model.h"

namespace {

using jeton::sim::ReplicaRunOptions;
using jeton::sim::ReplicaRunResult;

constexpr const char* kUsage =
    "jeton-replica-sim [--seed N] [--seeds K] [--steps N] [--bug NAME] [--trace] [--watch CELL] "
    "[--keep-going]\n"
    "                  [--expect-failure] [--check-determinism] [--no-merges]\n";

struct Arguments {
  ReplicaRunOptions run;
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

bool* BugByName(jeton::engine::ReplicaBugs& bugs, const std::string& name) {
  const std::map<std::string, bool*> all = {{"partial-cut", &bugs.partial_cut},
                                            {"fold-early", &bugs.fold_early},
                                            {"no-void", &bugs.no_void},
                                            {"no-pending", &bugs.no_pending},
                                            {"no-birth", &bugs.no_birth},
                                            {"free-unstable", &bugs.free_unstable},
                                            {"reuse-origin", &bugs.reuse_origin},
                                            {"node-version", &bugs.node_version},
                                            {"store-estimate", &bugs.store_estimate}};
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
    } else if (word == "--bug" && i + 1 < argc && BugByName(arguments.run.bugs, argv[i + 1])) {
      *BugByName(arguments.run.bugs, argv[++i]) = true;
    } else if (word == "--watch" && i + 1 < argc) {
      arguments.run.watch = argv[++i];
      arguments.run.trace = true;
    } else if (word == "--no-merges") {
      arguments.run.merges = false;
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
  ReplicaRunResult::Counts sum;
  std::uint64_t failed = 0;
  for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
    ReplicaRunOptions run = arguments.run;
    run.seed += i;
    current_seed = static_cast<std::sig_atomic_t>(run.seed);
    const ReplicaRunResult result = RunReplicaSeed(run);
    const auto seed = static_cast<unsigned long long>(run.seed);
    if (arguments.check_determinism && RunReplicaSeed(run).hash != result.hash) {
      std::printf("seed %llu: two runs differ\n", seed);
      return 1;
    }
    sum.changes += result.counts.changes;
    sum.frames += result.counts.frames;
    sum.crashes += result.counts.crashes;
    sum.lost_records += result.counts.lost_records;
    sum.transfers += result.counts.transfers;
    sum.folded += result.counts.folded;
    sum.merged += result.counts.merged;
    sum.checks += result.counts.checks;
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
      "%llu changes, %llu frames (%llu merged), %llu crashes, %llu records lost, %llu transfers, "
      "%llu origins "
      "folded, %llu checks\n",
      shown(sum.changes), shown(sum.frames), shown(sum.merged), shown(sum.crashes),
      shown(sum.lost_records), shown(sum.transfers), shown(sum.folded), shown(sum.checks));
  return arguments.expect_failure || failed > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, arguments)) return 2;
  std::signal(SIGABRT, OnAbort);
  return Run(arguments);
}
