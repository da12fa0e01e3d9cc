// A frame holds so much: what is more goes into several, and nothing between them is wrong.
#include <gtest/gtest.h>

#include "engine/replica_site.h"

namespace jeton::engine {
namespace {

TEST(ReplicaCut, GoesIntoSeveralFramesAndMeansTheSame) {
  ReplicaSite a(1, true), b(2, true);
  const std::string prefix(200, 'x');
  constexpr int kCounters = 60'000;
  const auto name = [&](int i) { return std::to_string(i) + prefix; };
  for (int i = 0; i < kCounters; ++i) a.Add(name(i), i);
  for (int i = 0; i < kCounters; i += 100) a.Set(name(i), 7);
  for (int i = 0; i < kCounters; i += 200) a.Add(name(i), 1);
  const std::vector<std::string> frames = a.CutAll();
  ASSERT_GT(frames.size(), 2u);
  EXPECT_FALSE(a.replica().HasUncut());
  for (const std::string& frame : frames) {
    EXPECT_LT(frame.size(), 2 * Replica::kCutBytes);
    ASSERT_EQ(b.Take(frame), Replica::Outcome::kApplied);
  }
  for (int i = 0; i < kCounters; ++i) {
    const std::int64_t expected = i % 200 == 0 ? 8 : i % 100 == 0 ? 7 : i;
    ASSERT_EQ(b.Value(name(i)), Decimal(expected)) << i;
  }
  EXPECT_EQ(a.replica().applied(), b.replica().applied());
  EXPECT_EQ(a.replica().DigestAll(), b.replica().DigestAll());
}

}  // namespace
}  // namespace jeton::engine
