#include "engine/tree.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "base/prng.h"
#include "engine/keyspace.h"
#include "engine/tree_mutation.h"
#include "engine/unit.h"

namespace jeton::engine {
namespace {

Decimal D(const char* text) {
  return Decimal::Parse(text).value();
}

using Buckets = std::map<Bucket, Decimal>;
using Model = std::map<std::string, Buckets>;

class TreeTest : public ::testing::Test {
 protected:
  TreeTest() { unit_.CreateTree(name_, {}); }

  Tree& tree() { return *keyspace_.FindTree(name_, 0); }
  std::string Add(std::string_view key, Bucket bucket, const Decimal& delta) {
    const auto value = unit_.AddToBucket(name_, tree(), tree().MakeKey(key), bucket, delta);
    return value ? value->ToString() : "out of range";
  }
  void Set(std::string_view key, Bucket bucket, const Decimal& value) {
    unit_.SetBucket(name_, tree(), tree().MakeKey(key), bucket, value);
  }
  std::uint64_t Clear(std::string_view key, Bucket first, Bucket last) {
    return unit_.ClearBuckets(name_, tree(), tree().MakeKey(key), {first, last});
  }
  std::string Total(std::string_view key) { return tree().Total(tree().MakeKey(key)).ToString(); }
  std::string SumOf(std::string_view key, Bucket first, Bucket last) {
    return tree().SumOf(tree().MakeKey(key), {first, last}).ToString();
  }

  static Model Contents(const Tree& tree, std::size_t step = 7) {
    Model model;
    std::uint64_t cursor = 0;
    do {
      cursor = tree.Scan(cursor, step, [&](const KeyView& key) {
        Buckets& buckets = model[key.ToString()];
        EXPECT_TRUE(buckets.empty()) << key.ToString() << " twice";
        key.ForEach([&](Bucket bucket, const Decimal& value) { buckets[bucket] = value; });
      });
    } while (cursor != 0);
    return model;
  }

  static Decimal SumOf(const Buckets& buckets, const BucketRange& range) {
    Sum sum;
    for (const auto& [bucket, value] : buckets) {
      if (range.Contains(bucket)) sum.Add(value);
    }
    return sum.value();
  }

  static void ExpectHolds(const Tree& tree, const Model& model, const BucketRange& range) {
    ASSERT_EQ(Contents(tree), model);
    ASSERT_EQ(tree.keys(), model.size());
    std::uint64_t count = 0;
    Sum total;
    Sum in_range;
    for (const auto& [text, buckets] : model) {
      const TreeKey key = tree.MakeKey(text);
      ASSERT_EQ(tree.Total(key), SumOf(buckets, Tree::kAll)) << text;
      ASSERT_EQ(tree.SumOf(key, range), SumOf(buckets, range)) << text;
      for (const auto& [bucket, value] : buckets) {
        ASSERT_EQ(tree.Get(key, bucket), value);
        total.Add(value);
        if (range.Contains(bucket)) in_range.Add(value);
      }
      count += buckets.size();
    }
    ASSERT_EQ(tree.buckets(), count);
    ASSERT_EQ(tree.Total(), total.value());
    ASSERT_EQ(tree.SumOf(range), in_range.value());
  }

  void ReleaseAll() {
    while (keyspace_.ReleaseTreeMemory(Keyspace::PartitionOf(name_), 100)) {
    }
  }

