// The names of who wrote what. An origin is one run of one process, with a fresh id at every start,
// so that a number which was given out is never given out again (lost tail, restored backup, cloned
// disk); a node is a data directory, and keeps its id over restarts; a cluster is the set of nodes
// that share one keyspace.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>

namespace jeton {

// Log sequence number: 1, 2, 3 ... within one origin. 0 means "nothing".
using Lsn = std::uint64_t;

// 48 bits of milliseconds since 1970 (big-endian), then 80 random bits.
using OriginId = std::array<std::uint8_t, 16>;
using NodeId = std::array<std::uint8_t, 20>;
using ClusterId = std::array<std::uint8_t, 16>;

// The order of the bytes, as std::less has it, by two comparisons.
struct OriginLess {
  bool operator()(const OriginId& a, const OriginId& b) const {
    const auto [a_high, a_low] = HalvesOf(a);
    const auto [b_high, b_low] = HalvesOf(b);
    return a_high != b_high ? a_high < b_high : a_low < b_low;
  }

 private:
  static std::array<std::uint64_t, 2> HalvesOf(const OriginId& id) {
    static_assert(std::endian::native == std::endian::little);
    std::array<std::uint64_t, 2> halves;
    std::memcpy(halves.data(), id.data(), sizeof halves);
    return {__builtin_bswap64(halves[0]), __builtin_bswap64(halves[1])};
  }
};

template <typename T>
using OriginMap = std::map<OriginId, T, OriginLess>;

// The lazy origin of a run: what it adds to counters with a precision goes into a stream of its
// own, because it may be told later. The last bit tells them apart, which is 0 in a run's. The lazy
// origin of a lazy origin is the run's.
constexpr OriginId LazyOf(OriginId run) {
  run.back() ^= 1;
  return run;
}
constexpr bool IsLazy(const OriginId& origin) {
  return (origin.back() & 1) != 0;
}

// A run that leaves its cluster and joins again, that one or another, does so under a name that no
// cluster has heard of: the origin of its membership `number`, counted from 0.
constexpr unsigned kMembershipsPerRun = 128;
constexpr OriginId MembershipOf(OriginId run, unsigned number) {
  run.back() = static_cast<std::uint8_t>(run.back() + 2 * number);
  return run;
}
// Whether both are of one run: memberships and their lazy origins differ in the last byte only.
constexpr bool OfOneRun(const OriginId& a, const OriginId& b) {
  for (std::size_t i = 0; i + 1 < a.size(); ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

}  // namespace jeton
