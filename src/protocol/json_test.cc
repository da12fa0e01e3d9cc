#include "protocol/json.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <simdjson.h>

#include <string>
#include <vector>

#include "protocol/json_text.h"

namespace jeton {
namespace {

using Outcome = JsonLineParser::Outcome;

struct Lines {
  std::vector<std::string> lines;
  bool too_long = false;
  std::string left;

  friend bool operator==(const Lines&, const Lines&) = default;
};

Lines Feed(std::string_view bytes, std::size_t piece, std::size_t max = kJsonMaxLineBytes) {
  JsonLineParser parser(max);
  Lines result;
  while (true) {
    std::size_t consumed = 0;
    std::string_view line;
    const Outcome outcome = parser.Next(result.left, consumed, line);
    if (outcome == Outcome::kLine) result.lines.emplace_back(line);
    if (outcome == Outcome::kTooLong) {
      result.too_long = true;
      result.left.clear();
      return result;
    }
    result.left = result.left.substr(consumed);
    if (outcome == Outcome::kLine) continue;
    if (bytes.empty()) return result;
    result.left += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
}

TEST(JsonLineParser, CutsLines) {
  const Lines lines = Feed("{\"a\":1}\n\r\n\n{}\r\n{\"b", 100);
  EXPECT_EQ(lines.lines, (std::vector<std::string>{"{\"a\":1}", "{}"}));
  EXPECT_EQ(lines.left, "{\"b");
  EXPECT_FALSE(lines.too_long);
}

TEST(JsonLineParser, ReachesItsMaximum) {
  for (const std::size_t piece : {1, 2, 100}) {
    EXPECT_EQ(Feed("12345\r\n", piece, 5).lines.size(), 1u);
    EXPECT_EQ(Feed("12345\n", piece, 5).lines.size(), 1u);
    EXPECT_TRUE(Feed("123456\n", piece, 5).too_long);
    EXPECT_TRUE(Feed("123456\r\n", piece, 5).too_long);
    EXPECT_TRUE(Feed("1234567", piece, 5).too_long);
  }
}

TEST(JsonLineParser, TakesALongLineInSmallPieces) {
  const std::string bytes = std::string(1'000'000, 'x') + "\n";
  JsonLineParser parser;
  std::size_t consumed = 0;
  std::string_view line;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    ASSERT_EQ(parser.Next({bytes.data(), i}, consumed, line), Outcome::kNeedMore);
  }
  ASSERT_EQ(parser.Next(bytes, consumed, line), Outcome::kLine);
  EXPECT_EQ(line.size(), 1'000'000u);
}

TEST(JsonLineParser, DoesNotDependOnThePieces) {
  EXPECT_TRUE(rc::check("lines come out the same whole and byte by byte", [] {
    const auto bytes = *rc::gen::container<std::string>(rc::gen::element('a', 'b', '\r', '\n'));
    RC_ASSERT(Feed(bytes, bytes.size() + 1, 4) == Feed(bytes, 1, 4));
  }));
}

// The document written out again, numbers as they were.
void Write(std::string& out, const JsonValue& value) {
  switch (value.type()) {
    case JsonType::kString:
      return AppendJsonString(out, value.Text());
    case JsonType::kArray:
      out += '[';
      for (const JsonValue item : value.Items()) {
        if (out.back() != '[') out += ',';
        Write(out, item);
      }
      out += ']';
      return;
    case JsonType::kObject:
      out += '{';
      for (const JsonField field : value.Fields()) {
        if (out.back() != '{') out += ',';
        AppendJsonString(out, field.name);
        out += ':';
        Write(out, field.value);
      }
      out += '}';
      return;
    default:
      out += value.Text();
  }
}

std::string RoundTrip(std::string_view text) {
  JsonDocument document;
  if (const Status status = document.Parse(text); !status.ok()) return status.error().text;
  std::string out;
  Write(out, document.Root());
  return out;
}

TEST(JsonDocument, KeepsEverythingAsWritten) {
  for (const char* text : {
           R"({})",
           R"([])",
           R"({"a":[1,-2.50,1e400,123456789012345678901234567890,0.10],"b":{"c":null,"d":true}})",
           R"([[],[[]],{},[{"x":[false]}],"é😀\u0000\"\\"])",
           R"({"a":1,"a":2})",
       }) {
    EXPECT_EQ(RoundTrip(text), text);
  }
  EXPECT_EQ(RoundTrip(" { \"a\\u0041\" :\t[ 1 , 2 ] } "), R"({"aA":[1,2]})");
}

