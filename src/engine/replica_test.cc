// What the model of replication found (sim/replica), each told as a short session of two nodes.
#include "engine/replica.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/keyspace.h"
#include "engine/tree.h"
#include "engine/unit.h"
#include "engine/watch.h"

namespace jeton::engine {
namespace {

constexpr WallMs kNow = 1'700'000'000'000;

// A node whose log is a counter of records: each unit is one.
class Site {
 public:
  explicit Site(std::uint8_t number) {
    NodeId node{number};
    replica_ = std::make_unique<Replica>(keyspace_, &watches_,
                                         Replica::Options{.node = node,
                                                          .own = Origin(number),
                                                          .close_record = [this] { return lsn_; },
                                                          .wall_now = [] { return kNow; }});
    replica_->SetMembers({NodeId{1}, NodeId{2}});
    keyspace_.set_replica(replica_.get());
    unit_.set_now(kNow);
  }

  static OriginId Origin(std::uint8_t number) { return OriginId{number}; }
  Replica& replica() { return *replica_; }
  Keyspace& keyspace() { return keyspace_; }
  Key KeyOf(std::string_view name) const { return keyspace_.MakeKey(name); }

  void Add(std::string_view name, std::int64_t delta) {
    unit_.Add(KeyOf(name), *Decimal::Add(Value(name).value_or(0), delta), delta);
    Commit();
  }
  void Set(std::string_view name, std::int64_t value) {
    unit_.Put(KeyOf(name), value, 0);
    Commit();
  }
  void Drop(std::string_view name) {
    unit_.Drop(KeyOf(name));
    Commit();
  }
  void Expire(std::string_view name, WallMs at) {
    unit_.Expire(KeyOf(name), at);
    Commit();
  }
  void AddToTree(std::string_view name, std::string_view key, Bucket bucket, std::int64_t delta) {
    if (!keyspace_.HasTree(KeyOf(name))) unit_.CreateTree(KeyOf(name), {});
    Tree* tree = keyspace_.FindTree(KeyOf(name), kNow);
    unit_.AddToBucket(KeyOf(name), *tree, tree->MakeKey(key), bucket, delta);
    Commit();
  }
  void Trim(std::string_view name, Bucket first) {
    unit_.TrimTree(KeyOf(name), *keyspace_.FindTree(KeyOf(name), kNow), first);
    Commit();
  }
  Unit& unit() { return unit_; }
  void Commit() {
    if (!unit_.empty()) ++lsn_;
    unit_.Clear();
  }

  std::optional<Decimal> Value(std::string_view name) const {
    const auto entry = keyspace_.Find(KeyOf(name), kNow);
    if (!entry || entry->kind != Kind::kCounter) return std::nullopt;
    return entry->value;
  }
  Decimal Bucketed(std::string_view name, std::string_view key, Bucket bucket) const {
    const Tree* tree = keyspace_.FindTree(KeyOf(name), kNow);
    return tree == nullptr ? Decimal(0) : tree->Get(tree->MakeKey(key), bucket);
  }

  std::string Cut(bool row_too = false) {
    crdt::VersionVector row = replica_->applied();
    row.Advance(replica_->own(), lsn_);
    auto frame = replica_->Cut(lsn_, row, row_too);
    if (!frame) return {};
    ++lsn_;
    return *frame;
  }
  Replica::Outcome Take(const std::string& bytes) {
    ByteReader in(bytes);
    const auto outcome = replica_->ApplyFrame(crdt::DecodeFrame(in), kNow);
    if (outcome == Replica::Outcome::kApplied) ++lsn_;
    return outcome;
  }
  // Everything once round.
  void Exchange(Site& other) {
    const std::string ours = Cut(true), theirs = other.Cut(true);
    if (!ours.empty()) {
      ASSERT_EQ(other.Take(ours), Replica::Outcome::kApplied);
    }
    if (!theirs.empty()) {
      ASSERT_EQ(Take(theirs), Replica::Outcome::kApplied);
    }
  }
  void Sweep() {
    std::string log;
    for (unsigned i = 0; i < Keyspace::kPartitions; ++i) replica_->FreeSome(log);
    if (!log.empty()) ++lsn_;
  }
  void Append(std::string& log) {
    if (!log.empty()) ++lsn_;
    log.clear();
  }
  Lsn lsn() const { return lsn_; }

