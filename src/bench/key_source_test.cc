#include "bench/key_source.h"

#include <gtest/gtest.h>

#include <map>

namespace jeton::bench {
namespace {

TEST(KeySource, HotIsOneKey) {
  KeySource source(Distribution::kHot, 100, 1);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(source.Next(), 0u);
}

TEST(KeySource, SequentialSourcesShareTheKeysOut) {
  std::map<std::uint64_t, int> seen;
  for (std::uint64_t thread = 0; thread < 3; ++thread) {
    KeySource source(Distribution::kSequential, 10, 1, thread, 3);
    const std::uint64_t share = 10 * (thread + 1) / 3 - 10 * thread / 3;
    const std::uint64_t first = source.Next();
    ++seen[first];
    for (std::uint64_t i = 1; i < share; ++i) ++seen[source.Next()];
    EXPECT_EQ(source.Next(), first) << "begins again";
  }
  ASSERT_EQ(seen.size(), 10u);
  for (const auto& [key, times] : seen) EXPECT_EQ(times, 1) << key;
}

TEST(KeySource, UniformReachesEveryKeyEqually) {
  KeySource source(Distribution::kUniform, 10, 1);
  std::map<std::uint64_t, int> seen;
  for (int i = 0; i < 10'000; ++i) ++seen[source.Next()];
  ASSERT_EQ(seen.size(), 10u);
  for (const auto& [key, times] : seen) EXPECT_NEAR(times, 1'000, 150) << key;
}

// Of 1,000 keys with exponent 0.99, the first has 1 / 7.73 of the weight, the second 0.503 of that.
TEST(KeySource, ZipfHasTheRightPopularity) {
  KeySource source(Distribution::kZipf, 1'000, 1);
  std::map<std::uint64_t, int> seen;
  for (int i = 0; i < 200'000; ++i) ++seen[source.Next()];
  std::vector<int> popularity;
  for (const auto& [key, times] : seen) {
    ASSERT_LT(key, 1'000u);
    popularity.push_back(times);
  }
  std::sort(popularity.rbegin(), popularity.rend());
  EXPECT_NEAR(popularity[0], 200'000 / 7.73, 800);
  EXPECT_NEAR(popularity[1], 200'000 / 7.73 * 0.503, 600);
  EXPECT_GT(popularity.size(), 950u);
}

TEST(KeySource, OneKeyIsEnoughForAll) {
  for (const auto distribution : {Distribution::kUniform, Distribution::kZipf, Distribution::kHot,
                                  Distribution::kSequential}) {
    KeySource source(distribution, 1, 1, 1, 2);
    EXPECT_EQ(source.Next(), 0u);
  }
}

}  // namespace
}  // namespace jeton::bench
