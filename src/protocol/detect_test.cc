#include "protocol/detect.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

namespace jeton {
namespace {

TEST(Detect, KnowsEachProtocolByItsFirstBytes) {
  EXPECT_EQ(Detect("*1\r\n$4\r\nPING\r\n"), Protocol::kResp);
  EXPECT_EQ(Detect("*"), Protocol::kResp);
  EXPECT_EQ(Detect("PING\r\n"), Protocol::kResp);
  EXPECT_EQ(Detect("{\"command\":\"ping\"}"), Protocol::kJson);
  EXPECT_EQ(Detect("{"), Protocol::kJson);
  EXPECT_EQ(Detect("\x16\x03\x01"), Protocol::kTls);
  EXPECT_EQ(Detect("GET /metrics HTTP/1.1\r\n"), Protocol::kHttp);
  EXPECT_EQ(Detect("OPTIONS * HTTP/1.0\r\n"), Protocol::kHttp);
  EXPECT_EQ(Detect("DELETE /api/x HTTP/1."), Protocol::kHttp);
}

TEST(Detect, KnowsAnotherNodeByItsMagic) {
  EXPECT_EQ(Detect(std::string("JTN1\x01\0\0", 7)), Protocol::kPeer);
  for (const char* text : {"J", "JT", "JTN"}) EXPECT_EQ(Detect(text), Protocol::kNeedMore) << text;
  for (const char* text : {"JTN2", "JUMP\r\n", "JTN\r\n", "jtn1"}) {
    EXPECT_EQ(Detect(text), Protocol::kResp) << text;
  }
}

TEST(Detect, TakesAGetWithoutHttpForAnInlineCommand) {
  EXPECT_EQ(Detect("GET name\r\n"), Protocol::kResp);
  EXPECT_EQ(Detect("GET name\n"), Protocol::kResp);
  EXPECT_EQ(Detect("GET name STATE\r\n"), Protocol::kResp);
  EXPECT_EQ(Detect("GET /name S"), Protocol::kResp);
  EXPECT_EQ(Detect("GET /name HTTP/2"), Protocol::kResp);
  EXPECT_EQ(Detect("GET \r\n"), Protocol::kResp);
  EXPECT_EQ(Detect("GET  /a HTTP/1.1\r\n"), Protocol::kResp);
  EXPECT_EQ(Detect("get /a HTTP/1.1\r\n"), Protocol::kResp);
  EXPECT_EQ(Detect("GETDEL a\r\n"), Protocol::kResp);
}

TEST(Detect, WaitsWhileBothArePossible) {
  for (const char* text : {"", "G", "GET", "GET ", "GET /a", "GET /a ", "GET /a HTTP/1", "OPT"}) {
    EXPECT_EQ(Detect(text), Protocol::kNeedMore) << text;
  }
}

TEST(Detect, PassesOverBlankLines) {
  EXPECT_EQ(Detect("\r\n"), Protocol::kNeedMore);
  EXPECT_EQ(Detect("\r\n\n{\"v\":2}"), Protocol::kJson);
  EXPECT_EQ(Detect("\nGET / HTTP/1.1\r\n"), Protocol::kHttp);
}

TEST(Detect, DecidesAtItsMaximum) {
  const std::string name = "GET " + std::string(kDetectMaxBytes - 5, 'a');
  EXPECT_EQ(Detect(name), Protocol::kNeedMore);
  EXPECT_EQ(Detect(name + "a"), Protocol::kResp);
  EXPECT_EQ(Detect(std::string(kDetectMaxBytes, '\n')), Protocol::kResp);
}

TEST(Detect, NeverChangesItsMind) {
  EXPECT_TRUE(rc::check("each longer prefix has the same answer once there is one", [] {
    const auto words = *rc::gen::container<std::vector<std::string>>(
        rc::gen::element<std::string>("GET", "PUT", " ", " ", "/a", "HTTP/1.", "HTTP/1.1", "\r\n",
                                      "\n", "{", "*", "x", "J", "TN1"));
    std::string bytes;
    for (const auto& word : words) bytes += word;
    const Protocol whole = Detect(bytes);
    Protocol last = Protocol::kNeedMore;
    for (std::size_t i = 0; i <= bytes.size(); ++i) {
      const Protocol now = Detect(std::string_view(bytes).substr(0, i));
      if (last != Protocol::kNeedMore) RC_ASSERT(now == last);
      last = now;
    }
    RC_ASSERT(last == whole);
  }));
}

}  // namespace
}  // namespace jeton