TEST(JsonDocument, RefusesWhatIsNotJson) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "}",
                           "{]",
                           "[}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{a:1}",
                           "[1,]",
                           "[1 2]",
                           "[1",
                           "{\"a\":1",
                           "{\"a\":1}}",
                           "{} {}",
                           "{}x",
                           "[]1",
                           "[01]",
                           "[+1]",
                           "[.5]",
                           "[1.]",
                           "[nul]",
                           "[nullx]",
                           "[True]",
                           "[\"\\x\"]",
                           "[\"\\ud800\"]",
                           "[\"a]",
                           "[\"\n\"]",
                           "[\"\xff\"]",
                           "[1]2",
                           "{\"a\":1 \"b\":2}",
                           "{\"a\" 1}",
                           "{1:2}",
                           "['a']",
                           "[,1]",
                           "[1,,2]",
                           "{\"a\":1,\"b\"}",
                           "{,}",
                           "5",
                           "\"a\"",
                           "null",
                           "x"}) {
    JsonDocument document;
    EXPECT_FALSE(document.Parse(text).ok()) << text;
  }
}

TEST(JsonDocument, SaysWhatIsWrong) {
  EXPECT_EQ(RoundTrip("[nope]"), "Invalid JSON: unexpected token \"nope\"");
  EXPECT_EQ(RoundTrip("{} {}"), "Invalid JSON: text after the end");
  EXPECT_EQ(RoundTrip("7"), "Expected a JSON object");
  EXPECT_TRUE(RoundTrip("[1 2]").starts_with("Invalid JSON: ")) << RoundTrip("[1 2]");
}

TEST(JsonDocument, ReachesItsDepth) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(RoundTrip(nested(kJsonMaxDepth)), nested(kJsonMaxDepth));
  EXPECT_EQ(RoundTrip(nested(kJsonMaxDepth + 1)), "Invalid JSON: nested deeper than 32");
  EXPECT_FALSE(JsonDocument().Parse(std::string(5000, '[')).ok());
  EXPECT_FALSE(JsonDocument().Parse(std::string(5000, '{')).ok());
}

TEST(JsonDocument, IsReusedAfterAnError) {
  JsonDocument document;
  ASSERT_TRUE(document.Parse(R"(["a","b"])").ok());
  ASSERT_FALSE(document.Parse("[1").ok());
  ASSERT_TRUE(document.Parse(R"({"k":"v"})").ok());
  EXPECT_EQ(document.Root().Find("k")->Text(), "v");
}

TEST(JsonDocument, AcceptsWhatSimdjsonsDomAccepts) {
  EXPECT_TRUE(rc::check("two parsers agree on pieces of JSON", [] {
    const auto words = *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
        "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "1", "-2.5", "true", "null", " ", "x"));
    std::string text = *rc::gen::element<std::string>("{", "[", "{\"a\":", "[1,");
    for (const auto& word : words) text += word;
    simdjson::dom::parser dom;
    simdjson::dom::element element;
    const bool valid = dom.parse(text).get(element) == simdjson::SUCCESS;
    JsonDocument document;
    RC_ASSERT(document.Parse(text).ok() == valid);
  }));
}

