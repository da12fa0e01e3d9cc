#include "engine/slab.h"

#include <cstdlib>

#include "base/assert.h"

namespace jeton::engine {

namespace {
constexpr std::uint16_t kNone = 0;  // offset 0 is the block's header, never a piece
}

struct Slab::Block {
  Block* next;
  Block* previous;
  std::uint16_t free;   // offset of the first freed piece; each holds the offset of the next
  std::uint16_t fresh;  // offset from which on nothing was ever used
  std::uint16_t used;
  std::uint16_t piece;  // bytes

  bool Full() const { return free == kNone && fresh + piece > static_cast<int>(kBlockBytes); }
  std::uint16_t& Link(std::uint16_t offset) {
    return *reinterpret_cast<std::uint16_t*>(reinterpret_cast<char*>(this) + offset);
  }
  static Block* Of(void* piece) {
    return reinterpret_cast<Block*>(reinterpret_cast<std::uintptr_t>(piece) & ~(kBlockBytes - 1));
  }
};

void Slab::Clear() {
  ASSERT(large_bytes_ == 0);
  used_bytes_ = 0;
  for (Class& size_class : classes_) {
    for (Block** list : {&size_class.open, &size_class.full}) {
      while (*list != nullptr) {
        Block* block = *list;
        Unlink(*list, block);
        pool_.Free(block);
      }
    }
  }
}

void* Slab::Allocate(std::size_t size) {
  const std::size_t bytes = PieceBytes(size);
  used_bytes_ += bytes;
  if (bytes > kMaxPiece) return AllocateLarge(bytes);
  Class& size_class = classes_[bytes / 4];
  Block* block = size_class.open != nullptr ? size_class.open : AddBlock(bytes / 4);
  std::uint16_t offset = block->free;
  if (offset != kNone) {
    block->free = block->Link(offset);
  } else {
    offset = block->fresh;
    block->fresh = static_cast<std::uint16_t>(offset + bytes);
  }
  ++block->used;
  if (block->Full()) {
    Unlink(size_class.open, block);
    Link(size_class.full, block);
  }
  return reinterpret_cast<char*>(block) + offset;
}

void Slab::Free(void* piece, std::size_t size) {
  const std::size_t bytes = PieceBytes(size);
  used_bytes_ -= bytes;
  if (bytes > kMaxPiece) {
    large_bytes_ -= bytes;
    std::free(piece);
    return;
  }
  Class& size_class = classes_[bytes / 4];
  Block* block = Block::Of(piece);
  ASSERT(block->piece == bytes && block->used > 0);
  if (block->Full()) {
    Unlink(size_class.full, block);
    Link(size_class.open, block);
  }
  const auto offset =
      static_cast<std::uint16_t>(static_cast<char*>(piece) - reinterpret_cast<char*>(block));
  block->Link(offset) = block->free;
  block->free = offset;
  if (--block->used > 0) return;
  Unlink(size_class.open, block);
  pool_.Free(block);
}

void* Slab::AllocateLarge(std::size_t size) {
  void* piece = std::malloc(size);
  ASSERT(piece != nullptr);
  large_bytes_ += size;
  return piece;
}

Slab::Block* Slab::AddBlock(std::size_t index) {
  static_assert(sizeof(Block) == 24);
  auto* block = static_cast<Block*>(pool_.Allocate());
  block->free = kNone;
  block->fresh = sizeof(Block);
  block->used = 0;
  block->piece = static_cast<std::uint16_t>(index * 4);
  Link(classes_[index].open, block);
  return block;
}

void Slab::Link(Block*& list, Block* block) {
  block->previous = nullptr;
  block->next = list;
  if (list != nullptr) list->previous = block;
  list = block;
}

void Slab::Unlink(Block*& list, Block* block) {
  if (block->next != nullptr) block->next->previous = block->previous;
  (block->previous != nullptr ? block->previous->next : list) = block->next;
}

}  // namespace jeton::engine
