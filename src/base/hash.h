// The one hash of names: XXH3 (64 bits) with a seed that is drawn once per data directory, so that
// names cannot be chosen to collide and yet a snapshot's partitions stay the same over restarts.
#pragma once

#include <cstdint>
#include <string_view>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace jeton {

inline std::uint64_t HashBytes(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace jeton
