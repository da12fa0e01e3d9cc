// Names and requests that the benchmarks of the engine share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/prng.h"

namespace jeton::engine {

constexpr std::size_t kBatch = 64;  // names that a worker has at once

// Of 17 bytes, for i below 90 M.
inline std::string NameOf(std::uint64_t i) {
  return "articles:" + std::to_string(10'000'000 + i);
}

// Random names as a parser leaves them: text in a buffer that was just read.
struct Requests {
  Requests(std::uint64_t names, std::size_t count) {
    Prng prng(7);
    for (std::size_t i = 0; i < count; ++i) text += NameOf(prng.Below(names));
    size = text.size() / count;
  }
  std::string_view operator[](std::size_t i) const { return {text.data() + i * size, size}; }

  std::string text;
  std::size_t size;
};

}  // namespace jeton::engine
