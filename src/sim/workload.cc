#include "sim/workload.h"

#include <algorithm>
#include <cmath>

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

}  // namespace

Workload::Workload(const Swarm& swarm, Prng& prng) : swarm_(swarm), prng_(prng) {
  double sum = 0;
  for (int i = 0; i < swarm.names; ++i) {
    // Names of all lengths, some with bytes that need care.
    names_.push_back("n" + std::to_string(i) +
                     (i % 7 == 3 ? std::string(200, 'x') : std::string()) +
                     (i % 5 == 4 ? std::string("\r\n\0 ", 4) : std::string()));
    sum += 1 / std::pow(i + 1, swarm.zipf);
    cumulative_.push_back(sum);
  }
  PlanTrees();
}

const std::string& Workload::Name() {
  if (Has(Feature::kTrees) && prng_.Chance(0.04)) return plans_[prng_.Below(plans_.size())].name;
  const double at = static_cast<double>(prng_.Below(1u << 30)) / (1u << 30) * cumulative_.back();
  const auto it = std::upper_bound(cumulative_.begin(), cumulative_.end(), at);
  const auto i = static_cast<std::size_t>(it - cumulative_.begin());
  return names_[std::min(i, names_.size() - 1)];
}

std::string Workload::Amount() {
  if (Has(Feature::kBadRequests) && prng_.Chance(0.03)) {
    return Pick(prng_, "abc", "", "1e21", "0x10", "nan", "1.5.", " 1");
  }
  if (Has(Feature::kFractions) && prng_.Chance(0.3)) {
    return Pick(prng_, "0.1", "-0.1", "1e-17", "2.5", "-0.25", "1e19", "-1e20", "3.00");
  }
  if (prng_.Chance(0.05)) return Pick(prng_, "9223372036854775807", "-9223372036854775808");
  return std::to_string(prng_.Between(-3, prng_.Chance(0.2) ? 100'000 : 5));
}

std::string Workload::Value() {
  return prng_.Chance(0.25) ? "0" : Amount();
}

Words Workload::Increment() {
  switch (prng_.Below(6)) {
    case 0:
      return {"DECR", Name()};
    case 1:
      return {"INCRBY", Name(), Amount()};
    case 2:
      return {"DECRBY", Name(), Pick(prng_, "1", "2", "7", "1000000007")};
    case 3:
      return {"INCRBYFLOAT", Name(), Amount()};
    default:
      return {"INCR", Name()};
  }
}

Words Workload::ExpiryWords(WallMs now) {
  const std::int64_t in = prng_.Chance(0.1) ? prng_.Between(-5, 0) : prng_.Between(1, 5000);
  switch (prng_.Below(4)) {
    case 0:
      return {"EX", std::to_string(in <= 0 ? in : 1 + in / 1000)};
    case 1:
      return {"PX", std::to_string(in)};
    case 2:
      return {"EXAT", std::to_string(now / 1000 + in / 500)};
    default:
      return {"PXAT", std::to_string(now + in)};
  }
}

Words Workload::SetWithOptions(WallMs now) {
  Words words{"SET", Name(), Value()};
  if (prng_.Chance(0.4)) words.push_back(Pick(prng_, "NX", "XX"));
  if (prng_.Chance(0.3)) words.push_back("GET");
  if (Has(Feature::kExpiry) && prng_.Chance(0.5)) {
    Append(words, prng_.Chance(0.3) ? Words{"KEEPTTL"} : ExpiryWords(now));
  }
  return words;
}

Words Workload::Increx(WallMs now) {
  const bool by_float = Has(Feature::kFractions) && prng_.Chance(0.3);
  Words words{"INCREX", Name(), by_float ? "BYFLOAT" : "BYINT",
              by_float ? Pick(prng_, "0.5", "-0.5", "1e20") : std::to_string(prng_.Between(-5, 9))};
  if (prng_.Chance(0.5)) Append(words, {"LBOUND", std::to_string(prng_.Between(-20, 5))});
  if (prng_.Chance(0.5)) Append(words, {"UBOUND", std::to_string(prng_.Between(0, 30))});
  if (prng_.Chance(0.4)) words.push_back("SATURATE");
  if (Has(Feature::kExpiry) && prng_.Chance(0.4)) {
    Append(words, ExpiryWords(now));
    if (prng_.Chance(0.5)) words.push_back("ENX");
  }
  return words;
}

Words Workload::Write() {
  switch (prng_.Below(5)) {
    case 0:
      return {"SETNX", Name(), Value()};
    case 1:
      return {"GETSET", Name(), Value()};
    case 2:
      return {"GETDEL", Name()};
    case 3:
      return {"PRECISION", Name(), Pick(prng_, "0", "2.2", "10", "-1", "0.5")};
    default:
      return {"SET", Name(), Value()};
  }
}

Words Workload::Expiry(WallMs now) {
  const std::int64_t in = prng_.Chance(0.1) ? prng_.Between(-5000, 0) : prng_.Between(1, 6000);
  switch (prng_.Below(9)) {
    case 0:
      return {"PERSIST", Name()};
    case 1:
      return {Pick(prng_, "SETEX", "PSETEX"), Name(), std::to_string(prng_.Between(0, 5)), Value()};
    case 2: {
      Words words{"GETEX", Name()};
      Append(words, prng_.Chance(0.3) ? Words{"PERSIST"} : ExpiryWords(now));
      return words;
    }
    default:
      break;
  }
  Words words;
  switch (prng_.Below(4)) {
    case 0:
      words = {"EXPIRE", Name(), std::to_string(in / 1000)};
      break;
    case 1:
      words = {"PEXPIRE", Name(), std::to_string(in)};
      break;
    case 2:
      words = {"EXPIREAT", Name(), std::to_string((now + in) / 1000)};
      break;
    default:
      words = {"PEXPIREAT", Name(), std::to_string(now + in)};
      break;
  }
  if (prng_.Chance(0.4)) words.push_back(Pick(prng_, "NX", "XX", "GT", "LT"));
  return words;
}

Words Workload::Read() {
  switch (prng_.Below(8)) {
    case 0:
      return {"MGET", Name(), Name(), Name()};
    case 1:
      return {"EXISTS", Name(), Name()};
    case 2:
      return {Pick(prng_, "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"), Name()};
    case 3:
      return {"TYPE", Name()};
    case 4:
      return {"PRECISION", Name()};
    case 5:
      return {"GET", Name(), "STATE"};
    default:
      return {"GET", Name()};
  }
}

Words Workload::Several() {
  switch (prng_.Below(4)) {
    case 0:
      return {Pick(prng_, "DEL", "UNLINK"), Name(), Name()};
    case 1: {
      Words words{"MINCRBY", Amount()};
      for (std::uint64_t n = 1 + prng_.Below(4); n > 0; --n) words.push_back(Name());
      return words;
    }
    default: {
      Words words{prng_.Chance(0.25) ? "MSETNX" : "MSET"};
      for (std::uint64_t n = 1 + prng_.Below(5); n > 0; --n) Append(words, {Name(), Value()});
      return words;
    }
  }
}

Words Workload::Transaction(ClientState& client) {
  if (!client.in_multi && prng_.Chance(0.4)) return {"WATCH", Name(), Name()};
  if (!client.in_multi && prng_.Chance(0.1)) return {"UNWATCH"};
  if (!client.in_multi) {
    client.in_multi = true;
    return {"MULTI"};
  }
  client.in_multi = false;
  return {prng_.Chance(0.9) ? "EXEC" : "DISCARD"};
}

Words Workload::Rare(ClientState& client) {
  const bool walks = Has(Feature::kWalks) && !client.in_multi;
  switch (prng_.Below(6)) {
    case 0:
      if (walks) return {"KEYS", "*"};
      break;
    case 1:
      if (walks) return {"SCAN", "0", "COUNT", "10000"};
      break;
    case 2:
      if (walks) return {Pick(prng_, "RANDOMKEY", "DBSIZE")};
      break;
    case 3:
      if (Has(Feature::kFlushAll) && prng_.Chance(0.3)) return {"FLUSHALL"};
      break;
    case 4:
      if (Has(Feature::kSnapshots) && prng_.Chance(0.5) && !client.in_multi) {
        // A SAVE that meets a fault changes in the middle of a turn what the rest of it is
        // answered.
        return {swarm_.HasDiskFaults() || prng_.Chance(0.6) ? "BGSAVE" : "SAVE"};
      }
      break;
    default:
      if (!client.in_multi && prng_.Chance(0.3)) return {"HELLO", Pick(prng_, "2", "3")};
      if (!client.in_multi && prng_.Chance(0.1)) {
        client = {};
        return {Pick(prng_, "RESET", "QUIT")};
      }
      break;
  }
  return {"PING"};
}

Words Workload::Next(ClientState& client, WallMs now) {
  if (client.subscribed && prng_.Chance(0.5)) {
    client.subscribed = false;
    return {"UNSUBSCRIBE"};
  }
  if (client.in_multi && prng_.Chance(0.25)) return Transaction(client);
  if (Has(Feature::kTrees) && prng_.Chance(swarm_.tree_share)) return OnTree(client, now);
  const std::uint64_t kind = prng_.Below(100);
  if (kind < 35) return Increment();
  if (kind < 48) return Write();
  if (kind < 55) return SetWithOptions(now);
  if (kind < 60) return Increx(now);
  if (kind < 70 && Has(Feature::kExpiry)) return Expiry(now);
  if (kind < 82) return Read();
  if (kind < 90) return Several();
  if (kind < 94 && Has(Feature::kTransactions)) return Transaction(client);
  if (kind < 96 && Has(Feature::kSubscriptions) && !client.in_multi) {
    client.subscribed = true;
    return {"SUBSCRIBE", Name(), Name()};
  }
  return Rare(client);
}

}  // namespace jeton::sim