  Keyspace keyspace_{{.hash_seed = 3}};
  WatchTable watches_;
  Unit unit_{keyspace_, watches_};
  Key name_ = keyspace_.MakeKey("articles");
};

TEST_F(TreeTest, CountsByKeyAndBucket) {
  EXPECT_EQ(Add("1001", 19'500, 1), "1");
  EXPECT_EQ(Add("1001", 19'500, 4), "5");
  EXPECT_EQ(Add("1001", 19'502, 300), "300");
  EXPECT_EQ(Add("1001", 19'501, 70'000), "70000");
  EXPECT_EQ(Add("home page", 19'501, D("0.5")), "0.5");
  EXPECT_EQ(Total("1001"), "70305");
  EXPECT_EQ(SumOf("1001", 19'501, 19'502), "70300");
  EXPECT_EQ(SumOf("1001", 19'503, 19'999), "0");
  EXPECT_EQ(SumOf("absent", 0, 19'999), "0");
  EXPECT_FALSE(tree().Has(tree().MakeKey("absent")));
  EXPECT_EQ(tree().Total().ToString(), "70305.5");
  EXPECT_EQ(tree().SumOf({19'501, 19'501}).ToString(), "70000.5");
  EXPECT_EQ(tree().keys(), 2);
  EXPECT_EQ(tree().buckets(), 4);
  EXPECT_EQ(keyspace_.trees(), 1);
  EXPECT_EQ(keyspace_.counters(), 0);
  EXPECT_EQ(keyspace_.TreeNames(0), std::vector<std::string>{"articles"});
}

TEST_F(TreeTest, AZeroBucketStaysUntilCleared) {
  Add("k", 5, 1);
  EXPECT_EQ(Add("k", 5, -1), "0");
  EXPECT_TRUE(tree().Has(tree().MakeKey("k")));
  EXPECT_EQ(tree().buckets(), 1);
  EXPECT_EQ(Clear("k", 0, 10), 1);
  EXPECT_FALSE(tree().Has(tree().MakeKey("k")));
  EXPECT_EQ(tree().keys(), 0);
  EXPECT_EQ(Clear("k", 0, 10), 0);
}

TEST_F(TreeTest, ValuesOfTheFullRange) {
  Set("k", 1, D("100000000000000000000"));
  EXPECT_EQ(Add("k", 1, D("0.00000000000000001")), "out of range");
  EXPECT_EQ(SumOf("k", 1, 1), "100000000000000000000");
  Set("k", 2, D("-99999999999999999999.99999999999999999"));
  EXPECT_EQ(Total("k"), "0.00000000000000001");
  EXPECT_EQ(Add("k", 1, D("-100000000000000000000")), "0");
  EXPECT_EQ(Total("k"), "-99999999999999999999.99999999999999999");
  Set("big", 1, INT64_MAX);
  Set("big", 2, INT64_MAX);
  EXPECT_EQ(Total("big"), "18446744073709551614");
  Set("big", 3, INT64_MIN);
  EXPECT_EQ(Total("big"), "9223372036854775806");
  Clear("big", 1, 1);
  EXPECT_EQ(Total("big"), "-1");
  // Several sums at the end of the range: read as its end, and exact again when one goes.
  for (Bucket b = 1; b <= 3; ++b) Set("huge", b, D("100000000000000000000"));
  EXPECT_EQ(Total("huge"), "100000000000000000000");
  Set("huge", 1, D("-100000000000000000000"));
  Set("huge", 2, D("0.5"));
  EXPECT_EQ(Total("huge"), "0.5");
}

TEST_F(TreeTest, KeysThatLookAlikeAreDistinct) {
  const std::string names[] = {"0",
                               "00",
                               "",
                               "7",
                               "07",
                               "+7",
                               "-7",
                               "7 ",
                               "18446744073709551615",
                               "18446744073709551616",
                               std::string("\7", 1),
                               std::string("\7\0", 2),
                               std::string(254, 'x'),
                               std::string(255, 'x'),
                               std::string(65536, 'x')};
  Decimal value = 1;
  for (const std::string& name : names) {
    Set(name, 1, value);
    Set(name, 2, value);
    value = *Decimal::Add(value, value);
  }
  value = 2;
  for (const std::string& name : names) {
    EXPECT_EQ(Total(name), value.ToString());
    value = *Decimal::Add(value, value);
  }
  EXPECT_EQ(tree().keys(), std::size(names));
  EXPECT_EQ(Contents(tree()).size(), std::size(names));
}

TEST_F(TreeTest, BucketsOfTheWholeRange) {
  const Bucket buckets[] = {INT64_MIN, INT64_MIN + 1,          -5,       0, 1, 300,
                            70'000,    INT64_C(5'000'000'000), INT64_MAX};
  Model model;
  Prng prng(2);
  for (int i = 0; i < 60; ++i) {
    const Bucket bucket = buckets[prng.Below(std::size(buckets))];
    Set("k", bucket, i);
    model["k"][bucket] = i;
    ExpectHolds(tree(), model, {-5, INT64_MAX});
  }
}

// Buckets that follow each other are kept in a form of their own.
TEST_F(TreeTest, BucketsWithAndWithoutGaps) {
  constexpr Bucket kSpan = 12;
  for (const Bucket origin : {Bucket{0}, Bucket{-6}, Bucket{UINT32_MAX} - 6, Bucket{INT64_MIN},
                              Bucket{INT64_MAX} - kSpan + 1}) {
    SCOPED_TRACE(origin);
    unit_.ResetTree(name_, tree());
    Model model;
    Prng prng(static_cast<std::uint64_t>(origin) ^ 5);
    for (int step = 0; step < 4000; ++step) {
      Buckets& buckets = model["7"];
      const Bucket first = origin + prng.Between(0, kSpan - 1);
      const Bucket last = first + prng.Between(0, origin + kSpan - 1 - first);
      if (prng.Chance(0.3)) {
        const auto cleared = std::erase_if(
            buckets, [&](const auto& b) { return first <= b.first && b.first <= last; });
        ASSERT_EQ(Clear("7", first, last), cleared);
      } else if (prng.Chance(0.5)) {
        for (Bucket offset = 0; offset <= last - first; ++offset) {
          buckets[first + offset] = *Decimal::Add(buckets[first + offset], 60);
          ASSERT_EQ(Add("7", first + offset, 60), buckets[first + offset].ToString());
        }
      } else {
        buckets[first] = prng.Chance(0.05) ? D("0.5") : Decimal(prng.Between(-200, 200));
        Set("7", first, buckets[first]);
      }
      if (buckets.empty()) model.clear();
      ExpectHolds(tree(), model, {first, last});
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(TreeTest, ATrimIsSeenAtOnceAndHolds) {
  for (int key = 0; key < 500; ++key) {
    for (Bucket day = 0; day <= key % 5; ++day) Add(std::to_string(key), day, 1);
  }
  EXPECT_EQ(tree().keys(), 500);
  EXPECT_EQ(unit_.TrimTree(name_, tree(), 3), 100 + 200 + 300 + 300 + 300);
  EXPECT_EQ(tree().keys(), 200);
  EXPECT_EQ(tree().buckets(), 300);
  EXPECT_EQ(tree().Total(), Decimal(300));
  EXPECT_EQ(Contents(tree()).size(), 200);
  EXPECT_FALSE(tree().Has(tree().MakeKey("0")));
  EXPECT_EQ(Total("4"), "2");
  EXPECT_FALSE(tree().CheckWritable(2).ok());
  EXPECT_TRUE(tree().CheckWritable(3).ok());
  EXPECT_EQ(unit_.TrimTree(name_, tree(), 2), 0);
  EXPECT_EQ(tree().watermark(), 3);
  Add("0", 3, 9);
  EXPECT_EQ(Total("0"), "9");
  EXPECT_EQ(tree().keys(), 201);
  const std::uint64_t before = tree().bytes();
  ReleaseAll();
  EXPECT_FALSE(tree().NeedsPruning());
  EXPECT_LT(tree().bytes(), before);
  EXPECT_EQ(tree().keys(), 201);
  EXPECT_EQ(tree().Total(), Decimal(309));
}

TEST_F(TreeTest, DroppedTreesGiveTheirMemoryBackBitByBit) {
  const std::uint64_t empty = keyspace_.used_bytes();
  for (int key = 0; key < 3000; ++key) {
    for (Bucket day = 0; day < 100; ++day) Set(std::to_string(key), day, key);
  }
  EXPECT_GT(keyspace_.used_bytes(), empty + 500'000);
  unit_.Drop(name_);
  EXPECT_EQ(keyspace_.FindTree(name_, 0), nullptr);
  EXPECT_GT(keyspace_.used_bytes(), empty + 500'000);
  ReleaseAll();
  EXPECT_LE(keyspace_.used_bytes(), empty);
}

TEST_F(TreeTest, OneNameIsACounterOrATree) {
  EXPECT_FALSE(keyspace_.FindInteger(name_, 0));
  EXPECT_EQ(keyspace_.Find(name_, 0)->kind, Kind::kTree);
  unit_.Expire(name_, 100);
  EXPECT_EQ(keyspace_.FindTree(name_, 100), nullptr);
  EXPECT_TRUE(keyspace_.TreeNames(100).empty());
  Add("k", 1, 1);
  unit_.set_now(100);
  unit_.CreateTree(name_, {.width = Width::kHour});
  EXPECT_EQ(tree().keys(), 0) << "an expired tree comes back empty";
  EXPECT_EQ(tree().settings().width, Width::kHour);
  EXPECT_EQ(keyspace_.Find(name_, 100)->expires_at, 0);
  // What replay can meet: a fact about a counter where a tree is, and the reverse.
  keyspace_.Apply(Mutation{.type = MutationType::kCounter, .name = "articles", .value = 5}, name_,
                  0);
  EXPECT_EQ(keyspace_.Find(name_, 0)->value, Decimal(5));
  keyspace_.Apply(TreeMutation{.type = TreeMutationType::kReset, .tree = "articles"}, name_);
  EXPECT_EQ(keyspace_.Find(name_, 0)->value, Decimal(5));
  keyspace_.Apply(TreeMutation{.type = TreeMutationType::kCreate, .tree = "articles"}, name_);
  EXPECT_EQ(tree().keys(), 0);
}

TEST_F(TreeTest, SmallTreesAreSmall) {
  const std::uint64_t empty = keyspace_.used_bytes();
  for (int i = 0; i < 10'000; ++i) {
    const std::string name = "user:" + std::to_string(i);
    const Key key = keyspace_.MakeKey(name);
    unit_.CreateTree(key, {});
    Tree& user = *keyspace_.FindTree(key, 0);
    for (const char* field : {"views", "likes", "shares"}) {
      unit_.AddToBucket(key, user, user.MakeKey(field), 19'500, 1);
    }
  }
  EXPECT_LT(keyspace_.used_bytes() - empty, 10'000 * 1400);
}

TEST_F(TreeTest, AUnitNamesItsTreeOnce) {
  unit_.Clear();
  for (int i = 0; i < 1000; ++i) Add(std::to_string(10'000'000 + i), 19'500, 1);
  EXPECT_LT(unit_.bytes().size(), 1000 * 11);
}

TEST_F(TreeTest, ManyAddsDoAndRecordWhatSingleOnesDo) {
  Keyspace other({.hash_seed = 3});
  Unit single(other, watches_);
  single.CreateTree(name_, {});
  Prng prng(9);
  for (int round = 0; round < 100; ++round) {
    unit_.Clear();
    single.Clear();
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < 100; ++i)
      texts.push_back((prng.Chance(0.1) ? "key" : "") + std::to_string(prng.Below(200)));
    std::vector<Unit::BucketAdd> adds;
    for (const std::string& text : texts) {
      Decimal delta = prng.Between(-2, 2);
      if (prng.Chance(0.1)) delta = static_cast<std::int64_t>(prng.Next()) >> 8;
      if (prng.Chance(0.02)) delta = D("0.25");
      adds.push_back(
          {.key = tree().MakeKey(text), .bucket = 19'500 + prng.Between(0, 2), .delta = delta});
    }
    unit_.AddToBuckets(name_, tree(), adds);
    Tree& tree = *other.FindTree(name_, 0);
    for (const Unit::BucketAdd& add : adds)
      ASSERT_EQ(add.value, single.AddToBucket(name_, tree, add.key, add.bucket, add.delta));
    ASSERT_EQ(unit_.bytes(), single.bytes());
    ASSERT_EQ(unit_.changes(), single.changes());
  }
  ASSERT_EQ(Contents(tree()), Contents(*other.FindTree(name_, 0)));
}

TEST_F(TreeTest, ScansSeeWhatStaysOnce) {
  for (int i = 0; i < 5000; ++i) Set("stays" + std::to_string(i), 1, i);
  for (int i = 0; i < 9000; ++i) Set(std::to_string(i), 1, i);
  std::set<std::string> seen;
  std::uint64_t cursor = 0;
  int next = 0;
  do {
    cursor = tree().Scan(cursor, 40, [&](const KeyView& key) {
      if (key.is_number()) return;
      EXPECT_TRUE(seen.insert(key.ToString()).second);
    });
    for (int i = 0; i < 20; ++i) Clear(std::to_string(next++), 0, 9);
    for (int i = 0; i < 20; ++i) Set(std::to_string(10'000 + next * 20 + i), 2, i);
  } while (cursor != 0);
  EXPECT_EQ(seen.size(), 5000);
}

TEST_F(TreeTest, ClearsARangeOfAllKeysInSlices) {
  for (int key = 0; key < 1000; ++key) {
    for (Bucket day = 0; day < 4; ++day) Set(std::to_string(key), day, 1);
  }
  std::uint64_t gone = 0;
  std::uint64_t cursor = 0;
  do {
    cursor = unit_.ClearSlice(name_, tree(), cursor, 50, {1, 2}, gone);
  } while (cursor != 0);
  EXPECT_EQ(gone, 2000);
  EXPECT_EQ(tree().buckets(), 2000);
}

// Random changes against a model; then the log, and a snapshot taken in slices meanwhile plus the
// log since its begin, must each rebuild the same.
TEST_F(TreeTest, BehavesLikeAMapOfMapsAndRebuilds) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Prng prng(seed);
    unit_.Flush();
    unit_.Clear();
    unit_.CreateTree(name_, {});
    Model model;
    Bucket watermark = Tree::kNoWatermark;
    std::string log = unit_.bytes();
    std::string log_since_begin;
    std::vector<std::string> snapshot;
    Keyspace::SliceCursor cursor;
    unit_.Clear();
    const int steps = 20'000;
    const std::uint64_t keys = seed % 2 == 0 ? 3000 : 40;
    Bucket today = 100;
    for (int step = 0; step < steps; ++step) {
      if (step % 100 == 0) ++today;
      const std::string key = (seed == 3 ? "key" : "") + std::to_string(prng.Below(keys));
      const Bucket bucket =
          prng.Chance(0.5) ? today : prng.Between(std::max<Bucket>(watermark, 0), today + 5);
      const bool writable = bucket >= watermark;
      ASSERT_EQ(tree().CheckWritable(bucket).ok(), writable);
      switch (prng.Below(16)) {
        case 0:
          ASSERT_EQ(unit_.ResetKey(name_, tree(), tree().MakeKey(key)), model.erase(key) > 0);
          break;
        case 1:
        case 2: {
          const BucketRange range{bucket - prng.Between(0, 20), bucket};
          const auto erased =
              std::erase_if(model[key], [&](const auto& b) { return range.Contains(b.first); });
          ASSERT_EQ(Clear(key, range.first, range.last), erased);
          break;
        }
        case 3: {
          if (!prng.Chance(0.05)) break;
          const Bucket first_live = today - prng.Between(0, 60);
          std::uint64_t gone = 0;
          for (auto& [_, buckets] : model) {
            gone += std::erase_if(buckets, [&](const auto& b) { return b.first < first_live; });
          }
          ASSERT_EQ(unit_.TrimTree(name_, tree(), first_live), gone);
          watermark = std::max(watermark, first_live);
          break;
        }
        case 4:
          if (prng.Chance(0.5)) {
            keyspace_.ReleaseTreeMemory(Keyspace::PartitionOf(name_), 10);
          } else if (prng.Chance(0.01)) {
            ASSERT_EQ(unit_.ResetTree(name_, tree()), model.size());
            model.clear();
          } else if (prng.Chance(0.01)) {
            unit_.Drop(name_);
            unit_.CreateTree(name_, {.width = Width::kWeek, .zone = "Asia/Kathmandu", .retain = 4});
            model.clear();
            watermark = Tree::kNoWatermark;
          }
          break;
        case 5: {
          const Decimal value =
              Decimal::FromUnits(static_cast<Decimal::Int128>(prng.Next()) * 99'991);
          if (!writable || !prng.Chance(0.1)) break;
          Set(key, bucket, value);
          model[key][bucket] = value;
          break;
        }
        default: {
          if (!writable) break;
          const std::int64_t delta =
              static_cast<std::int64_t>(prng.Next()) >> (prng.Chance(0.9) ? 60 : prng.Below(64));
          const auto sum = Decimal::Add(model[key][bucket], delta);
          ASSERT_EQ(tree().CanAdd(tree().MakeKey(key), bucket, delta), sum.has_value());
          ASSERT_EQ(Add(key, bucket, delta), sum->ToString());
          model[key][bucket] = *sum;
        }
      }
      std::erase_if(model, [](const auto& pair) { return pair.second.empty(); });
      if (step % 1000 == 0) ExpectHolds(tree(), model, {today - 30, today});
      log += unit_.bytes();
      if (step > steps / 2) log_since_begin += unit_.bytes();
      unit_.Clear();
      if (step > steps / 2 && step % 40 == 0) {
        keyspace_.EncodeSlice(Keyspace::PartitionOf(name_), cursor, 200,
                              [&](std::string_view record) { snapshot.emplace_back(record); });
      }
    }
    while (!cursor.done) {
      keyspace_.EncodeSlice(Keyspace::PartitionOf(name_), cursor, 1000,
                            [&](std::string_view record) { snapshot.emplace_back(record); });
    }
    ExpectHolds(tree(), model, {0, today - 10});

    Keyspace from_log({.hash_seed = 5});
    ASSERT_TRUE(from_log.ApplyEncoded(log, 0));
    Keyspace from_snapshot({.hash_seed = 6});
    for (const std::string& record : snapshot) ASSERT_TRUE(from_snapshot.ApplyEncoded(record, 0));
    ASSERT_TRUE(from_snapshot.ApplyEncoded(log_since_begin, 0));
    for (Keyspace* rebuilt : {&from_log, &from_snapshot}) {
      const Tree* other = rebuilt->FindTree(rebuilt->MakeKey("articles"), 0);
      ASSERT_NE(other, nullptr);
      ExpectHolds(*other, model, {0, today});
      EXPECT_EQ(other->watermark(), watermark);
      EXPECT_EQ(other->settings(), tree().settings());
    }
  }
}

// ---- mutations

std::string Encoded(const TreeMutation& mutation) {
  std::string bytes;
  EncodeTreeMutation(mutation, false, bytes);
  return bytes;
}

TEST(TreeMutationTest, EveryTypeComesBack) {
  const TreeKey number{.text = {}, .number = UINT64_MAX, .is_number = true};
  const TreeKey text{.text = "a key"};
  const TreeMutation mutations[] = {
      {.type = TreeMutationType::kCreate,
       .tree = "t",
       .settings = {Width::kYear, "Pacific/Apia", 7}},
      {.type = TreeMutationType::kBucket,
       .tree = "t",
       .key = number,
       .range = {-5, -5},
       .value = D("0.1"),
       .delta = 2},
      {.type = TreeMutationType::kBucket,
       .tree = "",
       .key = text,
       .range = {9, 9},
       .value = 7,
       .delta = -1},
      {.type = TreeMutationType::kCells,
       .tree = "t",
       .key = text,
       .cells = {{INT64_MIN, 1}, {0, 2}, {INT64_MAX, 3}}},
      {.type = TreeMutationType::kClear, .tree = "t", .key = number, .range = {-5, INT64_MAX}},
      {.type = TreeMutationType::kResetKey, .tree = "t", .key = text},
      {.type = TreeMutationType::kTrim, .tree = "t", .range = {19'500, 19'500}},
      {.type = TreeMutationType::kReset, .tree = "t"},
  };
  for (const TreeMutation& mutation : mutations) {
    const std::string bytes = Encoded(mutation);
    ByteReader in(bytes);
    ASSERT_TRUE(IsTreeMutation(in));
    TreeMutation read;
    DecodeTreeMutation(in, false, read);
    ASSERT_TRUE(in.ok() && in.AtEnd());
    EXPECT_EQ(Encoded(read), bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      ByteReader cut(std::string_view(bytes).substr(0, size));
      DecodeTreeMutation(cut, false, read);
      EXPECT_FALSE(cut.ok());
    }
  }
}

TEST(TreeMutationTest, RefusesWhatItWouldNotWrite) {
  const auto decodes = [](std::string bytes) {
    ByteReader in(bytes);
    TreeMutation mutation;
    DecodeTreeMutation(in, false, mutation);
    return in.ok() && in.AtEnd();
  };
  using namespace std::string_literals;
  EXPECT_TRUE(decodes("\x14\x01t\x02k"s));
  EXPECT_FALSE(
      decodes("\x14\x01t\x02"
              "7"s));                                // the text of a number
  EXPECT_FALSE(decodes("\x34\x02k"s));               // the same tree as none
  EXPECT_FALSE(decodes("\x54\x01t\x02k"s));          // a delta form without a delta
  EXPECT_FALSE(decodes("\x17\x01t"s));               // no type 23
  EXPECT_FALSE(decodes("\x10\x01t\x07\x00\x00"s));   // no width 7
  EXPECT_FALSE(decodes("\x13\x01t\x02k\x04\x02"s));  // a range from 2 to 1
}

RC_GTEST_PROP(TreeMutationTest, WhatDecodesEncodesToTheSameBytes, ()) {
  auto bytes = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
  if (!bytes.empty()) bytes[0] = static_cast<char>((bytes[0] & 0xc0) | *rc::gen::inRange(16, 23));
  ByteReader in(bytes);
  TreeMutation mutation;
  DecodeTreeMutation(in, false, mutation);
  if (!in.ok()) return;
  RC_ASSERT(Encoded(mutation) == bytes.substr(0, bytes.size() - in.Remaining()));
}

}  // namespace
}  // namespace jeton::engine
