#include "command/dispatcher.h"

#include <gtest/gtest.h>

#include "command/test_server.h"

namespace jeton::command {
namespace {

TEST(Dispatcher, RefusesWritesWhileTheDiskIsUnwellAndReadsGoOn) {
  TestServer server(Dialect::kRedis);
  EXPECT_EQ(server.Run("INCR a"), "(integer) 1");
  server.state().disk_full = true;
  EXPECT_EQ(
      server.Run("INCR a"),
      "(error) NOSPACE the disk is full: writes are refused until there is space again, reads "
      "go on");
  EXPECT_EQ(server.Run("GET a"), "\"1\"");
  server.state().disk_full = false;
  server.state().disk_failed = true;
  EXPECT_EQ(
      server.Run("INCR a"),
      "(error) MISCONF the disk failed: writes are refused until the server is started again, "
      "reads go on");
  server.state().disk_failed = false;
  server.state().over_maxmemory = true;
  EXPECT_EQ(server.Run("INCR a"),
            "(error) OOM command not allowed when used memory > 'maxmemory'.");
  EXPECT_EQ(server.Run("DEL a"), "(integer) 1");
  EXPECT_EQ(server.logged_units().size(), 2u);
}

TEST(Dispatcher, AnswersLittleWhileLoading) {
  for (const Dialect dialect : {Dialect::kDiscnt, Dialect::kRedis}) {
    TestServer server(dialect);
    server.state().loading = true;
    const std::string name = dialect == Dialect::kRedis ? "Redis" : "Discnt";
    EXPECT_EQ(server.Run("GET a"), "(error) LOADING " + name + " is loading the dataset in memory");
    EXPECT_EQ(server.Run("PING"), "PONG");
    EXPECT_NE(server.Run("INFO persistence").find("# Persistence"), std::string::npos);
  }
}

TEST(Dispatcher, ATransactionThatMayNotWriteAnyMoreIsDiscarded) {
  TestServer server(Dialect::kRedis);
  EXPECT_EQ(server.Run("MULTI"), "OK");
  EXPECT_EQ(server.Run("INCR a"), "QUEUED");
  server.state().disk_full = true;
  EXPECT_TRUE(server.Run("EXEC").starts_with(
      "(error) EXECABORT Transaction discarded because of: NOSPACE"));
  server.state().disk_full = false;
  EXPECT_EQ(server.Run("EXEC"), "(error) ERR EXEC without MULTI");
  EXPECT_EQ(server.Run("GET a"), "(nil)");
}

TEST(Dispatcher, BoundsTheQueueOfATransaction) {
  TestServer server;
  EXPECT_EQ(server.Run("CONFIG SET multi-queue-limit 2"), "OK");
  server.Run("MULTI");
  EXPECT_EQ(server.Run("INCR a"), "QUEUED");
  EXPECT_EQ(server.Run("INCR a"), "QUEUED");
  EXPECT_EQ(server.Run("INCR a"),
            "(error) ERR a transaction may queue at most 2 commands (multi-queue-limit)");
  EXPECT_EQ(server.Run("EXEC"),
            "(error) EXECABORT Transaction discarded because of previous errors.");
}

TEST(Dispatcher, LogsATransactionAsOneUnit) {
  TestServer server;
  server.Run("MULTI");
  server.Run("INCR a");
  server.Run("INCR b");
  server.Run("EXEC");
  EXPECT_EQ(server.logged_units().size(), 1u);
  EXPECT_EQ(server.state().changes_since_save.load(), 2u);
  EXPECT_EQ(server.CheckReplay(), "");
}

// Keys are hashed and fetched some at a time; each must stay with its argument.
TEST(Dispatcher, GivesEachOfManyKeysItsOwnValue) {
  for (const int count : {1, 2, 15, 16, 17, 32, 33, 300}) {
    TestServer server;
    std::string mset = "MSET";
    std::string mget = "MGET";
    std::string values;
    for (int i = 1; i <= count; ++i) {
      const std::string name = " articles:" + std::to_string(i);
      mset += name + " " + std::to_string(i);
      mget += name;
      if (i > 1) values += "\n";
      const std::string number = std::to_string(i);
      values.append(std::to_string(count).size() - number.size(), ' ');
      values += number + ") \"" + number + "\"";
    }
    EXPECT_EQ(server.Run(mset), "OK");
    EXPECT_EQ(server.Run(mget), values);
  }
}

TEST(Dispatcher, LetsAResp2SubscriberDoLittle) {
  TestServer server;
  server.Run("SUBSCRIBE a");
  EXPECT_EQ(
      server.Run("GET a"),
      "(error) ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
      "RESET are allowed in this context");
  EXPECT_EQ(server.Run("PING"), "1) \"pong\"\n2) \"\"");
  EXPECT_EQ(server.Run("RESET"), "RESET");
  EXPECT_EQ(server.Run("PING"), "PONG");
}

TEST(Dispatcher, ShowsRequestsToMonitorsButNoSecrets) {
  TestServer server;
  server.Run("MONITOR");
  Session& other = server.NewSession();
  server.RunAs(other, "INCR \"a b\"");
  server.RunAs(other, "AUTH secret");
  server.RunAs(other, "CONFIG SET requirepass secret");
  EXPECT_EQ(server.host().monitored,
            std::vector<std::string>{"1700000000.000000 [0 127.0.0.1:50002] \"INCR\" \"a b\""});
  server.Run("RESET");
  EXPECT_EQ(server.state().monitors.load(), 0);
}

TEST(Dispatcher, PausesAllOrWritesOnly) {
  TestServer server;
  const std::vector<std::string_view> read = {"GET", "a"};
  const std::vector<std::string_view> write = {"INCR", "a"};
  const std::vector<std::string_view> unpause = {"CLIENT", "UNPAUSE"};
  const auto paused = [&](const std::vector<std::string_view>& words) {
    return server.dispatcher().MustPause(server.session(), words, server.now());
  };
  EXPECT_FALSE(paused(write));
  server.Run("CLIENT PAUSE 1000 WRITE");
  EXPECT_TRUE(paused(write));
  EXPECT_FALSE(paused(read));
  server.Run("CLIENT PAUSE 1000");
  EXPECT_TRUE(paused(read));
  EXPECT_FALSE(paused(unpause));
  server.Advance(1000);
  EXPECT_FALSE(paused(read));
}

TEST(Dispatcher, KillsOthersAndItselfDifferently) {
  TestServer server;
  Session& other = server.NewSession();
  EXPECT_EQ(server.Run("CLIENT KILL TYPE normal SKIPME no"), "(integer) 2");
  EXPECT_TRUE(other.killed.load());
  EXPECT_FALSE(server.session().killed.load());
  EXPECT_TRUE(server.session().close_after_reply);
  EXPECT_EQ(server.host().wakes, 1);
}

TEST(Dispatcher, RewritesTheSettingsFile) {
  TestServer server;
  server.settings().config_file = "jeton.conf";
  server.host().config_text = "# mine\ntimeout 1\n";
  server.Run("CONFIG SET timeout 9");
  EXPECT_EQ(server.Run("CONFIG REWRITE"), "OK");
  EXPECT_EQ(server.host().config_text, "# mine\ntimeout 9\n");
}

}  // namespace
}  // namespace jeton::command
