#include "bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace jeton::bench {

Histogram::Histogram() : counts_(kBuckets) {}

// Values below 2 * kSteps have a bucket each; above, the kStepBits bits behind the leading one
// choose the step within the power of two.
std::size_t Histogram::BucketOf(std::uint64_t value) {
  if (value < kSteps) return value;
  const int shift = static_cast<int>(std::bit_width(value)) - 1 - kStepBits;
  return static_cast<std::size_t>(shift) * kSteps + (value >> shift);
}

std::uint64_t Histogram::LastValueOf(std::size_t bucket) {
  if (bucket < 2 * kSteps) return bucket;
  const std::size_t shift = bucket / kSteps - 1;
  const std::uint64_t step = bucket % kSteps + kSteps;
  return ((step + 1) << shift) - 1;
}

void Histogram::Record(std::int64_t value, std::uint64_t times) {
  value = std::max<std::int64_t>(value, 0);
  counts_[BucketOf(static_cast<std::uint64_t>(value))] += times;
  count_ += times;
  sum_ += static_cast<double>(value) * static_cast<double>(times);
  max_ = std::max(max_, value);
}

void Histogram::Merge(const Histogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

double Histogram::mean() const {
  return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

std::int64_t Histogram::Percentile(double percent) const {
  const double wanted = std::ceil(static_cast<double>(count_) * percent / 100);
  const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, count_ | 1);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (seen >= rank) return std::min(static_cast<std::int64_t>(LastValueOf(i)), max_);
  }
  return max_;
}

}  // namespace jeton::bench
