// What clients of a ClusterSimulation ask for, on which names.
#pragma once

#include <string>
#include <vector>

#include "base/prng.h"
#include "sim/replica/ledger.h"

namespace jeton::sim {

constexpr const char* kCounterNames[] = {"a", "b", "c", "d"};
constexpr const char* kTreeNames[] = {"t", "u"};
constexpr const char* kTreeKeys[] = {"k", "7"};
constexpr int kTreeBuckets = 3;

struct ClusterRequest {
  enum class Kind {
    kAdd,
    kSet,
    kDelete,
    kExpire,
    kPrecision,
    kFlushAll,
    kTrim,
    kDropTree,
    kResetTree,
    kResetKey,
  };
  Kind kind = Kind::kAdd;
  LedgerCell cell;  // of kResetKey any bucket, of those that concern a whole tree any key
  std::vector<std::string> words;
  Decimal delta = 0;  // of kAdd
};

// How often of each hundred; each run draws its own.
struct ClusterRequestRates {
  double set = 0, drop = 0, flush_all = 0, expire = 0, precision = 0, tree = 0;
};

std::vector<LedgerCell> ClusterCells();
ClusterRequest DrawClusterRequest(const ClusterRequestRates& rates, Prng& prng);

}  // namespace jeton::sim
