// What the model of replication found (sim/replica), each told as a short session of two nodes.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "engine/replica_site.h"

namespace jeton::engine {
namespace {

constexpr WallMs kNow = ReplicaSite::kNow;

class Site : public ReplicaSite {
 public:
  explicit Site(std::uint8_t number) : ReplicaSite(number) {
    replica().SetMembers({NodeId{1}, NodeId{2}});
  }
};

TEST(Replica, ConcurrentIncrementsAndSetsAgree) {
  Site a(1), b(2);
  a.Add("n", 5);
  b.Add("n", 7);
  ASSERT_TRUE(a.Exchange(b));
  EXPECT_EQ(a.Value("n"), Decimal(12));
  a.Set("n", 100);
  b.Add("n", 3);  // the SET has not seen it
  ASSERT_TRUE(a.Exchange(b));
  EXPECT_EQ(a.Value("n"), Decimal(103));
  EXPECT_EQ(b.Value("n"), Decimal(103));
  EXPECT_EQ(a.replica().DigestAll(), b.replica().DigestAll());
}

TEST(Replica, AUnitThatAddsBetweenTwoSetsCountsItOnce) {
  Site a(1), b(2);
  a.Add("n", 5);
  ASSERT_TRUE(a.Exchange(b));
  a.unit().Put(a.KeyOf("n"), 10, 0);
  a.unit().Add(a.KeyOf("n"), 13, 3);
  a.unit().Put(a.KeyOf("n"), 20, 0);
  a.Commit();
  b.Set("n", 1);  // sees as much of a as the cut of a's resets
  ASSERT_TRUE(a.Exchange(b));
  EXPECT_EQ(a.Value("n"), b.Value("n"));
  EXPECT_TRUE(a.Value("n") == Decimal(20) || a.Value("n") == Decimal(1));
}

TEST(Replica, ACounterThatATreeHidesShowsWhenTheTreeIsDropped) {
  Site a(1), b(2);
  a.Add("x", 5);
  b.AddToTree("x", "k", 1, 2);
  ASSERT_TRUE(a.Exchange(b));
  EXPECT_EQ(a.Value("x"), std::nullopt);
  EXPECT_EQ(a.Bucketed("x", "k", 1), Decimal(2));
  b.Drop("x");
  EXPECT_EQ(b.Value("x"), Decimal(5));
  ASSERT_TRUE(a.Exchange(b));
  EXPECT_EQ(a.Value("x"), Decimal(5));
}

TEST(Replica, ANewcomerDoesNotInheritAnExpiry) {
  Site a(1), b(2);
  a.Add("n", 5);
  ASSERT_TRUE(a.Exchange(b));
  a.Drop("n");
  b.Expire("n", kNow + 10);  // of the one that is gone
  ASSERT_TRUE(a.Exchange(b));
  EXPECT_EQ(a.Value("n"), std::nullopt);
  a.Add("n", 1);
  EXPECT_EQ(a.keyspace().Find(a.KeyOf("n"), kNow)->expires_at, 0);
  ASSERT_TRUE(a.Exchange(b));
  EXPECT_EQ(b.keyspace().Find(b.KeyOf("n"), kNow + 20)->value, Decimal(1));
}

TEST(Replica, ATreeThatIsDroppedAndMadeAgainForgetsItsWatermark) {
  Site a(1), b(2);
  a.AddToTree("t", "k", 1, 2);
  ASSERT_TRUE(a.Exchange(b));
  b.Trim("t", 5);
  a.Drop("t");
  a.AddToTree("t", "k", 1, 4);
  ASSERT_TRUE(a.Exchange(b));
  EXPECT_EQ(a.Bucketed("t", "k", 1), Decimal(4));
  EXPECT_EQ(b.Bucketed("t", "k", 1), Decimal(4));
}

TEST(Replica, AFrameCutOverATrimTellsOfIt) {
  Site a(1), b(2), c(3);
  a.AddToTree("t", "k", 1, 2);
  const std::string made = a.Cut();
  ASSERT_EQ(b.Take(made), Replica::Outcome::kApplied);
  ASSERT_EQ(c.Take(made), Replica::Outcome::kApplied);
  b.Trim("t", 5);
  a.AddToTree("t", "k", 1, 3);
  ASSERT_EQ(a.Take(b.Cut()), Replica::Outcome::kApplied);
  // The 3 is not in this frame any more: c must learn why.
  ASSERT_EQ(c.Take(a.Cut()), Replica::Outcome::kApplied);
  EXPECT_EQ(c.keyspace().FindTree(c.KeyOf("t"), kNow)->watermark(), 5);
}

// What is below the watermark is not to be kept for the day when the tree is in view again.
TEST(Replica, ATrimReachesATreeThatIsOutOfView) {
  Site a(1), b(2), c(3);
  a.AddToTree("t", "k", 1, 2);
  const std::string first = a.Cut();
  ASSERT_EQ(b.Take(first), Replica::Outcome::kApplied);
  a.Drop("t");
  a.AddToTree("t", "k", 1, 3);
  const std::string again = a.Cut();
  for (int i = 0; i < 9; ++i) b.Set("n", i);  // its clock is ahead: its drop is the last word
  b.Drop("t");
  const std::string dropped = b.Cut();
  ASSERT_EQ(c.Take(first), Replica::Outcome::kApplied);
  ASSERT_EQ(c.Take(again), Replica::Outcome::kApplied);
  c.Trim("t", 5);
  const std::string trimmed = c.Cut();
  ASSERT_EQ(a.Take(dropped), Replica::Outcome::kApplied);
  ASSERT_FALSE(a.keyspace().HasTree(a.KeyOf("t")));
  ASSERT_EQ(a.Take(trimmed), Replica::Outcome::kApplied);
  ASSERT_EQ(c.Take(dropped), Replica::Outcome::kApplied);
  EXPECT_EQ(a.replica().DigestAll(), c.replica().DigestAll());
}

TEST(Replica, ASnapshotOfATreeThatWasDroppedOnceLoads) {
  Site a(1);
  a.AddToTree("t", "k", 1, 2);
  a.Drop("t");
  a.AddToTree("t", "k", 1, 4);
  a.Cut();
  Site b(1);
  ASSERT_TRUE(a.CopyTo(b));
  EXPECT_EQ(b.Bucketed("t", "k", 1), Decimal(4));
}

TEST(Replica, AFreedEntryIsGoneEverywhere) {
  Site a(1), b(2);
  b.Add("n", 5);
  ASSERT_TRUE(a.Exchange(b));
  b.Drop("n");
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(a.Exchange(b));
    a.Sweep();
    b.Sweep();
  }
  ASSERT_TRUE(a.Exchange(b));
  EXPECT_TRUE(a.replica().DigestAll().empty());
  EXPECT_TRUE(b.replica().DigestAll().empty());
  b.Add("n", 2);
  ASSERT_TRUE(a.Exchange(b));
  EXPECT_EQ(a.Value("n"), Decimal(2));
}

// The frames with which a node folds that origin that asks nobody else.
std::vector<std::string> FoldAlone(Site& site, const OriginId& closed) {
  std::vector<std::string> frames;
  site.replica().SetMembers({site.replica().node()});
  frames.push_back(site.Cut(true));
  std::string log;
  site.replica().Close(closed, log);
  site.Append(log);
  frames.push_back(site.Cut(true));
  frames.push_back(site.Cut(true));
  while (site.replica().FoldSome(100, log)) {
  }
  site.Append(log);
  EXPECT_TRUE(site.replica().folded().contains(closed));
  frames.push_back(site.Cut(true));
  return frames;
}

// A node that was not there when an origin was folded has its sums by the fold, but not its resets:
// no frames help it.
TEST(Replica, AFrameThatFoldsWhatIsNotKnownDoesNotFit) {
  Site a(1), b(2), newcomer(3);
  a.Add("n", 5);
  ASSERT_TRUE(a.Exchange(b));
  ASSERT_TRUE(b.Exchange(a));
  const std::string fold = FoldAlone(b, Site::Origin(1)).back();
  ByteReader in(fold);
  crdt::Frame frame = crdt::DecodeFrame(in);
  frame.from = 0;
  EXPECT_EQ(newcomer.replica().ApplyFrame(frame, kNow), Replica::Outcome::kGap);
}

// Nor one that has more of it than was folded, since it was not asked: what it knows must not go
// back.
TEST(Replica, AFrameThatFoldsLessThanIsKnownDoesNotFit) {
  Site a(1), b(2), unasked(3);
  a.Add("n", 5);
  const std::string first = a.Cut();
  ASSERT_EQ(b.Take(first), Replica::Outcome::kApplied);
  ASSERT_EQ(unasked.Take(first), Replica::Outcome::kApplied);
  a.Add("n", 2);
  ASSERT_EQ(unasked.Take(a.Cut()), Replica::Outcome::kApplied);
  std::vector<std::string> frames = FoldAlone(b, Site::Origin(1));
  const std::string fold = frames.back();
  frames.pop_back();
  for (const std::string& frame : frames) {
    ASSERT_EQ(unasked.Take(frame), Replica::Outcome::kApplied);
  }
  EXPECT_EQ(unasked.Take(fold), Replica::Outcome::kGap);
  EXPECT_EQ(unasked.Value("n"), Decimal(7));
}

// The greater of two closers folds; what it leaves when it is folded itself goes to the next, even
// if that is the lesser one.
TEST(Replica, WhatAFoldedCloserHasNotDoneIsTakenOver) {
  Site a(1), b(2), closer(9);
  a.Add("n", 5);
  const std::string made = a.Cut();
  ASSERT_EQ(b.Take(made), Replica::Outcome::kApplied);
  ASSERT_EQ(closer.Take(made), Replica::Outcome::kApplied);
  std::string log;
  closer.replica().Close(Site::Origin(1), log);
  closer.Append(log);
  ASSERT_EQ(b.Take(closer.Cut()), Replica::Outcome::kApplied);
  b.replica().Close(Site::Origin(1), log);
  EXPECT_EQ(b.replica().closed().at(Site::Origin(1)).by, Site::Origin(9)) << "it is in good hands";
  EXPECT_TRUE(b.replica().Abandoned().empty());
  b.replica().SetMembers({NodeId{2}});
  b.replica().Close(Site::Origin(9), log);
  b.Append(log);
  b.Cut(true);
  b.Cut(true);
  while (b.replica().FoldSome(100, log)) {
  }
  b.Append(log);
  b.Cut(true);
  ASSERT_TRUE(b.replica().folded().contains(Site::Origin(9)));
  ASSERT_EQ(b.replica().Abandoned(), std::vector<OriginId>{Site::Origin(1)});
  b.replica().Close(Site::Origin(1), log);
  EXPECT_EQ(b.replica().closed().at(Site::Origin(1)).by, Site::Origin(2));
}

TEST(Replica, WhatTurnsUpLateOfAForgottenNodeIsToBeClosed) {
  Site a(1), b(2);
  b.replica().SetMembers({NodeId{2}}, {NodeId{1}});
  EXPECT_TRUE(b.replica().Abandoned().empty());
  a.Add("n", 5);
  ASSERT_EQ(b.Take(a.Cut()), Replica::Outcome::kApplied);
  EXPECT_EQ(b.replica().Abandoned(), std::vector<OriginId>{Site::Origin(1)});
}

// The run had told of it before it was on the disk.
TEST(Replica, WhatTurnsUpLateOfALostRunIsToBeClosed) {
  Site a(1), b(2), restarted(7);
  restarted.earlier_run = Site::Origin(1);
  EXPECT_TRUE(restarted.replica().Abandoned().empty());
  b.Add("n", 5);
  ASSERT_EQ(a.Take(b.Cut()), Replica::Outcome::kApplied);
  std::string log;
  a.replica().Close(Site::Origin(2), log);
  a.Append(log);
  ASSERT_EQ(restarted.Take(a.Cut()), Replica::Outcome::kApplied);
  // With what it had taken upon itself.
  const std::vector<OriginId> both{Site::Origin(1), Site::Origin(2)};
  EXPECT_EQ(restarted.replica().Abandoned(), both);
  for (const OriginId& origin : both) restarted.replica().Close(origin, log);
  EXPECT_TRUE(restarted.replica().Abandoned().empty());
}

// It may have died before it cut another frame.
TEST(Replica, WhoeverCopiesAStateKnowsWhoseTheRunOfTheDonorIs) {
  Site a(1), b(2);
  a.Add("n", 5);
  a.Cut();
  b.replica().SetMembers({NodeId{2}}, {NodeId{1}});
  ASSERT_TRUE(b.replica().DecodeControl(a.replica().EncodeControl(a.lsn()), true));
  EXPECT_EQ(b.replica().Abandoned(), std::vector<OriginId>{Site::Origin(1)});
}

// Its own lost frames tell a node that it has an older disk: it must not follow frame by frame.
TEST(Replica, ANodeThatWasSetBackTakesAState) {
  Site a(1), restored(1);
  a.Add("n", 5);
  const std::string first = a.Cut();
  a.Add("n", 7);
  const std::string second = a.Cut();
  restored.replica().NextRun(Site::Origin(7), 0);
  EXPECT_EQ(restored.Take(first), Replica::Outcome::kApplied) << "that may be a lost tail";
  EXPECT_EQ(restored.Take(second), Replica::Outcome::kGap);
}

}  // namespace
}  // namespace jeton::engine
