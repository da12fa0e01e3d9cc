// Histogram: counts of durations in buckets whose width grows with the value, after Gil Tene's
// HdrHistogram: 128 equal steps per power of two, so that any percentile is at most 0.8% above the
// true value, whatever its size. Recording is one addition; there is nothing to allocate.
//
// Not thread-safe: one per thread, merged at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace jeton::bench {

class Histogram {
 public:
  Histogram();

  // Values in nanoseconds; a negative one (a clock that was read on two cores) counts as 0.
  void Record(std::int64_t value, std::uint64_t times = 1);
  void Merge(const Histogram& other);

  std::uint64_t count() const { return count_; }
  std::int64_t max() const { return max_; }
  double mean() const;

  // The smallest recorded value, rounded up to the end of its bucket, that at least `percent` of
  // the values do not exceed; never above max(). 0 if nothing was recorded.
  std::int64_t Percentile(double percent) const;

 private:
  static constexpr int kStepBits = 7;
  static constexpr std::size_t kSteps = std::size_t{1} << kStepBits;
  static constexpr std::size_t kBuckets = (64 - kStepBits) * kSteps;

  static std::size_t BucketOf(std::uint64_t value);
  static std::uint64_t LastValueOf(std::size_t bucket);

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  double sum_ = 0;
  std::int64_t max_ = 0;
};

}  // namespace jeton::bench
