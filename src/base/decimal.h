// Decimal: the value of every counter. An exact fixed-point number with 17 digits after the point,
// in the range -1e20 .. 1e20 (both included).
//
// Two forms, one number: an integral value that fits in 64 bits is always kept as an integer
// (the common case, and cheap); everything else is kept as a 128-bit integer in units of 1e-17.
// The form is canonical, so equality is equality of the members.
//
// Laws (tested as properties): Add is commutative and associative wherever no step leaves the
// range; a + (-a) == 0; Parse(Format(a)) == a; Format has no exponent, no trailing zeros, no "-0".
#pragma once

#include <charconv>
#include <compare>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jeton {

class ByteReader;

class Decimal {
 public:
  using Int128 = __int128;

  static constexpr int kFractionDigits = 17;
  static constexpr std::int64_t kUnitsPerOne = 100'000'000'000'000'000;  // 1e17
  // "-99999999999999999999.99999999999999999": the longest text, and room to spare.
  static constexpr std::size_t kMaxTextSize = 48;

  constexpr Decimal() = default;
  constexpr Decimal(std::int64_t value) : raw_(value) {}  // NOLINT: an integer is a Decimal

  // Units of 1e-17; |units| must be at most 1e37. Chooses the canonical form.
  static Decimal FromUnits(Int128 units);

  // Optional sign, digits with an optional point, optional exponent. Digits past the 17th after the
  // point are rounded half to even. Errors: kInvalid "ERR value is not a valid float" for empty
  // text, blanks, hex, NUL, inf, nan; kRange "ERR Counter value out of allowed range" outside
  // ±1e20.
  static Result<Decimal> Parse(std::string_view text) {
    std::int64_t value;
    if (ParsePlainInteger(text, value)) [[likely]]
      return Decimal(value);
    return ParseGeneral(text);
  }

  // The nearest Decimal to a binary double that is finite and within the range (for timings and
  // ratios, never for counts).
  static Result<Decimal> FromDouble(double value);

  constexpr bool IsInt64() const { return !scaled_; }  // integral and fits in 64 bits
  constexpr std::int64_t Int64() const { return static_cast<std::int64_t>(raw_); }  // if IsInt64()
  bool IsIntegral() const;
  Int128 Units() const { return scaled_ ? raw_ : raw_ * kUnitsPerOne; }
  double ToDouble() const;
  constexpr bool IsZero() const { return raw_ == 0; }
  constexpr bool IsNegative() const { return raw_ < 0; }

  Decimal operator-() const {
    if (!scaled_ && raw_ != std::numeric_limits<std::int64_t>::min()) [[likely]]
      return Decimal(-raw_, false);
    return FromUnits(-Units());
  }
  // Empty if the sum leaves ±1e20. Two integers whose sum is an integer of 64 bits (nearly every
  // increment) cost an addition and two well-predicted branches.
  static std::optional<Decimal> Add(Decimal a, Decimal b) {
    std::int64_t sum;
    if (!(a.scaled_ | b.scaled_) && !__builtin_add_overflow(a.Int64(), b.Int64(), &sum)) [[likely]]
      return Decimal(sum);
    return AddGeneral(a, b);
  }
  static std::optional<Decimal> Subtract(Decimal a, Decimal b) { return Add(a, -b); }

  friend bool operator==(const Decimal&, const Decimal&) = default;
  friend std::strong_ordering operator<=>(const Decimal& a, const Decimal& b) {
    if (!(a.scaled_ | b.scaled_)) [[likely]]
      return a.Int64() <=> b.Int64();
    const Int128 left = a.Units();
    const Int128 right = b.Units();
    if (left < right) return std::strong_ordering::less;
    return left > right ? std::strong_ordering::greater : std::strong_ordering::equal;
  }

  // Writes the text at `out`, which has room for kMaxTextSize bytes; returns its length.
  std::size_t FormatTo(char* out) const {
    if (!scaled_) [[likely]]
      return static_cast<std::size_t>(std::to_chars(out, out + kMaxTextSize, Int64()).ptr - out);
    return FormatScaled(out);
  }
  std::string ToString() const;

  // Binary form (docs/formats/decimal.md): self-delimiting, 1 byte for small integers.
  void EncodeTo(std::string& out) const;
  // The same for an integer, into room for kMaxEncodedInteger bytes; returns where it ends.
  static constexpr std::size_t kMaxEncodedInteger = 9;
  static char* EncodeInteger(std::int64_t value, char* out);
  // Fails the reader on a malformed, non-canonical or out-of-range encoding.
  static Decimal Decode(ByteReader& in);

 private:
  constexpr Decimal(Int128 raw, bool scaled) : raw_(raw), scaled_(scaled) {}

  // Up to 18 digits after an optional '-': what nearly every client sends, and no overflow to
  // check.
  static bool ParsePlainInteger(std::string_view text, std::int64_t& value) {
    const bool negative = !text.empty() && text[0] == '-';
    const std::string_view digits = text.substr(negative ? 1 : 0);
    if (digits.empty() || digits.size() > 18) return false;
    std::int64_t magnitude = 0;
    for (const char c : digits) {
      const auto digit = static_cast<unsigned char>(c - '0');
      if (digit > 9) return false;
      magnitude = magnitude * 10 + digit;
    }
    value = negative ? -magnitude : magnitude;
    return true;
  }

  static Result<Decimal> ParseGeneral(std::string_view text);
  static std::optional<Decimal> AddGeneral(Decimal a, Decimal b);
  std::size_t FormatScaled(char* out) const;

  Int128 raw_ = 0;  // the integer, or units of 1e-17 if scaled_
  bool scaled_ = false;
};

}  // namespace jeton
