// The short way must not be told from the long one: the same requests go through HotPath (and the
// dispatcher for what it leaves) on one server, and through the dispatcher alone on another.
#include "command/hot_path.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/prng.h"
#include "command/test_server.h"
#include "protocol/reply.h"

namespace jeton::command {
namespace {

using Words = std::vector<std::string_view>;

class HotPathTest : public ::testing::TestWithParam<Dialect> {
 protected:
  std::string Long(const std::vector<Words>& requests) {
    std::string out;
    for (const Words& words : requests) out += long_.RunRaw(long_.session(), words);
    return out;
  }

  // As a worker runs them.
  std::string Short(const std::vector<Words>& requests) {
    std::string out;
    HotPath& hot = short_.dispatcher().hot_path();
    short_.state().turn_lock.lock_shared();
    for (std::size_t i = 0; i < requests.size();) {
      const std::size_t first = i;
      const std::size_t end = std::min(requests.size(), first + HotPath::kRunMax);
      EXPECT_TRUE(hot.Begin(short_.session(), short_.now()));
      while (i < end && Execute(hot, requests[i])) ++i;
      if (i > first) hot.End(out);
      taken_ += i - first;
      if (i == end) continue;
      Reply reply(out, ReplyFormat::kResp2);
      short_.dispatcher().Execute(short_.session(), requests[i], short_.now(), reply, nullptr, {});
      ++i;
    }
    short_.state().turn_lock.unlock_shared();
    return out;
  }

  void ExpectSame(const std::vector<Words>& requests) {
    EXPECT_EQ(Short(requests), Long(requests));
    const WallMs now = short_.now().wall_ms;
    EXPECT_EQ(TestServer::Dump(short_.keyspace(), now), TestServer::Dump(long_.keyspace(), now));
    EXPECT_EQ(short_.CheckReplay(), "");
    EXPECT_EQ(short_.lock_errors(), "");
    EXPECT_EQ(short_.Run("DBSIZE"), long_.Run("DBSIZE"));
    EXPECT_EQ(short_.state().changes_since_save.load(), long_.state().changes_since_save.load());
    EXPECT_EQ(short_.session().commands, long_.session().commands);
  }

  bool Execute(HotPath& hot, const Words& words) {
    const Command* command = short_.dispatcher().Resolve(words);
    if (command == nullptr || command->hot == HotForm::kNone) return false;
    keys_.push_back(short_.keyspace().MakeKey(words.size() > 1 ? words[1] : ""));
    return hot.Execute(*command, words.size(), words.size() > 2 ? words[2] : "", keys_.back());
  }

