// Time is an argument. Pure code never reads a clock: the edge (net/, server/, sim/) does, and
// hands these plain numbers down.
#pragma once

#include <cstdint>

namespace jeton {

// Milliseconds since 1970-01-01 UTC, leap seconds ignored. May jump either way.
using WallMs = std::int64_t;

// Nanoseconds of a clock that never goes back; its zero is arbitrary.
using MonoNs = std::int64_t;

constexpr MonoNs kNsPerMs = 1'000'000;
constexpr MonoNs kNsPerSecond = 1'000'000'000;

struct Now {
  WallMs wall_ms = 0;
  MonoNs mono_ns = 0;
};

}  // namespace jeton
