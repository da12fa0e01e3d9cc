// What is kept beside a keyspace: it is all accounted, and given back.
#include "engine/shared_state.h"

#include <gtest/gtest.h>

#include "engine/replica_site.h"

namespace jeton::engine {
namespace {

class SharedPartitionTest : public testing::Test {
 protected:
  Key KeyOf(std::string_view name) const { return {.name = name, .hash = HashBytes(name, 7)}; }

  BlockPool pool_;
  SharedPartition partition_{pool_, 7};
};

TEST_F(SharedPartitionTest, GivesBackWhatANameTook) {
  const std::string long_name(1000, 'x');
  for (const std::string& name : {std::string("n"), long_name}) {
    SharedName& made = partition_.Make(KeyOf(name));
    EXPECT_EQ(made.name(), name);
    EXPECT_EQ(&partition_.Make(KeyOf(name)), &made);
    SharedCell& cell = partition_.MakeCounter(made);
    {
      const SharedPartition::Change change(partition_, cell.cell);
      for (crdt::OriginIndex o = 0; o < 3; ++o) cell.cell.PutEntry({.origin = o, .sum = 1});
    }
    partition_.MakeAttributes(made);
    SharedTree& tree = partition_.MakeTree(made);
    for (Bucket bucket = 0; bucket < 5; ++bucket) {
      partition_.MakeBucket(tree, "a key that takes a piece of its own", bucket);
    }
    EXPECT_GT(partition_.other_bytes(), 500u);
    tree.facts.watermark = 3;
    partition_.TrimTree(tree);
    EXPECT_EQ(partition_.Release(1000), 2u);
    partition_.EraseBucket(tree, tree.keys.begin(), 4);
    partition_.MakeBucket(tree, "k", 9);
    partition_.ClearTree(tree);
    EXPECT_EQ(partition_.Release(1000), 2u);
    EXPECT_EQ(partition_.Release(1000), 0u);
    partition_.DropAttributes(made);
    partition_.DropCounter(made);
  }
  // A tree's facts are kept for ever.
  EXPECT_FALSE(partition_.Find(KeyOf("n"))->empty());
  partition_.Clear();
  EXPECT_EQ(partition_.other_bytes(), 0u);
}

TEST_F(SharedPartitionTest, AHugeTreeIsReleasedInSlices) {
  SharedTree& tree = partition_.MakeTree(partition_.Make(KeyOf("t")));
  constexpr int kKeys = 10'000;
  for (int i = 0; i < kKeys; ++i) {
    partition_.MakeBucket(tree, std::to_string(i), 1);
    partition_.MakeBucket(tree, std::to_string(i), 2);
  }
  const std::uint64_t full = partition_.other_bytes();
  tree.facts.watermark = 2;
  partition_.TrimTree(tree);
  EXPECT_EQ(partition_.Release(100), 100u);
  const std::uint64_t less = partition_.other_bytes();
  EXPECT_LT(less, full);
  tree.facts.watermark = 3;  // on the way
  partition_.TrimTree(tree);
  std::size_t slices = 0;
  while (partition_.Release(100) > 0) ++slices;
  EXPECT_GE(slices, kKeys / 100 - 1u);
  EXPECT_TRUE(tree.keys.empty());
  for (int i = 0; i < kKeys; ++i) partition_.MakeBucket(tree, std::to_string(i), 4);
  partition_.ClearTree(tree);
  EXPECT_TRUE(tree.keys.empty());
  for (slices = 0; partition_.Release(100) > 0;) ++slices;
  EXPECT_EQ(slices, kKeys / 100);
}

TEST_F(SharedPartitionTest, ANameThatWaitsForAFrameStaysUntilItIsCut) {
  const Key key = KeyOf("n");
  SharedName& name = partition_.Make(key);
  EXPECT_TRUE(partition_.MarkDirty(name));
  EXPECT_FALSE(partition_.MarkDirty(name));
  partition_.EraseIfEmpty(key);
  ASSERT_EQ(partition_.Find(key), &name);
  partition_.Clean();
  EXPECT_EQ(partition_.Find(key), nullptr);
  EXPECT_EQ(partition_.other_bytes(), 0u);
}

TEST(SharedState, IsPartOfTheMemoryOfTheKeyspace) {
  ReplicaSite a(1, true), b(2, true);
  constexpr int kCounters = 20'000;
  for (int i = 0; i < kCounters; ++i) a.Add("counter:" + std::to_string(i), 1);
  const std::uint64_t alone = a.keyspace().used_bytes();
  for (int i = 0; i < kCounters; ++i) b.Add("counter:" + std::to_string(i), 1);
  for (const std::string& frame : b.CutAll()) ASSERT_EQ(a.Take(frame), Replica::Outcome::kApplied);
  const std::uint64_t both = a.keyspace().used_bytes();
  EXPECT_GT(both - alone, kCounters * 100u);
  EXPECT_LT(both - alone, kCounters * 300u);
  a.unit().Flush();
  a.Commit();
  a.Cut(true);
  EXPECT_LT(a.keyspace().used_bytes(), alone);
}

// A walk over a tree that is larger than one slice goes on where it was.
TEST(SharedState, ASweepOfAHugeTreeGoesInSlices) {
  ReplicaSite b(2);
  constexpr int kKeys = 2 * static_cast<int>(Replica::kSweepCells) + 100;
  for (int i = 0; i < kKeys; ++i) b.AddToTree("t", "key:" + std::to_string(i), 1, 5);
  while (!b.CutAll().empty()) {
  }
  Tree* tree = b.keyspace().FindTree(b.KeyOf("t"), ReplicaSite::kNow);
  for (int i = 0; i < kKeys; ++i) {
    b.unit().ResetKey(b.KeyOf("t"), *tree, tree->MakeKey("key:" + std::to_string(i)));
    b.Commit();
  }
  std::string log;
  int calls = 0;
  b.replica().SetMembers({NodeId{2}});
  const auto left = [&] {
    std::size_t entries = 0;
    for (const auto& [origin, hash] : b.replica().DigestAll()) entries += hash != 0;
    return entries;
  };
  ASSERT_GT(left(), 0u);
  for (; left() > 0 && calls < 8 * static_cast<int>(Keyspace::kPartitions); ++calls) {
    b.Cut(true);
    b.replica().FreeSome(log);
    b.Append(log);
  }
  // Three slices to mark, three to free, and the other partitions in between.
  EXPECT_GT(calls, 5);
  EXPECT_EQ(left(), 0u);
}

}  // namespace
}  // namespace jeton::engine
