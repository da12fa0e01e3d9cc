#include "engine/keyspace.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "engine/unit.h"

namespace jeton::engine {
namespace {

Decimal D(const char* text) {
  return Decimal::Parse(text).value();
}

// A keyspace, and what it should hold.
class KeyspaceTest : public ::testing::Test {
 protected:
  struct Expected {
    Decimal value;
    WallMs expires_at = 0;
    std::optional<Decimal> precision;
    friend bool operator==(const Expected&, const Expected&) = default;
  };
  using Model = std::map<std::string, Expected>;

  Key K(std::string_view name) const { return keyspace_.MakeKey(name); }
  void Put(std::string_view name, const Decimal& value) { unit_.Put(K(name), value, 0); }
  void Increment(std::string_view name, std::int64_t by) {
    CounterPlace place = keyspace_.FindInteger(K(name), unit_.now());
    ASSERT_TRUE(place);
    unit_.PutInteger(K(name), place, *place + by, by);
  }
  std::string Value(std::string_view name) {
    const auto entry = keyspace_.Find(K(name), unit_.now());
    return entry ? entry->value.ToString() : "none";
  }

  static Model Contents(Keyspace& keyspace, WallMs now, std::size_t step = 10) {
    Model contents;
    std::uint64_t cursor = 0;
    do {
      cursor = keyspace
                   .Scan(cursor, step, now,
                         [&](std::string_view name, const Entry& entry) {
                           const Expected seen{entry.value, entry.expires_at, entry.precision};
                           EXPECT_TRUE(contents.emplace(name, seen).second) << name << " twice";
                         })
                   .next;
    } while (cursor != 0);
    return contents;
  }

