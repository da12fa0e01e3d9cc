// A lock for critical sections of a few hundred nanoseconds: spins, and yields the processor when
// that takes long (the holder may have been preempted). Lockable: std::lock_guard works.
#pragma once

#include <atomic>
#include <thread>

namespace jeton {

class SpinLock {
 public:
  void lock() {
    for (int spins = 0; flag_.test_and_set(std::memory_order_acquire); ++spins) {
      if (spins < kSpinsBeforeYield) {
        __builtin_ia32_pause();
      } else {
        std::this_thread::yield();
      }
    }
  }
  void unlock() { flag_.clear(std::memory_order_release); }

 private:
  static constexpr int kSpinsBeforeYield = 64;
  std::atomic_flag flag_;
};

}  // namespace jeton
