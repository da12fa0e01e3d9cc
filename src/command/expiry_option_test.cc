#include "command/expiry_option.h"

#include <gtest/gtest.h>

#include <vector>

namespace jeton::command {
namespace {

using Words = std::vector<std::string_view>;

TEST(ExpiryOption, TakesAWordWithItsAmount) {
  const Words words = {"px", "1500", "NX"};
  ExpiryOption option;
  std::size_t i = 0;
  ASSERT_TRUE(TakeExpiry(words, i, option));
  EXPECT_EQ(i, 1u);
  EXPECT_EQ(option.word, ExpiryWord::kPx);
  EXPECT_EQ(option.amount, "1500");
  i = 2;
  EXPECT_FALSE(TakeExpiry(words, i, option));
  EXPECT_EQ(i, 2u);
}

TEST(ExpiryOption, RefusesAMissingAmountAndADisagreement) {
  ExpiryOption option;
  std::size_t i = 0;
  EXPECT_FALSE(TakeExpiry(Words{"EX"}, i, option));
  EXPECT_EQ(option.word, ExpiryWord::kNone);
  EXPECT_TRUE(TakeExpiry(Words{"KEEPTTL"}, i, option));
  EXPECT_FALSE(TakeExpiry(Words{"EX", "1"}, i, option));
  EXPECT_FALSE(TakeExpiry(Words{"PERSIST"}, i, option));
}

TEST(ExpiryOption, TheLaterOfTheSameWordCounts) {
  const Words words = {"EX", "1", "EX", "2"};
  ExpiryOption option;
  for (std::size_t i = 0; i < words.size(); ++i) ASSERT_TRUE(TakeExpiry(words, i, option));
  EXPECT_EQ(option.amount, "2");
}

TEST(ExpiryOption, TimesAreRelativeOrAbsoluteInSecondsOrMilliseconds) {
  constexpr WallMs kNow = 1'000'000;
  const auto at = [](ExpiryWord word, std::string_view amount) {
    return ExpiryTime({.word = word, .amount = amount}, kNow, "set").value();
  };
  EXPECT_EQ(at(ExpiryWord::kEx, "10"), kNow + 10'000);
  EXPECT_EQ(at(ExpiryWord::kPx, "10"), kNow + 10);
  EXPECT_EQ(at(ExpiryWord::kExAt, "10"), 10'000);
  EXPECT_EQ(at(ExpiryWord::kPxAt, "10"), 10);
}

TEST(ExpiryOption, BadTimesGetTheTextsOfRedis) {
  const auto text = [](ExpiryWord word, std::string_view amount) {
    return ExpiryTime({.word = word, .amount = amount}, 1'000'000, "getex").error().text;
  };
  const std::string invalid = "ERR invalid expire time in 'getex' command";
  EXPECT_EQ(text(ExpiryWord::kEx, "0"), invalid);
  EXPECT_EQ(text(ExpiryWord::kPxAt, "-1"), invalid);
  EXPECT_EQ(text(ExpiryWord::kEx, "9223372036854775807"), invalid);
  EXPECT_EQ(text(ExpiryWord::kExAt, "9223372036854776"), invalid);
  EXPECT_EQ(text(ExpiryWord::kPx, "9223372036854775807"), invalid);
  EXPECT_EQ(text(ExpiryWord::kEx, "1.5"), "ERR value is not an integer or out of range");
  EXPECT_EQ(text(ExpiryWord::kEx, ""), "ERR value is not an integer or out of range");
}

}  // namespace
}  // namespace jeton::command
