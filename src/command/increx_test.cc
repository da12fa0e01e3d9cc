#include "command/increx.h"

#include <gtest/gtest.h>

#include <vector>

namespace jeton::command {
namespace {

Decimal D(std::string_view text) {
  return Decimal::Parse(text).value();
}

TEST(AddWithin, AddsInsideTheBoundsAndUpToThem) {
  const Bounds bounds{.lower = 0, .upper = 10};
  EXPECT_EQ(AddWithin(5, 5, bounds, false)->value, Decimal(10));
  EXPECT_EQ(AddWithin(5, -5, bounds, false)->value, Decimal(0));
  EXPECT_EQ(AddWithin(5, D("0.5"), bounds, true)->applied, D("0.5"));
}

TEST(AddWithin, RefusesOrCutsWhatLeavesThem) {
  const Bounds bounds{.lower = 0, .upper = 10};
  const auto refused = AddWithin(5, 6, bounds, false);
  EXPECT_TRUE(refused->refused);
  EXPECT_EQ(refused->value, Decimal(5));
  EXPECT_EQ(refused->applied, Decimal(0));
  const auto cut = AddWithin(5, 6, bounds, true);
  EXPECT_FALSE(cut->refused);
  EXPECT_EQ(cut->value, Decimal(10));
  EXPECT_EQ(cut->applied, Decimal(5));
}

TEST(AddWithin, ASumBeyondTheRangeCountsAsOutside) {
  const Bounds range{.lower = D("-1e20"), .upper = D("1e20")};
  EXPECT_TRUE(AddWithin(D("1e20"), 1, range, false)->refused);
  EXPECT_EQ(AddWithin(D("9e19"), D("9e19"), range, true)->applied, D("1e19"));
  EXPECT_EQ(AddWithin(D("-9e19"), D("-9e19"), range, true)->value, D("-1e20"));
  // From one end to the other is more than a Decimal holds.
  EXPECT_FALSE(AddWithin(D("1e20"), 0, {.lower = D("-1e20"), .upper = D("-1e20")}, true));
}

TEST(ParseIncrex, TakesOptionsInAnyOrder) {
  const std::vector<std::string_view> words = {"EX", "10",     "ubound", "7",   "BYINT",
                                               "3",  "LBOUND", "-7",     "ENX", "saturate"};
  const auto options = ParseIncrex(words, true);
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->by, Decimal(3));
  EXPECT_EQ(options->bounds.lower, Decimal(-7));
  EXPECT_EQ(options->bounds.upper, Decimal(7));
  EXPECT_TRUE(options->saturate);
  EXPECT_TRUE(options->only_if_no_expiry);
  EXPECT_EQ(options->expiry.word, ExpiryWord::kEx);
}

TEST(ParseIncrex, BoundsAreTheTypesUnlessGiven) {
  EXPECT_EQ(ParseIncrex({}, true)->bounds.upper, D("9223372036854775807"));
  EXPECT_EQ(ParseIncrex({}, false)->bounds.upper, D("1e20"));
}

}  // namespace
}  // namespace jeton::command
