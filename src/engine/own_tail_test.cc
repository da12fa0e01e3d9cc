// What a node has added beyond what others know of it, as its log tells.
#include "engine/own_tail.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/replica_site.h"
#include "engine/shared_state.h"

namespace jeton::engine {
namespace {

constexpr WallMs kNow = ReplicaSite::kNow;

// A node and its log.
class Node : public ReplicaSite {
 public:
  Node() : ReplicaSite(1) { replica().SetMembers({NodeId{1}, NodeId{2}}); }

  void Add(std::string_view name, std::int64_t delta) {
    unit().Add(KeyOf(name), *Decimal::Add(Value(name).value_or(0), delta), delta);
    Log();
  }
  void Set(std::string_view name, std::int64_t value) {
    unit().Put(KeyOf(name), value, 0);
    Log();
  }
  void AddToTree(std::string_view name, std::string_view key, Bucket bucket, std::int64_t delta) {
    if (!keyspace().HasTree(KeyOf(name))) unit().CreateTree(KeyOf(name), {});
    Tree* tree = keyspace().FindTree(KeyOf(name), kNow);
    unit().AddToBucket(KeyOf(name), *tree, tree->MakeKey(key), bucket, delta);
    Log();
  }
  void ResetTree(std::string_view name) {
    unit().ResetTree(KeyOf(name), *keyspace().FindTree(KeyOf(name), kNow));
    Log();
  }
  void Flush() {
    unit().Flush();
    Log();
  }
  Lsn Frame() {
    const std::string bytes = Cut();
    records_.push_back({Origin(1), lsn(), RecordType::kFrame, bytes});
    return replica().applied().Get(Origin(1));
  }
  Lsn LateFrame() {
    const std::string bytes = CutLazy();
    records_.push_back({Origin(1), lsn(), RecordType::kFrame, bytes});
    return replica().applied().Get(LazyOf(Origin(1)));
  }
  // The log before the frames so far is gone.
  void LoseLog() { records_.clear(); }

  using Amounts = std::map<std::string, Decimal>;
  Amounts TailAfter(Lsn final, Lsn late = 0, Lsn done = 0) {
    owned_ = std::make_unique<OwnTail>();
    OwnTail& one = *owned_;
    Pass([&](const LogRecord& record) { return one.Look(record); });
    one.SetFinals({{Origin(1), final}, {LazyOf(Origin(1)), late}});
    Pass([&](const LogRecord& record) { return one.Survey(record); });
    Amounts amounts;
    const auto emit = [&](OwnTail::Chunk&& chunk) {
      for (const auto& added : chunk.cells) {
        const CellName cell = DecodeCellId(added.cell);
        std::string name(cell.name);
        if (cell.in_tree) name.append("/").append(cell.key);
        Sum sum(amounts[name]);
        sum.Add(added.amount);
        amounts[name] = sum.value();
      }
    };
    Pass([&](const LogRecord& r) { return one.Collect(r, {{Origin(1), done}}, emit); });
    one.FlushChunk(emit);
    return amounts;
  }
  const OwnTail& tail() const { return *owned_; }

 private:
  struct Record {
    OriginId origin;
    Lsn lsn = 0;
    RecordType type = RecordType::kCommit;
    std::string payload;
  };

  void Log() {
    records_.push_back({Origin(1), lsn() + 1, RecordType::kCommit, unit().bytes()});
    Commit();
  }
  void Pass(const std::function<bool(const LogRecord&)>& each) {
    owned_->BeginPass();
    for (const Record& record : records_) {
      EXPECT_TRUE(each({.origin = record.origin,
                        .lsn = record.lsn,
                        .type = record.type,
                        .payload = record.payload}));
    }
  }

