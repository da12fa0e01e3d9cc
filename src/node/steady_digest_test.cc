#include "node/steady_digest.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "engine/keyspace.h"
#include "engine/unit.h"
#include "engine/watch.h"

namespace jeton::node {
namespace {

using replication::DigestOutcome;

constexpr WallMs kNow = 1'700'000'000'000;
constexpr MonoNs kInterval = 60 * kNsPerSecond;

class Site {
 public:
  explicit Site(std::uint8_t number)
      : replica_(std::make_unique<engine::Replica>(
            keyspace_, &watches_,
            engine::Replica::Options{.node = NodeId{number},
                                     .own = OriginId{number},
                                     .close_record = [this] { return lsn_; },
                                     .wall_now = [] { return kNow; }})) {
    keyspace_.set_replica(replica_.get());
    unit_.set_now(kNow);
  }

  void Add(std::string_view name, std::int64_t value, std::int64_t delta) {
    unit_.Add(keyspace_.MakeKey(name), value, delta);
    unit_.Clear();
    ++lsn_;
  }
  void Corrupt(std::string_view name, std::int64_t value) {
    const engine::Key key = keyspace_.MakeKey(name);
    keyspace_.Apply({.type = engine::MutationType::kCounter, .name = name, .value = value}, key,
                    kNow);
  }
  std::string Cut() {
    digest.Changed();
    return *replica_->Cut(lsn_, {}, true);
  }
  std::string CutRow() {
    ++lsn_;
    return *replica_->Cut(lsn_, replica_->applied(), true);
  }
  void Take(std::string_view bytes) {
    ByteReader in(bytes);
    const crdt::Frame frame = crdt::DecodeFrame(in);
    ASSERT_EQ(replica_->ApplyFrame(frame, kNow), engine::Replica::Outcome::kApplied);
    if (engine::Replica::HasContent(frame)) digest.Changed();
    ++lsn_;
  }
  // As many ticks as a quiet minute has.
  void Rest() {
    const MonoNs end = mono_ + kInterval;
    for (; mono_ < end; mono_ += kNsPerSecond / 10) digest.Tick(*replica_, mono_, kInterval);
  }
  void TickOnce() { digest.Tick(*replica_, mono_, kInterval); }

  SteadyDigest digest;

 private:
  engine::Keyspace keyspace_{engine::Keyspace::Options{.hash_seed = 7}};
  engine::WatchTable watches_;
  engine::Unit unit_{keyspace_, watches_};
  std::unique_ptr<engine::Replica> replica_;
  Lsn lsn_ = 0;
  MonoNs mono_ = kNsPerSecond;
};

class SteadyDigestTest : public testing::Test {
 protected:
  void SetUp() override {
    a_.Add("x", 3, 3);
    b_.Add("y", 4, 4);
    Exchange();
  }
  void Exchange() {
    const std::string ours = a_.Cut(), theirs = b_.Cut();
    a_.Take(theirs);
    b_.Take(ours);
  }
  DigestOutcome Compare() const { return a_.digest.Compare(b_.digest.Encode()); }

  Site a_{1}, b_{2};
};

TEST_F(SteadyDigestTest, ThereIsNoneBeforeAQuietTime) {
  EXPECT_EQ(a_.digest.Encode(), "");
  a_.Rest();
  EXPECT_NE(a_.digest.Encode(), "");
  EXPECT_EQ(Compare(), DigestOutcome::kNotComparable);
}

TEST_F(SteadyDigestTest, EqualNodesAreEqual) {
  a_.Rest();
  b_.Rest();
  EXPECT_EQ(Compare(), DigestOutcome::kEqual);
}

TEST_F(SteadyDigestTest, RowsChangeTheVectorAndNotTheState) {
  a_.Rest();
  a_.Take(b_.CutRow());
  a_.TickOnce();
  b_.Rest();
  EXPECT_EQ(Compare(), DigestOutcome::kEqual);
}

TEST_F(SteadyDigestTest, AResultStaysWorthComparingAfterAChange) {
  a_.Rest();
  b_.Rest();
  a_.Add("x", 5, 2);
  a_.Rest();  // uncut
  EXPECT_EQ(Compare(), DigestOutcome::kEqual);
}

TEST_F(SteadyDigestTest, DifferentKnowledgeIsNotComparable) {
  a_.Add("x", 5, 2);
  a_.Cut();
  a_.Rest();
  b_.Rest();
  EXPECT_EQ(Compare(), DigestOutcome::kNotComparable);
}

TEST_F(SteadyDigestTest, AFlippedBitIsFound) {
  a_.Corrupt("x", 7);
  a_.Rest();
  b_.Rest();
  EXPECT_EQ(Compare(), DigestOutcome::kDifferent);
}

TEST_F(SteadyDigestTest, GarbageIsNotComparable) {
  a_.Rest();
  EXPECT_EQ(a_.digest.Compare("\xff\xff"), DigestOutcome::kNotComparable);
  EXPECT_EQ(a_.digest.Compare(a_.digest.Encode() + "x"), DigestOutcome::kNotComparable);
}

}  // namespace
}  // namespace jeton::node
