// HybridClock: the order of SETs, settings and expiries that did not know of each other. The
// greater of the wall clock (ms << 16) and the highest value seen + 1 (Kulkarni et al., 2014:
// Logical Physical Clocks). Ties are broken by the origin's id: a node's clock may repeat after a
// lost tail, an origin's cannot.
#pragma once

#include <compare>
#include <cstdint>

#include "base/ids.h"
#include "base/time.h"

namespace jeton::crdt {

struct Version {
  std::uint64_t clock = 0;  // 0: never set
  OriginId origin{};

  friend auto operator<=>(const Version&, const Version&) = default;
};

class HybridClock {
 public:
  // A value greater than every one that was seen.
  std::uint64_t Next(WallMs wall) {
    const std::uint64_t physical = wall > 0 ? static_cast<std::uint64_t>(wall) << 16 : 0;
    last_ = physical > last_ ? physical : last_ + 1;
    return last_;
  }
  void Saw(std::uint64_t clock) {
    if (clock > last_) last_ = clock;
  }
  std::uint64_t last() const { return last_; }

 private:
  std::uint64_t last_ = 0;
};

}  // namespace jeton::crdt
