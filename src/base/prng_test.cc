#include "base/prng.h"

#include <gtest/gtest.h>

#include <array>

namespace jeton {
namespace {

TEST(Prng, TheSameSeedGivesTheSameNumbers) {
  Prng a(7);
  Prng b(7);
  Prng other(8);
  EXPECT_EQ(a.Next(), b.Next());
  EXPECT_NE(a.Next(), other.Next());
}

TEST(Prng, StaysInItsBounds) {
  Prng prng(1);
  std::array<int, 6> seen{};
  for (int i = 0; i < 6000; ++i) {
    ++seen[prng.Below(6)];
    const auto between = prng.Between(-3, 3);
    ASSERT_TRUE(between >= -3 && between <= 3);
  }
  for (const int count : seen) EXPECT_GT(count, 800);
  EXPECT_EQ(prng.Below(1), 0u);
  EXPECT_EQ(prng.Between(INT64_MAX, INT64_MAX), INT64_MAX);
  EXPECT_FALSE(prng.Chance(0));
  EXPECT_TRUE(prng.Chance(1));
}

}  // namespace
}  // namespace jeton
