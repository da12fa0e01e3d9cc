#include "command/subscription_feed.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "command/test_server.h"

namespace jeton::command {
namespace {

class Feed : public testing::Test {
 protected:
  // What is pushed now, as bytes.
  std::string Push() {
    std::string out;
    Reply reply(out, ReplyFormat::kResp2);
    PushDue(subscriber_, server_.keyspace(), server_.now().wall_ms, reply);
    return out;
  }
  void Subscribe(std::string_view name, std::int64_t interval_ms = 1000) {
    AddSubscription(subscriber_, name, interval_ms, server_.now().wall_ms);
  }
  static std::string Message(const std::string& name, const std::string& value) {
    const auto bulk = [](const std::string& text) {
      return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
    };
    return "*3\r\n" + bulk("message") + bulk(name) + bulk(value);
  }

  TestServer server_;
  Session subscriber_;
};

TEST_F(Feed, FirstMessageComesAtOnceUnlessTheValueIsZero) {
  server_.Run("INCRBY a 7");
  Subscribe("a");
  Subscribe("nothing");
  EXPECT_EQ(NextDue(subscriber_), server_.now().wall_ms);
  EXPECT_EQ(Push(), Message("a", "7"));
  EXPECT_EQ(Push(), "");
}

TEST_F(Feed, ChangesAreToldOnceAnInterval) {
  Subscribe("a", 5000);
  EXPECT_EQ(Push(), "");
  server_.Run("INCR a");
  server_.Advance(kMaxLookIntervalMs);
  EXPECT_EQ(Push(), Message("a", "1"));
  server_.Run("INCR a");
  server_.Run("INCR a");
  server_.Advance(4999);
  EXPECT_EQ(Push(), "");
  server_.Advance(1);
  EXPECT_EQ(Push(), Message("a", "3"));
  server_.Advance(60'000);
  EXPECT_EQ(Push(), "");
}

TEST_F(Feed, ACounterThatGoesIsToldAsZero) {
  server_.Run("SET a 5");
  Subscribe("a");
  EXPECT_EQ(Push(), Message("a", "5"));
  server_.Run("DEL a");
  server_.Advance(1000);
  EXPECT_EQ(Push(), Message("a", "0"));
}

TEST_F(Feed, SubscribingCreatesNothing) {
  Subscribe("a");
  Push();
  EXPECT_EQ(server_.Run("EXISTS a"), "(integer) 0");
}

TEST_F(Feed, AClockThatIsSetBackSilencesNobody) {
  server_.Run("INCR a");
  Subscribe("a");
  Push();
  server_.Run("INCR a");
  std::string out;
  Reply reply(out, ReplyFormat::kResp2);
  EXPECT_EQ(PushDue(subscriber_, server_.keyspace(), server_.now().wall_ms - 3'600'000, reply), 1u);
}

TEST(FeedResp3, ConfirmationsAndMessagesArePushes) {
  TestServer server(Dialect::kRedis, 3);
  const std::vector<std::string_view> words = {"SUBSCRIBE", "a"};
  EXPECT_EQ(server.RunRaw(server.session(), words), ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
  server.Run("INCR a");
  std::string out;
  Reply reply(out, ReplyFormat::kResp3);
  EXPECT_EQ(PushDue(server.session(), server.keyspace(), server.now().wall_ms, reply), 1u);
  EXPECT_EQ(out, ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n");
}

TEST_F(Feed, NothingIsDueWithoutSubscriptions) {
  EXPECT_EQ(NextDue(subscriber_), kNothingDue);
}

}  // namespace
}  // namespace jeton::command
