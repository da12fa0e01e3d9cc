// jeton-sim: runs seeds of the simulator.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/text.h"
#include "sim/simulation.h"

namespace {

using jeton::sim::Canary;
using jeton::sim::Feature;
using jeton::sim::RunOptions;
using jeton::sim::RunResult;

constexpr const char* kUsage =
    "jeton-sim [--seed N] [--seeds K] [--steps N] [--without FEATURE]... [--canary NAME]\n"
    "          [--trace] [--minimise] [--expect-failure] [--check-determinism] [--list]\n";

constexpr std::size_t kEventsShown = 60;

struct Arguments {
  RunOptions run;
  std::uint64_t seeds = 1;
  bool minimise = false;
  bool expect_failure = false;
  bool check_determinism = false;
  bool list = false;
};

// Only for the signal handler: an ASSERT in the node ends this process, and the seed must be known.
volatile std::sig_atomic_t current_seed = 0;

void OnAbort(int) {
  char text[64] = "aborted in seed ";
  std::size_t end = 16;
  char digits[24];
  std::size_t n = 0;
  for (auto seed = static_cast<unsigned long>(current_seed); n == 0 || seed != 0; seed /= 10) {
    digits[n++] = static_cast<char>('0' + seed % 10);
  }
  while (n > 0) text[end++] = digits[--n];
  text[end++] = '\n';
  if (write(2, text, end) < 0) _exit(2);
  _exit(1);
}

bool Parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto number = [&]() -> std::uint64_t {
      return i + 1 < argc ? std::strtoull(argv[++i], nullptr, 10) : 0;
    };
    const std::string next = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--seed") {
      arguments.run.seed = number();
    } else if (word == "--seeds") {
      arguments.seeds = number();
    } else if (word == "--steps") {
      arguments.run.steps = static_cast<int>(number());
    } else if (word == "--without" && jeton::sim::FeatureByName(next)) {
      arguments.run.features_off |= std::uint64_t{1}
                                    << static_cast<unsigned>(*jeton::sim::FeatureByName(next));
      ++i;
    } else if (word == "--canary" && jeton::sim::CanaryByName(next)) {
      arguments.run.canary = *jeton::sim::CanaryByName(next);
      ++i;
    } else if (word == "--trace") {
      arguments.run.trace = true;
    } else if (word == "--minimise") {
      arguments.minimise = true;
    } else if (word == "--expect-failure") {
      arguments.expect_failure = true;
    } else if (word == "--check-determinism") {
      arguments.check_determinism = true;
    } else if (word == "--list") {
      arguments.list = true;
    } else {
      std::fprintf(stderr, "%s: not understood\n%s", word.c_str(), kUsage);
      return false;
    }
  }
  return true;
}

std::string CommandLine(const RunOptions& run) {
  std::string text =
      "jeton-sim --seed " + std::to_string(run.seed) + " --steps " + std::to_string(run.steps);
  for (unsigned i = 0; i < static_cast<unsigned>(Feature::kCount); ++i) {
    if ((run.features_off >> i & 1) == 0) continue;
    text += " --without " + std::string(NameOf(static_cast<Feature>(i)));
  }
  if (run.canary != Canary::kNone) text += " --canary " + std::string(NameOf(run.canary));
  return text;
}

void Report(RunOptions run, const RunResult& result) {
  const bool asked_for_trace = run.trace;
  run.trace = true;
  const RunResult traced = RunSeed(run);
  std::printf("%s\n", jeton::sim::DrawSwarm(run.seed, run.features_off).ToText().c_str());
  // A trace that was asked for is shown as far as it was kept.
  const std::size_t count = traced.last_events.size();
  const std::size_t shown = asked_for_trace ? count : std::min(count, kEventsShown);
  for (std::size_t i = count - shown; i < count; ++i) {
    std::printf("  %s\n", jeton::QuoteForLog(traced.last_events[i]).c_str());
  }
  std::printf("seed %llu failed at step %d: %s\n  %s --trace\n",
              static_cast<unsigned long long>(run.seed), result.failed_at, result.reason.c_str(),
              CommandLine(run).c_str());
}

