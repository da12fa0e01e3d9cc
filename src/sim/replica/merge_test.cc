// Merged frames say what the frames say one by one, wherever their receiver is.
#include <gtest/gtest.h>

#include "base/prng.h"
#include "engine/frame_merge.h"
#include "sim/replica/ledger.h"
#include "sim/replica/model_changes.h"
#include "sim/replica/model_node.h"

namespace jeton::sim {
namespace {

using engine::MergeFrames;
using engine::Replica;

NodeId NodeOf(std::uint8_t n) {
  NodeId id{};
  id[0] = n;
  return id;
}

OriginId OriginOf(std::uint8_t n) {
  OriginId id{};
  id[5] = n;
  return id;
}

// One node that writes, and receivers that take its frames in different ways.
class World {
 public:
  explicit World(std::uint64_t seed) : prng_(seed), ledger_(ModelCells()) {
    std::vector<NodeId> members;
    for (std::uint8_t n = 1; n <= 3; ++n) members.push_back(NodeOf(n));
    for (std::uint8_t n = 1; n <= 3; ++n) {
      nodes_.push_back(
          std::make_unique<ModelNode>(ModelNode::Options{.id = NodeOf(n), .hash_seed = seed + n}));
      nodes_.back()->set_now(1'700'000'000'000);
      nodes_.back()->BeginAlone(OriginOf(n), 0, members);
    }
    origin_ = ledger_.AddOrigin(OriginOf(1));
  }

  void Write(std::size_t frames) {
    const ChangeWeights weights = DrawChangeWeights(prng_);
    for (std::size_t i = 0; i < frames; ++i) {
      for (auto ops = prng_.Below(6); ops > 0; --ops) {
        ChangeContext context{writer(), ledger_, origin_, prng_};
        ChangeSomething(context, weights);
        ledger_.Logged(origin_, writer().Commit());
      }
      writer().Cut(prng_.Chance(0.2));
    }
  }
  const std::vector<StoredFrame>& frames() { return writer().frames()[OriginOf(1)]; }
  // Frames [begin, end) in one.
  StoredFrame Merged(std::size_t begin, std::size_t end) {
    std::vector<std::string_view> run;
    for (std::size_t i = begin; i < end; ++i) run.push_back(*frames()[i].bytes);
    auto merged = MergeFrames(run);
    EXPECT_EQ(merged.count, run.size());
    if (run.size() < 2) return frames()[begin];
    return {.from = frames()[begin].from,
            .to = frames()[end - 1].to,
            .bytes = std::make_shared<const std::string>(std::move(merged.bytes))};
  }
  void ExpectSame() {
    EXPECT_EQ(plain().replica().applied(), merging().replica().applied());
    EXPECT_EQ(plain().replica().DigestAll(), merging().replica().DigestAll());
    EXPECT_EQ(plain().replica().rows(), merging().replica().rows());
    for (const LedgerCell& cell : ModelCells()) {
      EXPECT_EQ(ShownValue(plain(), cell), ShownValue(merging(), cell)) << cell.name;
    }
    EXPECT_EQ(DifferentAttributes(plain(), merging()), "");
  }

  ModelNode& writer() { return *nodes_[0]; }
  ModelNode& plain() { return *nodes_[1]; }
  ModelNode& merging() { return *nodes_[2]; }
  Prng& prng() { return prng_; }

 private:
  Prng prng_;
  Ledger ledger_;
  std::vector<std::unique_ptr<ModelNode>> nodes_;
  int origin_ = 0;
};

TEST(MergeFrames, SaysTheSameAsTheFramesOneByOne) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    world.Write(20);
    const std::size_t count = world.frames().size();
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(world.plain().Receive(world.frames()[i]), Replica::Outcome::kApplied);
    }
    std::size_t next = 0;
    while (next < count) {
      // It may begin with what the receiver has.
      const std::size_t begin = next - world.prng().Below(std::min<std::size_t>(next, 4) + 1);
      const std::size_t end = next + 1 + world.prng().Below(count - next);
      ASSERT_EQ(world.merging().Receive(world.Merged(begin, end)), Replica::Outcome::kApplied);
      next = end;
    }
    world.ExpectSame();
    if (testing::Test::HasFailure()) return;
  }
}

TEST(MergeFrames, MayBeMergedAgain) {
  for (std::uint64_t seed = 1000; seed <= 1050; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    world.Write(12);
    const std::size_t count = world.frames().size();
    for (const StoredFrame& frame : world.frames()) world.plain().Receive(frame);
    if (count < 4) continue;
    const StoredFrame first = world.Merged(0, count / 2), second = world.Merged(count / 2, count);
    const std::string_view both[] = {*first.bytes, *second.bytes};
    auto merged = MergeFrames(both);
    ASSERT_EQ(merged.count, 2u);
    // Somebody who has all but the last frame.
    for (std::size_t i = 0; i + 1 < count; ++i) world.merging().Receive(world.frames()[i]);
    const StoredFrame all{.from = first.from,
                          .to = second.to,
                          .bytes = std::make_shared<const std::string>(std::move(merged.bytes))};
    ASSERT_EQ(world.merging().Receive(all), Replica::Outcome::kApplied);
    world.ExpectSame();
    if (testing::Test::HasFailure()) return;
  }
}

TEST(MergeFrames, DoesNotGrowWithTheNumberOfSets) {
  World world(7);
  engine::Unit& unit = world.writer().unit();
  for (int i = 0; i < 200; ++i) {
    unit.Put(world.writer().keyspace().MakeKey("one"), Decimal(i), 0);
    world.writer().Commit();
    world.writer().Cut(false);
  }
  const StoredFrame merged = world.Merged(0, world.frames().size());
  EXPECT_LT(merged.bytes->size(), 2 * world.frames().back().bytes->size());
}

TEST(MergeFrames, TakesNothingAcrossAGapAndNothingThatDoesNotDecode) {
  World world(8);
  engine::Unit& unit = world.writer().unit();
  for (int i = 0; i < 4; ++i) {
    unit.Put(world.writer().keyspace().MakeKey("one"), Decimal(i), 0);
    world.writer().Commit();
    world.writer().Cut(false);
  }
  const auto& frames = world.frames();
  const std::string_view gap[] = {*frames[0].bytes, *frames[2].bytes};
  EXPECT_EQ(MergeFrames(gap).count, 1u);
  std::string broken = *frames[1].bytes;
  broken.pop_back();
  const std::string_view bad[] = {*frames[0].bytes, broken, *frames[2].bytes};
  EXPECT_EQ(MergeFrames(bad).count, 1u);
  EXPECT_EQ(MergeFrames({}).count, 0u);
}

}  // namespace
}  // namespace jeton::sim