  TestServer short_{GetParam()};
  TestServer long_{GetParam()};
  std::size_t taken_ = 0;
  std::deque<engine::Key> keys_;  // of all requests
};

TEST_P(HotPathTest, RequestsForOneCounterInARowBecomeOneMutation) {
  ExpectSame({{"SET", "a", "5"}});
  const std::size_t before = short_.logged_units().size();
  ExpectSame({{"INCR", "a"}, {"INCRBY", "a", "10"}, {"GET", "a"}, {"DECR", "a"}, {"INCR", "a"}});
  EXPECT_EQ(taken_, 5u);
  EXPECT_EQ(short_.logged_units().size(), before + 1);
  EXPECT_EQ(short_.Run("GET a"), "\"16\"");
}

TEST_P(HotPathTest, AnotherCounterInBetweenEndsTheRow) {
  ExpectSame({{"SET", "a", "5"}, {"SET", "b", "5"}});
  const std::size_t before = short_.logged_units().size();
  ExpectSame({{"INCR", "a"}, {"GET", "b"}, {"INCR", "a"}, {"INCR", "b"}, {"INCR", "b"}});
  // Three mutations, which go to the log together.
  ASSERT_EQ(short_.logged_units().size(), before + 1);
  const std::string& unit = short_.logged_units().back();
  ByteReader reader(unit);
  int mutations = 0;
  for (; reader.ok() && !reader.AtEnd(); ++mutations) engine::DecodeMutation(reader);
  EXPECT_EQ(mutations, 3);
}

TEST_P(HotPathTest, MoreCountersThanItHoldsLocks) {
  std::vector<std::string> names;
  std::vector<Words> requests;
  for (int i = 0; i < 100; ++i) names.push_back("n" + std::to_string(i));
  for (const std::string& name : names) requests.push_back({"SET", name, "7"});
  for (const std::string& name : names) requests.push_back({"INCR", name});
  for (const std::string& name : names) requests.push_back({"GET", name});
  ExpectSame(requests);
  EXPECT_GT(taken_, 190u);  // the dispatcher takes the few that are timed
}

TEST_P(HotPathTest, MoreMutationsOfOnePartitionThanThereIsRoomFor) {
  std::vector<std::string> names;
  for (int i = 0; names.size() < 2; ++i) {
    std::string name = std::to_string(i);
    name.resize(engine::kShortName, 'n');
    if (engine::Keyspace::PartitionOf(short_.keyspace().MakeKey(name)) == 0) names.push_back(name);
  }
  std::vector<Words> requests = {{"SET", names[0], "7"}, {"SET", names[1], "7"}};
  for (int i = 0; i < 100; ++i) requests.push_back({"INCR", names[i % 2 == 0 ? 0 : 1]});
  ExpectSame(requests);
  EXPECT_GT(taken_, 95u);  // the dispatcher takes the few that are timed
}

TEST_P(HotPathTest, NothingIsLockedAtTheEnd) {
  std::vector<Words> requests = {{"SET", "a", "5"}, {"SET", "b", "5"}, {"SET", "f", "0.5"}};
  for (const std::string_view name : {"a", "b", "f", "b", "a"}) requests.push_back({"INCR", name});
  ExpectSame(requests);
  for (unsigned i = 0; i < engine::Keyspace::kPartitions; ++i) {
    ASSERT_TRUE(short_.keyspace().LockOf(i).try_lock()) << i;
    short_.keyspace().LockOf(i).unlock();
  }
}

TEST_P(HotPathTest, WhatItCannotDoIsLeftWithNothingHeld) {
  const std::string_view most = "9223372036854775807";
  ExpectSame({{"SET", "a", most}, {"SET", "f", "0.5"}, {"TREE.INCR", "t", "k"}});
  ExpectSame({{"DECR", "a"},
              {"INCR", "a"},
              {"INCR", "a"},
              {"GET", "a"},
              {"INCR", "f"},
              {"GET", "f"},
              {"INCR", "new"},
              {"INCR", "new"},
              {"GET", "t"},
              {"INCRBY", "new", "x"},
              {"INCR", "new"},
              {"INCR"},
              {"NOSUCH"}});
}

TEST_P(HotPathTest, TheSumOfARowMayNotFit) {
  const std::string_view most = "9223372036854775807";
  const std::string_view least = "-9223372036854775807";
  ExpectSame({{"SET", "a", least}});
  ExpectSame({{"INCRBY", "a", most}, {"INCRBY", "a", most}, {"INCR", "a"}, {"DECRBY", "a", most}});
}

TEST_P(HotPathTest, AnyMixOfRequestsGivesTheSame) {
  const std::string_view names[] = {"a", "b", "articles:1", "articles:2"};
  const std::string_view numbers[] = {"1", "-1", "127", "40000", "-3000000000", "0"};
  Prng prng(7);
  for (int round = 0; round < 60; ++round) {
    std::vector<Words> requests;
    std::string_view name = names[0];
    for (int i = 0; i < 40; ++i) {
      if (prng.Chance(0.4)) name = names[prng.Below(std::size(names))];
      const std::string_view number = numbers[prng.Below(std::size(numbers))];
      switch (prng.Below(12)) {
        case 0:
          requests.push_back({"SET", name, number});
          break;
        case 1:
          requests.push_back({"DEL", name});
          break;
        case 2:
          requests.push_back({"EXPIRE", name, "1000"});
          break;
        case 3:
          requests.push_back({"MGET", "a", name, "b"});
          break;
        case 4:
          requests.push_back({"INCRBY", name, number});
          break;
        case 5:
          requests.push_back({"DECRBY", name, number});
          break;
        case 6:
          requests.push_back({"DECR", name});
          break;
        case 7:
          requests.push_back({"GET", name});
          break;
        case 8:
          requests.push_back({"INCRBYFLOAT", name, prng.Chance(0.5) ? "0.5" : "2"});
          break;
        default:
          requests.push_back({"INCR", name});
      }
    }
    ExpectSame(requests);
    if (HasFailure()) return;
  }
  EXPECT_GT(taken_, 500u);
}

INSTANTIATE_TEST_SUITE_P(Dialects, HotPathTest,
                         ::testing::Values(Dialect::kDiscnt, Dialect::kRedis));

}  // namespace
}  // namespace jeton::command
