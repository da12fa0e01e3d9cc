#include "protocol/reply.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "protocol/json.h"
#include "protocol/resp_value.h"

namespace jeton {
namespace {

template <typename Write>
std::string Render(ReplyFormat format, Write write) {
  std::string out;
  Reply reply(out, format);
  write(reply);
  return out;
}

template <typename Write>
void ExpectAll(std::string_view resp2, std::string_view resp3, std::string_view json, Write write) {
  EXPECT_EQ(Render(ReplyFormat::kResp2, write), resp2);
  EXPECT_EQ(Render(ReplyFormat::kResp3, write), resp3);
  EXPECT_EQ(Render(ReplyFormat::kJson, write), json);
}

Decimal Dec(std::string_view text) {
  return Decimal::Parse(text).value();
}

TEST(Reply, WritesIntegersAheadOfAReply) {
  std::vector<std::int64_t> values = {std::numeric_limits<std::int64_t>::min(),
                                      std::numeric_limits<std::int64_t>::max()};
  for (std::int64_t power = 1; power <= 100'000'000'000'000'000; power *= 10) {
    values.insert(values.end(), {power, -power, power - 1, 1 - power});
  }
  for (const std::int64_t value : values) {
    char bytes[kIntegerReplyMax];
    const std::string digits = std::to_string(value);
    EXPECT_EQ(std::string(bytes, PutIntegerReply(value, bytes)), ":" + digits + "\r\n");
    EXPECT_EQ(std::string(bytes, PutIntegerBulk(value, bytes)),
              "$" + std::to_string(digits.size()) + "\r\n" + digits + "\r\n");
  }
}

TEST(Reply, WritesManyIntegersAsBulks) {
  std::vector<std::int64_t> values;
  std::string resp;
  std::string json;
  for (std::int64_t i = 0; i < 130; ++i) {
    values.push_back(i % 2 == 0 ? i * i * i : std::numeric_limits<std::int64_t>::min() + i);
    const std::string digits = std::to_string(values.back());
    resp += "$" + std::to_string(digits.size()) + "\r\n" + digits + "\r\n";
    json += (i > 0 ? "," : "") + ("\"" + digits + "\"");
  }
  ExpectAll("*130\r\n" + resp, "*130\r\n" + resp, "[" + json + "]", [&](Reply& r) {
    r.Array(values.size());
    r.IntegerBulks(values);
  });
}

TEST(Reply, WritesStrings) {
  ExpectAll("+OK\r\n", "+OK\r\n", "\"OK\"", [](Reply& r) { r.Ok(); });
  ExpectAll("+a  b\r\n", "+a  b\r\n", R"("a\r\nb")", [](Reply& r) { r.Simple("a\r\nb"); });
  ExpectAll("$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n", R"("a\r\nb")",
            [](Reply& r) { r.Bulk("a\r\nb"); });
  ExpectAll("$0\r\n\r\n", "$0\r\n\r\n", "\"\"", [](Reply& r) { r.Bulk(""); });
  ExpectAll("$1\r\n\xff\r\n", "$1\r\n\xff\r\n", R"("\ufffd")", [](Reply& r) { r.Bulk("\xff"); });
  ExpectAll("$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n", "\"hi\"",
            [](Reply& r) { r.Verbatim("txt", "hi"); });
}

TEST(Reply, WritesNumbers) {
  ExpectAll(":3\r\n", ":3\r\n", "3", [](Reply& r) { r.Integer(3); });
  ExpectAll(":-9223372036854775808\r\n", ":-9223372036854775808\r\n", "-9223372036854775808",
            [](Reply& r) { r.Integer(std::numeric_limits<std::int64_t>::min()); });
  ExpectAll(":1\r\n", "#t\r\n", "true", [](Reply& r) { r.Bool(true); });
  ExpectAll(":0\r\n", "#f\r\n", "false", [](Reply& r) { r.Bool(false); });
  ExpectAll("$3\r\n0.1\r\n", ",0.1\r\n", "0.1", [](Reply& r) { r.Double(0.1); });
  ExpectAll("$3\r\ninf\r\n", ",inf\r\n", "null", [](Reply& r) { r.Double(INFINITY); });
  ExpectAll("$3\r\nnan\r\n", ",nan\r\n", "null", [](Reply& r) { r.Double(-NAN); });
  ExpectAll("$20\r\n12345678901234567890\r\n", "(12345678901234567890\r\n", "12345678901234567890",
            [](Reply& r) { r.BigNumber("12345678901234567890"); });
}

TEST(Reply, WritesDecimals) {
  ExpectAll(":7\r\n", ":7\r\n", "7", [](Reply& r) { r.Decimal(Dec("7")); });
  ExpectAll("$4\r\n-2.5\r\n", "$4\r\n-2.5\r\n", "-2.5", [](Reply& r) { r.Decimal(Dec("-2.5")); });
  ExpectAll("$21\r\n100000000000000000000\r\n", "$21\r\n100000000000000000000\r\n",
            "100000000000000000000", [](Reply& r) { r.Decimal(Dec("1e20")); });
  ExpectAll("$1\r\n7\r\n", "$1\r\n7\r\n", "\"7\"", [](Reply& r) { r.DecimalBulk(Dec("7")); });
}

TEST(Reply, WritesNulls) {
  ExpectAll("$-1\r\n", "_\r\n", "null", [](Reply& r) { r.Null(); });
  ExpectAll("*-1\r\n", "_\r\n", "null", [](Reply& r) { r.NullArray(); });
}

TEST(Reply, WritesContainers) {
  ExpectAll("*0\r\n", "*0\r\n", "[]", [](Reply& r) { r.Array(0); });
  ExpectAll("*0\r\n", "%0\r\n", "{}", [](Reply& r) { r.Map(0); });
  ExpectAll("*2\r\n:1\r\n:2\r\n", "*2\r\n:1\r\n:2\r\n", "[1,2]", [](Reply& r) {
    r.Array(2);
    r.Integer(1);
    r.Integer(2);
  });
  ExpectAll("*1\r\n:1\r\n", "~1\r\n:1\r\n", "[1]", [](Reply& r) {
    r.Set(1);
    r.Integer(1);
  });
  ExpectAll("*1\r\n:1\r\n", ">1\r\n:1\r\n", "[1]", [](Reply& r) {
    r.Push(1);
    r.Integer(1);
  });
  ExpectAll("*4\r\n$1\r\na\r\n:1\r\n:2\r\n:3\r\n", "%2\r\n$1\r\na\r\n:1\r\n:2\r\n:3\r\n",
            R"({"a":1,"2":3})", [](Reply& r) {
              r.Map(2);
              r.Bulk("a");
              r.Integer(1);
              r.Integer(2);  // a key
              r.Integer(3);
            });
}

TEST(Reply, NestsJson) {
  EXPECT_EQ(Render(ReplyFormat::kJson,
                   [](Reply& r) {
                     r.Array(4);
                     r.Map(2);
                     r.Bulk("x");
                     r.Array(2);
                     r.Array(0);
                     r.Map(1);
                     r.Decimal(Dec("1.5"));
                     r.Null();
                     r.Bulk("y");
                     r.Map(0);
                     r.Array(1);
                     r.Array(1);
                     r.Bool(true);
                     r.Raw("{\"raw\":1}");
                     r.Ok();
                   }),
            R"([{"x":[[],{"1.5":null}],"y":{}},[[true]],{"raw":1},"OK"])");
}

TEST(Reply, FillsInLengthsAfterwards) {
  ExpectAll("*2\r\n*4\r\n:1\r\n*0\r\n:2\r\n:5\r\n:9\r\n",
            "*2\r\n%2\r\n:1\r\n*0\r\n:2\r\n:5\r\n:9\r\n", R"([{"1":[],"2":5},9])", [](Reply& r) {
              const auto outer = r.DeferArray();
              const auto inner = r.DeferMap();
              r.Integer(1);
              r.SetDeferred(r.DeferArray(), 0);
              r.Integer(2);
              r.Integer(5);
              r.SetDeferred(inner, 2);
              r.Integer(9);
              r.SetDeferred(outer, 2);
            });
}

TEST(Reply, FillsInLongLengths) {
  const std::string out = Render(ReplyFormat::kResp2, [](Reply& r) {
    r.Ok();
    const auto pos = r.DeferArray();
    for (int i = 0; i < 12345; ++i) r.Integer(i);
    r.SetDeferred(pos, 12345);
  });
  const auto values = ParseRespValues(out).value();
  ASSERT_EQ(values.size(), 2u);
  ASSERT_EQ(values[1].items.size(), 12345u);
  EXPECT_EQ(values[1].items.back().integer, 12344);
}

TEST(Reply, WritesErrorsInRespAndRecordsThem) {
  std::string out;
  Reply reply(out, ReplyFormat::kResp2);
  EXPECT_EQ(reply.error(), nullptr);
  reply.Error({ErrorKind::kWrongType, "WRONGTYPE not\r\nyours"});
  reply.Error("no code in front");
  EXPECT_EQ(out, "-WRONGTYPE not  yours\r\n-ERR no code in front\r\n");
  ASSERT_NE(reply.error(), nullptr);
  EXPECT_EQ(reply.error()->kind, ErrorKind::kWrongType);
  EXPECT_EQ(ErrorCode(reply.error()->text), "WRONGTYPE");
  EXPECT_FALSE(reply.failed());
}

TEST(Reply, RecordsErrorsOfJson) {
  std::string out;
  Reply reply(out, ReplyFormat::kJson);
  reply.Error("ERR bad value");
  EXPECT_EQ(out, "");
  EXPECT_TRUE(reply.failed());
  EXPECT_EQ(ErrorMessage(reply.error()->text), "bad value");
}

TEST(Reply, KeepsErrorsWithinJsonContainersInTheirPlace) {
  std::string out;
  Reply reply(out, ReplyFormat::kJson);
  reply.Array(2);
  reply.Error("ERR no");
  reply.Integer(1);
  EXPECT_EQ(out, R"([{"error":"no"},1])");
  EXPECT_FALSE(reply.failed());
  EXPECT_NE(reply.error(), nullptr);
}

TEST(Reply, TakesTextsApart) {
  EXPECT_EQ(ErrorCode("NOAUTH Authentication required."), "NOAUTH");
  EXPECT_EQ(ErrorCode("Tree \"x\" not found"), "ERR");
  EXPECT_EQ(ErrorMessage("Tree \"x\" not found"), "Tree \"x\" not found");
  EXPECT_EQ(ErrorMessage("I tried hard"), "I tried hard");
  EXPECT_EQ(ErrorCode("ERR"), "ERR");
  EXPECT_EQ(ErrorMessage("ERR"), "");
  EXPECT_EQ(ErrorMessage(""), "");
}

TEST(Reply, WritesAnyIntegerAsItReadsIt) {
  EXPECT_TRUE(rc::check("integers survive", [](std::int64_t value) {
    const std::string text = std::to_string(value);
    RC_ASSERT(Render(ReplyFormat::kResp2, [&](Reply& r) { r.Integer(value); }) ==
              ":" + text + "\r\n");
    RC_ASSERT(Render(ReplyFormat::kJson, [&](Reply& r) { r.Integer(value); }) == text);
  }));
}

// Writes a value that the Prng-like generator of rapidcheck chooses.
void WriteAny(Reply& reply, int depth, bool key) {
  const int choice = *rc::gen::inRange(0, key || depth > 4 ? 4 : 8);
  const auto size = *rc::gen::inRange<std::size_t>(0, 4);
  switch (choice) {
    case 0:
      return reply.Integer(*rc::gen::arbitrary<std::int64_t>());
    case 1:
      return reply.Bulk(*rc::gen::arbitrary<std::string>());
    case 2:
      return reply.Null();
    case 3:
      return reply.Double(*rc::gen::arbitrary<double>());
    case 4:
    case 5: {
      const auto pos = choice == 5 ? reply.DeferArray() : 0;
      if (choice == 4) reply.Array(size);
      for (std::size_t i = 0; i < size; ++i) WriteAny(reply, depth + 1, false);
      if (choice == 5) reply.SetDeferred(pos, size);
      return;
    }
    default: {
      const auto pos = choice == 7 ? reply.DeferMap() : 0;
      if (choice == 6) reply.Map(size);
      for (std::size_t i = 0; i < 2 * size; ++i) WriteAny(reply, depth + 1, i % 2 == 0);
      if (choice == 7) reply.SetDeferred(pos, size);
    }
  }
}

TEST(Reply, IsWellFormedInEveryFormat) {
  EXPECT_TRUE(rc::check("a reply of any shape parses", [] {
    const auto format =
        *rc::gen::element(ReplyFormat::kResp2, ReplyFormat::kResp3, ReplyFormat::kJson);
    const std::string out = Render(format, [](Reply& r) {
      r.Array(2);
      WriteAny(r, 1, false);
      WriteAny(r, 1, false);
    });
    if (format == ReplyFormat::kJson) {
      JsonDocument document;
      RC_ASSERT(document.Parse(out).ok());
    } else {
      const auto values = ParseRespValues(out);
      RC_ASSERT(values.ok());
      RC_ASSERT(values->size() == 1u);
    }
  }));
}

}  // namespace
}  // namespace jeton