 private:
  Keyspace keyspace_{Keyspace::Options{.hash_seed = 7}};
  WatchTable watches_;
  Unit unit_{keyspace_, watches_};
  std::unique_ptr<Replica> replica_;
  Lsn lsn_ = 0;
};

TEST(Replica, ConcurrentIncrementsAndSetsAgree) {
  Site a(1), b(2);
  a.Add("n", 5);
  b.Add("n", 7);
  a.Exchange(b);
  EXPECT_EQ(a.Value("n"), Decimal(12));
  a.Set("n", 100);
  b.Add("n", 3);  // the SET has not seen it
  a.Exchange(b);
  EXPECT_EQ(a.Value("n"), Decimal(103));
  EXPECT_EQ(b.Value("n"), Decimal(103));
  EXPECT_EQ(a.replica().DigestAll(), b.replica().DigestAll());
}

TEST(Replica, AUnitThatAddsBetweenTwoSetsCountsItOnce) {
  Site a(1), b(2);
  a.Add("n", 5);
  a.Exchange(b);
  a.unit().Put(a.KeyOf("n"), 10, 0);
  a.unit().Add(a.KeyOf("n"), 13, 3);
  a.unit().Put(a.KeyOf("n"), 20, 0);
  a.Commit();
  b.Set("n", 1);  // sees as much of a as the cut of a's resets
  a.Exchange(b);
  EXPECT_EQ(a.Value("n"), b.Value("n"));
  EXPECT_TRUE(a.Value("n") == Decimal(20) || a.Value("n") == Decimal(1));
}

TEST(Replica, ACounterThatATreeHidesShowsWhenTheTreeIsDropped) {
  Site a(1), b(2);
  a.Add("x", 5);
  b.AddToTree("x", "k", 1, 2);
  a.Exchange(b);
  EXPECT_EQ(a.Value("x"), std::nullopt);
  EXPECT_EQ(a.Bucketed("x", "k", 1), Decimal(2));
  b.Drop("x");
  EXPECT_EQ(b.Value("x"), Decimal(5));
  a.Exchange(b);
  EXPECT_EQ(a.Value("x"), Decimal(5));
}

TEST(Replica, ANewcomerDoesNotInheritAnExpiry) {
  Site a(1), b(2);
  a.Add("n", 5);
  a.Exchange(b);
  a.Drop("n");
  b.Expire("n", kNow + 10);  // of the one that is gone
  a.Exchange(b);
  EXPECT_EQ(a.Value("n"), std::nullopt);
  a.Add("n", 1);
  EXPECT_EQ(a.keyspace().Find(a.KeyOf("n"), kNow)->expires_at, 0);
  a.Exchange(b);
  EXPECT_EQ(b.keyspace().Find(b.KeyOf("n"), kNow + 20)->value, Decimal(1));
}

TEST(Replica, ATreeThatIsDroppedAndMadeAgainForgetsItsWatermark) {
  Site a(1), b(2);
  a.AddToTree("t", "k", 1, 2);
  a.Exchange(b);
  b.Trim("t", 5);
  a.Drop("t");
  a.AddToTree("t", "k", 1, 4);
  a.Exchange(b);
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
  const std::string control = a.replica().EncodeControl(a.lsn());
  ASSERT_TRUE(b.replica().DecodeControl(control, false));
  for (unsigned id = 0; id < Keyspace::kPartitions; ++id) {
    Keyspace::SliceCursor names;
    a.keyspace().EncodeSlice(id, names, 1u << 20, [&](std::string_view bytes) {
      ASSERT_TRUE(b.keyspace().ApplyEncoded(bytes, kNow));
    });
    Replica::StateCursor state;
    a.replica().EncodeState(id, state, 1u << 20, [&](std::string_view bytes) {
      ASSERT_TRUE(b.replica().LoadState(bytes, kNow));
    });
  }
  EXPECT_EQ(b.Bucketed("t", "k", 1), Decimal(4));
}

TEST(Replica, AFreedEntryIsGoneEverywhere) {
  Site a(1), b(2);
  b.Add("n", 5);
  a.Exchange(b);
  b.Drop("n");
  for (int i = 0; i < 4; ++i) {
    a.Exchange(b);
    a.Sweep();
    b.Sweep();
  }
  a.Exchange(b);
  EXPECT_TRUE(a.replica().DigestAll().empty());
  EXPECT_TRUE(b.replica().DigestAll().empty());
  b.Add("n", 2);
  a.Exchange(b);
  EXPECT_EQ(a.Value("n"), Decimal(2));
}

// A node that was not there when an origin was folded has its sums by the fold, but not its resets:
// no frames help it.
TEST(Replica, AFrameThatFoldsWhatIsNotKnownDoesNotFit) {
  Site a(1), b(2), newcomer(3);
  a.Add("n", 5);
  a.Exchange(b);
  b.Exchange(a);
  a.replica().SetMembers({NodeId{2}});
  b.replica().SetMembers({NodeId{2}});
  b.Cut(true);
  std::string log;
  b.replica().Close(Site::Origin(1), log);
  b.Append(log);
  b.Cut(true);
  b.Cut(true);
  while (b.replica().FoldSome(100, log)) {
  }
  b.Append(log);
  ASSERT_TRUE(b.replica().folded().contains(Site::Origin(1)));
  const std::string fold = b.Cut(true);
  ByteReader in(fold);
  crdt::Frame frame = crdt::DecodeFrame(in);
  frame.from = 0;
  EXPECT_EQ(newcomer.replica().ApplyFrame(frame, kNow), Replica::Outcome::kGap);
}

}  // namespace
}  // namespace jeton::engine
