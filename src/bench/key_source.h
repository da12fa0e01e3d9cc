// KeySource: which key the next command is about, as an index from 0 to keys - 1. Pure: the same
// seed draws the same keys.
#pragma once

#include <cstdint>
#include <vector>

#include "base/prng.h"

namespace jeton::bench {

enum class Distribution : unsigned char {
  kUniform,
  kZipf,        // the n-th most popular key is drawn with weight n^-0.99, as YCSB does
  kHot,         // always key 0
  kSequential,  // every key once, in order, then from the start again: for loading
};

class KeySource {
 public:
  static constexpr double kZipfExponent = 0.99;
  // A draw from the Zipf distribution costs two logarithms or more; this many are made in advance
  // and drawn from in turn.
  static constexpr std::size_t kZipfDraws = std::size_t{1} << 20;

  // Source `index` of `count` (one per thread): kSequential shares the keys out among them.
  // keys > 0.
  KeySource(Distribution distribution, std::uint64_t keys, std::uint64_t seed,
            std::uint64_t index = 0, std::uint64_t count = 1);

  std::uint64_t Next() {
    switch (distribution_) {
      case Distribution::kUniform:
        return prng_.Below(keys_);
      case Distribution::kZipf:
        return draws_[next_++ % kZipfDraws];
      case Distribution::kHot:
        return 0;
      case Distribution::kSequential:
        break;
    }
    const std::uint64_t key = next_++;
    if (next_ == end_) next_ = begin_;
    return key;
  }

 private:
  void DrawZipf();

  Distribution distribution_;
  std::uint64_t keys_;
  Prng prng_;
  std::uint64_t begin_;
  std::uint64_t end_;
  std::uint64_t next_;
  std::vector<std::uint64_t> draws_;
};

}  // namespace jeton::bench
