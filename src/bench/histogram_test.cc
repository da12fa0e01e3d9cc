#include "bench/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/prng.h"

namespace jeton::bench {
namespace {

TEST(Histogram, AnEmptyOneIsZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.Percentile(50), 0);
  EXPECT_EQ(histogram.max(), 0);
  EXPECT_EQ(histogram.mean(), 0);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (int value = 1; value <= 100; ++value) histogram.Record(value);
  EXPECT_EQ(histogram.Percentile(50), 50);
  EXPECT_EQ(histogram.Percentile(99), 99);
  EXPECT_EQ(histogram.Percentile(99.9), 100);
  EXPECT_EQ(histogram.Percentile(0), 1);
  EXPECT_EQ(histogram.Percentile(100), 100);
  EXPECT_DOUBLE_EQ(histogram.mean(), 50.5);
}

TEST(Histogram, OneSlowAmongManyIsTheMaximumOnly) {
  Histogram histogram;
  histogram.Record(1'000, 9'999);
  histogram.Record(5'000'000'000);
  EXPECT_LE(histogram.Percentile(99.9), 1'008);
  EXPECT_EQ(histogram.Percentile(100), 5'000'000'000);
  EXPECT_EQ(histogram.max(), 5'000'000'000);
}

TEST(Histogram, ExtremesHaveABucket) {
  Histogram histogram;
  histogram.Record(-5);
  histogram.Record(std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(histogram.Percentile(50), 0);
  EXPECT_EQ(histogram.Percentile(100), std::numeric_limits<std::int64_t>::max());
}

TEST(Histogram, PercentilesAreWithinOnePercentOfTheSortedValues) {
  Prng prng(7);
  Histogram one;
  Histogram other;
  std::vector<std::int64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    const auto value = static_cast<std::int64_t>(prng.Next() >> prng.Between(20, 60));
    values.push_back(value);
    (i % 2 == 0 ? one : other).Record(value);
  }
  one.Merge(other);
  std::sort(values.begin(), values.end());
  for (const double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9}) {
    const auto exact = values[static_cast<std::size_t>(20'000 * percent / 100) - 1];
    EXPECT_GE(one.Percentile(percent), exact) << percent;
    EXPECT_LE(static_cast<double>(one.Percentile(percent)), static_cast<double>(exact) * 1.008 + 1)
        << percent;
  }
  EXPECT_EQ(one.max(), values.back());
  EXPECT_EQ(one.count(), values.size());
}

}  // namespace
}  // namespace jeton::bench
