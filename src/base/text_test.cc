#include "base/text.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

namespace jeton {
namespace {

TEST(ParseInt64, IsAsStrictAsRedis) {
  EXPECT_EQ(ParseInt64("0"), 0);
  EXPECT_EQ(ParseInt64("-1"), -1);
  EXPECT_EQ(ParseInt64("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(ParseInt64("-9223372036854775808"), INT64_MIN);
  for (std::string_view text :
       {"", "-", "+1", "-0", "01", "-01", " 1", "1 ", "1.0", "1e3", "0x1", "--1",
        "9223372036854775808", "-9223372036854775809", "abc", "00"}) {
    EXPECT_FALSE(ParseInt64(text)) << text;
  }
  EXPECT_FALSE(ParseInt64(std::string_view("1\0", 2)));
}

TEST(ParseInt64, ReadsEveryInteger) {
  EXPECT_TRUE(rc::check([](std::int64_t n) { RC_ASSERT(ParseInt64(std::to_string(n)) == n); }));
}

TEST(Case, OnlyAsciiLettersFold) {
  EXPECT_TRUE(EqualsIgnoreCase("KeepTTL", "keepttl"));
  EXPECT_FALSE(EqualsIgnoreCase("a", "ab"));
  EXPECT_FALSE(EqualsIgnoreCase("\xc4", "\xe4"));
  EXPECT_FALSE(EqualsIgnoreCase("[", "{"));
  EXPECT_EQ(ToLower("GeT\xc4"), "get\xc4");
}

TEST(GlobMatch, FollowsRedis) {
  EXPECT_TRUE(GlobMatch("h?llo", "hello"));
  EXPECT_FALSE(GlobMatch("h?llo", "hllo"));
  EXPECT_TRUE(GlobMatch("h*llo", "hllo"));
  EXPECT_TRUE(GlobMatch("h*llo", "heeeello"));
  EXPECT_TRUE(GlobMatch("h[ae]llo", "hallo"));
  EXPECT_FALSE(GlobMatch("h[ae]llo", "hillo"));
  EXPECT_TRUE(GlobMatch("h[^e]llo", "hallo"));
  EXPECT_FALSE(GlobMatch("h[^e]llo", "hello"));
  EXPECT_TRUE(GlobMatch("h[a-b]llo", "hbllo"));
  EXPECT_TRUE(GlobMatch("h[b-a]llo", "hbllo"));
  EXPECT_TRUE(GlobMatch("a\\*b", "a*b"));
  EXPECT_FALSE(GlobMatch("a\\*b", "axb"));
  EXPECT_TRUE(GlobMatch("[\\]]", "]"));
  EXPECT_TRUE(GlobMatch("[a", "a"));
  EXPECT_TRUE(GlobMatch("x\\", "x\\"));
  EXPECT_TRUE(GlobMatch("*", ""));
  EXPECT_TRUE(GlobMatch("", ""));
  EXPECT_FALSE(GlobMatch("", "a"));
  EXPECT_FALSE(GlobMatch("a", ""));
  EXPECT_TRUE(GlobMatch("*a*b", "xxaxxbxb"));
  EXPECT_TRUE(GlobMatch("a**", "a"));
  EXPECT_FALSE(GlobMatch("MAX*", "maxclients"));
  EXPECT_TRUE(GlobMatch("MAX[A-C]*", "maxclients", GlobCase::kIgnore));
}

TEST(GlobMatch, ManyStarsStayFast) {
  std::string pattern;
  for (int i = 0; i < 1000; ++i) pattern += "*a";
  pattern += "*b";
  EXPECT_FALSE(GlobMatch(pattern, std::string(20'000, 'a')));
  EXPECT_TRUE(GlobMatch(pattern, std::string(20'000, 'a') + "b"));
}

TEST(GlobMatch, AnyPatternIsSafe) {
  EXPECT_TRUE(rc::check([](const std::string& pattern, const std::string& text) {
    GlobMatch(pattern, text);
    RC_ASSERT(GlobMatch("*" + std::string("*"), text));
  }));
}

TEST(QuoteForLog, EscapesWhatIsNotPrintable) {
  EXPECT_EQ(QuoteForLog("plain"), "\"plain\"");
  EXPECT_EQ(QuoteForLog("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(QuoteForLog("\n\r\t\a\b"), "\"\\n\\r\\t\\a\\b\"");
  EXPECT_EQ(QuoteForLog(std::string_view("\0\x7f\xff", 3)), "\"\\x00\\x7f\\xff\"");
}

TEST(ParseByteSize, KnowsTheUnitsOfRedis) {
  EXPECT_EQ(*ParseByteSize("0"), 0u);
  EXPECT_EQ(*ParseByteSize("123"), 123u);
  EXPECT_EQ(*ParseByteSize("10b"), 10u);
  EXPECT_EQ(*ParseByteSize("64k"), 64'000u);
  EXPECT_EQ(*ParseByteSize("64KB"), 65'536u);
  EXPECT_EQ(*ParseByteSize("100mb"), 104'857'600u);
  EXPECT_EQ(*ParseByteSize("1m"), 1'000'000u);
  EXPECT_EQ(*ParseByteSize("1Gb"), 1'073'741'824u);
  EXPECT_EQ(*ParseByteSize("1g"), 1'000'000'000u);
  for (std::string_view text :
       {"", "mb", "-1", "1.5gb", "1tb", " 1", "1 mb", "99999999999gb", "99999999999999999999"}) {
    EXPECT_FALSE(ParseByteSize(text).ok()) << text;
  }
  EXPECT_EQ(ParseByteSize("1tb").error().text,
            "\"1tb\" is not a size: want a number of bytes with b, k, kb, m, mb, g or gb, as in "
            "64kb or 1gb");
}

}  // namespace
}  // namespace jeton
