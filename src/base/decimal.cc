#include "base/decimal.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/bytes.h"

namespace jeton {
namespace {

using Int128 = Decimal::Int128;
using UInt128 = unsigned __int128;

constexpr std::uint64_t kOne = Decimal::kUnitsPerOne;
constexpr Int128 kMaxUnits = Int128{Decimal::kUnitsPerOne} * Decimal::kUnitsPerOne * 1000;  // 1e37
constexpr int kMaxIntegerPower = 20;  // 1e20 is the largest power of ten in the range

Error NotANumber() {
  return {ErrorKind::kInvalid, "ERR value is not a valid float"};
}
Error OutOfRange() {
  return {ErrorKind::kRange, "ERR Counter value out of allowed range"};
}

bool InRange(Int128 units) {
  return units >= -kMaxUnits && units <= kMaxUnits;
}

UInt128 Magnitude(Int128 value) {
  return value < 0 ? -static_cast<UInt128>(value) : static_cast<UInt128>(value);
}

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// A number as it was written: digits before and after the point, and the power of ten.
struct NumberText {
  bool negative = false;
  std::string_view whole;
  std::string_view fraction;
  std::int64_t exponent = 0;

  std::size_t DigitCount() const { return whole.size() + fraction.size(); }
  char Digit(std::size_t i) const {
    return i < whole.size() ? whole[i] : fraction[i - whole.size()];
  }
};

std::string_view TakeDigits(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && IsDigit(text[n])) ++n;
  const std::string_view digits = text.substr(0, n);
  text.remove_prefix(n);
  return digits;
}

bool TakeSign(std::string_view& text) {
  if (text.empty() || (text[0] != '-' && text[0] != '+')) return false;
  const bool negative = text[0] == '-';
  text.remove_prefix(1);
  return negative;
}

// Far beyond every text that fits in memory, so that a longer exponent decides nothing.
constexpr std::int64_t kExponentCap = 1'000'000'000'000'000;

std::optional<std::int64_t> ParseExponent(std::string_view text) {
  const bool negative = TakeSign(text);
  const std::string_view digits = TakeDigits(text);
  if (digits.empty() || !text.empty()) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : digits) value = std::min(value * 10 + (c - '0'), kExponentCap);
  return negative ? -value : value;
}

std::optional<NumberText> Split(std::string_view text) {
  NumberText number;
  number.negative = TakeSign(text);
  number.whole = TakeDigits(text);
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    number.fraction = TakeDigits(text);
  }
  if (number.DigitCount() == 0) return std::nullopt;
  if (text.empty()) return number;
  if (text[0] != 'e' && text[0] != 'E') return std::nullopt;
  const auto exponent = ParseExponent(text.substr(1));
  if (!exponent) return std::nullopt;
  number.exponent = *exponent;
  return number;
}

// The first digit that is cut off is 5 or more, and the tie of exactly one half goes to even.
bool RoundsUp(const NumberText& number, std::size_t first_cut, bool kept_is_odd) {
  const char digit = number.Digit(first_cut);
  if (digit != '5') return digit > '5';
  if (kept_is_odd) return true;
  for (std::size_t i = first_cut + 1; i < number.DigitCount(); ++i) {
    if (number.Digit(i) != '0') return true;
  }
  return false;
}

std::size_t FormatWhole(UInt128 whole, char* out) {
  // Up to 1e20, which is just beyond 64 bits: the last 18 digits apart.
  constexpr std::uint64_t kSplit = 1'000'000'000'000'000'000;
  if (whole < kSplit) {
    return static_cast<std::size_t>(
        std::to_chars(out, out + Decimal::kMaxTextSize, static_cast<std::uint64_t>(whole)).ptr -
        out);
  }
  const std::size_t high = FormatWhole(whole / kSplit, out);
  auto low = static_cast<std::uint64_t>(whole % kSplit);
  for (std::size_t i = 18; i-- > 0; low /= 10) out[high + i] = static_cast<char>('0' + low % 10);
  return high + 18;
}