  std::vector<Record> records_;
  std::unique_ptr<OwnTail> owned_;
};

using Amounts = Node::Amounts;

TEST(OwnTail, IsWhatCameAfterTheLastFrameThatOthersHave) {
  Node node;
  node.Add("n", 5);
  const Lsn known = node.Frame();
  node.Add("n", 1);
  node.Add("n", -4);
  node.Add("big", 7'000'000'000);
  const Lsn later = node.Frame();
  node.Add("n", 2);
  EXPECT_EQ(node.TailAfter(0), (Amounts{{"n", 4}, {"big", 7'000'000'000}}));
  EXPECT_EQ(node.TailAfter(known), (Amounts{{"n", -1}, {"big", 7'000'000'000}}));
  EXPECT_EQ(node.TailAfter(later), (Amounts{{"n", 2}}));
  EXPECT_EQ(node.TailAfter(node.lsn()), Amounts());
  // What is done is not done again.
  EXPECT_EQ(node.TailAfter(known, 0, later), (Amounts{{"n", 2}}));
}

TEST(OwnTail, FractionsAndBuckets) {
  Node node;
  node.unit().Add(node.KeyOf("f"), *Decimal::Parse("1.5"), *Decimal::Parse("1.5"));
  node.Set("other", 1);  // logs both
  node.AddToTree("t", "k", 3, 4);
  node.AddToTree("t", "k", 3, 1);
  node.AddToTree("t", "9", 1, 2);
  EXPECT_EQ(node.TailAfter(0), (Amounts{{"f", *Decimal::Parse("1.5")}, {"t/9", 2}, {"t/k", 5}}));
  EXPECT_TRUE(node.tail().trees().at("t").exists);
}

TEST(OwnTail, AResetCancelsWhatItSawAndIsLeftOutItself) {
  Node node;
  node.Add("n", 5);
  node.Set("n", 100);
  node.Add("n", 3);
  node.AddToTree("t", "k", 3, 4);
  node.ResetTree("t");
  node.AddToTree("t", "k", 3, 1);
  EXPECT_EQ(node.TailAfter(0), (Amounts{{"n", 3}, {"t/k", 1}}));
  EXPECT_GE(node.tail().ignored(), 2U);
  node.Flush();
  node.Add("after", 1);
  EXPECT_EQ(node.TailAfter(0), (Amounts{{"after", 1}}));
}

TEST(OwnTail, WhatIsToldLateHasAnEndOfItsOwn) {
  Node node;
  node.Add("late", 1);
  node.unit().SetPrecision(node.KeyOf("late"), 100);
  node.Add("late", 5);
  node.Add("n", 1);
  const Lsn known = node.Frame();
  EXPECT_EQ(node.TailAfter(known), (Amounts{{"late", 5}}));
  const Lsn late = node.LateFrame();
  node.Add("late", 2);
  EXPECT_EQ(node.TailAfter(known, late), (Amounts{{"late", 2}}));
}

// A frame of several says of its cells what they were at the end of the last one.
TEST(OwnTail, AfterAPartOfACutItsCellsAreToldToTheEnd) {
  Node node;
  const std::string padding(60'000, 'x');
  std::vector<Lsn> ends;
  for (int i = 0; i < 200; ++i) node.Add(std::to_string(i) + padding, 1);
  while (node.replica().HasUncut()) ends.push_back(node.Frame());
  ASSERT_GT(ends.size(), 2U);
  const std::size_t all = node.TailAfter(0).size();
  EXPECT_EQ(all, 200U);
  std::size_t before = all;
  for (const Lsn end : ends) {
    const std::size_t left = node.TailAfter(end).size();
    EXPECT_LT(left, before);
    before = left;
  }
  EXPECT_EQ(before, 0U);
}

TEST(OwnTail, ALogThatDoesNotReachBackSaysSo) {
  Node node;
  node.Add("n", 5);
  const Lsn known = node.Frame();
  node.Add("n", 1);
  const Lsn lost = node.Frame();
  node.LoseLog();
  node.Add("n", 2);
  node.Frame();
  EXPECT_EQ(node.TailAfter(lost), (Amounts{{"n", 2}}));
  EXPECT_FALSE(node.tail().gap());
  EXPECT_EQ(node.TailAfter(known), (Amounts{{"n", 2}}));
  EXPECT_EQ(node.tail().gap(), Node::Origin(1));
}

TEST(OwnTail, AnInjectedRecordCountsAsIncrementsOfItsRun) {
  Node node;
  node.unit().Add(node.KeyOf("n"), 3, 3);
  const Injected injected{.run = OriginId{9},
                          .upto = 17,
                          .cells = 2,
                          .amount = *Decimal::Parse("2.5"),
                          .unit = node.unit().bytes()};
  const std::string payload = EncodeInjected(injected);
  const auto back = DecodeInjected(payload);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->run, injected.run);
  EXPECT_EQ(back->upto, 17U);
  EXPECT_EQ(back->cells, 2U);
  EXPECT_EQ(back->amount, injected.amount);
  EXPECT_EQ(back->unit, injected.unit);
  OwnTail tail;
  const OriginId run{1};
  EXPECT_TRUE(
      tail.Look({.origin = run, .lsn = 4, .type = RecordType::kControl, .payload = payload}));
  EXPECT_EQ(tail.runs().at(run).last_added, 4U);
  EXPECT_FALSE(DecodeInjected(std::string_view(payload).substr(0, 18)));
}

}  // namespace
}  // namespace jeton::engine