TEST(JsonDocument, TakesABatchOfTenThousand) {
  std::string text = R"({"items":[)";
  for (int i = 0; i < 10'000; ++i) {
    text += (i > 0 ? ",[" : "[") + std::to_string(i) + ",20230701,5]";
  }
  text += "]}";
  JsonDocument document;
  ASSERT_TRUE(document.Parse(text).ok());
  std::int64_t expected = 0;
  for (const JsonValue item : document.Root().Find("items")->Items()) {
    ASSERT_EQ(item.size(), 3u);
    ASSERT_EQ((*item.Items().begin()).Int64(), expected++);
  }
  EXPECT_EQ(expected, 10'000);
}

JsonRequest Request(std::string_view line) {
  JsonRequest request;
  const Status status = request.Parse(line);
  EXPECT_TRUE(status.ok());
  return request;
}

TEST(JsonRequest, KnowsTheVersions) {
  EXPECT_EQ(Request(R"({"command":"ping"})").version(), KarmaVersion::kV1);
  EXPECT_EQ(Request(R"({"v":2,"op":"system.ping"})").version(), KarmaVersion::kV2);
  EXPECT_EQ(Request(R"({"op":"system.ping"})").version(), KarmaVersion::kV2);
  EXPECT_EQ(Request(R"({"v":3})").version(), KarmaVersion::kV2);
  EXPECT_EQ(Request(R"({})").version(), KarmaVersion::kUnknown);
  JsonRequest request;
  EXPECT_EQ(request.Parse("[1]").error().text, "Expected a JSON object");
}

TEST(JsonRequest, GivesFieldsByType) {
  const JsonRequest r = Request(
      R"({"s":"text","i":-5,"u":18446744073709551615,"d":0.10,"b":true,"n":null,"a":[1],"o":{}})");
  EXPECT_EQ(r.String("s").value(), "text");
  EXPECT_EQ(r.Int64("i").value(), -5);
  EXPECT_EQ(r.Uint64("u").value(), 18446744073709551615ull);
  EXPECT_EQ(r.DecimalText("d").value(), "0.10");
  EXPECT_EQ(r.DecimalText("s").value(), "text");
  EXPECT_EQ(r.Bool("b").value(), true);
  EXPECT_EQ(r.Array("a").value()->size(), 1u);
  EXPECT_EQ(r.Object("o").value()->size(), 0u);
  for (const char* absent : {"n", "missing"}) {
    EXPECT_EQ(r.String(absent).value(), std::nullopt);
    EXPECT_EQ(r.Int64(absent).value(), std::nullopt);
    EXPECT_EQ(r.Uint64(absent).value(), std::nullopt);
    EXPECT_EQ(r.DecimalText(absent).value(), std::nullopt);
    EXPECT_EQ(r.Bool(absent).value(), std::nullopt);
    EXPECT_FALSE(r.Array(absent).value().has_value());
    EXPECT_FALSE(r.Object(absent).value().has_value());
  }
}

TEST(JsonRequest, SaysWhatAFieldShouldBe) {
  const JsonRequest r = Request(R"({"s":"text","i":-5,"d":1.5,"big":9223372036854775808,"a":[]})");
  EXPECT_EQ(r.Int64("s").error().text, "Field s must be an integer of 64 bits, not a string");
  EXPECT_EQ(r.Int64("d").error().text, "Field d must be an integer of 64 bits, not 1.5");
  EXPECT_EQ(r.Int64("big").error().text,
            "Field big must be an integer of 64 bits, not 9223372036854775808");
  EXPECT_EQ(r.Uint64("i").error().text, "Field i must be an unsigned integer of 64 bits, not -5");
  EXPECT_EQ(r.String("i").error().text, "Field i must be a string, not -5");
  EXPECT_EQ(r.Bool("a").error().text, "Field a must be a boolean, not an array");
  EXPECT_EQ(r.Array("s").error().text, "Field s must be an array, not a string");
  EXPECT_EQ(r.Object("a").error().text, "Field a must be an object, not an array");
  EXPECT_EQ(r.DecimalText("a").error().text, "Field a must be a number, not an array");
}

TEST(JsonRequest, LetsTheLastOfTwoFieldsWin) {
  EXPECT_EQ(Request(R"({"k":1,"k":2})").Int64("k").value(), 2);
}

}  // namespace
}  // namespace jeton
