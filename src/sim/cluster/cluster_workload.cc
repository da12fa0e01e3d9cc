#include "sim/cluster/cluster_workload.h"

#include "base/assert.h"
#include "base/calendar.h"

namespace jeton::sim {

namespace {

// The bucket of a tree of days, and how a request writes it.
struct Day {
  Bucket bucket = 0;
  std::string text;
};

std::vector<Day> MakeDays() {
  const auto calendar = Calendar::Make(Width::kDay, "UTC");
  ASSERT(calendar.ok());
  std::vector<Day> days;
  for (int i = 0; i < kTreeBuckets; ++i) {
    const std::string text = "2023110" + std::to_string(i + 1);
    const auto bucket = calendar->ParseExact(text);
    ASSERT(bucket.ok());
    days.push_back({*bucket, text});
  }
  return days;
}

const std::vector<Day>& Days() {
  static const std::vector<Day> days = MakeDays();
  return days;
}

std::string AnyTen(Prng& prng) {
  return std::to_string(10 * prng.Below(4));
}

ClusterRequest DrawTreeRequest(const ClusterRequestRates& rates, Prng& prng) {
  using Kind = ClusterRequest::Kind;
  const std::string tree = kTreeNames[prng.Below(2)];
  const std::string key = kTreeKeys[prng.Below(2)];
  const Day& day = Days()[prng.Below(kTreeBuckets)];
  const LedgerCell cell{tree, true, key, day.bucket};
  if (prng.Chance(rates.drop)) {
    switch (prng.Below(4)) {
      case 0:
        return {Kind::kDropTree, cell, {"TREE.DROP", tree}};
      case 1:
        return {Kind::kResetTree, cell, {"TREE.RESET", tree}};
      case 2:
        return {Kind::kResetKey, cell, {"TREE.RESET", tree, key}};
      default:
        return {Kind::kTrim, cell, {"TREE.TRIM", tree, "BEFORE", day.text}};
    }
  }
  if (prng.Chance(rates.set)) {
    return {Kind::kSet, cell, {"TREE.SET", tree, key, day.text, AnyTen(prng)}};
  }
  const std::int64_t delta = prng.Between(-3, 9);
  const std::string text = std::to_string(delta);
  return {Kind::kAdd, cell, {"TREE.INCRBY", tree, key, text, "AT", day.text}, delta};
}

}  // namespace

std::vector<LedgerCell> ClusterCells() {
  std::vector<LedgerCell> cells;
  for (const char* name : kCounterNames) cells.push_back({name});
  for (const char* name : kTreeNames) {
    for (const char* key : kTreeKeys) {
      for (const Day& day : Days()) cells.push_back({name, true, key, day.bucket});
    }
  }
  return cells;
}

ClusterRequest DrawClusterRequest(const ClusterRequestRates& rates, Prng& prng) {
  using Kind = ClusterRequest::Kind;
  if (prng.Chance(rates.flush_all)) return {Kind::kFlushAll, {}, {"FLUSHALL"}};
  if (prng.Chance(rates.tree)) return DrawTreeRequest(rates, prng);
  const std::string name = kCounterNames[prng.Below(4)];
  if (prng.Chance(rates.expire)) {
    const std::uint64_t ms = 1 + prng.Below(prng.Chance(0.5) ? 1000 : 20'000);
    return {Kind::kExpire, {name}, {"PEXPIRE", name, std::to_string(ms)}};
  }
  if (prng.Chance(rates.precision)) {
    return {Kind::kPrecision, {name}, {"PRECISION", name, prng.Chance(0.7) ? "5" : "0"}};
  }
  if (prng.Chance(rates.set)) return {Kind::kSet, {name}, {"SET", name, AnyTen(prng)}};
  if (prng.Chance(rates.drop)) return {Kind::kDelete, {name}, {"DEL", name}};
  const std::int64_t delta = prng.Between(-3, 9);
  return {Kind::kAdd, {name}, {"INCRBY", name, std::to_string(delta)}, delta};
}

}  // namespace jeton::sim
