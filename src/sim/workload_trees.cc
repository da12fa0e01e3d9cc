// Requests about trees. Each tree's name has a plan, how it is to be created; a client that adds
// first gets a tree of days in UTC instead.
#include <algorithm>

#include "base/assert.h"
#include "sim/workload.h"

namespace jeton::sim {
namespace {

template <typename... T>
std::string Pick(Prng& prng, T... words) {
  const std::string_view all[] = {words...};
  return std::string(all[prng.Below(sizeof...(words))]);
}

void Append(Words& words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
}

// Enough for more than one slice of a walk.
constexpr std::uint64_t kBigTreeKeys = 1000;
constexpr std::uint64_t kBigBatchKeys = 250;

}  // namespace

void Workload::PlanTrees() {
  TimeZones zones;
  for (int i = 0; i < swarm_.trees; ++i) {
    const Width width = prng_.Chance(0.4) ? Width::kDay : static_cast<Width>(prng_.Below(7));
    const std::string zone = Pick(prng_, "UTC", "Europe/Berlin", "America/New_York",
                                  "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia");
    auto calendar = Calendar::Make(width, zone, zones);
    ASSERT(calendar.ok());
    plans_.push_back({.name = "t" + std::to_string(i) + (i == 2 ? std::string("\r\n\0_", 4) : ""),
                      .calendar = *calendar,
                      .retain = prng_.Chance(0.5) ? static_cast<int>(prng_.Between(1, 4)) : 0});
  }
}

const Workload::TreePlan& Workload::DrawTree() {
  return plans_[prng_.Below(1 + prng_.Below(plans_.size()))];
}

std::string Workload::TreeKey() {
  if (Has(Feature::kBigTrees) && prng_.Chance(0.3)) {
    return "k" + std::to_string(prng_.Below(kBigTreeKeys));
  }
  if (prng_.Chance(0.05)) return std::string("\0\r\n\xff", 4) + std::string(prng_.Below(40), 'y');
  return Pick(prng_, "1", "2", "3", "12345", "18446744073709551615", "18446744073709551616", "0",
              "007", "", "-1", "article:1", "AT", "KEYS");
}

std::string Workload::BucketText(const TreePlan& plan, WallMs now) {
  if (Has(Feature::kBadRequests) && prng_.Chance(0.05)) {
    return Pick(prng_, "", "2023", "202311", "20231114", "2023-11-14", "2023W46", "2023111422",
                "20231029", "2023102902+0100", "20230230", "today");
  }
  const Calendar& calendar = plan.calendar;
  Bucket bucket = calendar.At(now);
  const std::uint64_t draw = prng_.Below(100);
  if (draw < 20) {
    for (std::uint64_t n = 1 + prng_.Below(2); n > 0; --n) bucket = calendar.Next(bucket);
  } else if (draw < 75) {
    for (std::uint64_t n = prng_.Below(5); n > 0; --n) bucket = calendar.Previous(bucket);
  } else if (draw < 80) {
    bucket = calendar.Back(bucket, prng_.Between(5, 400));
  }
  return calendar.Format(bucket);
}

void Workload::AppendRange(Words& words, const TreePlan& plan, WallMs now) {
  const auto end = [&] {
    return prng_.Chance(0.1) ? Pick(prng_, "2023", "202311") : BucketText(plan, now);
  };
  if (prng_.Chance(0.5)) Append(words, {"FROM", end()});
  if (prng_.Chance(0.5)) Append(words, {"TO", end()});
}

Words Workload::CreateTree(const TreePlan& plan) {
  Words words{"TREE.CREATE", prng_.Chance(0.03) ? Name() : plan.name};
  const TreePlan& settings = prng_.Chance(0.9) ? plan : DrawTree();
  Append(words, {"BUCKET", std::string(WidthName(settings.calendar.width())), "TZ",
                 settings.calendar.zone()});
  if (settings.retain != 0) Append(words, {"RETAIN", std::to_string(settings.retain)});
  return words;
}

Words Workload::BigBatch(const TreePlan& plan) {
  Words words{"TREE.MINCRBY", plan.name};
  const std::uint64_t first = prng_.Below(kBigTreeKeys / kBigBatchKeys) * kBigBatchKeys;
  for (std::uint64_t i = 0; i < kBigBatchKeys; ++i) {
    Append(words, {"k" + std::to_string(first + i), std::to_string(1 + i % 7)});
  }
  return words;
}

Words Workload::ChangeTree(WallMs now) {
  const TreePlan& plan = DrawTree();
  const std::string name = prng_.Chance(0.03) ? Name() : plan.name;
  if (Has(Feature::kBigTrees) && prng_.Chance(0.1)) return BigBatch(plan);
  switch (prng_.Below(16)) {
    case 0:
    case 1:
      return CreateTree(plan);
    case 2:
    case 3: {
      Words words{"TREE.DECRBY", name, TreeKey(), Amount()};
      if (prng_.Chance(0.5)) Append(words, {"AT", BucketText(plan, now)});
      return words;
    }
    case 4:
    case 5:
    case 6: {
      Words words{"TREE.MINCRBY", name};
      if (prng_.Chance(0.6)) Append(words, {"AT", BucketText(plan, now)});
      for (std::uint64_t n = 1 + prng_.Below(4); n > 0; --n) {
        std::string key = TreeKey();
        if (key == "AT") key = "at all";  // as the third word it would be the option
        Append(words, {key, Amount()});
      }
      return words;
    }
    case 7:
      return {"TREE.SET", name, TreeKey(), BucketText(plan, now), Value()};
    case 8:
    case 9:
      return {Pick(prng_, "HINCRBY", "HINCRBY", "HINCRBYFLOAT"), name, TreeKey(), Amount()};
    case 10:
      return {"HSET", name, TreeKey(), Value(), TreeKey(), Value()};
    default: {
      Words words{"TREE.INCRBY", name, TreeKey(), Amount()};
      if (prng_.Chance(0.6)) Append(words, {"AT", BucketText(plan, now)});
      return words;
    }
  }
}

Words Workload::TakeFromTree(const ClientState& client, WallMs now) {
  const TreePlan& plan = DrawTree();
  const std::string name = prng_.Chance(0.03) ? Name() : plan.name;
  // Nobody outside can say between which slices of a clearing what others do falls; inside a
  // transaction it is one piece.
  const bool whole = !Has(Feature::kBigTrees) || client.in_multi;
  switch (prng_.Below(8)) {
    case 0:
      return prng_.Chance(0.2) ? Words{"TREE.DROP", name} : Words{"TREE.RESET", name, TreeKey()};
    case 1:
      return prng_.Chance(0.3) ? Words{"TREE.RESET", name}
                               : Words{"TREE.RESET", name, TreeKey(), TreeKey()};
    case 2:
      return {"HDEL", name, TreeKey(), TreeKey()};
    case 3:
    case 4:
      if (!whole || prng_.Chance(0.5)) {
        return {"TREE.CLEAR",         name, "KEY", TreeKey(), "FROM", BucketText(plan, now), "TO",
                BucketText(plan, now)};
      }
      return {"TREE.CLEAR", name, "FROM", BucketText(plan, now), "TO", BucketText(plan, now)};
    case 5:
      if (!whole || prng_.Chance(0.5)) break;
      return {"TREE.TRIM", name, "BEFORE", BucketText(plan, now)};
    default:
      break;
  }
  return {"TREE.CLEAR", name, "KEY", TreeKey(), "FROM", BucketText(plan, now), "TO", "2024"};
}

Words Workload::ReadTree(WallMs now) {
  const TreePlan& plan = DrawTree();
  const std::string name = prng_.Chance(0.03) ? Name() : plan.name;
  Words words;
  switch (prng_.Below(16)) {
    case 0:
    case 1:
      words = {"TREE.GET", name, TreeKey()};
      if (prng_.Chance(0.7)) Append(words, {"AT", BucketText(plan, now)});
      return words;
    case 2:
    case 3:
      words = {"TREE.SUM", name, TreeKey()};
      AppendRange(words, plan, now);
      return words;
    case 4:
      words = {"TREE.MSUM", name};
      AppendRange(words, plan, now);
      Append(words, {"KEYS", TreeKey(), TreeKey(), TreeKey()});
      return words;
    case 5:
    case 6:
      words = {"TREE.RANGE", name, TreeKey()};
      AppendRange(words, plan, now);
      return words;
    case 7:
      words = {"TREE.TOTAL", name};
      AppendRange(words, plan, now);
      return words;
    case 8:
    case 9:
      words = {"TREE.TOP", name, Pick(prng_, "1", "2", "3", "10", "10000", "0")};
      AppendRange(words, plan, now);
      return words;
    case 10:
      return {Pick(prng_, "TREE.SCAN", "HSCAN"), name, "0", "COUNT", "2000"};
    case 11:
      return prng_.Chance(0.3) ? Words{"TREE.LIST"} : Words{"TREE.INFO", name};
    case 12:
      return {"HMGET", name, TreeKey(), TreeKey()};
    case 13:
      return {Pick(prng_, "HGET", "HEXISTS"), name, TreeKey()};
    case 14:
      return {"HLEN", name};
    default:
      return {Pick(prng_, "HGETALL", "HKEYS", "HVALS"), name};
  }
}

Words Workload::OnTree(const ClientState& client, WallMs now) {
  const std::uint64_t kind = prng_.Below(100);
  if (kind < 50) return ChangeTree(now);
  if (kind < 63) return TakeFromTree(client, now);
  return ReadTree(now);
}

}  // namespace jeton::sim
