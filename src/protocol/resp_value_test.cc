#include "protocol/resp_value.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

namespace jeton {
namespace {

std::string Text(std::string_view bytes) {
  std::size_t consumed = 0;
  RespValue value;
  if (ParseRespValue(bytes, consumed, value) != RespValueOutcome::kValue) return "no value";
  EXPECT_EQ(consumed, bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    RespValue partial;
    EXPECT_EQ(ParseRespValue(bytes.substr(0, i), consumed, partial), RespValueOutcome::kNeedMore);
    EXPECT_EQ(consumed, 0u);
  }
  return value.ToText();
}

TEST(RespValue, RendersScalarsAsRedisCliDoes) {
  EXPECT_EQ(Text("+OK\r\n"), "OK");
  EXPECT_EQ(Text(":-3\r\n"), "(integer) -3");
  EXPECT_EQ(Text("$3\r\nabc\r\n"), "\"abc\"");
  EXPECT_EQ(Text("$4\r\n\"\n\x01\\\r\n"), "\"\\\"\\n\\x01\\\\\"");
  EXPECT_EQ(Text("$-1\r\n"), "(nil)");
  EXPECT_EQ(Text("*-1\r\n"), "(nil)");
  EXPECT_EQ(Text("_\r\n"), "(nil)");
  EXPECT_EQ(Text("-ERR no\r\n"), "(error) ERR no");
  EXPECT_EQ(Text("!6\r\nERR no\r\n"), "(error) ERR no");
  EXPECT_EQ(Text(",1.5\r\n"), "(double) 1.5");
  EXPECT_EQ(Text("#t\r\n"), "(true)");
  EXPECT_EQ(Text("#f\r\n"), "(false)");
  EXPECT_EQ(Text("(123\r\n"), "(big number) 123");
  EXPECT_EQ(Text("=6\r\ntxt:hi\r\n"), "hi");
}

TEST(RespValue, RendersContainers) {
  EXPECT_EQ(Text("*0\r\n"), "(empty array)");
  EXPECT_EQ(Text("*2\r\n+a\r\n*2\r\n:1\r\n:2\r\n"),
            "1) a\n"
            "2) 1) (integer) 1\n"
            "   2) (integer) 2");
  EXPECT_EQ(Text("%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*2\r\n:2\r\n:3\r\n"),
            "1# \"a\" => (integer) 1\n"
            "2# \"b\" => 1) (integer) 2\n"
            "   2) (integer) 3");
  EXPECT_EQ(Text("~1\r\n:1\r\n"), "1~ (integer) 1");
  EXPECT_EQ(Text(">1\r\n:1\r\n"), "1> (integer) 1");
  std::string ten = "*10\r\n";
  for (int i = 0; i < 10; ++i) ten += "+x\r\n";
  EXPECT_EQ(Text(ten), " 1) x\n 2) x\n 3) x\n 4) x\n 5) x\n 6) x\n 7) x\n 8) x\n 9) x\n10) x");
}

TEST(RespValue, SkipsAttributes) {
  EXPECT_EQ(Text("|1\r\n+ttl\r\n:3\r\n:5\r\n"), "(integer) 5");
}

TEST(RespValue, RefusesWhatIsNotResp) {
  std::string deep;
  for (int i = 0; i <= kRespValueMaxDepth; ++i) deep += "*1\r\n";
  for (const std::string& bytes :
       {std::string("x\r\n"), std::string("\r\n"), std::string(":1x\r\n"), std::string("$-2\r\n"),
        std::string("$1\r\nabc\r\n"), std::string("*99999999999\r\n"), std::string("+a\rb"),
        std::string("#x\r\n"), std::string("=2\r\nhi\r\n"), deep}) {
    std::size_t consumed = 0;
    RespValue value;
    EXPECT_EQ(ParseRespValue(bytes, consumed, value), RespValueOutcome::kError) << bytes;
  }
}

TEST(RespValue, ReadsManyAndReportsACutOne) {
  const auto values = ParseRespValues("+OK\r\n:1\r\n$1\r\nx\r\n");
  ASSERT_TRUE(values.ok());
  EXPECT_EQ(values->size(), 3u);
  EXPECT_EQ(ParseRespValues("+OK\r\n:1").error().text, "the reply is cut: \":1\"");
  EXPECT_EQ(ParseRespValues("?\r\n").error().text, "unknown reply type \"?\"");
}

TEST(RespValue, ReadsRequestsToo) {
  EXPECT_TRUE(rc::check("a request is an array of bulks", [](const std::vector<std::string>& args) {
    std::string bytes;
    AppendRespRequest(bytes, {args.begin(), args.end()});
    const auto values = ParseRespValues(bytes);
    RC_ASSERT(values.ok());
    RC_ASSERT(values->front().items.size() == args.size());
    for (std::size_t i = 0; i < args.size(); ++i) {
      RC_ASSERT(values->front().items[i].text == args[i]);
    }
  }));
}

}  // namespace
}  // namespace jeton
