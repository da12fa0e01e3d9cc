#include "protocol/http.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace jeton {
namespace {

using Outcome = HttpParser::Outcome;

struct Parsed {
  std::vector<HttpRequest> requests;
  int status = 0;
  std::string error;
};

Parsed Feed(std::string_view bytes, std::size_t piece) {
  HttpParser parser;
  Parsed parsed;
  std::string buffer;
  while (true) {
    std::size_t consumed = 0;
    HttpRequest request;
    const Outcome outcome = parser.Next(buffer, consumed, request);
    buffer = buffer.substr(consumed);
    if (outcome == Outcome::kError) {
      parsed.status = parser.error_status();
      parsed.error = parser.error();
      return parsed;
    }
    if (outcome == Outcome::kRequest) {
      parsed.requests.push_back(std::move(request));
      continue;
    }
    EXPECT_TRUE(buffer.empty());
    if (bytes.empty()) return parsed;
    buffer += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
}

Parsed FeedAll(std::string_view bytes) {
  Parsed whole = Feed(bytes, bytes.size() + 1);
  const Parsed pieces = Feed(bytes, 1);
  EXPECT_EQ(whole.status, pieces.status);
  EXPECT_EQ(whole.requests.size(), pieces.requests.size());
  for (std::size_t i = 0; i < std::min(whole.requests.size(), pieces.requests.size()); ++i) {
    EXPECT_EQ(whole.requests[i].target, pieces.requests[i].target);
    EXPECT_EQ(whole.requests[i].headers, pieces.requests[i].headers);
    EXPECT_EQ(whole.requests[i].body, pieces.requests[i].body);
  }
  return whole;
}

HttpRequest Only(std::string_view bytes) {
  Parsed parsed = FeedAll(bytes);
  EXPECT_EQ(parsed.requests.size(), 1u) << parsed.error;
  return parsed.requests.empty() ? HttpRequest() : parsed.requests.front();
}

TEST(HttpParser, ReadsARequest) {
  const HttpRequest request =
      Only("GET /a/b?x=1&y=two%20words+3 HTTP/1.1\r\nHost: h\r\nX-Thing:  v \r\n\r\n");
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.path, "/a/b");
  EXPECT_EQ(request.query, "x=1&y=two%20words+3");
  EXPECT_EQ(request.QueryParameter("y"), "two words 3");
  EXPECT_EQ(request.QueryParameter("z"), "");
  EXPECT_EQ(request.Header("x-thing"), "v");
  EXPECT_EQ(request.Header("absent"), "");
  EXPECT_TRUE(request.keep_alive);
  EXPECT_FALSE(request.IsHead());
}

TEST(HttpParser, ReadsBodies) {
  EXPECT_EQ(Only("POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello").body, "hello");
  EXPECT_EQ(Only("PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
                .body,
            "abcde");
}

TEST(HttpParser, ReadsPipelinedRequestsInOrder) {
  const Parsed parsed = FeedAll(
      "\r\nGET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\nok"
      "HEAD /3 HTTP/1.1\r\n\r\n");
  ASSERT_EQ(parsed.requests.size(), 3u) << parsed.error;
  EXPECT_EQ(parsed.requests[0].path, "/1");
  EXPECT_EQ(parsed.requests[1].body, "ok");
  EXPECT_TRUE(parsed.requests[2].IsHead());
}

TEST(HttpParser, KnowsWhetherTheConnectionStays) {
  EXPECT_FALSE(Only("GET / HTTP/1.0\r\n\r\n").keep_alive);
  EXPECT_TRUE(Only("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
  EXPECT_FALSE(Only("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").keep_alive);
}

TEST(HttpParser, TakesTheWholeUrlOfAProxyRequest) {
  EXPECT_EQ(Only("GET http://host:1/a?b HTTP/1.1\r\n\r\n").path, "/a");
  EXPECT_EQ(Only("GET http://host HTTP/1.1\r\n\r\n").path, "/");
  EXPECT_EQ(Only("OPTIONS * HTTP/1.1\r\n\r\n").path, "*");
}

TEST(HttpParser, IgnoresUpgrades) {
  const Parsed parsed = FeedAll(
      "GET /1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
  EXPECT_EQ(parsed.requests.size(), 2u) << parsed.error;
}

TEST(HttpParser, TellsWhenTheClientWaits) {
  HttpParser parser;
  HttpRequest request;
  std::size_t consumed = 0;
  const std::string_view head =
      "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  EXPECT_EQ(parser.Next(head, consumed, request), Outcome::kNeedMore);
  EXPECT_TRUE(parser.TakeContinue());
  EXPECT_FALSE(parser.TakeContinue());
  EXPECT_EQ(parser.Next("ok", consumed, request), Outcome::kRequest);
  EXPECT_EQ(request.body, "ok");
}

TEST(HttpParser, RefusesWhatIsNotServed) {
  EXPECT_EQ(FeedAll("TRACE / HTTP/1.1\r\n\r\n").status, 501);
  EXPECT_EQ(FeedAll("CONNECT h:1 HTTP/1.1\r\n\r\n").status, 501);
  EXPECT_EQ(FeedAll("PROPFIND / HTTP/1.1\r\n\r\n").error, "the method PROPFIND is not supported");
  EXPECT_EQ(FeedAll("GET /\x01 HTTP/1.1\r\n\r\n").status, 400);
  EXPECT_EQ(FeedAll("GET / HTTP/x\r\n\r\n").status, 400);
  EXPECT_EQ(FeedAll("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na").status,
            400);
}

TEST(HttpParser, ReachesItsLimits) {
  const std::string fits(kHttpMaxHeaderBytes - 200, 'a');
  EXPECT_EQ(Feed("GET / HTTP/1.1\r\nX: " + fits + "\r\n\r\n", 1000).requests.size(), 1u);
  EXPECT_EQ(Feed("GET / HTTP/1.1\r\nX: " + fits + fits + "\r\n\r\n", 1000).status, 431);
  EXPECT_EQ(Feed("GET /" + fits + fits + " HTTP/1.1\r\n\r\n", 1000).status, 431);
  EXPECT_EQ(Feed("POST / HTTP/1.1\r\nContent-Length: 16777217\r\n\r\n", 1000).status, 413);
  const std::string full(kHttpMaxBodyBytes, 'b');
  const std::string chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(Feed(chunked + "1000000\r\n" + full + "\r\n0\r\n\r\n", 1 << 20).requests.size(), 1u);
  EXPECT_EQ(Feed(chunked + "1000001\r\n" + full + "b\r\n0\r\n\r\n", 1 << 20).status, 413);
}

TEST(HttpParser, StaysWithItsError) {
  HttpParser parser;
  HttpRequest request;
  std::size_t consumed = 0;
  EXPECT_EQ(parser.Next("nonsense\r\n", consumed, request), Outcome::kError);
  EXPECT_EQ(parser.Next("GET / HTTP/1.1\r\n\r\n", consumed, request), Outcome::kError);
}

TEST(HttpResponse, IsWritten) {
  std::string out;
  AppendHttpResponse(out, {.body = "ok\n"});
  EXPECT_EQ(out,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n"
            "Connection: keep-alive\r\n\r\nok\n");
}

TEST(HttpResponse, HasNoBodyForHead) {
  std::string out;
  AppendHttpResponse(out, {.status = 404,
                           .content_type = "application/json",
                           .body = "{}",
                           .keep_alive = false,
                           .head = true,
                           .headers = {{"Allow", "GET"}}});
  EXPECT_EQ(out,
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
            "Allow: GET\r\nConnection: close\r\n\r\n");
}

TEST(HttpResponse, HasNoLengthWhereNoBodyMayBe) {
  std::string out;
  AppendHttpResponse(out, {.status = 204});
  EXPECT_EQ(out, "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(HttpReason(999), "Unknown");
}

TEST(DecodePercent, KeepsBrokenEscapes) {
  EXPECT_EQ(DecodePercent("a%20b%4A+c"), "a bJ c");
  EXPECT_EQ(DecodePercent("%"), "%");
  EXPECT_EQ(DecodePercent("%2"), "%2");
  EXPECT_EQ(DecodePercent("%zz%41"), "%zzA");
}

}  // namespace
}  // namespace jeton
