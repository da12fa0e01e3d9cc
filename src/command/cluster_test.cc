// What commands tell of other nodes, given a status, and what they ask of the cluster.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "command/cluster_text.h"
#include "command/info.h"
#include "command/test_server.h"

namespace jeton::command {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kB(40, 'b');
const std::string kC(40, 'c');

// A node of three: b is well, c has failed.
void JoinThree(TestServer& server) {
  ClusterStatus& status = server.host().fake_cluster.state;
  status.known_nodes = status.size = 3;
  status.reachable_nodes = 1;
  status.consistent = false;
  status.staleness_ms = 1200;
  status.missing_nodes = {kC};
  status.peers = {{.id = kB,
                   .host = "10.0.0.2",
                   .port = 5262,
                   .state = PeerStatus::State::kOk,
                   .link_connected = true,
                   .link_outgoing = true,
                   .pong_received_ms = 1'700'000'000'000,
                   .acked_lsn = 2},
                  {.id = kC,
                   .host = "fd00::3",
                   .port = 5263,
                   .state = PeerStatus::State::kFailed,
                   .ping_sent_ms = 7,
                   .failure_reports = 2}};
}

TEST(Cluster, ListsTheNodes) {
  TestServer server;
  JoinThree(server);
  EXPECT_EQ(server.Run("CLUSTER NODES"), "\"" + std::string(40, 'a') +
                                             " 127.0.0.1:5262 myself 0 0 connected\\n" + kB +
                                             " 10.0.0.2:5262 noflags 0 1700000000000 connected\\n" +
                                             kC + " [fd00::3]:5263 fail 7 0 disconnected\\n\"");
  EXPECT_THAT(server.Run("CLUSTER INFO"), HasSubstr("cluster_known_nodes:3\\r\\n"
                                                    "cluster_reachable_nodes:1\\r\\n"
                                                    "cluster_size:3"));
  EXPECT_EQ(server.Run("CLUSTER COUNT-FAILURE-REPORTS " + kC), "(integer) 2");
  EXPECT_THAT(server.Run("CLUSTER LINKS"), HasSubstr(kB));
}

TEST(Cluster, BareHelloListsTheNodesWithTheirPriorities) {
  TestServer server;
  JoinThree(server);
  EXPECT_EQ(server.Run("HELLO"), "1) (integer) 1\n2) \"" + std::string(40, 'a') + "\"\n3) 1) \"" +
                                     std::string(40, 'a') +
                                     "\"\n   2) \"127.0.0.1\"\n   3) \"5262\"\n   4) \"1\"\n"
                                     "4) 1) \"" +
                                     kB +
                                     "\"\n   2) \"10.0.0.2\"\n   3) \"5262\"\n   4) \"1\"\n"
                                     "5) 1) \"" +
                                     kC + "\"\n   2) \"fd00::3\"\n   3) \"5263\"\n   4) \"100\"");
}

TEST(Cluster, PostsWhatIsAskedOfIt) {
  TestServer server;
  JoinThree(server);
  EXPECT_EQ(server.Run("CLUSTER MEET 10.0.0.4 5262"), "OK");
  EXPECT_EQ(server.Run("CLUSTER FORGET " + kC), "OK");
  EXPECT_EQ(server.Run("CLUSTER RESET"), "OK");
  EXPECT_EQ(server.Run("CLUSTER RESET hard"), "OK");
  EXPECT_EQ(server.Run("CLUSTER SAVECONFIG"), "OK");
  EXPECT_THAT(
      server.host().fake_cluster.asked,
      ElementsAre("meet 10.0.0.4 5262", "forget " + kC, "reset soft", "reset hard", "saveconfig"));
}

TEST(Cluster, AWishIsAnsweredWhenItWasCarriedOutOrRefused) {
  TestServer server;
  JoinThree(server);
  FakeCluster& cluster = server.host().fake_cluster;
  cluster.outcome.reset();
  std::string out;
  Reply reply(out, ReplyFormat::kResp2);
  const std::string_view words[] = {"CLUSTER", "RESET"};
  server.state().turn_lock.lock_shared();
  server.dispatcher().Execute(server.session(), words, server.now(), reply);
  EXPECT_FALSE(server.dispatcher().Continue(server.session(), server.now(), reply));
  EXPECT_EQ(out, "");
  cluster.outcome = Status(Error{ErrorKind::kUnavailable, "ERR not now"});
  EXPECT_TRUE(server.dispatcher().Continue(server.session(), server.now(), reply));
  server.state().turn_lock.unlock_shared();
  EXPECT_EQ(out, "-ERR not now\r\n");
}

TEST(Cluster, StateAndBoundsFollowThePublishedStatus) {
  TestServer server;
  JoinThree(server);
  server.Run("INCRBY visits 7");
  EXPECT_EQ(server.Run("GET visits STATE"), "1) \"7\"\n2) \"INCONSISTENT\"");
  EXPECT_EQ(server.Run("GET visits BOUNDS"),
            "1) \"7\"\n2) \"7\"\n3) \"7\"\n4) (integer) 1200\n5) 1) \"" + kC + "\"");
  server.host().fake_cluster.state.consistent = true;
  EXPECT_EQ(server.Run("GET visits STATE"), "1) \"7\"\n2) \"CONSISTENT\"");
}

TEST(Cluster, APrecisionAllowsAnEstimateAndExactLeavesItOut) {
  TestServer server;
  JoinThree(server);
  server.host().fake_cluster.predicted = 5;
  server.Run("INCRBY visits 7");
  server.Run("INCRBY exact 7");
  server.Run("PRECISION visits 2");
  EXPECT_EQ(server.Run("GET visits"), "\"12\"");
  EXPECT_EQ(server.Run("MGET visits exact"), "1) \"12\"\n2) \"7\"");
  EXPECT_EQ(server.Run("GET visits EXACT"), "\"7\"");
  EXPECT_THAT(server.Run("GET visits BOUNDS"), HasSubstr("1) \"12\"\n2) \"5\"\n3) \"14\""));
  // D08: a prediction is never stored.
  EXPECT_EQ(server.Run("INCR visits"), "\"8\"");
  server.Run("CONFIG SET default-precision 1");
  EXPECT_EQ(server.Run("GET exact"), "\"12\"");
}

TEST(Wait, CountsTheNodesThatHoldWhatThisConnectionWrote) {
  TestServer server(Dialect::kRedis);
  JoinThree(server);  // b has acknowledged two units
  Session& other = server.NewSession();
  server.Run("INCR a");
  EXPECT_EQ(server.Run("WAIT 1 1000"), "(integer) 1");
  server.RunAs(other, "INCR b");
  EXPECT_EQ(server.RunAs(other, "WAIT 1 1000"), "(integer) 1");
  server.RunAs(other, "INCR b");
  const WallMs before = server.now().wall_ms;
  EXPECT_EQ(server.RunAs(other, "WAIT 1 1000"), "(integer) 0");
  EXPECT_EQ(server.now().wall_ms, before + 1000);
  // What others wrote is not waited for.
  EXPECT_EQ(server.Run("WAIT 1 1000"), "(integer) 1");
  EXPECT_EQ(server.now().wall_ms, before + 1000);
  EXPECT_EQ(server.state().ack_waiters.load(), 0);
}

TEST(Wait, GoesOnWhenTheAcknowledgementComes) {
  TestServer server;
  JoinThree(server);
  for (int i = 0; i < 3; ++i) server.Run("INCR a");
  std::string out;
  Reply reply(out, ReplyFormat::kResp2);
  const std::string_view words[] = {"WAIT", "1", "0"};
  server.state().turn_lock.lock_shared();
  server.dispatcher().Execute(server.session(), words, server.now(), reply);
  EXPECT_EQ(out, "");
  EXPECT_EQ(server.state().ack_waiters.load(), 1);
  EXPECT_FALSE(server.dispatcher().Continue(server.session(), server.now(), reply));
  server.host().fake_cluster.state.peers[0].acked_lsn = 3;
  EXPECT_TRUE(server.dispatcher().Continue(server.session(), server.now(), reply));
  server.state().turn_lock.unlock_shared();
  EXPECT_EQ(out, ":1\r\n");
}

TEST(Wait, DoesNotHoldUpATransaction) {
  TestServer server(Dialect::kRedis);
  server.Run("MULTI");
  server.Run("INCR a");
  server.Run("WAIT 1 0");
  EXPECT_EQ(server.Run("EXEC"), "1) (integer) 1\n2) (integer) 0");
}

TEST(ClusterInfo, AnnouncesWhereItIsReached) {
  Values values;
  EXPECT_EQ(AnnouncedAddress(values).host, "127.0.0.1");
  EXPECT_EQ(AnnouncedAddress(values).port, 5262);
  values.bind = "0.0.0.0 ::1";
  EXPECT_EQ(AnnouncedAddress(values).host, "");
  values.cluster_announce_ip = "node-1.example.org";
  values.cluster_announce_port = 15262;
  EXPECT_EQ(AnnouncedAddress(values).host, "node-1.example.org");
  EXPECT_EQ(AnnouncedAddress(values).port, 15262);
}

TEST(ClusterInfo, ShowsEachPeer) {
  TestServer server;
  JoinThree(server);
  server.host().fake_cluster.state.copying_state = true;
  server.host().fake_cluster.state.alarms = {"clone: two runs of one node"};
  const std::string info = server.Run("INFO cluster");
  EXPECT_THAT(info, HasSubstr("cluster_enabled:1\\r\\n"));
  EXPECT_THAT(info, HasSubstr("cluster_missing_nodes:" + kC));
  EXPECT_THAT(info, HasSubstr("cluster_copying_state:1\\r\\n"));
  EXPECT_THAT(info, HasSubstr("cluster_alarm0:clone: two runs of one node\\r\\n"));
  EXPECT_THAT(info, HasSubstr("node0:id=" + kB + ",addr=10.0.0.2:5262,state=noflags,link=up"));
  EXPECT_THAT(info, HasSubstr("node1:id=" + kC + ",addr=[fd00::3]:5263,state=fail,link=down"));
}

}  // namespace
}  // namespace jeton::command
