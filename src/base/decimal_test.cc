#include "base/decimal.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/prng.h"

namespace jeton {
namespace {

using Int128 = Decimal::Int128;
constexpr Int128 kMaxUnits = Int128{Decimal::kUnitsPerOne} * Decimal::kUnitsPerOne * 1000;

Decimal D(std::string_view text) {
  auto parsed = Decimal::Parse(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.value_or(Decimal());
}

std::string Normal(std::string_view text) {
  return D(text).ToString();
}

std::string ErrorOf(std::string_view text) {
  auto parsed = Decimal::Parse(text);
  return parsed.ok() ? "parsed as " + parsed->ToString() : parsed.error().text;
}

std::string Encoded(Decimal value) {
  std::string bytes;
  value.EncodeTo(bytes);
  return bytes;
}

std::string Hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

// Every magnitude alike: small and large integers, fractions of few and of many digits, the limits.
rc::Gen<Decimal> AnyDecimal() {
  return rc::gen::map(rc::gen::arbitrary<std::uint64_t>(), [](std::uint64_t seed) {
    Prng prng(seed);
    const auto high = static_cast<Int128>(prng.Next() >> 1) << 64;
    Int128 units = (high | static_cast<Int128>(prng.Next())) >> prng.Below(127);
    units %= kMaxUnits + 1;
    if (prng.Chance(0.5)) units -= units % Decimal::kUnitsPerOne;
    if (prng.Chance(0.1)) units = kMaxUnits - static_cast<Int128>(prng.Below(2));
    return Decimal::FromUnits(prng.Chance(0.5) ? -units : units);
  });
}

TEST(Decimal, PrintsWhatPeopleWrite) {
  EXPECT_EQ(Normal("0"), "0");
  EXPECT_EQ(Normal("3"), "3");
  EXPECT_EQ(Normal("0.1"), "0.1");
  EXPECT_EQ(Normal("-2.50"), "-2.5");
  EXPECT_EQ(Normal("-0.5"), "-0.5");
  EXPECT_EQ(Normal("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(Normal("9223372036854775808"), "9223372036854775808");
  EXPECT_EQ(Normal("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(Normal("-9223372036854775809"), "-9223372036854775809");
  EXPECT_EQ(Normal("12345678901234567890.00000000000000001"),
            "12345678901234567890.00000000000000001");
}

TEST(Decimal, AcceptsSignsPointsZerosAndExponents) {
  EXPECT_EQ(Normal("+7"), "7");
  EXPECT_EQ(Normal("007"), "7");
  EXPECT_EQ(Normal("-0"), "0");
  EXPECT_EQ(Normal("-0.0e5"), "0");
  EXPECT_EQ(Normal("5."), "5");
  EXPECT_EQ(Normal(".5"), "0.5");
  EXPECT_EQ(Normal("1e3"), "1000");
  EXPECT_EQ(Normal("1.5E+2"), "150");
  EXPECT_EQ(Normal("12.5e-1"), "1.25");
  EXPECT_EQ(Normal("1e20"), "100000000000000000000");
  EXPECT_EQ(Normal("0.000000000000000000000000001e27"), "1");
  EXPECT_EQ(Normal("1e-17"), "0.00000000000000001");
  EXPECT_EQ(Normal("0e99999999999999999999999"), "0");
  EXPECT_EQ(Normal("1e-99999999999999999999999"), "0");
  EXPECT_EQ(Normal("1" + std::string(100'000, '0') + "e-100000"), "1");
  EXPECT_EQ(Normal("0." + std::string(100'000, '0') + "1e100001"), "1");
}

TEST(Decimal, RefusesWhatIsNoNumber) {
  const std::string nul("1\0", 2);
  for (std::string_view text :
       {std::string_view(""),    std::string_view(" 1"),        std::string_view("1 "),
        std::string_view("-"),   std::string_view("+"),         std::string_view("."),
        std::string_view("-."),  std::string_view("e5"),        std::string_view("1e"),
        std::string_view("1e+"), std::string_view("1e5.0"),     std::string_view("0x10"),
        std::string_view("inf"), std::string_view("-Infinity"), std::string_view("nan"),
        std::string_view("--1"), std::string_view("1.2.3"),     std::string_view("1,5"),
        std::string_view("abc"), std::string_view("1_000"),     std::string_view(nul)}) {
    EXPECT_EQ(ErrorOf(text), "ERR value is not a valid float") << text;
    EXPECT_EQ(Decimal::Parse(text).error().kind, ErrorKind::kInvalid);
  }
}

TEST(Decimal, TheRangeIsExact) {
  EXPECT_EQ(Normal("-100000000000000000000"), "-100000000000000000000");
  for (std::string_view text : {"100000000000000000000.00000000000000001", "100000000000000000001",
                                "-100000000000000000000.00000000000000001", "1e21", "-1e400",
                                "1e99999999999999999999", "1000000000000000000000000"}) {
    EXPECT_EQ(ErrorOf(text), "ERR Counter value out of allowed range") << text;
    EXPECT_EQ(Decimal::Parse(text).error().kind, ErrorKind::kRange);
  }
  // What rounds to the limit is inside, what rounds beyond it is not.
  EXPECT_EQ(Normal("100000000000000000000.000000000000000005"), "100000000000000000000");
  EXPECT_EQ(ErrorOf("100000000000000000000.0000000000000000051"),
            "ERR Counter value out of allowed range");

  const Decimal most = D("1e20");
  EXPECT_FALSE(Decimal::Add(most, D("1e-17")));
  EXPECT_FALSE(Decimal::Add(-most, D("-1e-17")));
  EXPECT_FALSE(Decimal::Subtract(-most, 1));
  EXPECT_EQ(*Decimal::Add(most, -most), Decimal());
  EXPECT_EQ(Decimal::Subtract(most, D("1e-17"))->ToString(),
            "99999999999999999999.99999999999999999");
  EXPECT_EQ(Decimal::Add(D("-99999999999999999999.99999999999999999"), D("-1e-17"))->ToString(),
            "-100000000000000000000");
}

TEST(Decimal, RoundsThe18thDigitHalfToEven) {
  EXPECT_EQ(Normal("0.000000000000000005"), "0");
  EXPECT_EQ(Normal("0.0000000000000000050000000000000000000000001"), "0.00000000000000001");
  EXPECT_EQ(Normal("0.000000000000000015"), "0.00000000000000002");
  EXPECT_EQ(Normal("0.000000000000000025"), "0.00000000000000002");
  EXPECT_EQ(Normal("-0.000000000000000015"), "-0.00000000000000002");
  EXPECT_EQ(Normal("0.000000000000000004999999"), "0");
  EXPECT_EQ(Normal("0.999999999999999999"), "1");
  EXPECT_EQ(Normal("5e-18"), "0");
  EXPECT_EQ(Normal("6e-18"), "0.00000000000000001");
  EXPECT_EQ(Normal("9e-19"), "0");
  EXPECT_EQ(Normal("0.1000000000000000055511151231257827"), "0.10000000000000001");
  EXPECT_TRUE(D("0.999999999999999999").IsInt64());
}

TEST(Decimal, ATenthTenTimesIsOne) {
  Decimal sum;
  for (int i = 0; i < 10; ++i) sum = *Decimal::Add(sum, D("0.1"));
  EXPECT_EQ(sum, Decimal(1));
  EXPECT_TRUE(sum.IsInt64());
}

TEST(Decimal, AddsBeyond64BitsAndBack) {
  const Decimal largest = INT64_MAX;
  const Decimal beyond = *Decimal::Add(largest, 1);
  EXPECT_EQ(beyond.ToString(), "9223372036854775808");
  EXPECT_FALSE(beyond.IsInt64());
  EXPECT_TRUE(beyond.IsIntegral());
  EXPECT_FALSE(D("1.5").IsIntegral());
  EXPECT_EQ(*Decimal::Subtract(beyond, 1), largest);
  EXPECT_EQ((-Decimal(INT64_MIN)).ToString(), "9223372036854775808");
  EXPECT_EQ(-(-Decimal(INT64_MIN)), Decimal(INT64_MIN));
  EXPECT_EQ(Decimal::Add(INT64_MIN, INT64_MIN)->ToString(), "-18446744073709551616");
}

TEST(Decimal, ConvertsDoublesExactlyOrToTheNearest) {
  EXPECT_EQ(Decimal::FromDouble(0.5)->ToString(), "0.5");
  EXPECT_EQ(Decimal::FromDouble(-0.0)->ToString(), "0");
  EXPECT_EQ(Decimal::FromDouble(0.1)->ToString(), "0.10000000000000001");
  EXPECT_EQ(Decimal::FromDouble(-1e20)->ToString(), "-100000000000000000000");
  EXPECT_EQ(Decimal::FromDouble(5e-324)->ToString(), "0");
  EXPECT_EQ(Decimal::FromDouble(0x1p-57)->ToString(), "0.00000000000000001");
  EXPECT_EQ(Decimal::FromDouble(std::nextafter(1e20, 1e21)).error().kind, ErrorKind::kRange);
  EXPECT_EQ(Decimal::FromDouble(INFINITY).error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(Decimal::FromDouble(NAN).error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(D("0.1").ToDouble(), 0.1);
  EXPECT_EQ(Decimal(-3).ToDouble(), -3.0);
  EXPECT_EQ(D("1e20").ToDouble(), 1e20);
}

TEST(Decimal, TheEncodingIsAsDocumented) {
  EXPECT_EQ(Hex(Encoded(0)), "00");
  EXPECT_EQ(Hex(Encoded(-1)), "01");
  EXPECT_EQ(Hex(Encoded(1)), "02");
  EXPECT_EQ(Hex(Encoded(95)), "be");
  EXPECT_EQ(Hex(Encoded(-96)), "bf");
  EXPECT_EQ(Hex(Encoded(96)), "c000");
  EXPECT_EQ(Hex(Encoded(-4192)), "dfff");
  EXPECT_EQ(Hex(Encoded(4192)), "e2c020");
  EXPECT_EQ(Hex(Encoded(INT64_MAX)), "e8feffffffffffffff");
  EXPECT_EQ(Hex(Encoded(INT64_MIN)), "e8ffffffffffffffff");
  EXPECT_EQ(Hex(Encoded(D("0.00000000000000001"))), "f002");
  EXPECT_EQ(Hex(Encoded(D("0.5"))), "f700008a5d78456301");
  EXPECT_EQ(Hex(Encoded(D("-1e20"))), "ffffffffff3f6de801b28db4ab21dc0b0f");
}

TEST(Decimal, RefusesOtherEncodings) {
  const auto refused = [](std::vector<int> bytes) {
    std::string text;
    for (const int byte : bytes) text += static_cast<char>(byte);
    ByteReader in(text);
    Decimal::Decode(in);
    return !in.ok();
  };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({0xc0}));
  EXPECT_TRUE(refused({0xe0}));
  EXPECT_TRUE(refused({0xe1, 1}));
  EXPECT_TRUE(refused({0xe9, 1, 1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_TRUE(refused({0xef, 1}));
  EXPECT_TRUE(refused({0xe2, 0xbf, 0x20}));        // 8383: the two-byte row holds it
  EXPECT_TRUE(refused({0xe3, 0xc0, 0x20, 0x00}));  // a byte too many
  EXPECT_TRUE(refused({0xf0, 0x00}));              // 0 is an integer
  EXPECT_TRUE(refused({0xf1, 0x02, 0x00}));        // a byte too many
  // 2e17 is zigzag for 1e17 units: the integer 1.
  EXPECT_TRUE(refused({0xf7, 0x00, 0x00, 0x14, 0xbb, 0xf0, 0x8a, 0xc6, 0x02}));
  // One unit more than 1e37.
  EXPECT_TRUE(refused({0xff, 0x02, 0x00, 0x00, 0x00, 0x40, 0x6d, 0xe8, 0x01, 0xb2, 0x8d, 0xb4, 0xab,
                       0x21, 0xdc, 0x0b, 0x0f}));
  EXPECT_TRUE(refused({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                       0xff, 0xff, 0xff, 0xff}));
}

TEST(DecimalLaws, AddCommutes) {
  EXPECT_TRUE(rc::check([] {
    const Decimal a = *AnyDecimal();
    const Decimal b = *AnyDecimal();
    RC_ASSERT(Decimal::Add(a, b) == Decimal::Add(b, a));
  }));
}

TEST(DecimalLaws, AddAssociatesWhereNoStepLeavesTheRange) {
  EXPECT_TRUE(rc::check([] {
    const Decimal a = *AnyDecimal();
    const Decimal b = *AnyDecimal();
    const Decimal c = *AnyDecimal();
    const auto ab = Decimal::Add(a, b);
    const auto bc = Decimal::Add(b, c);
    if (!ab || !bc) return;
    RC_ASSERT(Decimal::Add(*ab, c) == Decimal::Add(a, *bc));
  }));
}

TEST(DecimalLaws, NegationIsTheInverse) {
  EXPECT_TRUE(rc::check([] {
    const Decimal a = *AnyDecimal();
    RC_ASSERT(Decimal::Add(a, -a) == Decimal(0));
    RC_ASSERT(-(-a) == a);
  }));
}

TEST(DecimalLaws, AddIsExactInUnits) {
  EXPECT_TRUE(rc::check([] {
    const Decimal a = *AnyDecimal();
    const Decimal b = *AnyDecimal();
    const Int128 units = a.Units() + b.Units();
    const auto sum = Decimal::Add(a, b);
    RC_ASSERT(sum.has_value() == (units >= -kMaxUnits && units <= kMaxUnits));
    if (sum) RC_ASSERT(sum->Units() == units);
  }));
}

TEST(DecimalLaws, ParseReadsWhatFormatWrote) {
  EXPECT_TRUE(rc::check([] {
    const Decimal a = *AnyDecimal();
    char text[Decimal::kMaxTextSize];
    const std::size_t size = a.FormatTo(text);
    RC_ASSERT(size <= Decimal::kMaxTextSize);
    RC_ASSERT(*Decimal::Parse({text, size}) == a);
  }));
}

TEST(DecimalLaws, OrderAgreesWithSubtraction) {
  EXPECT_TRUE(rc::check([] {
    const Decimal a = *AnyDecimal();
    const Decimal b = *AnyDecimal();
    const auto difference = Decimal::Subtract(a, b);
    if (!difference) return;
    RC_ASSERT((a < b) == difference->IsNegative());
    RC_ASSERT((a == b) == difference->IsZero());
    RC_ASSERT((a <=> b == 0) == (a == b));
  }));
}

TEST(DecimalLaws, DecodeReadsWhatEncodeWroteAndNothingShorter) {
  EXPECT_TRUE(rc::check([] {
    const Decimal a = *AnyDecimal();
    const std::string bytes = Encoded(a);
    ByteReader in(bytes);
    RC_ASSERT(Decimal::Decode(in) == a);
    RC_ASSERT(in.ok() && in.AtEnd());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      ByteReader cut(std::string_view(bytes).substr(0, size));
      Decimal::Decode(cut);
      RC_ASSERT(!cut.ok());
    }
  }));
}

TEST(DecimalLaws, GarbageDecodesToItsOneEncodingOrFails) {
  EXPECT_TRUE(rc::check([](const std::string& garbage) {
    ByteReader in(garbage);
    const Decimal value = Decimal::Decode(in);
    if (!in.ok()) return;
    const std::string bytes = Encoded(value);
    RC_ASSERT(garbage.substr(0, garbage.size() - in.Remaining()) == bytes);
  }));
}

TEST(DecimalLaws, IntegersBehaveAsIntegers) {
  EXPECT_TRUE(rc::check([](std::int64_t a, std::int32_t b) {
    RC_ASSERT(Decimal(a).ToString() == std::to_string(a));
    RC_ASSERT(*Decimal::Parse(std::to_string(a)) == Decimal(a));
    const Int128 sum = Int128{a} + b;
    const Decimal added = *Decimal::Add(a, b);
    RC_ASSERT(added.IsInt64() == (sum >= INT64_MIN && sum <= INT64_MAX));
    RC_ASSERT(added.Units() == sum * Decimal::kUnitsPerOne);
  }));
}

}  // namespace
}  // namespace jeton