// Fewer steps, then fewer features, as long as it still fails.
RunOptions Minimise(RunOptions run, RunResult result) {
  const auto fails = [&](const RunOptions& tried) {
    const RunResult now = RunSeed(tried);
    if (!now.ok) result = now;
    return !now.ok;
  };
  for (int round = 0; round < 3; ++round) {
    for (unsigned i = 0; i < static_cast<unsigned>(Feature::kCount); ++i) {
      RunOptions tried = run;
      tried.features_off |= std::uint64_t{1} << i;
      if (tried.features_off != run.features_off && fails(tried)) run = tried;
    }
    for (int cut = run.steps / 2; cut > 0; cut /= 2) {
      RunOptions tried = run;
      tried.steps = std::min(result.failed_at, run.steps) - cut;
      while (tried.steps > 0 && fails(tried)) {
        run = tried;
        tried.steps -= cut;
      }
    }
  }
  return run;
}

int Run(const Arguments& arguments) {
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t hash = 0;
  RunResult::Counts sum;
  for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
    RunOptions run = arguments.run;
    run.seed += i;
    current_seed = static_cast<std::sig_atomic_t>(run.seed);
    const RunResult result = RunSeed(run);
    hash = hash * 31 + result.hash;
    sum.requests += result.counts.requests;
    sum.replies += result.counts.replies;
    sum.crashes += result.counts.crashes;
    sum.recoveries += result.counts.recoveries;
    sum.failed_recoveries += result.counts.failed_recoveries;
    sum.disk_failures += result.counts.disk_failures;
    sum.full_disks += result.counts.full_disks;
    sum.snapshots += result.counts.snapshots;
    sum.lost_steps += result.counts.lost_steps;
    sum.sliced += result.counts.sliced;
    if (arguments.check_determinism && RunSeed(run).hash != result.hash) {
      std::printf("seed %llu: two runs differ\n", static_cast<unsigned long long>(run.seed));
      return 1;
    }
    if (arguments.run.trace && result.ok) {
      for (const std::string& event : result.last_events) {
        std::printf("  %s\n", jeton::QuoteForLog(event).c_str());
      }
    }
    if (result.ok) continue;
    if (arguments.expect_failure) {
      std::printf("seed %llu fails, as it should: %s\n", static_cast<unsigned long long>(run.seed),
                  result.reason.c_str());
      return 0;
    }
    Report(arguments.minimise ? Minimise(run, result) : run, result);
    return 1;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%llu seeds from %llu: all well, trace hash %016llx, %.1f seeds/s\n",
              static_cast<unsigned long long>(arguments.seeds),
              static_cast<unsigned long long>(arguments.run.seed),
              static_cast<unsigned long long>(hash),
              static_cast<double>(arguments.seeds) / seconds);
  const auto shown = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
  std::printf(
      "%llu requests, %llu replies, %llu crashes, %llu recoveries (%llu failed), "
      "%llu disk failures, %llu full disks, %llu snapshots, %llu unpromised changes lost, "
      "%llu queries in slices\n",
      shown(sum.requests), shown(sum.replies), shown(sum.crashes), shown(sum.recoveries),
      shown(sum.failed_recoveries), shown(sum.disk_failures), shown(sum.full_disks),
      shown(sum.snapshots), shown(sum.lost_steps), shown(sum.sliced));
  return arguments.expect_failure ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, arguments)) return 2;
  std::signal(SIGABRT, OnAbort);
  if (arguments.list) {
    for (unsigned i = 1; i < static_cast<unsigned>(Canary::kCount); ++i) {
      std::printf("%s\n", std::string(NameOf(static_cast<Canary>(i))).c_str());
    }
    return 0;
  }
  return Run(arguments);
}
