// Sum: an exact sum of any number of Decimals. Whole parts and fractions are added apart, so it
// cannot overflow before 2^60 of the largest values; only its reading is held to the range of a
// Decimal.
#pragma once

#include <cstdint>

#include "base/decimal.h"

namespace jeton {

class Sum {
 public:
  using Int128 = Decimal::Int128;

  Sum() = default;
  explicit Sum(const Decimal& value) { Add(value); }

  void Add(const Decimal& value) { Add(value, 1); }
  void Subtract(const Decimal& value) { Add(value, -1); }
  void AddInteger(Int128 value) { whole_ += value; }
  void Add(const Sum& other) {
    whole_ += other.whole_;
    fraction_ += other.fraction_;
  }
  void Subtract(const Sum& other) {
    whole_ -= other.whole_;
    fraction_ -= other.fraction_;
  }

  // Brought to ±1e20 if it lies outside.
  Decimal value() const {
    if (fraction_ == 0 && whole_ >= INT64_MIN && whole_ <= INT64_MAX) {
      return static_cast<std::int64_t>(whole_);
    }
    constexpr Int128 kMaxWhole = Int128{10'000'000'000} * 10'000'000'000;
    const Int128 whole = whole_ + fraction_ / Decimal::kUnitsPerOne;
    const Int128 rest = fraction_ % Decimal::kUnitsPerOne;
    const Int128 limit = kMaxWhole * Decimal::kUnitsPerOne;
    if (whole > kMaxWhole || (whole == kMaxWhole && rest > 0)) return Decimal::FromUnits(limit);
    if (whole < -kMaxWhole || (whole == -kMaxWhole && rest < 0)) return Decimal::FromUnits(-limit);
    return Decimal::FromUnits(whole * Decimal::kUnitsPerOne + rest);
  }

  friend bool operator==(const Sum& a, const Sum& b) { return a.Difference(b) == 0; }

 private:
  void Add(const Decimal& value, int sign) {
    if (value.IsInt64()) [[likely]] {
      whole_ += sign * Int128{value.Int64()};
      return;
    }
    whole_ += sign * (value.Units() / Decimal::kUnitsPerOne);
    fraction_ += sign * (value.Units() % Decimal::kUnitsPerOne);
  }
  // Not 0 if they differ: parts that are not normalised may differ though the sums do not.
  Int128 Difference(const Sum& b) const {
    const Int128 fraction = fraction_ - b.fraction_;
    const Int128 whole = whole_ - b.whole_ + fraction / Decimal::kUnitsPerOne;
    return whole != 0 ? whole : fraction % Decimal::kUnitsPerOne;
  }

  Int128 whole_ = 0;
  Int128 fraction_ = 0;  // units of 1e-17; each addend's is below one in size
};

}  // namespace jeton
