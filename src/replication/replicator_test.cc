// Sessions of a few nodes, one fact each.
#include "replication/replicator.h"

#include <gtest/gtest.h>

#include "replication/test_network.h"

namespace jeton::replication::test {
namespace {

Settings Quick() {
  Settings settings;
  settings.node_timeout_ms = 2'000;
  return settings;
}

TEST(Replicator, TwoEmptyNodesMeetAndTheSmallerClusterStays) {
  TestNetwork network(1);
  network.Add(Quick());
  network.Add(Quick());
  network.Meet(1, 0);
  network.Run(200);
  EXPECT_TRUE(network.Linked(0, 1));
  EXPECT_TRUE(network.Linked(1, 0));
  EXPECT_EQ(network.nodes[1]->disk.cluster, ClusterNumber(1));
  EXPECT_EQ(network.nodes[0]->disk.cluster, ClusterNumber(1));
  EXPECT_EQ(network.nodes[0]->disk.members.size(), 2U);
  EXPECT_EQ(network.StatusOf(0).members, 2U);
  EXPECT_TRUE(network.StatusOf(0).open);
  EXPECT_TRUE(network.HasEvent(1, "no cluster-secret"));
}

TEST(Replicator, ANewcomerDoesNotLureANodeAwayFromItsPeers) {
  TestNetwork network(3);
  for (int i = 0; i < 3; ++i) network.Add(Quick());
  network.Meet(2, 1);
  network.Run(200);
  EXPECT_EQ(network.nodes[2]->disk.cluster, ClusterNumber(2));
  // Cluster 1 is the smaller one.
  network.Meet(0, 1);
  network.Run(1);
  network.Increment(2);
  EXPECT_TRUE(network.RunUntil(1'000, [&] { return network.nodes[0]->host->Total() == 1; }));
  for (const auto& node : network.nodes) EXPECT_EQ(node->disk.cluster, ClusterNumber(2));
}

TEST(Replicator, AnIncrementIsPushedAtOnceAndAcknowledged) {
  TestNetwork network(2);
  network.delay_ms_max = 1;
  network.Add(Quick());
  network.Add(Quick());
  network.Meet(0, 1);
  network.Run(1'000);
  network.Increment(0, 7);
  EXPECT_TRUE(network.RunUntil(20, [&] { return network.nodes[1]->host->Total() == 7; }));
  EXPECT_TRUE(network.RunUntil(30, [&] { return network.nodes[0]->replicator->AckedBy(1) == 1; }));
  EXPECT_EQ(network.StatusOf(1).needs_outstanding, 0U);
  EXPECT_EQ(network.StatusOf(0).peers[0].repairs, 0U) << "nothing had to be asked for";
}

TEST(Replicator, D04_FramesGoThroughANodeInTheMiddle) {
  TestNetwork network(3);
  for (int i = 0; i < 3; ++i) network.Add(Quick());
  network.Block(0, 2, true);
  network.Block(2, 0, true);
  network.Meet(0, 1);
  network.Meet(2, 1);
  network.Run(2'000);
  EXPECT_FALSE(network.Linked(0, 2));
  network.Increment(0, 5);
  network.Increment(2, 6);
  EXPECT_TRUE(network.RunUntil(200, [&] { return network.Converged(); }));
  EXPECT_EQ(network.nodes[2]->host->Total(), 11U);
  // The rows in frames tell what a node holds that is not linked.
  network.Run(20);
  network.Increment(2, 1);
  EXPECT_TRUE(network.RunUntil(300, [&] { return network.nodes[0]->replicator->AckedBy(1) == 2; }));
  // And so does the gossip of heads: all are consistent.
  EXPECT_TRUE(network.RunUntil(3'000, [&] { return network.StatusOf(0).consistent; }));
}

TEST(Replicator, ANodeThatIsMetKnowsTheOthersByGossip) {
  TestNetwork network(4);
  for (int i = 0; i < 5; ++i) network.Add(Quick());
  for (int i = 1; i < 5; ++i) network.Meet(i, i - 1);
  EXPECT_TRUE(network.RunUntil(5'000, [&] {
    for (std::size_t i = 0; i < 5; ++i) {
      for (std::size_t j = 0; j < 5; ++j) {
        if (i != j && !network.Linked(i, j)) return false;
      }
    }
    return true;
  }));
}

TEST(Replicator, D03_ANodeWithDataTakesInAnEmptyOneWhoeverAsks) {
  for (const bool empty_asks : {false, true}) {
    TestNetwork network(5);
    network.Add(Quick());
    network.Add(Quick());
    for (int i = 0; i < 50; ++i) network.Increment(0);
    network.Meet(empty_asks ? 1 : 0, empty_asks ? 0 : 1);
    EXPECT_TRUE(network.RunUntil(2'000, [&] { return network.nodes[1]->host->Total() == 50; }));
    EXPECT_EQ(network.nodes[1]->disk.cluster, ClusterNumber(1));
  }
}

TEST(Replicator, TwoClustersWithDataDoNotMerge) {
  TestNetwork network(6);
  network.Add(Quick());
  network.Add(Quick());
  network.Increment(0);
  network.Increment(1);
  network.Meet(0, 1);
  network.Run(1'000);
  EXPECT_FALSE(network.Linked(0, 1));
  EXPECT_EQ(network.StatusOf(0).members, 1U);
  EXPECT_EQ(network.StatusOf(1).members, 1U);
  EXPECT_TRUE(network.HasEvent(0, "OTHER_CLUSTER, two clusters that both have data"));
}

TEST(Replicator, D15_AWrongSecretIsRefused) {
  struct Case {
    std::string there, here, text;
  };
  for (const Case& secrets :
       {Case{"one", "two", "the cluster-secret is another one"},
        Case{"one", "", "has a cluster-secret and"}, Case{"", "two", "has a cluster-secret and"}}) {
    TestNetwork network(7);
    Settings settings = Quick();
    settings.secret = secrets.there;
    network.Add(settings);
    settings.secret = secrets.here;
    network.Add(settings);
    network.Meet(1, 0);
    network.Run(1'000);
    EXPECT_FALSE(network.Linked(0, 1));
    EXPECT_EQ(network.StatusOf(0).members, 1U);
    EXPECT_TRUE(network.HasEvent(1, "BAD_SECRET")) << secrets.text;
    EXPECT_TRUE(network.HasEvent(1, secrets.text));
  }
}

TEST(Replicator, TheRightSecretLinks) {
  TestNetwork network(8);
  Settings settings = Quick();
  settings.secret = "a long and random one";
  network.Add(settings);
  network.Add(settings);
  network.Meet(0, 1);
  network.Run(500);
  EXPECT_TRUE(network.Linked(0, 1));
  EXPECT_FALSE(network.StatusOf(0).open);
}

TEST(Replicator, AMeetIsTriedAgainUntilSomebodyAnswers) {
  TestNetwork network(22);
  network.Add(Quick());
  network.Add(Quick());
  network.Stop(1);
  network.Meet(0, 1);
  network.Run(20'000);
  ASSERT_EQ(network.StatusOf(0).meeting.size(), 1U);
  EXPECT_EQ(network.StatusOf(0).meeting[0].host, "n1");
  network.Start(1);
  EXPECT_TRUE(network.RunUntil(6'000, [&] { return network.Linked(0, 1); }));
  EXPECT_TRUE(network.StatusOf(0).meeting.empty());
  network.Stop(1);
  network.nodes[0]->replicator->Stop(network.NowOf(0));
  EXPECT_EQ(network.StatusOf(0).peers[0].linked, false);
  // After five minutes without an answer it is given up.
  network.Meet(0, 1);
  network.step_ms = 100;
  network.Run(310'000);
  EXPECT_TRUE(network.HasEvent(0, "MEET n1:7000 is given up: no answer"));
}

TEST(Replicator, AJoinerTakesOverTheStateWhenFramesAreGone) {
  TestNetwork network(23);
  Settings settings = Quick();
  settings.ring_bytes_max = 300;
  settings.ring_bytes_kept = 100;
  settings.link_bytes_max = 500;
  network.Add(settings);
  network.Add(settings);
  for (int i = 0; i < 100; ++i) network.Increment(0);
  network.nodes[0]->host->chunk_padding = 3'000;
  network.bytes_per_step = 100;
  network.Meet(1, 0);
  EXPECT_TRUE(
      network.RunUntil(5'000, [&] { return network.StatusOf(1).transfer.bytes_expected > 0; }));
  EXPECT_TRUE(network.StatusOf(1).transfer.joining);
  EXPECT_TRUE(network.StatusOf(1).transfer.receiving);
  EXPECT_EQ(network.StatusOf(1).transfer.bytes_expected, 12'345U);
  EXPECT_EQ(network.StatusOf(0).transfer.donations, 1U);
  EXPECT_TRUE(network.nodes[1]->host->held);
  network.Increment(0, 5);  // meanwhile
  EXPECT_TRUE(network.RunUntil(5'000, [&] { return network.nodes[1]->host->Total() == 105; }));
  EXPECT_FALSE(network.StatusOf(1).transfer.joining);
  EXPECT_FALSE(network.nodes[1]->host->held);
  EXPECT_EQ(network.StatusOf(1).transfer.received_total, 1U);
  EXPECT_EQ(network.StatusOf(0).transfer.donated_total, 1U);
}

TEST(Replicator, WhoDiesWhileItJoinsIsStillJoiningAfterItsNextStart) {
  TestNetwork network(27);
  Settings settings = Quick();
  settings.ring_bytes_max = 300;
  settings.ring_bytes_kept = 100;
  settings.link_bytes_max = 500;
  network.Add(settings);
  network.Add(settings);
  for (int i = 0; i < 100; ++i) network.Increment(0);
  network.nodes[0]->host->chunk_padding = 3'000;
  network.bytes_per_step = 100;
  network.Meet(1, 0);
  EXPECT_TRUE(network.RunUntil(5'000, [&] { return network.StatusOf(1).transfer.receiving; }));
  network.Stop(1);
  network.Start(1);
  EXPECT_TRUE(network.StatusOf(1).transfer.joining);
  EXPECT_TRUE(network.RunUntil(20'000, [&] { return !network.StatusOf(1).transfer.joining; }));
  EXPECT_EQ(network.nodes[1]->host->Total(), 100U);
}

// Node 1 starts again, while it still joins; neither it nor node 2 reaches node 0.
void StartAsNewcomerWithoutNode0(TestNetwork& network) {
  network.Stop(1);
  for (const std::size_t i : {1, 2}) {
    network.Block(0, i, true);
    network.Block(i, 0, true);
  }
  network.nodes[1]->disk.joining = true;
  network.Start(1);
}

// It may lack the folds that the resets of others build on.
TEST(Replicator, WhoMeetsOnlyANewcomerIsStillJoining) {
  TestNetwork network(28);
  for (int i = 0; i < 3; ++i) network.Add(Quick());
  network.Increment(0);
  network.Meet(1, 0);
  EXPECT_TRUE(network.RunUntil(2'000, [&] { return network.nodes[1]->host->Total() == 1; }));
  StartAsNewcomerWithoutNode0(network);
  network.Meet(2, 1);
  EXPECT_TRUE(network.RunUntil(5'000, [&] { return network.StatusOf(2).members == 3; }));
  network.Run(1'000);
  EXPECT_TRUE(network.StatusOf(2).transfer.joining);
  network.Heal();
  EXPECT_TRUE(network.RunUntil(20'000, [&] { return !network.StatusOf(2).transfer.joining; }));
}

// With its state it would have what the others lack, and lack what they began with.
TEST(Replicator, ANewcomerTakesNoStateFromAnother) {
  TestNetwork network(36);
  Settings settings = Quick();
  settings.ring_bytes_max = 300;
  settings.ring_bytes_kept = 100;
  for (int i = 0; i < 3; ++i) network.Add(settings);
  network.Increment(0);
  network.Meet(1, 0);
  ASSERT_TRUE(network.RunUntil(2'000, [&] { return network.nodes[1]->host->Total() == 1; }));
  StartAsNewcomerWithoutNode0(network);
  for (int i = 0; i < 100; ++i) network.Increment(1);
  network.Meet(2, 1);
  ASSERT_TRUE(network.RunUntil(5'000, [&] { return network.StatusOf(2).members == 3; }));
  network.Run(2'000);
  EXPECT_EQ(network.nodes[2]->host->states_taken, 0);
  EXPECT_EQ(network.StatusOf(1).transfer.donated_total, 0U);
  network.nodes[1]->host->logs = TestHost::Logs::kAll;
  network.Heal();
  EXPECT_TRUE(network.RunUntil(20'000, [&] {
    return network.nodes[2]->host->Total() == 101 && !network.StatusOf(2).transfer.joining;
  }));
}

// It has heard it by way of a node that did not know yet that the origin's node was forgotten.
TEST(Replicator, ANewcomerGivesUpWhatItHasOfAnOriginBeyondItsFold) {
  TestNetwork network(29);
  network.Add(Quick());
  network.Add(Quick());
  network.Meet(1, 0);
  network.Run(1'000);
  network.Stop(1);
  network.Increment(0, 10);
  network.Run(100);
  network.Stop(0);
  network.nodes[0]->disk.log.clear();  // only its state tells of them
  const OriginId folded = OriginNumber(99);
  network.ledger.sums[folded] = {0, 1, 2, 3, 4, 5};
  network.nodes[0]->disk.sums[folded] = {3, 3};
  network.nodes[1]->disk.sums[folded] = {5, 5};
  network.nodes[1]->disk.joining = true;
  network.Start(0);
  network.Start(1);
  network.nodes[0]->host->folded[folded] = 3;
  network.nodes[1]->host->gives_up = {folded};
  EXPECT_TRUE(network.RunUntil(20'000, [&] { return !network.StatusOf(1).transfer.joining; }));
  EXPECT_EQ(network.nodes[1]->host->states_taken, 1);
  EXPECT_EQ(network.nodes[1]->host->Total(), 13U);
  // What it had told before does not make it one that must be forgotten.
  EXPECT_TRUE(network.RunUntil(10'000, [&] { return network.Linked(0, 1); }));
  network.Increment(0, 1);
  EXPECT_TRUE(network.RunUntil(2'000, [&] { return network.nodes[1]->host->Total() == 14; }));
  EXPECT_EQ(network.nodes[1]->host->forgotten_calls, 0);
}

TEST(Replicator, AStateIsGivenUpWhenTheDonorFailsAndAnotherIsAsked) {
  TestNetwork network(24);
  Settings settings = Quick();
  settings.ring_bytes_max = 300;
  settings.ring_bytes_kept = 100;
  settings.link_bytes_max = 500;
  for (int i = 0; i < 3; ++i) network.Add(settings);
  network.Meet(0, 1);
  network.Run(500);
  for (int i = 0; i < 100; ++i) network.Increment(0);
  network.Run(500);
  for (int i = 0; i < 2; ++i) network.nodes[i]->host->chunk_padding = 3'000;
  network.bytes_per_step = 50;
  network.Meet(2, 0);
  ASSERT_TRUE(network.RunUntil(5'000, [&] { return network.StatusOf(2).transfer.bytes > 0; }));
  const NodeId donor = network.StatusOf(2).transfer.donor;
  network.Stop(donor == NodeNumber(1) ? 0 : 1);
  EXPECT_TRUE(network.RunUntil(20'000, [&] { return network.nodes[2]->host->Total() == 100; }));
  EXPECT_FALSE(network.nodes[2]->host->held);
}

TEST(Replicator, TheSameSeedGivesTheSameBytes) {
  const auto run = [] {
    TestNetwork network(25);
    for (int i = 0; i < 4; ++i) network.Add(Quick());
    for (int i = 1; i < 4; ++i) network.Meet(i, i - 1);
    for (int i = 0; i < 200; ++i) {
      network.Increment(i % 4);
      network.Run(20);
    }
    return network.bytes_sent;
  };
  EXPECT_EQ(run(), run());
}

TEST(Replicator, ANodeThatIsIdleSaysLittle) {
  TestNetwork network(26);
  network.Add(Quick());
  network.Add(Quick());
  network.Meet(0, 1);
  network.Run(2'000);
  const std::uint64_t before = network.bytes_sent;
  network.Run(10'000);
  // A PING and a PONG five times a second, each way: no vectors, no members.
  EXPECT_LT(network.bytes_sent - before, 10U * 5 * 4 * 80);
}

TEST(Replicator, ANodeDoesNotMeetItself) {
  TestNetwork network(9);
  network.Add(Quick());
  network.Meet(0, 0, true);
  network.Run(1'000);
  EXPECT_EQ(network.StatusOf(0).members, 1U);
  EXPECT_TRUE(network.HasEvent(0, "SELF"));
  const std::size_t events = network.nodes[0]->events.size();
  network.Run(10'000);
  EXPECT_EQ(network.nodes[0]->events.size(), events) << "it is not tried again";
}

TEST(Replicator, D01_D02_ANodeThatLostItsTailGetsItBack) {
  TestNetwork network(10);
  network.Add(Quick());
  network.Add(Quick());
  network.Meet(0, 1);
  network.Run(500);
  network.sync_each_step = false;
  network.Increment(0, 1'000);
  network.nodes[0]->host->Increment(20);
  network.Publish(0, network.nodes[0]->host->Cut(false));  // published, never durable
  network.Run(500);
  EXPECT_EQ(network.nodes[1]->host->Total(), 1'020U);
  network.Stop(0);
  network.Run(100);
  network.Start(0);
  EXPECT_EQ(network.nodes[0]->host->Total(), 1'000U);
  network.Increment(0, 3);
  EXPECT_TRUE(network.RunUntil(5'000, [&] { return network.nodes[0]->host->Total() == 1'023; }));
  EXPECT_TRUE(network.RunUntil(1'000, [&] { return network.nodes[1]->host->Total() == 1'023; }));
}

TEST(Replicator, D05_D32_AForgottenNodeIsOutForEver) {
  TestNetwork network(11);
  for (int i = 0; i < 3; ++i) network.Add(Quick());
  network.Meet(0, 1);
  network.Meet(2, 1);
  network.Run(2'000);
  network.Increment(2, 9);
  network.Run(200);
  network.Stop(2);
  EXPECT_TRUE(network.nodes[0]->replicator->Forget(network.NowOf(0), NodeNumber(3)).ok());
  network.Cut(0);
  network.Run(500);
  EXPECT_EQ(network.nodes[0]->disk.members.size(), 3U) << "with the record that it was forgotten";
  EXPECT_EQ(network.StatusOf(1).members, 2U);
  EXPECT_EQ(network.nodes[1]->host->Total(), 9U) << "what it had counted stays";
  network.nodes[0]->host->folded[network.nodes[2]->disk.origins[0]] = 1;
  network.nodes[1]->host->folded[network.nodes[2]->disk.origins[0]] = 1;
  network.Run(100'000);
  network.Start(2);
  network.Run(3'000);
  EXPECT_FALSE(network.Linked(0, 2));
  EXPECT_EQ(network.StatusOf(0).members, 2U);
  EXPECT_TRUE(network.StatusOf(2).forgotten);
  EXPECT_GT(network.nodes[2]->host->forgotten_calls, 0);
  EXPECT_EQ(network.nodes[2]->host->forgotten_finals.Get(network.nodes[2]->disk.origins[0]), 1U);
}

// Node 1 has let in node 2, of which node 0 hears when it has folded something without it.
TEST(Replicator, WhoWasLetInByAForgottenNodeIsForgottenToo) {
  TestNetwork network(35);
  for (int i = 0; i < 3; ++i) network.Add(Quick());
  network.Meet(0, 1);
  network.Run(2'000);
  network.Increment(1, 4);
  network.Run(500);
  network.Block(0, 2, true);
  network.Block(2, 0, true);
  network.Stop(0);
  network.Meet(2, 1);
  network.Run(2'000);
  network.Increment(2, 9);
  network.Run(500);
  network.Stop(1);
  network.Start(0);
  network.nodes[0]->host->folded_without = true;
  ASSERT_TRUE(network.nodes[0]->replicator->Forget(network.NowOf(0), NodeNumber(2)).ok());
  network.Block(0, 2, false);
  network.Block(2, 0, false);
  network.Run(5'000);
  EXPECT_TRUE(network.StatusOf(2).forgotten);
  EXPECT_GT(network.nodes[2]->host->forgotten_calls, 0);
  EXPECT_EQ(network.StatusOf(0).members, 1U);
  EXPECT_EQ(network.nodes[0]->host->Total(), 4U) << "nothing of it is taken";
}

// A newcomer takes a state first, and has then what was folded.
TEST(Replicator, ANewcomerIsNotForgottenBeforeItHasJoined) {
  TestNetwork network(36);
  for (int i = 0; i < 2; ++i) network.Add(Quick());
  network.Increment(0, 4);
  network.Run(100);
  network.nodes[0]->host->folded_without = true;
  network.Meet(1, 0);
  for (int i = 0; i < 200 && network.nodes[1]->host->Total() == 0; ++i) network.Run(10);
  EXPECT_EQ(network.nodes[1]->host->Total(), 4U);
  network.nodes[0]->host->folded_without = false;
  network.Run(2'000);
  EXPECT_TRUE(network.Linked(0, 1));
}

TEST(Replicator, ForgetWhileItIsThere) {
  TestNetwork network(12);
  for (int i = 0; i < 3; ++i) network.Add(Quick());
  network.Meet(0, 1);
  network.Meet(2, 1);
  network.Run(2'000);
  EXPECT_FALSE(network.nodes[0]->replicator->Forget(network.NowOf(0), NodeNumber(1)).ok());
  EXPECT_FALSE(network.nodes[0]->replicator->Forget(network.NowOf(0), NodeNumber(77)).ok());
  EXPECT_TRUE(network.nodes[0]->replicator->Forget(network.NowOf(0), NodeNumber(3)).ok());
  network.Run(1'000);
  EXPECT_TRUE(network.StatusOf(2).forgotten);
  EXPECT_EQ(network.StatusOf(0).members, 2U);
  EXPECT_EQ(network.StatusOf(1).members, 2U);
  EXPECT_FALSE(network.Linked(1, 2));
}

TEST(Replicator, ANewAddressIsNoticed) {
  TestNetwork network(13);
  for (int i = 0; i < 3; ++i) network.Add(Quick());
  network.Meet(0, 1);
  network.Meet(2, 1);
  network.Run(2'000);
  network.Stop(2);
  network.nodes[2]->address = {"elsewhere", 7001};
  network.Start(2);
  network.Run(5'000);
  EXPECT_TRUE(network.Linked(0, 2));
  EXPECT_TRUE(network.HasEvent(0, "is at elsewhere:7001 now"));
  EXPECT_EQ(network.nodes[1]->replicator->members().at(NodeNumber(3)).address.host, "elsewhere");
}

TEST(Replicator, AHostIsLearnedFromThePeers) {
  TestNetwork network(14);
  network.Add(Quick());
  network.Add(Quick());
  for (std::size_t i = 0; i < 2; ++i) {
    network.nodes[i]->disk.members.clear();
    network.nodes[i]->replicator =
        std::make_unique<Replicator>(*network.nodes[i]->host, i, network.nodes[i]->settings);
    network.nodes[i]->replicator->Announce(network.NowOf(i), {"", 7000});
  }
  network.Meet(0, 1);
  network.Run(1'000);
  const MemberMap& members = network.nodes[0]->replicator->members();
  EXPECT_EQ(members.at(NodeNumber(1)).address.host, "n0");
  EXPECT_EQ(members.at(NodeNumber(2)).address.host, "n1");
}

TEST(Replicator, D14_TwoProcessesWithOneIdRaiseAnAlarm) {
  TestNetwork network(15);
  for (int i = 0; i < 3; ++i) network.Add(Quick());
  network.nodes[2]->disk.node = NodeNumber(2);  // a copy of node 1's directory
  network.Stop(2);
  network.Start(2);
  network.nodes[2]->disk.cluster = ClusterNumber(1);
  network.Meet(0, 1);
  network.Run(1'000);
  network.Meet(2, 0, true);
  network.Run(3'000);
  EXPECT_FALSE(network.StatusOf(0).alarms.empty());
}

TEST(Replicator, AnOldProcessIsFenced) {
  TestNetwork network(16);
  network.Add(Quick());
  network.Add(Quick());
  network.Meet(0, 1);
  network.Run(500);
  network.Increment(1, 4);
  network.Run(100);
  network.nodes[0]->host->Close(network.nodes[1]->host->origin());
  network.Run(1'000);
  EXPECT_TRUE(network.nodes[1]->host->fenced);
  EXPECT_TRUE(network.StatusOf(1).fenced);
  EXPECT_FALSE(network.Linked(0, 1));
}

TEST(Replicator, WhatIsFoldedIsNotTakenAgain) {
  TestNetwork network(27);
  for (int i = 0; i < 3; ++i) network.Add(Quick());
  network.Meet(0, 1);
  network.Meet(2, 1);
  network.Run(2'000);
  const OriginId old = network.nodes[2]->host->origin();
  network.nodes[0]->host->folded[old] = 0;
  network.Increment(1, 4);  // anything
  network.Run(1'000);
  EXPECT_TRUE(network.nodes[2]->host->fenced) << "a process whose origin is folded";
  network.nodes[2]->host->Increment(7);
  network.Cut(2);
  network.Run(2'000);
  EXPECT_EQ(network.nodes[0]->host->applied().Get(old), 0U) << "node 1 offers it in vain";
  EXPECT_EQ(network.StatusOf(0).needs_outstanding, 0U);
}

TEST(Replicator, D12_InconsistentAsSoonAsAMemberIsUnheardOf) {
  TestNetwork network(17);
  for (int i = 0; i < 3; ++i) network.Add(Quick());
  network.Meet(0, 1);
  network.Meet(2, 1);
  network.Run(2'000);
  EXPECT_TRUE(network.StatusOf(0).consistent);
  EXPECT_GE(network.StatusOf(0).staleness_ms, 0);
  network.nodes[2]->frozen = true;
  network.Run(700);
  EXPECT_FALSE(network.StatusOf(0).consistent);
  EXPECT_EQ(network.StatusOf(0).lagging, std::vector<NodeId>{NodeNumber(3)});
  network.Run(2'000);
  EXPECT_EQ(network.StatusOf(0).peers[1].state, PeerState::kSuspect);
  network.Run(3'000);
  EXPECT_EQ(network.StatusOf(0).peers[1].state, PeerState::kDown);
  EXPECT_EQ(network.StatusOf(0).peers[1].failure_reports, 1U) << "node 1 says so, too";
  network.nodes[2]->frozen = false;
  EXPECT_TRUE(network.RunUntil(7'000, [&] { return network.StatusOf(0).consistent; }));
}

TEST(Replicator, ANodeThatWasStoppedDoesNotTakeItForSilence) {
  TestNetwork network(37);
  Settings hasty = Quick(), patient = Quick();
  hasty.heartbeat_ms = 50;
  hasty.node_timeout_ms = 500;
  patient.node_timeout_ms = 10'000;
  network.Add(hasty);
  network.Add(patient);
  network.Meet(0, 1);
  network.Run(1'000);
  network.nodes[0]->frozen = true;
  network.Run(3'000);
  network.nodes[0]->frozen = false;
  network.Run(200);
  EXPECT_FALSE(network.HasEvent(0, "nothing was heard"));
  EXPECT_TRUE(network.Linked(0, 1));
  // Of who is silent beyond that it hears as late as ever.
  network.nodes[1]->frozen = true;
  network.Run(400);
  EXPECT_TRUE(network.HasEvent(0, "nothing was heard"));
}

TEST(Replicator, NotConsistentBeforeTheHeadIsThere) {
  TestNetwork network(18);
  network.Add(Quick());
  network.Add(Quick());
  network.Meet(0, 1);
  network.Run(1'000);
  network.nodes[1]->host->Increment(1);  // acknowledged there, not cut into a frame
  network.Run(700);
  EXPECT_FALSE(network.StatusOf(0).consistent);
  EXPECT_EQ(network.StatusOf(0).peers[0].behind, 1U);
  network.Cut(1);
  EXPECT_TRUE(network.RunUntil(500, [&] { return network.StatusOf(0).consistent; }));
}

TEST(Replicator, AClockFarAheadRaisesAnAlarm) {
  TestNetwork network(19);
  network.Add(Quick());
  network.Add(Quick());
  network.nodes[1]->wall_ahead_ms = 61'000;
  network.Meet(0, 1);
  network.Run(1'000);
  ASSERT_EQ(network.StatusOf(0).alarms.size(), 1U);
  EXPECT_EQ(network.StatusOf(0).alarms[0], "the clock of node 00020000 is 61 s ahead of ours");
  EXPECT_TRUE(network.StatusOf(1).alarms.empty());
}

TEST(Replicator, DigestsThatDifferRaiseAnAlarm) {
  TestNetwork network(20);
  network.Add(Quick());
  network.Add(Quick());
  for (auto& node : network.nodes) node->host->digests = true;
  network.Meet(0, 1);
  network.Increment(0, 3);
  network.Run(1'000);
  network.nodes[0]->replicator->CheckDigests(network.NowOf(0));
  network.Run(100);
  EXPECT_EQ(network.StatusOf(1).digests_equal, 1U);
  EXPECT_EQ(network.StatusOf(1).divergence_total, 0U);
  EXPECT_TRUE(network.StatusOf(1).alarms.empty());
  network.nodes[0]->host->flipped = 4;
  network.nodes[0]->replicator->CheckDigests(network.NowOf(0));
  network.Run(100);
  EXPECT_EQ(network.StatusOf(1).divergence_total, 1U);
  ASSERT_EQ(network.StatusOf(1).alarms.size(), 1U);
  EXPECT_NE(network.StatusOf(1).alarms[0].find("differ at the same vector"), std::string::npos);
}

TEST(Replicator, AResetNodeIsAloneAndMayJoinAgain) {
  TestNetwork network(21);
  network.Add(Quick());
  network.Add(Quick());
  network.Meet(0, 1);
  network.Increment(0, 3);
  network.Run(1'000);
  // RESET HARD: a new node, without anything.
  EXPECT_TRUE(network.nodes[0]->replicator->Forget(network.NowOf(0), NodeNumber(2)).ok());
  network.Cut(0);
  network.Run(500);
  network.Stop(1);
  network.nodes[1]->disk = Disk{};
  network.nodes[1]->disk.node = NodeNumber(9);
  network.nodes[1]->disk.cluster = ClusterNumber(9);
  network.Start(1);
  network.Run(3'000);
  EXPECT_EQ(network.StatusOf(0).members, 1U) << "nobody takes it in unasked";
  network.Meet(1, 0);
  network.Run(2'000);
  EXPECT_TRUE(network.Linked(0, 1));
  EXPECT_EQ(network.nodes[1]->host->Total(), 3U);
}

}  // namespace
}  // namespace jeton::replication::test
