// What may be told late, when it is told, and that nothing of a prediction is ever kept.
#include <gtest/gtest.h>

#include "engine/replica_site.h"

namespace jeton::engine {
namespace {

constexpr MonoNs kSecond = kNsPerSecond;

TEST(LazyCell, IsToldWhenOthersWouldBeTooFarOff) {
  LazyCell cell(0, 0);
  cell.Change(3, 3, 0);
  EXPECT_FALSE(cell.IsDue(0));
  cell.Change(4, 3, 0);
  EXPECT_TRUE(cell.IsDue(0));
  cell.Sent(0);
  EXPECT_FALSE(cell.IsDue(0));
}

TEST(LazyCell, WithASteadyRateTheLagIsWhatTells) {
  LazyCell cell(0, 0);
  MonoNs now = 0;
  std::int64_t sum = 0;
  std::vector<MonoNs> told;
  for (int i = 0; i < 300; ++i) {  // ten in a second
    now += kSecond / 10;
    cell.Change(++sum, 2, now);
    cell.Sample(now, 10);
    if (!cell.IsDue(now)) continue;
    told.push_back(now);
    cell.Sent(now);
  }
  EXPECT_NEAR(cell.rate(), 10, 0.01);
  ASSERT_GT(told.size(), 3u);
  const MonoNs lag = told.back() - told[told.size() - 2];
  EXPECT_GE(lag, kLazyLagMax);
  EXPECT_LE(lag, kLazyLagMax + kSecond / 5);
}

TEST(LazyCell, AtRestItIsToldOnceMoreAndForgotten) {
  LazyCell cell(0, 0);
  cell.Change(1, 100, 0);
  cell.Sample(kSecond / 2, 10);
  EXPECT_FALSE(cell.IsDue(kSecond / 2));
  cell.Sample(kSecond, 10);
  EXPECT_TRUE(cell.IsDue(kSecond));
  EXPECT_FALSE(cell.IsAtRest(kSecond));
  cell.Touch(kSecond);
  EXPECT_EQ(cell.rate(), 0);
  cell.Sent(kSecond);
  EXPECT_TRUE(cell.IsAtRest(kSecond));
}

// All of it is about one counter; Log ends the unit.
class Node : public ReplicaSite {
 public:
  explicit Node(std::uint8_t id) : ReplicaSite(id, true) { replica().TickLazy(kSecond); }

  void Add(std::int64_t delta) { unit().Add(key(), *Decimal::Add(value(), delta), delta); }
  void Set(std::int64_t value) { unit().Put(key(), value, 0); }
  void SetPrecision(std::int64_t precision) { unit().SetPrecision(key(), precision); }
  void Log() { Commit(); }
  Decimal value() const { return Value("hits").value_or(0); }
  double Predict(MonoNs now) { return replica().Predict(key(), {LazyOf(Origin(1))}, now); }
  Key key() const { return KeyOf("hits"); }
};

class LazyReplica : public testing::Test {
 protected:
  // Both know the counter, 1, with a precision of 10.
  LazyReplica() {
    a.Add(1);
    a.SetPrecision(10);
    a.Log();
    EXPECT_EQ(b.Take(a.Cut()), Replica::Outcome::kApplied);
    EXPECT_EQ(b.value(), Decimal(1));
  }
  Node a{1}, b{2};
};

TEST_F(LazyReplica, HoldsBackOnlyWhatMayBe) {
  a.Add(5);
  a.Log();
  EXPECT_FALSE(a.replica().HasUncut());
  EXPECT_EQ(a.replica().dirty_lazy(), 1u);
  EXPECT_FALSE(a.replica().LazyIsDue());
  a.Add(6);
  a.Log();
  EXPECT_TRUE(a.replica().LazyIsDue());
  EXPECT_EQ(b.Take(a.CutLazy()), Replica::Outcome::kApplied);
  EXPECT_EQ(b.value(), Decimal(12));
  EXPECT_EQ(a.replica().dirty_lazy(), 0u);
  EXPECT_EQ(a.CutLazy(), "");
}

TEST_F(LazyReplica, StreamsMayOvertakeEachOther) {
  a.Add(5);
  a.Log();
  a.Set(100);
  a.Log();
  a.Add(2);
  a.Log();
  const std::string eager = a.Cut(), lazy = a.CutLazy();
  Node c(3);
  c.Take(eager);  // a gap: nothing of what came before is known
  EXPECT_EQ(b.Take(eager), Replica::Outcome::kApplied);
  EXPECT_EQ(b.value(), Decimal(100));
  EXPECT_EQ(b.Take(lazy), Replica::Outcome::kApplied);
  EXPECT_EQ(b.value(), Decimal(102));
}

TEST_F(LazyReplica, ASetInTheSameUnitSeesWhatTheUnitHasAdded) {
  a.Add(5);
  a.Set(100);
  a.Add(2);
  a.Log();
  const std::string eager = a.Cut(), lazy = a.CutLazy();
  EXPECT_EQ(a.value(), Decimal(102));
  b.Take(eager);
  EXPECT_EQ(b.value(), Decimal(100));
  b.Take(lazy);
  EXPECT_EQ(b.value(), Decimal(102));
}

TEST_F(LazyReplica, ARateIsPredictedForAWhileAndNeverStored) {
  for (int i = 1; i <= 30; ++i) {
    a.Add(1);
    a.Log();
    a.replica().TickLazy(kSecond + i * kSecond / 10);
  }
  b.replica().TickLazy(4 * kSecond);
  ASSERT_EQ(b.Take(a.CutLazy()), Replica::Outcome::kApplied);
  EXPECT_EQ(b.value(), Decimal(31));
  EXPECT_NEAR(b.Predict(6 * kSecond), 20, 2);
  EXPECT_NEAR(b.Predict(60 * kSecond), 100, 10);
  EXPECT_EQ(b.replica().Predict(b.key(), {}, 6 * kSecond), 0);
  EXPECT_EQ(b.value(), Decimal(31));
  // What arrives is compared with what was predicted.
  for (int i = 0; i < 20; ++i) a.Add(1);
  a.Log();
  b.replica().TickLazy(6 * kSecond);
  ASSERT_EQ(b.Take(a.CutLazy()), Replica::Outcome::kApplied);
  EXPECT_EQ(b.replica().predictions().hits, 1u);
  EXPECT_EQ(b.value(), Decimal(51));
  // After a SET nobody knows what is still to come.
  b.Set(0);
  b.Log();
  EXPECT_EQ(b.Predict(8 * kSecond), 0);
}

}  // namespace
}  // namespace jeton::engine
