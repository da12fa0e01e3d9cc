// What predictions are made of. The owner of a counter with a precision tells its sum only when the
// others, who go on with the rate that they were told, would be further off than the precision; and
// at the latest some seconds after a change; and once more when the counter comes to rest.
//
// Nothing here is ever stored or added to anything: it decides when a frame is cut, and what a
// reader is shown beside what is known.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/decimal.h"
#include "base/time.h"
#include "crdt/origin_table.h"

namespace jeton::engine {

constexpr MonoNs kLazyLagMax = 5 * kNsPerSecond;   // a change is told so soon at the latest
constexpr MonoNs kRateInterval = kNsPerSecond;     // of the samples; idle for so long is at rest
constexpr MonoNs kRateHoldsFor = 2 * kLazyLagMax;  // then a reader no longer goes on with it

// What `rate` adds in the time from `since` to `now`.
inline double GrownSince(double rate, MonoNs since, MonoNs now) {
  const MonoNs age = std::clamp<MonoNs>(now - since, 0, kRateHoldsFor);
  return rate * (static_cast<double>(age) / static_cast<double>(kNsPerSecond));
}

// One counter at its owner, from its first change until it has come to rest.
class LazyCell {
 public:
  // `sum` is what the others have.
  LazyCell(const Decimal& sum, MonoNs now)
      : sum_(sum), sent_(sum), sample_(sum), sent_at_(now), sample_at_(now), changed_at_(now) {}

  bool dirty() const { return dirty_; }
  // What the others are told with the next frame: the growth in a second.
  double rate() const { return rate_; }

  void Change(const Decimal& sum, const Decimal& precision, MonoNs now) {
    if (!dirty_) dirty_since_ = now;
    dirty_ = true;
    sum_ = sum;
    precision_ = precision.ToDouble();
    changed_at_ = now;
  }
  void Sent(MonoNs now) {
    sent_ = sum_;
    sent_rate_ = rate_;
    sent_at_ = now;
    dirty_ = false;
  }

  // Takes a sample, if it is time. `history`: how many samples the rate looks back on.
  void Sample(MonoNs now, std::int64_t history) {
    if (now - sample_at_ < kRateInterval) return;
    const double seconds =
        static_cast<double>(now - sample_at_) / static_cast<double>(kNsPerSecond);
    const double grown = (sum_.ToDouble() - sample_.ToDouble()) / seconds;
    samples_ = std::min(samples_ + 1, history);
    // The mean of what there is at first, then an exponentially weighted one.
    const double weight = samples_ < history ? 1.0 / static_cast<double>(samples_)
                                             : 2.0 / static_cast<double>(history + 1);
    rate_ += (grown - rate_) * std::min(weight, 1.0);
    if (IsIdle(now)) rate_ = 0;
    if (IsIdle(now)) samples_ = 0;
    sample_ = sum_;
    sample_at_ = now;
  }

  bool IsIdle(MonoNs now) const { return now - changed_at_ >= kRateInterval; }
  // Whether the others are further off than they may be, or have waited for long enough.
  bool IsDue(MonoNs now) const {
    if (dirty_ && (IsIdle(now) || now - dirty_since_ >= kLazyLagMax)) return true;
    if (IsIdle(now)) return sent_rate_ != 0;
    const double told = sent_.ToDouble() + GrownSince(sent_rate_, sent_at_, now);
    return std::abs(sum_.ToDouble() - told) > precision_;
  }
  // The others know that it is at rest, and where.
  bool IsAtRest(MonoNs now) const { return !dirty_ && sent_rate_ == 0 && IsIdle(now); }
  // To be told although nothing was added: its rate is not what it was.
  void Touch(MonoNs now) {
    if (!dirty_) dirty_since_ = now;
    dirty_ = true;
    if (IsIdle(now)) rate_ = 0;
  }

 private:
  Decimal sum_, sent_, sample_;
  double precision_ = 0, rate_ = 0, sent_rate_ = 0;
  MonoNs sent_at_, sample_at_, changed_at_, dirty_since_ = 0;
  std::int64_t samples_ = 0;
  bool dirty_ = false;
};

// What another run's lazy origin said last of one counter.
struct HeardRate {
  crdt::OriginIndex origin = 0;
  double rate = 0;
  MonoNs at = 0;  // when it came here
  Decimal sum = {};

  double PredictedSum(MonoNs now) const { return sum.ToDouble() + GrownSince(rate, at, now); }
};

struct PredictionCounts {
  std::uint64_t hits = 0, misses = 0;
  double error_sum = 0;

  void Count(double error, double precision) {
    ++(error <= precision ? hits : misses);
    error_sum += error;
  }
  double mean_error() const {
    const auto all = hits + misses;
    return all == 0 ? 0 : error_sum / static_cast<double>(all);
  }
};

}  // namespace jeton::engine
