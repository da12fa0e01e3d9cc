// SeedRunner: what the programs that run seeds of a simulation share: their options, the loop over
// the seeds, and what a failure is told with. An ASSERT in a seed ends the process with the seed's
// number.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

namespace jeton::sim {

struct SeedOutcome {
  bool ok = true;
  std::string reason;
  std::uint64_t hash = 0;  // of everything that happened
  std::deque<std::string> events;
};

class SeedRunner {
 public:
  // Runs one seed, adds its counts to the caller's sums unless `again`, and tells how it went.
  using Run = std::function<SeedOutcome(std::uint64_t seed, bool again)>;

  // Takes the option at argv[i] and moves i to its last word; false if it does not know it.
  using TakeOption = std::function<bool(int argc, char** argv, int& i)>;

  // Reads the options that all programs have, and the program's own with `take`. Says on stderr
  // which word is not understood, with the usage: `more_usage` is of the program's own options.
  bool Parse(int argc, char** argv, const char* program, const char* more_usage,
             const TakeOption& take);
  // The number behind argv[i]; moves i to it.
  static std::uint64_t Number(int argc, char** argv, int& i);

  bool trace() const { return trace_; }
  // The exit code. `summary` is asked for after the last seed.
  int RunAll(const Run& run, const std::function<std::string()>& summary) const;

 private:
  bool Take(int argc, char** argv, int& i);

  std::uint64_t seed_ = 1;
  std::uint64_t seeds_ = 1;
  bool trace_ = false;
  bool keep_going_ = false;
  bool expect_failure_ = false;
  bool check_determinism_ = false;
};

}  // namespace jeton::sim
