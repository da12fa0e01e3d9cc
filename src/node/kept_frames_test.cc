#include "node/kept_frames.h"

#include <gtest/gtest.h>

namespace jeton::node {
namespace {

OriginId OriginOf(std::uint8_t n) {
  OriginId id{};
  id[0] = n;
  return id;
}

KeptFrames::Frame FrameOf(Lsn from, Lsn to, std::size_t bytes) {
  return {from, to, std::make_shared<const std::string>(bytes, 'x')};
}

KeptFrames Three() {
  KeptFrames kept;
  kept.Add(OriginOf(1), FrameOf(0, 5, 10));
  kept.Add(OriginOf(1), FrameOf(5, 9, 20));
  kept.Add(OriginOf(1), FrameOf(9, 12, 30));
  return kept;
}

TEST(KeptFrames, GivesTheFrameThatFollowsAndThoseAfterIt) {
  const KeptFrames kept = Three();
  EXPECT_EQ(kept.Run(OriginOf(1), 0, 12, 100).size(), 3u);
  EXPECT_EQ(kept.Run(OriginOf(1), 6, 12, 100).front().from, 5u);
  EXPECT_EQ(kept.Run(OriginOf(1), 0, 9, 100).size(), 2u);
  EXPECT_EQ(kept.Run(OriginOf(1), 0, 12, 30).size(), 2u);
  EXPECT_EQ(kept.Run(OriginOf(1), 0, 12, 1).size(), 1u);
  EXPECT_TRUE(kept.Run(OriginOf(1), 12, 12, 100).empty());
  EXPECT_TRUE(kept.Run(OriginOf(2), 0, 12, 100).empty());
}

TEST(KeptFrames, ReplacesFramesByTheOneMadeOfThem) {
  KeptFrames kept = Three();
  kept.Replace(OriginOf(1), FrameOf(0, 9, 15));
  EXPECT_EQ(kept.bytes(), 45u);
  EXPECT_EQ(kept.Run(OriginOf(1), 7, 12, 100).size(), 2u);
  kept.Replace(OriginOf(1), FrameOf(5, 12, 1));  // they are not there any more
  EXPECT_EQ(kept.bytes(), 45u);
}

TEST(KeptFrames, DropsWhatEndsBefore) {
  KeptFrames kept = Three();
  kept.Drop(OriginOf(1), 10);
  EXPECT_EQ(kept.bytes(), 30u);
  EXPECT_TRUE(kept.Run(OriginOf(1), 5, 12, 100).empty());
  kept.Drop(OriginOf(1), 12);
  EXPECT_EQ(kept.bytes(), 0u);
  EXPECT_TRUE(kept.origins().empty());
}

TEST(KeptFrames, AGapLeavesNothingBeforeIt) {
  KeptFrames kept = Three();
  kept.Add(OriginOf(1), FrameOf(3, 12, 7));  // known
  EXPECT_EQ(kept.bytes(), 60u);
  kept.Add(OriginOf(1), FrameOf(14, 15, 7));
  EXPECT_EQ(kept.bytes(), 7u);
}

}  // namespace
}  // namespace jeton::node
