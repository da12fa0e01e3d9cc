#include "sim/runner/seed_runner.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace jeton::sim {

namespace {

// Only for the signal handler: an ASSERT ends this process, and the seed must be known.
volatile std::sig_atomic_t current_seed = 0;

void OnAbort(int) {
  char text[64];
  const int size =
      std::snprintf(text, sizeof text, "aborted in seed %ld\n", static_cast<long>(current_seed));
  if (write(2, text, static_cast<std::size_t>(size)) < 0) _exit(2);
  _exit(1);
}

constexpr const char* kUsage =
    "[--seed N] [--seeds K] [--trace] [--keep-going] [--expect-failure] [--check-determinism]";

unsigned long long Shown(std::uint64_t number) {
  return static_cast<unsigned long long>(number);
}

}  // namespace

std::uint64_t SeedRunner::Number(int argc, char** argv, int& i) {
  return i + 1 < argc ? std::strtoull(argv[++i], nullptr, 10) : 0;
}

bool SeedRunner::Take(int argc, char** argv, int& i) {
  const std::string word = argv[i];
  if (word == "--seed") {
    seed_ = Number(argc, argv, i);
  } else if (word == "--seeds") {
    seeds_ = Number(argc, argv, i);
  } else if (word == "--trace") {
    trace_ = true;
  } else if (word == "--keep-going") {
    keep_going_ = true;
  } else if (word == "--expect-failure") {
    expect_failure_ = true;
  } else if (word == "--check-determinism") {
    check_determinism_ = true;
  } else {
    return false;
  }
  return true;
}

bool SeedRunner::Parse(int argc, char** argv, const char* program, const char* more_usage,
                       const TakeOption& take) {
  for (int i = 1; i < argc; ++i) {
    if (Take(argc, argv, i) || take(argc, argv, i)) continue;
    std::fprintf(stderr, "%s: not understood\n%s %s\n    %s\n", argv[i], program, kUsage,
                 more_usage);
    return false;
  }
  return true;
}

int SeedRunner::RunAll(const Run& run, const std::function<std::string()>& summary) const {
  std::signal(SIGABRT, OnAbort);
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t failed = 0;
  for (std::uint64_t seed = seed_; seed < seed_ + seeds_; ++seed) {
    current_seed = static_cast<std::sig_atomic_t>(seed);
    const SeedOutcome outcome = run(seed, false);
    if (check_determinism_ && run(seed, true).hash != outcome.hash) {
      std::printf("seed %llu: two runs differ\n", Shown(seed));
      return 1;
    }
    for (const std::string& event : outcome.events) std::printf("  %s\n", event.c_str());
    if (outcome.ok) continue;
    ++failed;
    std::printf("seed %llu%s: %s\n", Shown(seed), expect_failure_ ? " fails, as it should" : "",
                outcome.reason.c_str());
    if (expect_failure_) return 0;
    if (!keep_going_) return 1;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%llu seeds from %llu: %llu failed, %.1f seeds/s\n%s\n", Shown(seeds_), Shown(seed_),
              Shown(failed), static_cast<double>(seeds_) / seconds, summary().c_str());
  return expect_failure_ || failed > 0 ? 1 : 0;
}

}  // namespace jeton::sim
