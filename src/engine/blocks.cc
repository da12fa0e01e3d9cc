#include "engine/blocks.h"

#include <sys/mman.h>

#include <mutex>

#include "base/assert.h"

namespace jeton::engine {

// Lives in the first block of its region.
struct BlockPool::Region {
  static constexpr std::uint32_t kBlocks = kRegionBytes / kBlockBytes;

  Region* next;
  Region* previous;
  void* free;           // freed blocks, linked through their first word
  std::uint32_t fresh;  // blocks from here on were never used
  std::uint32_t used;

  bool Full() const { return free == nullptr && fresh == kBlocks; }
  static Region* Of(void* block) {
    return reinterpret_cast<Region*>(reinterpret_cast<std::uintptr_t>(block) & ~(kRegionBytes - 1));
  }
};

BlockPool::~BlockPool() {
  ASSERT(used_blocks_.load() == 0);
  while (available_ != nullptr) {
    Region* region = available_;
    Unlink(region);
    munmap(region, kRegionBytes);
  }
  for (void* region : spare_) munmap(region, kRegionBytes);
}

void* BlockPool::Allocate() {
  std::lock_guard guard(lock_);
  Region* region = available_ != nullptr ? available_ : AddRegion();
  void* block;
  if (region->free != nullptr) {
    block = region->free;
    region->free = *static_cast<void**>(block);
  } else {
    block = reinterpret_cast<char*>(region) + region->fresh++ * kBlockBytes;
  }
  ++region->used;
  used_blocks_.fetch_add(1, std::memory_order_relaxed);
  if (region->Full()) Unlink(region);
  return block;
}

void BlockPool::Free(void* block) {
  std::lock_guard guard(lock_);
  Region* region = Region::Of(block);
  if (region->Full()) Link(region);
  *static_cast<void**>(block) = region->free;
  region->free = block;
  used_blocks_.fetch_sub(1, std::memory_order_relaxed);
  // One empty region stays, so that a block that comes and goes does not map and unmap each time.
  if (--region->used > 0 || (region->next == nullptr && region->previous == nullptr)) return;
  Unlink(region);
  madvise(region, kRegionBytes, MADV_DONTNEED);
  spare_.push_back(region);
  regions_.fetch_sub(1, std::memory_order_relaxed);
}

void* BlockPool::MapRegion() {
  // Twice the size, then cut to alignment: the address must lead from a block to its region.
  void* mapped = mmap(nullptr, 2 * kRegionBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT(mapped != MAP_FAILED);
  const auto start = reinterpret_cast<std::uintptr_t>(mapped);
  const auto aligned = (start + kRegionBytes - 1) & ~(kRegionBytes - 1);
  if (aligned > start) munmap(mapped, aligned - start);
  if (const auto rest = start + kRegionBytes - aligned; rest > 0) {
    munmap(reinterpret_cast<void*>(aligned + kRegionBytes), rest);
  }
  return reinterpret_cast<void*>(aligned);
}

BlockPool::Region* BlockPool::AddRegion() {
  void* memory = nullptr;
  if (spare_.empty()) {
    memory = MapRegion();
  } else {
    memory = spare_.back();
    spare_.pop_back();
  }
  auto* region = static_cast<Region*>(memory);
  // The first region stays on small pages: a small keyspace must not cost a whole huge page.
  if (regions_.load(std::memory_order_relaxed) > 0) madvise(region, kRegionBytes, MADV_HUGEPAGE);
  region->free = nullptr;
  region->fresh = 1;
  region->used = 0;
  Link(region);
  regions_.fetch_add(1, std::memory_order_relaxed);
  return region;
}

void BlockPool::Link(Region* region) {
  region->previous = nullptr;
  region->next = available_;
  if (available_ != nullptr) available_->previous = region;
  available_ = region;
}

void BlockPool::Unlink(Region* region) {
  if (region->next != nullptr) region->next->previous = region->previous;
  (region->previous != nullptr ? region->previous->next : available_) = region->next;
}

}  // namespace jeton::engine
