#include "bench/reply_counter.h"

#include <gtest/gtest.h>

#include "base/prng.h"

namespace jeton::bench {
namespace {

std::string Repeat(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(ScanLines, AgreesWithALookAtEveryByte) {
  Prng prng(3);
  constexpr std::string_view kAlphabet = "\n\n:-1";
  for (int round = 0; round < 2'000; ++round) {
    std::string bytes(prng.Below(round % 100 == 0 ? 5'000 : 70), ' ');
    for (char& c : bytes) c = kAlphabet[prng.Below(kAlphabet.size())];
    const bool at_start = prng.Chance(0.5);
    LineScan expected;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const bool begins = i == 0 ? at_start : bytes[i - 1] == '\n';
      expected.ends += bytes[i] == '\n';
      expected.others += begins && bytes[i] != ':';
    }
    const LineScan scan = ScanLines(bytes, at_start, ':');
    ASSERT_EQ(scan.ends, expected.ends) << testing::PrintToString(bytes);
    ASSERT_EQ(scan.others, expected.others) << testing::PrintToString(bytes);
  }
}

TEST(ReplyCounter, CountsRepliesOfEveryKindOnce) {
  ReplyCounter counter;
  ASSERT_TRUE(counter.Feed(":1\r\n+OK\r\n$2\r\n:\n\r\n$-1\r\n*-1\r\n*0\r\n_\r\n,1.5\r\n"));
  EXPECT_EQ(counter.replies(), 8u);
  ASSERT_TRUE(counter.Feed("*2\r\n*1\r\n:1\r\n$0\r\n\r\n%1\r\n+a\r\n*2\r\n:1\r\n:2\r\n"));
  EXPECT_EQ(counter.replies(), 10u);
  EXPECT_EQ(counter.errors(), 0u);
}

TEST(ReplyCounter, KeepsTheTextOfTheFirstError) {
  ReplyCounter counter;
  ASSERT_TRUE(counter.Feed(":-5\r\n-ERR not an"));
  ASSERT_TRUE(counter.Feed(" integer\r\n*2\r\n:1\r\n-ERR two\r\n!3\r\nbad\r\n$2\r\n-1\r\n"));
  EXPECT_EQ(counter.replies(), 5u);
  EXPECT_EQ(counter.errors(), 3u);
  EXPECT_EQ(counter.first_error(), "ERR not an integer");
}

TEST(ReplyCounter, BreaksOnBytesThatAreNoReply) {
  for (const std::string_view bytes :
       {"HTTP/1.1", "$x\r\n", "*99999999999999999999\r\n", "*1-\r\n"}) {
    ReplyCounter counter;
    EXPECT_FALSE(counter.Feed(bytes)) << bytes;
    EXPECT_FALSE(counter.Feed(":1\r\n"));
    EXPECT_EQ(counter.replies(), 0u);
  }
}

// The scan must count what the parser counts, whatever surprises come late and wherever the stream
// is cut.
TEST(ReplyCounter, TheScanSeesErrorsAndOtherTypesAmongIntegers) {
  const std::string many = Repeat(":12\r\n", ReplyCounter::kParsedReplies + 10);
  const std::string stream =
      many + "-ERR late\r\n" + many + "$2\r\n\n:\r\n*2\r\n:1\r\n:2\r\n" + many;
  Prng prng(5);
  for (const std::size_t longest : {1u, 7u, 100u, 100'000u}) {
    ReplyCounter counter;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t size = std::min<std::size_t>(stream.size() - at, 1 + prng.Below(longest));
      ASSERT_TRUE(counter.Feed(std::string_view(stream).substr(at, size)));
      at += size;
    }
    EXPECT_EQ(counter.replies(), 3 * (ReplyCounter::kParsedReplies + 10) + 3);
    EXPECT_EQ(counter.errors(), 1u);
    EXPECT_EQ(counter.first_error(), "ERR late");
  }
}

TEST(ReplyCounter, CountsLinesOfJson) {
  const std::string good = "{\"success\":true,\"response\":1}\r\n";
  const std::string bad = "{\"success\":false,\"response\":\"no\"}\r\n";
  const std::string stream = Repeat(good, 50) + bad + Repeat(good, 50) + bad + good;
  for (const std::size_t size : {1u, 13u, 64u, 10'000u}) {
    ReplyCounter counter(ReplyFraming::kJsonLines);
    for (std::size_t at = 0; at < stream.size(); at += size) {
      ASSERT_TRUE(counter.Feed(std::string_view(stream).substr(at, size)));
    }
    EXPECT_EQ(counter.replies(), 103u);
    EXPECT_EQ(counter.errors(), 2u);
    EXPECT_EQ(counter.first_error(), "{\"success\":false,\"response\":\"no\"}");
  }
}

TEST(ReplyCounter, CountsLinesOfMemcached) {
  ReplyCounter counter(ReplyFraming::kMemcachedLines);
  ASSERT_TRUE(counter.Feed("12\r\nSTORED\r\nNOT_FOUND\r\n7"));
  ASSERT_TRUE(counter.Feed("\r\nERROR\r\n"));
  EXPECT_EQ(counter.replies(), 5u);
  EXPECT_EQ(counter.errors(), 2u);
  EXPECT_EQ(counter.first_error(), "NOT_FOUND");
}

}  // namespace
}  // namespace jeton::bench
