#include "bench/key_source.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace jeton::bench {
namespace {

// Rejection-inversion (W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from
// monotone discrete distributions", 1996): exact, and no table of all keys' weights.
class Zipf {
 public:
  Zipf(std::uint64_t keys, double exponent)
      : keys_(static_cast<double>(keys)),
        exponent_(exponent),
        low_(Integral(1.5) - 1),
        high_(Integral(keys_ + 0.5)),
        accept_(2 - InverseIntegral(Integral(2.5) - Weight(2))) {}

  // A rank from 1 to keys.
  std::uint64_t Draw(Prng& prng) const {
    while (true) {
      const double u = high_ + static_cast<double>(prng.Next() >> 11) * 0x1.0p-53 * (low_ - high_);
      const double x = InverseIntegral(u);
      const double rank = std::clamp(std::floor(x + 0.5), 1.0, keys_);
      if (rank - x <= accept_ || u >= Integral(rank + 0.5) - Weight(rank)) {
        return static_cast<std::uint64_t>(rank);
      }
    }
  }

 private:
  double Weight(double x) const { return std::pow(x, -exponent_); }
  double Integral(double x) const { return (std::pow(x, 1 - exponent_) - 1) / (1 - exponent_); }
  double InverseIntegral(double y) const {
    return std::pow(std::max(1 + y * (1 - exponent_), 0.0), 1 / (1 - exponent_));
  }

  double keys_;
  double exponent_;
  double low_;
  double high_;
  double accept_;
};

}  // namespace

KeySource::KeySource(Distribution distribution, std::uint64_t keys, std::uint64_t seed,
                     std::uint64_t index, std::uint64_t count)
    : distribution_(distribution),
      keys_(keys),
      prng_(seed + index),
      begin_(keys * index / count),
      end_(std::max(keys * (index + 1) / count, begin_ + 1)),
      next_(begin_) {
  ASSERT(keys > 0 && index < count);
  if (distribution == Distribution::kZipf) DrawZipf();
}

void KeySource::DrawZipf() {
  // The popular keys must not be neighbours: a prime above any number of keys spreads them.
  constexpr std::uint64_t kPrime = 1'000'000'000'039;
  const Zipf zipf(keys_, kZipfExponent);
  draws_.reserve(kZipfDraws);
  for (std::size_t i = 0; i < kZipfDraws; ++i) {
    const unsigned __int128 spread = static_cast<unsigned __int128>(zipf.Draw(prng_) - 1) * kPrime;
    draws_.push_back(static_cast<std::uint64_t>(spread % keys_));
  }
}

}  // namespace jeton::bench
