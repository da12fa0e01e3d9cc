// What a piece of the heap really takes, for accounts.
#pragma once

#include <algorithm>
#include <cstddef>

namespace jeton {

// With the header before it, and rounded up as malloc does.
constexpr std::size_t HeapBytes(std::size_t size) {
  constexpr std::size_t kHeader = 8, kUnit = 16, kSmallest = 32;
  return std::max(kSmallest, (size + kHeader + kUnit - 1) / kUnit * kUnit);
}

}  // namespace jeton
