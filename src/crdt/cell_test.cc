// The laws of merge, for one cell of three origins: whatever the order in which their records come
// (each origin's own in its order), the outcome is the same; a reset again changes nothing; what a
// cell knows never goes back.
#include "crdt/cell.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <vector>

#include "base/sum.h"

namespace jeton::crdt {
namespace {

constexpr OriginIndex kOrigins = 3;

struct Record {
  OriginIndex origin = 0;
  Lsn lsn = 0;
  Entry entry;
  bool has_entry = false;
  std::optional<Observation> reset;
};

struct Site {
  Cell cell;
  Known known;
};

void Deliver(Site& site, const Record& record) {
  site.known.Set(record.origin, record.lsn);
  if (record.has_entry) site.cell.PutEntry(record.entry);
  if (record.reset) site.cell.ApplyReset(*record.reset, record.origin, site.known);
}

using Logs = std::array<std::vector<Record>, kOrigins>;

// What three sites do that hear of each other now and then.
Logs DrawLogs() {
  Logs logs;
  std::array<Site, kOrigins> sites;
  std::uint64_t clock = 0;
  const int steps = *rc::gen::inRange(1, 40);
  for (int i = 0; i < steps; ++i) {
    const auto o = *rc::gen::inRange<OriginIndex>(0, kOrigins);
    const auto other = *rc::gen::inRange<OriginIndex>(0, kOrigins);
    const int what = *rc::gen::inRange(0, 5);
    Site& site = sites[o];
    if (what >= 3) {  // hears of the next record of another
      const Lsn heard = site.known.Of(other);
      if (other != o && heard < logs[other].size()) Deliver(site, logs[other][heard]);
      continue;
    }
    Record record{.origin = o, .lsn = logs[o].size() + 1, .entry = {}, .reset = {}};
    if (what == 2) {
      record.reset = site.cell.Observe(site.known, {});
      record.reset->set = {.version = {.clock = ++clock, .origin = {static_cast<std::uint8_t>(o)}},
                           .value = *rc::gen::inRange(0, 3) * 10,
                           .present = true};
    } else {
      const auto old = site.cell.FindEntry(o);
      record.entry = {.origin = o, .birth = 0, .sum = *rc::gen::inRange(-3, 6)};
      if (old) record.entry.sum = *Decimal::Add(old->sum, record.entry.sum);
      record.has_entry = true;
    }
    Deliver(site, record);
    logs[o].push_back(record);
  }
  return logs;
}

Site DeliverAll(const Logs& logs) {
  Site site;
  std::array<std::size_t, kOrigins> next{};
  while (true) {
    std::vector<OriginIndex> left;
    for (OriginIndex o = 0; o < kOrigins; ++o) {
      if (next[o] < logs[o].size()) left.push_back(o);
    }
    if (left.empty()) return site;
    const OriginIndex o = *rc::gen::elementOf(left);
    Deliver(site, logs[o][next[o]++]);
  }
}

// Incremental: what every operation that no reset has observed adds, and the last SET.
Decimal Expected(const Logs& logs) {
  std::array<Lsn, kOrigins> observed{};
  const SetRegister* last = nullptr;
  for (const auto& log : logs) {
    for (const Record& record : log) {
      if (!record.reset) continue;
      for (const auto& seen : record.reset->components) {
        observed[seen.origin] = std::max(observed[seen.origin], seen.cut);
      }
      observed[record.origin] = std::max(observed[record.origin], record.lsn);
      if (last == nullptr || last->version < record.reset->set.version) last = &record.reset->set;
    }
  }
  Sum sum(last != nullptr ? last->value : Decimal(0));
  for (OriginIndex o = 0; o < kOrigins; ++o) {
    Decimal before = 0;
    for (const Record& record : logs[o]) {
      if (!record.has_entry) continue;
      if (record.lsn > observed[o]) sum.Add(*Decimal::Subtract(record.entry.sum, before));
      before = record.entry.sum;
    }
  }
  return sum.value();
}

TEST(Cell, AnyOrderOfOriginsGivesTheSame) {
  EXPECT_TRUE(rc::check([] {
    const Logs logs = DrawLogs();
    const Site a = DeliverAll(logs);
    const Site b = DeliverAll(logs);
    RC_ASSERT(a.cell.entries() == b.cell.entries());
    RC_ASSERT(a.cell.Value(a.known) == b.cell.Value(b.known));
    RC_ASSERT(a.cell.IsPresent(a.known) == b.cell.IsPresent(b.known));
    RC_ASSERT(a.cell.Value(a.known) == Expected(logs));
  }));
}

TEST(Cell, AResetAgainChangesNothing) {
  EXPECT_TRUE(rc::check([] {
    const Logs logs = DrawLogs();
    Site site = DeliverAll(logs);
    const Cell before = site.cell.Clone();
    const Decimal value = site.cell.Value(site.known);
    for (const auto& log : logs) {
      for (const Record& record : log) {
        if (record.reset) site.cell.ApplyReset(*record.reset, record.origin, site.known);
      }
    }
    RC_ASSERT(site.cell.entries() == before.entries());
    RC_ASSERT(site.cell.Value(site.known) == value);
  }));
}

TEST(Cell, ResetsJoinInAnyOrderAndGrouping) {
  EXPECT_TRUE(rc::check([] {
    const Logs logs = DrawLogs();
    std::vector<const Record*> resets;
    Site a, b;
    for (const auto& log : logs) {
      for (const Record& record : log) {
        for (Site* site : {&a, &b}) {
          site->known.Set(record.origin, record.lsn);
          if (record.has_entry) site->cell.PutEntry(record.entry);
        }
        if (record.reset) resets.push_back(&record);
      }
    }
    const auto apply = [](Site& site, const std::vector<const Record*>& all) {
      for (const Record* record : all) {
        site.cell.ApplyReset(*record->reset, record->origin, site.known);
      }
    };
    apply(a, resets);
    // Reversed, and some of them twice.
    std::vector<const Record*> other(resets.rbegin(), resets.rend());
    other.insert(other.end(), resets.begin(), resets.end());
    apply(b, other);
    RC_ASSERT(a.cell.bases() == b.cell.bases());
    RC_ASSERT(a.cell.Value(a.known) == b.cell.Value(b.known));
  }));
}

TEST(Cell, WhatAResetHasCancelledStaysCancelled) {
  EXPECT_TRUE(rc::check([] {
    const Logs logs = DrawLogs();
    Site site;
    std::array<Lsn, kOrigins> cuts{};
    Version version;
    for (const auto& log : logs) {
      for (const Record& record : log) {
        Deliver(site, record);
        for (const Base& base : site.cell.bases()) {
          RC_ASSERT(base.cut >= cuts[base.origin]);
          cuts[base.origin] = base.cut;
        }
        if (site.cell.set() == nullptr) continue;
        RC_ASSERT(site.cell.set()->version >= version);
        version = site.cell.set()->version;
      }
    }
  }));
}

// A unit that adds and then sets: the cut of its reset is the record before, yet what the unit has
// added by then is observed, whoever else has made a reset at the same cut.
TEST(Cell, AnOwnResetObservesWhatItsUnitHasAdded) {
  const auto reset = [](std::uint64_t clock, OriginIndex by, Decimal seen) {
    Observation observation;
    observation.components = {{.origin = 0, .cut = 4, .present = true, .sum = seen}};
    observation.set = {.version = {.clock = clock, .origin = {static_cast<std::uint8_t>(by)}},
                       .value = 10,
                       .present = true};
    return observation;
  };
  for (const bool own_first : {true, false}) {
    Site site;
    site.known.Set(0, 5);
    site.cell.PutEntry({.origin = 0, .birth = 0, .sum = 8});
    const Observation own = reset(2, 0, 8), other = reset(1, 1, 3);
    site.cell.ApplyReset(own_first ? own : other, own_first ? 0 : 1, site.known);
    site.cell.ApplyReset(own_first ? other : own, own_first ? 1 : 0, site.known);
    EXPECT_EQ(site.cell.Value(site.known), Decimal(10));
  }
}

// The sum of an entry whose reset came before it moves on whole: nothing of it is an orphan, and a
// reset that had seen the entry, but not the fold, still cancels it.
TEST(Cell, AFoldOfALaterEntryLeavesRoomForAnOrphan) {
  Site site;
  site.known.Set(0, 17);
  site.known.Set(1, 20);
  site.cell.PutEntry({.origin = 0, .birth = 0, .sum = -3});
  site.cell.PutBase({.origin = 0, .kind = Base::Kind::kAbsent, .cut = 9, .sum = 0});
  site.cell.PutEntry({.origin = 1, .birth = 0, .sum = -3});
  site.cell.ApplyFold({.closed = 0, .into = 1, .lsn = 20}, site.known);
  EXPECT_EQ(site.cell.Value(site.known), Decimal(-3));
  Observation late;
  late.components = {{.origin = 0, .cut = 17, .present = true, .sum = -3},
                     {.origin = 1, .cut = 15, .sum = 0}};
  late.set = {.version = {.clock = 1, .origin = {2}}, .value = 0};
  site.cell.ApplyReset(late, 2, site.known);
  EXPECT_EQ(site.cell.Value(site.known), Decimal(0));
}

// The resetter says nothing of what it knows to be folded for good; here the fold comes after it.
TEST(Cell, AResetThatSawAFoldMayComeBeforeIt) {
  Site site;
  site.known.Set(0, 17);
  site.cell.PutEntry({.origin = 0, .birth = 0, .sum = 8});
  site.cell.PutBase({.origin = 0, .cut = 9, .sum = 5});
  Observation reset;
  reset.components = {{.origin = 2, .cut = 40, .present = true, .sum = 11}};
  reset.set = {.version = {.clock = 1, .origin = {3}}, .value = 10, .present = true};
  site.cell.ApplyReset(reset, 3, site.known);
  site.known.Set(1, 20);
  site.cell.PutEntry({.origin = 1, .birth = 0, .sum = 9});
  site.cell.ApplyFold({.closed = 0, .into = 1, .lsn = 20}, site.known);
  EXPECT_EQ(site.cell.Value(site.known), Decimal(10 + 9 - 5));
  site.known.Set(2, 41);
  site.cell.PutEntry({.origin = 2, .birth = 0, .sum = 11});
  site.cell.ApplyFold({.closed = 1, .into = 2, .lsn = 30}, site.known);
  EXPECT_EQ(site.cell.Value(site.known), Decimal(10));
}

// Folds of folds: who saw the last had seen the first.
TEST(Cell, AResetThatSawAFoldSawTheFoldsBefore) {
  Site site;
  for (OriginIndex o = 0; o < 3; ++o) site.known.Set(o, 50);
  site.cell.PutEntry({.origin = 2, .birth = 0, .sum = 7});
  site.cell.PutFold({.closed = 0, .into = 1, .lsn = 34});
  site.cell.PutFold({.closed = 1, .into = 2, .lsn = 22});
  site.cell.PutBase({.origin = 0, .cut = 2, .sum = -1});
  EXPECT_EQ(site.cell.Value(site.known), Decimal(8));
  Observation reset;  // the resetter knows the first two to be folded for good
  reset.components = {{.origin = 2, .cut = 50, .present = true, .sum = 7}};
  reset.set = {.version = {.clock = 1, .origin = {3}}, .value = 10, .present = true};
  site.cell.ApplyReset(reset, 3, site.known);
  EXPECT_EQ(site.cell.Value(site.known), Decimal(10));
  // Retired, the fold that stays goes straight to where the sum is.
  site.cell.PutBase({.origin = 0, .cut = 2, .sum = -1});
  site.cell.Retire(1);
  ASSERT_EQ(site.cell.folds().size(), 1u);
  EXPECT_EQ(site.cell.folds().front().into, 2);
}

// Whatever form the entries are kept in, they are those that were put.
TEST(Cell, KeepsEntriesThatFitTheShortFormAndOthers) {
  EXPECT_TRUE(rc::check([] {
    Cell cell;
    std::map<OriginIndex, Entry> expected;
    const int steps = *rc::gen::inRange(1, 30);
    for (int i = 0; i < steps; ++i) {
      const auto origin = *rc::gen::inRange<OriginIndex>(0, 5);
      const int what = *rc::gen::inRange(0, 9);
      if (what == 0) {
        cell.RemoveEntry(origin);
        expected.erase(origin);
        continue;
      }
      if (what == 1) {  // more than entries, and no longer
        cell.PutSet({.version = {.clock = 1, .origin = {}}, .value = 0, .present = false});
        cell.ClearSet();
        continue;
      }
      if (what == 2) {
        const auto delta = *rc::gen::inRange<std::int64_t>(-9, 9);
        const auto found = expected.find(origin);
        const PackedEntry* added = cell.AddPacked(origin, delta);
        if (added != nullptr) {
          RC_ASSERT(found != expected.end());
          found->second.sum = *Decimal::Add(found->second.sum, delta);
          RC_ASSERT(added->Unpacked() == found->second);
        }
        continue;
      }
      Entry entry{.origin = origin, .birth = 0, .sum = *rc::gen::inRange(-5, 5)};
      if (what == 3) entry.birth = std::uint64_t{1} << 48;
      if (what == 4) entry.sum = Decimal::FromUnits(7);
      if (what == 5) entry.sum = std::numeric_limits<std::int64_t>::max();
      if (what == 6) entry.birth = (std::uint64_t{1} << 48) - 1;
      cell.PutEntry(entry);
      expected[origin] = entry;
    }
    const Cell moved = cell.Clone();
    RC_ASSERT(moved.entries().size() == expected.size());
    RC_ASSERT(moved.empty() == expected.empty());
    auto next = expected.begin();
    for (const Entry& entry : moved.entries()) RC_ASSERT(entry == (next++)->second);
    for (OriginIndex o = 0; o < 5; ++o) RC_ASSERT(moved.HasEntry(o) == expected.contains(o));
  }));
}

}  // namespace
}  // namespace jeton::crdt
