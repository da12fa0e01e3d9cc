// The two locks of the keyspace.
//
// SpinLock guards one partition. It is held for well under a microsecond (one command), or for one
// slice of a long query; a waiter spins briefly and then sleeps in the kernel.
//
// TurnLock is held shared by whoever touches the keyspace in the ordinary way (a worker's turn, a
// slice of a snapshot), and exclusively by commands that must see everything at rest (EXEC,
// FLUSHALL, CONFIG SET ...). A waiting writer goes before new readers, so it cannot starve.
// Lock order: TurnLock, then partitions in ascending order, then the log.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace jeton {

class SpinLock {
 public:
  SpinLock() = default;
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  void lock() {
    for (int spin = 0; spin < 200; ++spin) {
      if (state_.load(std::memory_order_relaxed) == kFree && TryChange(kFree, kHeld)) return;
      __builtin_ia32_pause();
    }
    while (state_.exchange(kContended, std::memory_order_acquire) != kFree) {
      state_.wait(kContended, std::memory_order_relaxed);
    }
  }

  bool try_lock() { return TryChange(kFree, kHeld); }

  void unlock() {
    if (state_.exchange(kFree, std::memory_order_release) == kContended) state_.notify_one();
  }

 private:
  enum State : int { kFree, kHeld, kContended };

  bool TryChange(int from, int to) {
    return state_.compare_exchange_strong(from, to, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }

  std::atomic<int> state_{kFree};
};

class TurnLock {
 public:
  void lock_shared() {
    std::unique_lock guard(mutex_);
    readers_may_enter_.wait(guard, [&] { return !writer_active_ && writers_waiting_ == 0; });
    ++readers_;
  }

  void unlock_shared() {
    std::lock_guard guard(mutex_);
    if (--readers_ == 0 && writers_waiting_ > 0) writer_may_enter_.notify_one();
  }

  void lock() {
    std::unique_lock guard(mutex_);
    ++writers_waiting_;
    writer_may_enter_.wait(guard, [&] { return !writer_active_ && readers_ == 0; });
    --writers_waiting_;
    writer_active_ = true;
  }

  void unlock() {
    std::lock_guard guard(mutex_);
    writer_active_ = false;
    if (writers_waiting_ > 0) {
      writer_may_enter_.notify_one();
    } else {
      readers_may_enter_.notify_all();
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable readers_may_enter_;
  std::condition_variable writer_may_enter_;
  int readers_ = 0;
  int writers_waiting_ = 0;
  bool writer_active_ = false;
};

}  // namespace jeton