// The digits after the point, without trailing zeros; `fraction` is not 0.
std::size_t FormatFraction(std::uint64_t fraction, char* out) {
  std::size_t size = Decimal::kFractionDigits;
  for (std::size_t i = size; i-- > 0; fraction /= 10) {
    out[i] = static_cast<char>('0' + fraction % 10);
  }
  while (out[size - 1] == '0') --size;
  return size;
}

// The rows of docs/formats/decimal.md.
constexpr std::uint8_t kTwoByteTag = 0xc0;
constexpr std::uint8_t kIntegerTag = 0xe0;  // + number of bytes, 2..8
constexpr std::uint8_t kScaledTag = 0xf0;   // + number of bytes - 1, 1..16
constexpr std::uint64_t kTwoByteFirst = kTwoByteTag;
constexpr std::uint64_t kIntegerFirst = kTwoByteFirst + (kIntegerTag - kTwoByteTag) * 256;

std::size_t SignificantBytes(UInt128 value) {
  std::size_t n = 1;
  while ((value >>= 8) != 0) ++n;
  return n;
}

void PutTagged(std::string& out, std::size_t tag, UInt128 value, std::size_t size) {
  char bytes[1 + sizeof(value)];
  bytes[0] = static_cast<char>(tag);
  std::memcpy(bytes + 1, &value, sizeof(value));
  out.append(bytes, 1 + size);
}

// A failed read has no bytes, and memcpy must not see their null pointer.
UInt128 LoadLittleEndian(std::string_view bytes) {
  UInt128 value = 0;
  if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
  return value;
}

UInt128 ZigZag128(Int128 value) {
  return (static_cast<UInt128>(value) << 1) ^ static_cast<UInt128>(value >> 127);
}

Int128 UnZigZag128(UInt128 value) {
  return static_cast<Int128>(value >> 1) ^ -static_cast<Int128>(value & 1);
}

// A last byte of 0 would be a longer way to write the same number.
bool IsShortest(std::string_view bytes) {
  return !bytes.empty() && bytes.back() != 0;
}

}  // namespace

Decimal Decimal::FromUnits(Int128 units) {
  ASSERT(InRange(units));
  // 1e17 is 2^17 * 5^17: the low 17 bits say at once that most fractions are no integers, and
  // spare them the 128-bit division.
  if ((units & ((1 << kFractionDigits) - 1)) != 0) return Decimal(units, true);
  const Int128 whole = units / kUnitsPerOne;
  const bool fits = whole == static_cast<std::int64_t>(whole);
  if (fits && whole * kUnitsPerOne == units) return Decimal(whole, false);
  return Decimal(units, true);
}

Result<Decimal> Decimal::ParseGeneral(std::string_view text) {
  const auto number = Split(text);
  if (!number) return NotANumber();

  const std::size_t count = number->DigitCount();
  std::size_t first = 0;
  while (first < count && number->Digit(first) == '0') ++first;
  if (first == count) return Decimal();

  // The first significant digit stands at 10^power, so `kept` digits reach down to the 17th after
  // the point. At most 38 are kept, which 128 bits hold.
  const std::int64_t power = static_cast<std::int64_t>(number->whole.size()) -
                             static_cast<std::int64_t>(first) - 1 + number->exponent;
  if (power > kMaxIntegerPower) return OutOfRange();
  const std::int64_t kept = power + kFractionDigits + 1;
  if (kept < 0) return Decimal();

  const std::size_t end = first + static_cast<std::size_t>(kept);
  Int128 units = 0;
  for (std::size_t i = first; i < end; ++i) {
    units = units * 10 + (i < count ? number->Digit(i) - '0' : 0);
  }
  if (end < count && RoundsUp(*number, end, (units & 1) != 0)) ++units;
  if (!InRange(units)) return OutOfRange();
  return FromUnits(number->negative ? -units : units);
}

