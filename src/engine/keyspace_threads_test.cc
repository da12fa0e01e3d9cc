// Several threads on one keyspace, as workers are: they fetch ahead without a lock and change under
// the partitions' locks, while tables grow, shrink and give their blocks back. For ThreadSanitizer
// above all.
#include <gtest/gtest.h>

#include <array>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/prng.h"
#include "engine/keyspace.h"
#include "engine/unit.h"

namespace jeton::engine {
namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kLasting = 500;
constexpr std::size_t kComing = 5500;    // these come and go
constexpr unsigned kPartitionsUsed = 4;  // few, so that their tables split and merge
constexpr int kBatches = 400;
constexpr int kPhase = 100;  // batches in which names come; in the next so many they go

// So many names of the partitions that are used.
std::vector<std::string> FindNames(const Keyspace& keyspace) {
  std::vector<std::string> names;
  for (std::uint64_t i = 0; names.size() < kLasting + kComing; ++i) {
    std::string name = "articles:" + std::to_string(i);
    if (Keyspace::PartitionOf(keyspace.MakeKey(name)) < kPartitionsUsed)
      names.push_back(std::move(name));
  }
  return names;
}

void Increment(Keyspace& keyspace, Unit& unit, const Key& key) {
  const std::lock_guard guard(keyspace.LockOf(Keyspace::PartitionOf(key)));
  if (const CounterPlace place = keyspace.FindInteger(key, 0)) {
    unit.PutInteger(key, place, *place + 1, 1);
  } else {
    unit.Add(key, 1, 1);
  }
  unit.Clear();
}

void ComeOrGo(Keyspace& keyspace, Unit& unit, const Key& key, bool come) {
  const std::lock_guard guard(keyspace.LockOf(Keyspace::PartitionOf(key)));
  const bool there = keyspace.Find(key, 0).has_value();
  if (come && !there) unit.Put(key, 7, 7);
  if (!come && there) unit.Drop(key);
  unit.Clear();
}

// How many increments of lasting counters it made.
std::uint64_t Work(Keyspace& keyspace, WatchTable& watches, const std::vector<std::string>& names,
                   std::uint64_t seed) {
  Unit unit(keyspace, watches);
  Prng prng(seed);
  std::array<Key, kBatch> keys;
  std::uint64_t increments = 0;
  for (int batch = 0; batch < kBatches; ++batch) {
    const bool come = batch / kPhase % 2 == 0;
    for (std::size_t i = 0; i < kBatch; ++i) {
      const bool lasting = i % 4 == 0;
      keys[i] =
          keyspace.MakeKey(names[lasting ? prng.Below(kLasting) : kLasting + prng.Below(kComing)]);
    }
    keyspace.Prefetch(keys);
    for (std::size_t i = 0; i < kBatch; ++i) {
      if (i % 4 == 0) {
        Increment(keyspace, unit, keys[i]);
        ++increments;
      } else {
        ComeOrGo(keyspace, unit, keys[i], come);
      }
    }
  }
  return increments;
}

TEST(KeyspaceThreads, NoIncrementIsLost) {
  Keyspace keyspace({.hash_seed = 5});
  WatchTable watches;
  const std::vector<std::string> names = FindNames(keyspace);
  std::array<std::uint64_t, 3> made{};
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < made.size(); ++t) {
      threads.emplace_back([&, t] { made[t] = Work(keyspace, watches, names, t + 1); });
    }
  }
  std::uint64_t found = 0;
  for (std::size_t i = 0; i < kLasting; ++i) {
    const auto entry = keyspace.Find(keyspace.MakeKey(names[i]), 0);
    if (entry) found += static_cast<std::uint64_t>(entry->value.Int64());
  }
  EXPECT_EQ(found, made[0] + made[1] + made[2]);
}

}  // namespace
}  // namespace jeton::engine
