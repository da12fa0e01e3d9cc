#include "protocol/resp_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "protocol/resp_value.h"

namespace jeton {
namespace {

using testing::ElementsAre;
using Outcome = RespParser::Outcome;
using Request = std::vector<std::string>;

struct Parsed {
  std::vector<Request> requests;
  std::string error;
  std::size_t left = 0;  // bytes that belong to an unfinished request

  friend bool operator==(const Parsed&, const Parsed&) = default;
};

// Feeds `bytes` in pieces of at most `piece` bytes, as a connection would: what is consumed leaves
// the buffer, which therefore moves.
Parsed Feed(std::string_view bytes, std::size_t piece, RespParser::Limits limits = {}) {
  RespParser parser(limits);
  Parsed parsed;
  std::string buffer;
  std::vector<std::string_view> args;
  while (true) {
    args.clear();
    std::size_t consumed = 0;
    const Outcome outcome = parser.Next(buffer, consumed, args);
    if (outcome == Outcome::kError) {
      parsed.error = parser.error();
      return parsed;
    }
    if (outcome == Outcome::kRequest) parsed.requests.emplace_back(args.begin(), args.end());
    buffer = buffer.substr(consumed);
    if (outcome == Outcome::kRequest) continue;
    EXPECT_TRUE(args.empty());
    if (bytes.empty()) break;
    buffer += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  parsed.left = buffer.size();
  EXPECT_EQ(parser.InRequest(), !buffer.empty());
  return parsed;
}

Parsed FeedAll(std::string_view bytes, RespParser::Limits limits = {}) {
  Parsed whole = Feed(bytes, bytes.size() + 1, limits);
  EXPECT_EQ(Feed(bytes, 1, limits), whole) << bytes.substr(0, 200);
  return whole;
}

std::string ErrorOf(std::string_view bytes, RespParser::Limits limits = {}) {
  const Parsed parsed = FeedAll(bytes, limits);
  EXPECT_TRUE(parsed.requests.empty());
  return parsed.error;
}

TEST(RespParser, ReadsARequest) {
  const Parsed parsed = FeedAll("*2\r\n$4\r\nINCR\r\n$5\r\nvisit\r\n");
  EXPECT_THAT(parsed.requests, ElementsAre(Request{"INCR", "visit"}));
  EXPECT_EQ(parsed.left, 0u);
}

TEST(RespParser, ReadsArgumentsOfOneLengthInARow) {
  const std::string long_one(123, 'x');
  const std::string bulk = "$123\r\n" + long_one + "\r\n";
  EXPECT_THAT(
      FeedAll("*6\r\n$2\r\nab\r\n$2\r\ncd\r\n$2\r\n$2\r\n" + bulk + bulk + "$1\r\ne\r\n").requests,
      ElementsAre(Request{"ab", "cd", "$2", long_one, long_one, "e"}));
  EXPECT_THAT(FeedAll("*3\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n").requests,
              ElementsAre(Request{"", "", ""}));
  // What begins like the line before and is none.
  EXPECT_EQ(ErrorOf("*3\r\n$2\r\nab\r\n$2\rxcd\r\n$2\r\nef\r\n"),
            "Protocol error: invalid bulk length");
}

TEST(RespParser, ReadsViewsIntoTheInputAndAppends) {
  const std::string_view input = "*1\r\n$4\r\nPING\r\nrest";
  std::vector<std::string_view> args = {"before"};
  std::size_t consumed = 0;
  RespParser parser;
  ASSERT_EQ(parser.Next(input, consumed, args), Outcome::kRequest);
  EXPECT_EQ(consumed, 14u);
  ASSERT_THAT(args, ElementsAre("before", "PING"));
  EXPECT_EQ(args[1].data(), input.data() + 8);
}

TEST(RespParser, TakesAnyBytesInBulks) {
  const std::string binary("\0\r\n*\xff$", 6);
  std::string bytes;
  AppendRespRequest(bytes, {"SET", binary, "", std::string(300, '\r')});
  EXPECT_THAT(FeedAll(bytes).requests,
              ElementsAre(Request{"SET", binary, "", std::string(300, '\r')}));
}

TEST(RespParser, TakesLengthsOfEverySize) {
  for (const std::size_t size : {0, 9, 10, 99, 100, 999, 1000, 16384}) {
    const std::string argument(size, 'x');
    std::string bytes;
    for (std::size_t count = 1; count < 12; ++count) {
      AppendRespRequest(bytes, std::vector<std::string_view>(count, argument));
    }
    const Parsed parsed = Feed(bytes, bytes.size());
    ASSERT_EQ(parsed.requests.size(), 11u) << size;
    EXPECT_EQ(parsed.requests[10], Request(11, argument));
    EXPECT_EQ(Feed(bytes, 997), parsed);
  }
}

TEST(RespParser, SkipsEmptyArraysAndLines) {
  EXPECT_THAT(FeedAll("*0\r\n\r\n\n   \r\n*-1\r\n*1\r\n$1\r\na\r\n*0\r\n").requests,
              ElementsAre(Request{"a"}));
}

// A client that sends nothing but empty lines must not fill the buffer.
TEST(RespParser, ConsumesEmptyLinesEvenIfItNeedsMore) {
  RespParser parser;
  std::vector<std::string_view> args;
  std::size_t consumed = 0;
  EXPECT_EQ(parser.Next("\r\n\r\n*0\r\n*1\r\n$4\r\nPI", consumed, args), Outcome::kNeedMore);
  EXPECT_EQ(consumed, 8u);
  EXPECT_EQ(parser.NeededBytes(), 14u);
  EXPECT_EQ(parser.Next("*1\r\n$4\r\nPING\r\n", consumed, args), Outcome::kRequest);
  EXPECT_EQ(consumed, 14u);
  EXPECT_THAT(args, ElementsAre("PING"));
}

TEST(RespParser, SplitsInlineCommandsAsRedisDoes) {
  EXPECT_THAT(FeedAll("PING\r\nINCR a\n  SET \t b  5 \r\n").requests,
              ElementsAre(Request{"PING"}, Request{"INCR", "a"}, Request{"SET", "b", "5"}));
  EXPECT_THAT(FeedAll(R"(SET "a b" 'c "d' "" '' )"
                      "\n")
                  .requests,
              ElementsAre(Request{"SET", "a b", "c \"d", "", ""}));
  EXPECT_THAT(FeedAll(R"(X "\x41\n\r\t\b\a\\\"\q\x4" 'it\'s \n' pre"fix")"
                      "\n")
                  .requests,
              ElementsAre(Request{"X", "A\n\r\t\b\a\\\"qx4", "it's \\n", "prefix"}));
  EXPECT_THAT(FeedAll("a\vb \vc\n").requests, ElementsAre(Request{"a\vb", "c"}));
  EXPECT_THAT(FeedAll("\"\"\n").requests, ElementsAre(Request{""}));
}

TEST(RespParser, KeepsQuotedArgumentsUntilTheyAreReleased) {
  RespParser parser;
  std::vector<std::string_view> args;
  std::string_view input = "ECHO 'a b'\nECHO 'c d'\n";
  for (int i = 0; i < 2; ++i) {
    std::size_t consumed = 0;
    ASSERT_EQ(parser.Next(input, consumed, args), Outcome::kRequest);
    input.remove_prefix(consumed);
  }
  EXPECT_THAT(args, ElementsAre("ECHO", "a b", "ECHO", "c d"));
  parser.ReleaseScratch();
}

TEST(RespParser, RefusesUnbalancedQuotes) {
  const std::string text = "Protocol error: unbalanced quotes in request";
  for (const char* line :
       {"SET \"a\n", "SET 'a\r\n", "SET \"a\"b\n", "SET 'a'b\n", "SET \"a\\\n"}) {
    EXPECT_EQ(ErrorOf(line), text) << line;
  }
}

TEST(RespParser, RefusesBadCounts) {
  const std::string text = "Protocol error: invalid multibulk length";
  for (const char* bytes : {"*\r\n", "*x\r\n", "*+1\r\n", "*01\r\n", "*1x\r\n", "*-0\r\n",
                            "* 1\r\n", "*1048577\r\n", "*99999999999999999999999\r\n", "*1\rx"}) {
    EXPECT_EQ(ErrorOf(bytes), text) << bytes;
  }
}

TEST(RespParser, RefusesBadLengths) {
  const std::string text = "Protocol error: invalid bulk length";
  for (const char* bytes :
       {"*1\r\n$\r\n", "*1\r\n$x\r\n", "*1\r\n$-1\r\n", "*1\r\n$01\r\n", "*1\r\n$16777217\r\n",
        "*1\r\n$99999999999999999999\r\n", "*1\r\n$1\rx", "*2\r\n$1\r\na\r\n$+1\r\n"}) {
    EXPECT_EQ(ErrorOf(bytes), text) << bytes;
  }
}

TEST(RespParser, RefusesOtherTypesThanBulks) {
  EXPECT_EQ(ErrorOf("*1\r\n:1\r\n"), "Protocol error: expected '$', got ':'");
  EXPECT_EQ(ErrorOf("*1\r\nPING\r\n"), "Protocol error: expected '$', got 'P'");
  EXPECT_EQ(ErrorOf("*1\r\n\r\n"), "Protocol error: expected '$', got ' '");
}

TEST(RespParser, RefusesABulkThatIsLongerThanItSays) {
  EXPECT_EQ(ErrorOf("*1\r\n$3\r\nPING\r\n"), "Protocol error: expected CRLF after the bulk");
}

TEST(RespParser, ReachesTheLimitsOfLines) {
  const std::string full(64 * 1024 - 1, 'a');  // and the '*', or the '$', in front
  EXPECT_EQ(Feed("*" + full, 1000).error, "");
  EXPECT_EQ(Feed("*" + full + "a", 1000).error, "Protocol error: too big mbulk count string");
  EXPECT_EQ(Feed("*1\r\n$" + full, 1000).error, "");
  EXPECT_EQ(Feed("*1\r\n$" + full + "a", 1000).error, "Protocol error: too big bulk count string");
  EXPECT_EQ(Feed("a" + full + "\n", 1000).requests.size(), 1u);
  EXPECT_EQ(Feed("aa" + full, 1000).error, "Protocol error: too big inline request");
  EXPECT_EQ(Feed("aa" + full + "\n", 1 << 20).error, "Protocol error: too big inline request");
}

TEST(RespParser, ReachesTheLimitsOfSizes) {
  const RespParser::Limits limits = {.arguments = 3, .bulk_bytes = 5};
  EXPECT_THAT(FeedAll("*3\r\n$5\r\naaaaa\r\n$0\r\n\r\n$1\r\nb\r\n", limits).requests,
              ElementsAre(Request{"aaaaa", "", "b"}));
  EXPECT_EQ(ErrorOf("*4\r\n", limits), "Protocol error: invalid multibulk length");
  EXPECT_EQ(ErrorOf("*1\r\n$6\r\n", limits), "Protocol error: invalid bulk length");
}

TEST(RespParser, GivesLittleToThoseWhoHaveYetToAuthenticate) {
  const RespParser::Limits limits = {.unauthenticated = true};
  EXPECT_EQ(ErrorOf("*11\r\n", limits), "Protocol error: unauthenticated multibulk length");
  EXPECT_EQ(ErrorOf("*1\r\n$16385\r\n", limits), "Protocol error: unauthenticated bulk length");
  std::string ten;
  AppendRespRequest(ten, std::vector<std::string_view>(10, "a"));
  EXPECT_EQ(FeedAll(ten, limits).requests.size(), 1u);
}

TEST(RespParser, ReadsAPipelineOfManyCommands) {
  std::string bytes;
  for (int i = 0; i < 100'000; ++i) {
    AppendRespRequest(bytes, {"INCR", "counter:" + std::to_string(i)});
  }
  RespParser parser;
  std::string_view input = bytes;
  std::vector<std::string_view> args;
  std::size_t consumed = 0;
  int count = 0;
  while (parser.Next(input, consumed, args) == Outcome::kRequest) {
    input.remove_prefix(consumed);
    ASSERT_EQ(args.size(), 2u);
    ASSERT_EQ(args[1], "counter:" + std::to_string(count++));
    args.clear();
  }
  EXPECT_EQ(count, 100'000);
  EXPECT_TRUE(input.empty());
}

// A megabyte byte by byte is a million calls: quadratic work would not end in this life.
TEST(RespParser, TakesLargeRequestsInSmallPieces) {
  std::string bytes = "*100001\r\n";
  for (int i = 0; i < 100'000; ++i) bytes += "$1\r\nx\r\n";
  bytes += "$300000\r\n" + std::string(300'000, 'y') + "\r\n";
  RespParser parser;
  std::vector<std::string_view> args;
  std::size_t consumed = 0;
  for (std::size_t i = 1; i < bytes.size(); ++i) {
    ASSERT_EQ(parser.Next({bytes.data(), i}, consumed, args), Outcome::kNeedMore);
    ASSERT_EQ(consumed, 0u);
  }
  ASSERT_EQ(parser.Next(bytes, consumed, args), Outcome::kRequest);
  EXPECT_EQ(consumed, bytes.size());
  EXPECT_EQ(args.size(), 100'001u);
  EXPECT_EQ(args.back().size(), 300'000u);
  EXPECT_FALSE(parser.InRequest());
}

TEST(RespParser, ReadsWhatAClientWrites) {
  EXPECT_TRUE(rc::check("any arguments survive, in any pieces", [](std::vector<Request> requests) {
    std::erase_if(requests, [](const Request& request) { return request.empty(); });
    std::string bytes;
    for (const Request& request : requests) {
      AppendRespRequest(bytes, {request.begin(), request.end()});
    }
    const auto piece = *rc::gen::inRange<std::size_t>(1, 40);
    const Parsed parsed = Feed(bytes, piece);
    RC_ASSERT(parsed.requests == requests);
    RC_ASSERT(parsed.left == 0u);
  }));
}

TEST(RespParser, DoesNotDependOnThePieces) {
  EXPECT_TRUE(rc::check("nonsense gives the same outcome whole and byte by byte", [] {
    const auto words = *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
        "*", "$", "1", "2", "\r\n", "\r\n", "\r", "\n", "PING", " ", "\"", "'", "\\x4", "-1",
        "*1\r\n", "$4\r\nPING\r\n", std::string(1, '\0')));
    std::string bytes;
    for (const auto& word : words) bytes += word;
    const RespParser::Limits limits = {.inline_bytes = 12, .arguments = 5, .bulk_bytes = 8};
    RC_ASSERT(Feed(bytes, bytes.size() + 1, limits) == Feed(bytes, 1, limits));
    RC_ASSERT(Feed(bytes, 3) == Feed(bytes, 1));
  }));
}

}  // namespace
}  // namespace jeton
