// Loading and replaying in bulk end at what applying one after the other ends at.
#include "engine/replay.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/prng.h"
#include "engine/loader.h"
#include "engine/tree.h"
#include "engine/unit.h"

namespace jeton::engine {
namespace {

constexpr WallMs kNow = 0;

// What a snapshot holds, by partition.
using Snapshot = std::map<Keyspace::PartitionId, std::vector<std::string>>;

Snapshot Encode(Keyspace& keyspace) {
  Snapshot snapshot;
  for (Keyspace::PartitionId id = 0; id < Keyspace::kPartitions; ++id) {
    Keyspace::SliceCursor cursor;
    while (!cursor.done) {
      keyspace.EncodeSlice(id, cursor, 1000,
                           [&](std::string_view record) { snapshot[id].emplace_back(record); });
    }
  }
  return snapshot;
}

class ReplayTest : public ::testing::Test {
 protected:
  // So many commands about counters and trees, mixed in one unit now and then.
  void Run(int commands, std::uint64_t names) {
    for (int i = 0; i < commands; ++i) {
      const std::string name = "n" + std::to_string(prng_.Below(names));
      const Key key = keyspace_.MakeKey(name);
      Change(key, static_cast<std::int64_t>(prng_.Next()) >> prng_.Below(64));
      if (prng_.Chance(0.2)) continue;  // the next command belongs to this unit
      Log();
    }
    Log();
  }

  void Log() {
    units_.push_back(unit_.bytes());
    unit_.Clear();
  }

  void Change(const Key& key, std::int64_t value) {
    const bool is_tree = keyspace_.FindTree(key, kNow) != nullptr;
    if (prng_.Chance(0.05)) return unit_.Drop(key);
    if (prng_.Chance(0.02)) return unit_.Expire(key, 1 << 30);
    if (!is_tree && prng_.Chance(0.8)) return unit_.Put(key, value, 1);
    if (!is_tree) unit_.CreateTree(key, {});
    Tree& tree = *keyspace_.FindTree(key, kNow);
    for (std::uint64_t k = prng_.Below(4); k > 0; --k) {
      const std::string text = std::to_string(k);
      unit_.SetBucket(key, tree, tree.MakeKey(text), 20'000 + prng_.Between(-3, 3), value);
    }
  }

  Keyspace keyspace_{{.hash_seed = 17}};
  WatchTable watches_;
  Unit unit_{keyspace_, watches_};
  Prng prng_{5};
  std::vector<std::string> units_;
  TurnLock turn_lock_;  // of who rebuilds
};

TEST_F(ReplayTest, EndsAtTheSameWhateverTheThreads) {
  Run(40'000, 900);
  for (const int threads : {1, 3}) {
    Keyspace rebuilt({.hash_seed = 17});
    Replay replay(rebuilt, turn_lock_, kNow, threads);
    for (const std::string& unit : units_) ASSERT_TRUE(replay.Add(unit));
    replay.Flush();
    EXPECT_EQ(Encode(rebuilt), Encode(keyspace_)) << threads << " threads";
  }
}

TEST_F(ReplayTest, FlushAllComesInItsPlace) {
  Run(500, 50);
  unit_.Flush();
  Log();
  Run(100, 50);
  Keyspace rebuilt({.hash_seed = 17});
  Replay replay(rebuilt, turn_lock_, kNow, 2);
  for (const std::string& unit : units_) ASSERT_TRUE(replay.Add(unit));
  replay.Flush();
  EXPECT_EQ(Encode(rebuilt), Encode(keyspace_));
}

// Workers parse requests, and fetch ahead what these name, before they say that data is loaded. For
// the sanitizers.
TEST_F(ReplayTest, ClearsNoTableThatAWorkerFetchesFrom) {
  Keyspace rebuilt({.hash_seed = 17});
  std::vector<std::string> names;
  for (int i = 0; i < 50; ++i) names.push_back("n" + std::to_string(i));
  for (int round = 0; round < 100; ++round) {
    for (const std::string& name : names) unit_.Put(keyspace_.MakeKey(name), round, round);
    unit_.Flush();
    Log();
  }
  std::atomic<bool> done{false};
  std::jthread worker([&] {
    std::vector<Key> keys;
    while (!done.load()) {
      keys.clear();
      for (const std::string& name : names) keys.push_back(rebuilt.MakeKey(name));
      const std::shared_lock turn(turn_lock_);
      rebuilt.Prefetch(keys);
    }
  });
  Replay replay(rebuilt, turn_lock_, kNow, 1);
  for (const std::string& unit : units_) EXPECT_TRUE(replay.Add(unit));
  replay.Flush();
  done.store(true);
  worker.join();
  EXPECT_EQ(rebuilt.size(kNow), 0);
}

TEST_F(ReplayTest, RefusesBytesThatDoNotDecode) {
  unit_.Put(keyspace_.MakeKey("a"), 5, 5);
  const std::string good = unit_.bytes();
  Keyspace rebuilt({.hash_seed = 17});
  Replay replay(rebuilt, turn_lock_, kNow, 1);
  const std::string bad = good + "\xff";
  EXPECT_FALSE(replay.Add(bad));
  replay.Flush();
  EXPECT_EQ(rebuilt.size(kNow), 1);
}

TEST_F(ReplayTest, ASnapshotLoadsByPartitions) {
  Run(1'000, 300);
  // One partition with far more names than a table's first segment has room for.
  for (int i = 0, put = 0; put < 3'000; ++i) {
    const std::string name = "x" + std::to_string(i);
    const Key key = keyspace_.MakeKey(name);
    if (Keyspace::PartitionOf(key) != 3) continue;
    unit_.Put(key, i, i);
    ++put;
  }
  const Snapshot snapshot = Encode(keyspace_);
  Keyspace rebuilt({.hash_seed = 17});
  for (const auto& [id, records] : snapshot) {
    Loader loader(rebuilt, kNow, id, records.size());
    for (const std::string& record : records) ASSERT_TRUE(loader.Apply(record));
    loader.Flush();
  }
  EXPECT_EQ(Encode(rebuilt), snapshot);
  EXPECT_LT(rebuilt.used_bytes(), keyspace_.used_bytes() * 5 / 4);
}

TEST_F(ReplayTest, APartitionTakesNoOtherNames) {
  const Key key = keyspace_.MakeKey("a");
  unit_.Put(key, 5, 5);
  unit_.CreateTree(keyspace_.MakeKey("t"), {});
  const Keyspace::PartitionId other = (Keyspace::PartitionOf(key) + 1) % Keyspace::kPartitions;
  Keyspace rebuilt({.hash_seed = 17});
  Loader loader(rebuilt, kNow, other, 1);
  EXPECT_FALSE(loader.Apply(unit_.bytes()));
  unit_.Clear();
  unit_.Flush();
  EXPECT_FALSE(loader.Apply(unit_.bytes()));
  loader.Flush();
  EXPECT_EQ(rebuilt.size(kNow), 0);
}

}  // namespace
}  // namespace jeton::engine