  Keyspace keyspace_{{.hash_seed = 17}};
  WatchTable watches_;
  Unit unit_{keyspace_, watches_};
};

TEST_F(KeyspaceTest, HoldsWhatItIsGiven) {
  EXPECT_EQ(Value("a"), "none");
  Put("a", 5);
  Increment("a", 2);
  EXPECT_EQ(Value("a"), "7");
  Put("a", D("0.5"));
  EXPECT_EQ(Value("a"), "0.5");
  EXPECT_FALSE(keyspace_.FindInteger(K("a"), 0));
  Put("a", D("99999999999999999999.5"));
  EXPECT_EQ(Value("a"), "99999999999999999999.5");
  Put("a", -3);
  EXPECT_TRUE(keyspace_.FindInteger(K("a"), 0));
  EXPECT_EQ(Value("a"), "-3");
  unit_.Drop(K("a"));
  EXPECT_EQ(Value("a"), "none");
  EXPECT_EQ(keyspace_.size(0), 0);
}

TEST_F(KeyspaceTest, IntegersWidenAtEachBorder) {
  for (const std::int64_t border : {INT64_C(127), INT64_C(32767), INT64_C(2147483647),
                                    INT64_C(-128), INT64_C(-32768), INT64_C(-2147483648)}) {
    const std::string name = "w" + std::to_string(border);
    Put(name, border);
    unit_.SetPrecision(K(name), 3);
    Increment(name, border > 0 ? 1 : -1);
    EXPECT_EQ(Value(name), std::to_string(border + (border > 0 ? 1 : -1)));
    EXPECT_EQ(*keyspace_.Find(K(name), 0)->precision, Decimal(3));
    Increment(name, -border);
    EXPECT_EQ(Value(name), border > 0 ? "1" : "-1");
  }
  Put("m", 0);
  CounterPlace place = keyspace_.FindInteger(K("m"), 0);
  unit_.PutInteger(K("m"), place, INT64_MAX, INT64_MAX);
  EXPECT_EQ(Value("m"), "9223372036854775807");
  unit_.PutInteger(K("m"), keyspace_.FindInteger(K("m"), 0), INT64_MIN, 0);
  EXPECT_EQ(Value("m"), "-9223372036854775808");
}

TEST_F(KeyspaceTest, NamesOfAllLengths) {
  for (const std::size_t size : {0, 1, 5, 6, 253, 254, 255, 256, 1000, 65536}) {
    const std::string name(size, 'n');
    Put(name, static_cast<std::int64_t>(size));
    unit_.Expire(K(name), 1000);
    unit_.SetPrecision(K(name), 2);
    const auto entry = keyspace_.Find(K(name), 0);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->value, Decimal(static_cast<std::int64_t>(size)));
    EXPECT_EQ(entry->expires_at, 1000);
    EXPECT_EQ(*entry->precision, Decimal(2));
  }
  EXPECT_EQ(Contents(keyspace_, 0).size(), 10);
  unit_.Flush();
  EXPECT_EQ(Contents(keyspace_, 0).size(), 0);
  EXPECT_EQ(keyspace_.size(0), 0);
}

TEST_F(KeyspaceTest, AnEmptyOneIsSmallAndMemoryComesBack) {
  const std::uint64_t empty = keyspace_.used_bytes();
  EXPECT_LT(empty, 2u << 20);
  for (int i = 0; i < 50'000; ++i) Put("article:" + std::to_string(i), i);
  EXPECT_LT(keyspace_.used_bytes(), empty + 50'000 * 90);
  for (int i = 0; i < 50'000; ++i) unit_.Drop(K("article:" + std::to_string(i)));
  EXPECT_EQ(keyspace_.size(0), 0);
  EXPECT_LT(keyspace_.used_bytes(), empty + 20'000);
}

TEST_F(KeyspaceTest, ExpiryIsExactForReaders) {
  Put("x", 1);
  unit_.Expire(K("x"), 500);
  EXPECT_TRUE(keyspace_.Find(K("x"), 499));
  EXPECT_FALSE(keyspace_.Find(K("x"), 500));
  EXPECT_FALSE(keyspace_.FindInteger(K("x"), 500));
  EXPECT_TRUE(keyspace_.IsExpired(K("x"), 500));
  EXPECT_EQ(Contents(keyspace_, 499).size(), 1);
  EXPECT_EQ(Contents(keyspace_, 500).size(), 0);
  Prng prng(1);
  EXPECT_EQ(keyspace_.RandomName(prng, 499), "x");
  EXPECT_EQ(keyspace_.RandomName(prng, 500), std::nullopt);
}

TEST_F(KeyspaceTest, AWriteOnAnExpiredNameStartsAfresh) {
  Put("x", 1);
  unit_.Expire(K("x"), 500);
  unit_.Clear();
  unit_.set_now(600);
  Put("x", 7);
  EXPECT_EQ(Value("x"), "7");
  EXPECT_EQ(keyspace_.Find(K("x"), 600)->expires_at, 0);
  EXPECT_EQ(unit_.changes(), 2) << "a drop, then the counter";
}

TEST_F(KeyspaceTest, SweepingGivesExpiredNamesOnceTheyAreDue) {
  const auto sweep = [&](WallMs now) {
    std::set<std::string> swept;
    for (unsigned p = 0; p < Keyspace::kPartitions; ++p) {
      for (std::vector<std::string> names;
           !(names = keyspace_.CollectExpired(p, now, 3)).empty();) {
        for (const std::string& name : names) {
          EXPECT_TRUE(swept.insert(name).second);
          EXPECT_TRUE(keyspace_.IsExpired(K(name), now));
          unit_.Drop(K(name));
        }
      }
    }
    return swept.size();
  };
  for (int i = 0; i < 1000; ++i) {
    const std::string name = std::to_string(i);
    Put(name, i);
    unit_.Expire(K(name), 100);
    if (i % 4 == 0) unit_.Expire(K(name), 200);
    if (i % 4 == 1) unit_.Expire(K(name), 0);
    if (i % 4 == 2) unit_.Expire(K(name), 50);
  }
  EXPECT_EQ(keyspace_.with_expiry(), 750);
  EXPECT_EQ(sweep(49), 0);
  EXPECT_EQ(sweep(50), 250);
  EXPECT_EQ(sweep(199), 250);
  EXPECT_EQ(sweep(1000), 250);
  EXPECT_EQ(keyspace_.size(0), 250);
  EXPECT_EQ(keyspace_.with_expiry(), 0);
}

TEST_F(KeyspaceTest, UnsweptNamesAreReportedAgain) {
  Put("x", 1);
  unit_.Expire(K("x"), 10);
  const auto partition = Keyspace::PartitionOf(K("x"));
  EXPECT_EQ(keyspace_.CollectExpired(partition, 10, 5).size(), 1);
  EXPECT_EQ(keyspace_.CollectExpired(partition, 10, 5).size(), 1);
  unit_.Expire(K("x"), 0);
  EXPECT_EQ(keyspace_.CollectExpired(partition, 10, 5).size(), 0);
}

TEST_F(KeyspaceTest, RefreshedExpiriesDoNotGrowTheIndex) {
  Put("x", 1);
  const std::uint64_t before = keyspace_.used_bytes();
  for (int i = 1; i < 20'000; ++i) unit_.Expire(K("x"), 1'000'000 + i % 1000);
  EXPECT_LT(keyspace_.used_bytes(), before + 8192);
}

TEST_F(KeyspaceTest, ZeroCountersGoAfterTheirLifetime) {
  const auto collect = [&](WallMs now) {
    return keyspace_.CollectZeros(Keyspace::PartitionOf(K("z")), now, 10).size();
  };
  unit_.set_now(1000);
  Put("z", 1);
  Increment("z", -1);
  EXPECT_EQ(collect(3999), 0);
  EXPECT_FALSE(keyspace_.IsIdleZero(K("z"), 3999));
  EXPECT_EQ(collect(4000), 1);
  EXPECT_TRUE(keyspace_.IsIdleZero(K("z"), 4000));
  // Touched after it was reported: it stays for another lifetime.
  unit_.set_now(4001);
  Increment("z", 0);
  EXPECT_FALSE(keyspace_.IsIdleZero(K("z"), 4001));
  EXPECT_EQ(collect(7000), 0);
  EXPECT_EQ(collect(10'000), 1);
  Increment("z", 1);
  EXPECT_FALSE(keyspace_.IsIdleZero(K("z"), 10'000));
  EXPECT_EQ(collect(20'000), 0);
  // With an expiry or a precision it goes by other rules.
  Increment("z", -1);
  unit_.Expire(K("z"), 1'000'000);
  EXPECT_EQ(collect(40'000), 0);
  unit_.Expire(K("z"), 0);
  unit_.SetPrecision(K("z"), 1);
  EXPECT_EQ(collect(60'000), 0);
  unit_.SetPrecision(K("z"), -5);
  EXPECT_EQ(collect(80'000), 1);
}

TEST_F(KeyspaceTest, ZeroCountersThatWereKeptGoWhenTheSettingChanges) {
  keyspace_.set_drop_zero_counters(false);
  Put("z", 0);
  const auto partition = Keyspace::PartitionOf(K("z"));
  EXPECT_EQ(keyspace_.CollectZeros(partition, 10'000, 5).size(), 0);
  Keyspace other({.hash_seed = 17, .drop_zero_counters = false});
  other.Apply({.type = MutationType::kCounter, .name = "z"}, K("z"), 0);
  other.set_drop_zero_counters(true);
  other.CollectZeros(partition, 1, 5);
  EXPECT_EQ(other.CollectZeros(partition, 10'000, 5).size(), 1);
}

TEST_F(KeyspaceTest, AScanReturnsExactlyAsManyAsAsked) {
  for (int i = 0; i < 5000; ++i) Put(std::to_string(i), i);
  std::uint64_t cursor = 0;
  std::size_t seen = 0;
  do {
    std::size_t step = 0;
    cursor = keyspace_.Scan(cursor, 7, 0, [&](std::string_view, const Entry&) { ++step; }).next;
    if (cursor != 0) {
      EXPECT_EQ(step, 7);
    }
    seen += step;
  } while (cursor != 0);
  EXPECT_EQ(seen, 5000);
}

TEST_F(KeyspaceTest, AScanSeesWhatWasThereThroughoutOnce) {
  Prng prng(3);
  for (int i = 0; i < 20'000; ++i) Put("stays" + std::to_string(i), i);
  for (int i = 0; i < 60'000; ++i) Put("goes" + std::to_string(i), i);
  std::set<std::string> seen;
  std::uint64_t cursor = 0;
  int comes = 0;
  int goes = 0;
  do {
    cursor = keyspace_
                 .Scan(cursor, 50, 0,
                       [&](std::string_view name, const Entry&) {
                         if (!name.starts_with("stays")) return;
                         EXPECT_TRUE(seen.emplace(name).second) << name;
                       })
                 .next;
    for (int i = 0; i < 40; ++i) Put("comes" + std::to_string(comes++), i);
    for (int i = 0; i < 50; ++i) unit_.Drop(K("goes" + std::to_string(goes++)));
  } while (cursor != 0);
  EXPECT_EQ(seen.size(), 20'000);
}

TEST_F(KeyspaceTest, RandomNamesAreSpread) {
  for (int i = 0; i < 20; ++i) Put(std::to_string(i), i);
  Prng prng(4);
  std::set<std::string> seen;
  for (int i = 0; i < 2000; ++i) seen.insert(*keyspace_.RandomName(prng, 0));
  EXPECT_GT(seen.size(), 15);
}

TEST_F(KeyspaceTest, RefusesBytesThatDoNotDecode) {
  Put("a", 5);
  std::string log = unit_.bytes();
  Keyspace other({.hash_seed = 1});
  EXPECT_TRUE(other.ApplyEncoded("", 0));
  EXPECT_TRUE(other.ApplyEncoded(log, 0));
  EXPECT_FALSE(other.ApplyEncoded(log + "\xff", 0));
  EXPECT_FALSE(other.ApplyEncoded(log.substr(1), 0));
  EXPECT_EQ(other.size(0), 1);
}

// Random commands against a std::map; then the log, and a snapshot taken in slices meanwhile plus
// the log since its begin, must each rebuild the same.
TEST_F(KeyspaceTest, BehavesLikeAMapAndRebuildsFromItsLogAndFromSnapshots) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Prng prng(seed);
    unit_.Flush();
    unit_.Clear();
    Model model;
    std::string log_since_begin;
    std::vector<std::string> snapshot;
    std::string whole_log;
    Keyspace::SliceCursor cursor;
    unsigned partition = 0;
    const std::uint64_t names = seed == 1 ? 300 : 30'000;
    const int steps = 80'000;
    for (int step = 0; step < steps; ++step) {
      const WallMs now = 1'000'000 + step;
      unit_.set_now(now);
      const std::string name = "counter:" + std::to_string(prng.Below(names));
      const auto at = model.find(name);
      const bool expired =
          at != model.end() && at->second.expires_at != 0 && at->second.expires_at <= now;
      if (expired) model.erase(at);
      const bool there = model.contains(name);
      ASSERT_EQ(keyspace_.Find(K(name), now).has_value(), there);
      switch (prng.Below(8)) {
        case 0:
          unit_.Drop(K(name));
          model.erase(name);
          break;
        case 1: {
          const WallMs when = prng.Chance(0.5) ? 0 : now + prng.Between(-5, 3000);
          if (!there) break;
          unit_.Expire(K(name), when);
          model[name].expires_at = when;
          break;
        }
        case 2:
          if (!there) break;
          unit_.SetPrecision(K(name), prng.Chance(0.5) ? Decimal(-1) : D("2.5"));
          model[name].precision = keyspace_.Find(K(name), 0)->precision;
          break;
        case 3: {
          const Decimal value =
              Decimal::FromUnits(static_cast<Decimal::Int128>(prng.Next()) * 1'000'003);
          Put(name, value);
          model[name].value = value;
          break;
        }
        default: {
          const std::int64_t by = static_cast<std::int64_t>(prng.Next()) >> prng.Below(64) >> 1;
          if (CounterPlace place = keyspace_.FindInteger(K(name), now); place && prng.Chance(0.9)) {
            const auto sum = Decimal::Add(*place, by);
            if (!sum->IsInt64()) break;
            ASSERT_EQ(model[name].value, Decimal(*place));
            unit_.PutInteger(K(name), place, sum->Int64(), by);
            model[name].value = *sum;
          } else {
            Put(name, by);
            model[name].value = by;
          }
        }
      }
      if (seed == 3 && step == steps / 4) {
        unit_.Flush();
        model.clear();
      }
      whole_log += unit_.bytes();
      if (step > steps / 2) log_since_begin += unit_.bytes();
      unit_.Clear();
      if (step > steps / 2 && step % 64 == 0 && partition < Keyspace::kPartitions) {
        const auto emit = [&](std::string_view encoded) { snapshot.emplace_back(encoded); };
        keyspace_.EncodeSlice(partition, cursor, 300, emit);
        if (cursor.done) {
          ++partition;
          cursor = {};
        }
      }
    }
    for (; partition < Keyspace::kPartitions; ++partition, cursor = {}) {
      while (!cursor.done) {
        keyspace_.EncodeSlice(partition, cursor, 1000,
                              [&](std::string_view encoded) { snapshot.emplace_back(encoded); });
      }
    }
    const WallMs now = 1'000'000 + steps;
    std::erase_if(model, [&](const auto& pair) {
      return pair.second.expires_at != 0 && pair.second.expires_at <= now;
    });
    ASSERT_EQ(Contents(keyspace_, now, 1 + prng.Below(500)), model);

    Keyspace from_log({.hash_seed = 99});
    ASSERT_TRUE(from_log.ApplyEncoded(whole_log, 0));
    EXPECT_EQ(Contents(from_log, now), model);

    Keyspace from_snapshot({.hash_seed = 98});
    for (const std::string& record : snapshot) ASSERT_TRUE(from_snapshot.ApplyEncoded(record, 0));
    ASSERT_TRUE(from_snapshot.ApplyEncoded(log_since_begin, 0));
    EXPECT_EQ(Contents(from_snapshot, now), model);
  }
}

TEST_F(KeyspaceTest, WatchersSeeEveryKindOfChange) {
  const auto changed = [&](auto change) {
    auto flag = std::make_shared<std::atomic<bool>>(false);
    watches_.Watch("w", flag);
    change();
    watches_.Unwatch("w", flag);
    return flag->load();
  };
  EXPECT_TRUE(changed([&] { Put("w", 1); }));
  EXPECT_TRUE(changed([&] { Increment("w", 1); }));
  EXPECT_TRUE(changed([&] { unit_.Expire(K("w"), 1); }));
  EXPECT_TRUE(changed([&] { unit_.Drop(K("w")); }));
  EXPECT_TRUE(changed([&] { unit_.Flush(); }));
  EXPECT_FALSE(changed([&] { Put("other", 1); }));
  EXPECT_EQ(watches_.size(), 0);
}

}  // namespace
}  // namespace jeton::engine
