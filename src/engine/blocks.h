// BlockPool: the memory of the keyspace, in blocks of 4 KiB cut from regions of 2 MiB. Segments of
// tables and slabs of records are single blocks, so whatever one part gives back any other can use,
// and the memory of a region whose blocks are all free goes back to the system. Its addresses stay
// mapped until the pool ends: whoever looks at a block ahead of time without a lock (the
// prefetching of tables) may find anything there, but never a fault. Regions after the first ask
// for huge pages: random access to millions of counters would spend its time on TLB misses
// otherwise.
//
// Thread-safe. It is asked once for about a hundred counters, so one lock serves all partitions.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/lock.h"

namespace jeton::engine {

constexpr std::size_t kBlockBytes = 4096;

class BlockPool {
 public:
  static constexpr std::size_t kRegionBytes = 2 << 20;

  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // kBlockBytes, aligned to kBlockBytes, not zeroed. Ends the process if the system has no memory.
  void* Allocate();
  void Free(void* block);

  std::uint64_t used_bytes() const {
    return used_blocks_.load(std::memory_order_relaxed) * kBlockBytes;
  }
  std::uint64_t reserved_bytes() const {
    return regions_.load(std::memory_order_relaxed) * kRegionBytes;
  }

 private:
  struct Region;

  Region* AddRegion();
  static void* MapRegion();
  void Link(Region* region);
  void Unlink(Region* region);

  SpinLock lock_;
  Region* available_ = nullptr;  // regions with a free block, the one in use first
  std::vector<void*> spare_;     // addresses of regions whose memory has gone back
  std::atomic<std::uint64_t> used_blocks_{0};
  std::atomic<std::uint64_t> regions_{0};
};

}  // namespace jeton::engine