Result<Decimal> Decimal::FromDouble(double value) {
  if (!std::isfinite(value)) return NotANumber();
  if (std::fabs(value) > 1e20) return OutOfRange();
  // value = mantissa * 2^exponent exactly; the mantissa has 53 bits and 1e17 has 57, so the product
  // is exact, and only the shift to the right rounds.
  int exponent = 0;
  const auto mantissa = static_cast<std::int64_t>(std::ldexp(std::frexp(value, &exponent), 53));
  exponent -= 53;
  const Int128 product = Int128{mantissa} * kUnitsPerOne;
  if (exponent >= 0) return FromUnits(product * (Int128{1} << exponent));
  const int shift = -exponent;
  if (shift > 126) return Decimal();
  const UInt128 magnitude = Magnitude(product);
  const UInt128 half = UInt128{1} << (shift - 1);
  const UInt128 rest = magnitude & ((half << 1) - 1);
  auto units = static_cast<Int128>(magnitude >> shift);
  if (rest > half || (rest == half && (units & 1) != 0)) ++units;
  return FromUnits(value < 0 ? -units : units);
}

bool Decimal::IsIntegral() const {
  return !scaled_ || raw_ % kUnitsPerOne == 0;
}

double Decimal::ToDouble() const {
  if (!scaled_) return static_cast<double>(Int64());
  return static_cast<double>(static_cast<long double>(raw_) / static_cast<long double>(kOne));
}

std::optional<Decimal> Decimal::AddGeneral(Decimal a, Decimal b) {
  const Int128 units = a.Units() + b.Units();  // at most 2e37: no overflow
  if (!InRange(units)) return std::nullopt;
  return FromUnits(units);
}

std::size_t Decimal::FormatScaled(char* out) const {
  const UInt128 units = Magnitude(raw_);
  std::size_t size = 0;
  if (raw_ < 0) out[size++] = '-';
  size += FormatWhole(units / kOne, out + size);
  const auto fraction = static_cast<std::uint64_t>(units % kOne);
  if (fraction == 0) return size;
  out[size++] = '.';
  return size + FormatFraction(fraction, out + size);
}

std::string Decimal::ToString() const {
  char text[kMaxTextSize];
  return std::string(text, FormatTo(text));
}

void Decimal::EncodeTo(std::string& out) const {
  if (scaled_) {
    const UInt128 value = ZigZag128(raw_);
    const std::size_t size = SignificantBytes(value);
    return PutTagged(out, kScaledTag + size - 1, value, size);
  }
  char bytes[kMaxEncodedInteger];
  out.append(bytes, static_cast<std::size_t>(EncodeInteger(Int64(), bytes) - bytes));
}

char* Decimal::EncodeInteger(std::int64_t integer, char* out) {
  const std::uint64_t value = ZigZag(integer);
  if (value < kTwoByteFirst) [[likely]] {
    *out++ = static_cast<char>(value);
  } else if (value < kIntegerFirst) {
    const std::uint64_t rest = value - kTwoByteFirst;
    *out++ = static_cast<char>(kTwoByteTag + (rest >> 8));
    *out++ = static_cast<char>(rest & 0xff);
  } else {
    const std::size_t size = SignificantBytes(value);
    *out++ = static_cast<char>(kIntegerTag + size);
    std::memcpy(out, &value, size);
    out += size;
  }
  return out;
}

Decimal Decimal::Decode(ByteReader& in) {
  const auto tag = in.Fixed<std::uint8_t>();
  if (tag < kTwoByteTag) return UnZigZag(tag);
  if (tag < kIntegerTag) {
    const std::uint64_t high = tag - kTwoByteTag;
    const auto low = in.Fixed<std::uint8_t>();
    if (!in.ok()) return {};
    return UnZigZag(kTwoByteFirst + (high << 8) + low);
  }
  if (tag >= kScaledTag) {
    const std::string_view bytes = in.Take(static_cast<std::size_t>(tag - kScaledTag) + 1);
    const Int128 units = IsShortest(bytes) ? UnZigZag128(LoadLittleEndian(bytes)) : 0;
    if (InRange(units)) {
      const Decimal value = FromUnits(units);
      if (value.scaled_) return value;
    }
  } else if (tag >= kIntegerTag + 2 && tag <= kIntegerTag + 8) {
    const std::string_view bytes = in.Take(static_cast<std::size_t>(tag - kIntegerTag));
    const auto value = static_cast<std::uint64_t>(LoadLittleEndian(bytes));
    if (IsShortest(bytes) && value >= kIntegerFirst) return UnZigZag(value);
  }
  in.Fail();
  return {};
}

}  // namespace jeton
