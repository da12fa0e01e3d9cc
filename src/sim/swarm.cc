#include "sim/swarm.h"

#include <array>
#include <iterator>

#include "base/prng.h"

namespace jeton::sim {
namespace {

constexpr std::array<std::string_view, static_cast<unsigned>(Feature::kCount)> kFeatureNames = {
    "transactions",    "subscriptions", "expiry",      "fractions",     "flushall",
    "bad-requests",    "walks",         "pipelines",   "clock-jumps",   "snapshots",
    "save-points",     "kill",          "power-loss",  "mid-air",       "shutdown",
    "disk-full",       "short-writes",  "sync-errors", "write-errors",  "read-errors",
    "faulty-recovery", "churn",         "slow-log",    "tiny-segments", "tiny-staging",
    "trees",           "long-times",    "big-trees"};

constexpr std::array<std::string_view, static_cast<unsigned>(Canary::kCount)> kCanaryNames = {
    "none",
    "sync-lies",
    "sync-error-hidden",
    "directory-sync-lies",
    "snapshot-unsynced",
    "write-lost",
    "nospace-hidden",
    "rename-lost",
    "early-reply",
    "recovery-forgets",
    "recovery-doubles",
    "recovery-loses-expiry",
    "half-unit",
    "late-clock",
    "tree-forgets-watermark",
    "tree-loses-bucket",
    "half-batch",
    "error-acknowledged"};

template <typename E, std::size_t n>
std::optional<E> ByName(const std::array<std::string_view, n>& names, std::string_view name) {
  for (std::size_t i = 0; i < n; ++i) {
    if (names[i] == name) return static_cast<E>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view NameOf(Feature feature) {
  return kFeatureNames[static_cast<unsigned>(feature)];
}
std::optional<Feature> FeatureByName(std::string_view name) {
  return ByName<Feature>(kFeatureNames, name);
}
std::string_view NameOf(Canary canary) {
  return kCanaryNames[static_cast<unsigned>(canary)];
}
std::optional<Canary> CanaryByName(std::string_view name) {
  return ByName<Canary>(kCanaryNames, name);
}

std::string Swarm::ToText() const {
  constexpr std::string_view kPolicies[] = {"always", "everysec", "no"};
  std::string text = "fsync " + std::string(kPolicies[static_cast<unsigned>(fsync)]) + ", " +
                     std::to_string(workers) + " workers, " + std::to_string(clients) +
                     " clients, " + std::to_string(names) + " names, segments of " +
                     std::to_string(segment_size);
  for (unsigned i = 0; i < static_cast<unsigned>(Feature::kCount); ++i) {
    if (Has(static_cast<Feature>(i))) text.append(" ").append(kFeatureNames[i]);
  }
  return text;
}

Swarm DrawSwarm(std::uint64_t seed, std::uint64_t features_off) {
  Prng prng(seed ^ 0x5eed5a11ULL);
  Swarm swarm;
  // How much of everything: some runs are nearly plain, some have nearly all of it.
  const double density = 0.25 + 0.65 * static_cast<double>(prng.Below(101)) / 100;
  for (unsigned i = 0; i < static_cast<unsigned>(Feature::kCount); ++i) {
    if (prng.Chance(density)) swarm.features |= std::uint64_t{1} << i;
  }
  const std::uint64_t policy = prng.Below(8);
  swarm.fsync = policy < 5   ? command::FsyncPolicy::kAlways
                : policy < 7 ? command::FsyncPolicy::kEverySecond
                             : command::FsyncPolicy::kNo;
  swarm.workers = static_cast<int>(1 + prng.Below(3));
  swarm.clients = static_cast<int>(1 + prng.Below(6));
  swarm.names = static_cast<int>(1 + prng.Below(prng.Chance(0.2) ? 60 : 12));
  swarm.zipf = static_cast<double>(prng.Below(16)) / 10;
  swarm.crash_rate = 0.002 + 0.03 * static_cast<double>(prng.Below(100)) / 100;
  swarm.fault_rate = 0.002 + 0.03 * static_cast<double>(prng.Below(100)) / 100;
  swarm.drop_zeros = prng.Chance(0.75);
  if (swarm.Has(Feature::kBigTrees) && !prng.Chance(0.1)) {
    swarm.features &= ~(std::uint64_t{1} << static_cast<unsigned>(Feature::kBigTrees));
  }
  swarm.tree_share = 0.1 + 0.8 * static_cast<double>(prng.Below(100)) / 100;
  swarm.trees = static_cast<int>(1 + prng.Below(4));
  // 14 November 2023; the nights in which Berlin's and New York's clocks are set back; New Year.
  constexpr WallMs kStarts[] = {1'700'000'000'000, 1'698'500'000'000, 1'699'140'000'000,
                                1'703'980'000'000};
  swarm.start_ms = kStarts[prng.Below(std::size(kStarts))];
  swarm.features &= ~features_off;
  const std::uint64_t segment = std::uint64_t{1024} << prng.Below(5);
  if (swarm.Has(Feature::kTinySegments)) swarm.segment_size = segment;
  const std::uint64_t staged = 64 + prng.Below(1000);
  // The staging buffer overflows in the middle of a turn; where the disk then fails too, nobody
  // outside can say which requests of the turn were refused for it.
  if (swarm.Has(Feature::kTinyStaging) && !swarm.HasDiskFaults()) swarm.staged_bytes_max = staged;
  return swarm;
}

}  // namespace jeton::sim
