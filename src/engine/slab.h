// Slab: small pieces of memory of any size, for the records of one partition. Sizes are rounded up
// to a multiple of 4; a block of the pool holds pieces of one size, and goes back to the pool when
// its last piece is freed. Pieces above kMaxPiece come from malloc. The caller remembers the sizes:
// a piece has no header of its own.
//
// Not thread-safe: the partition's lock guards it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/blocks.h"

namespace jeton::engine {

class Slab {
 public:
  static constexpr std::size_t kMinPiece = 12;
  static constexpr std::size_t kMaxPiece = 256;

  explicit Slab(BlockPool& pool) : pool_(pool) {}
  ~Slab() { Clear(); }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  // Aligned to 4 bytes.
  void* Allocate(std::size_t size);
  void Free(void* piece, std::size_t size);
  // Frees all pieces at once; those above kMaxPiece must have been freed before.
  void Clear();

  // What a piece of `size` bytes really takes.
  static std::size_t PieceBytes(std::size_t size) {
    return size <= kMinPiece ? kMinPiece : (size + 3) & ~std::size_t{3};
  }
  std::uint64_t large_bytes() const { return large_bytes_; }
  std::uint64_t used_bytes() const { return used_bytes_; }  // of all pieces

 private:
  struct Block;
  // Blocks of one size that have room, and those that have not: the latter only for Clear.
  struct Class {
    Block* open = nullptr;
    Block* full = nullptr;
  };

  void* AllocateLarge(std::size_t size);
  Block* AddBlock(std::size_t index);
  static void Link(Block*& list, Block* block);
  static void Unlink(Block*& list, Block* block);

  BlockPool& pool_;  // outlives the slab
  std::uint64_t large_bytes_ = 0;
  std::uint64_t used_bytes_ = 0;
  std::array<Class, kMaxPiece / 4 + 1> classes_;
};

}  // namespace jeton::engine
