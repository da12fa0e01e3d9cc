// The two locks of the keyspace.
//
// SpinLock guards one partition. It is held for well under a microsecond (one command), or for one
// slice of a long query. A waiter spins briefly, then lets others run, then sleeps in short naps.
// It is not woken: to know of waiters, every unlock would need a second locked instruction, which
// costs more than all else that a lock does, and waiters are rare.
//
// TurnLock is held shared by whoever touches the keyspace in the ordinary way (a worker's turn, a
// slice of a snapshot), and exclusively by commands that must see everything at rest (EXEC,
// FLUSHALL, CONFIG SET ...). A waiting writer goes before new readers, so it cannot starve.
// Lock order: TurnLock, then partitions in ascending order, then the log.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace jeton {

// Brings the line here as one that nobody else has: who only reads it ahead of a locked instruction
// has to ask the other cores a second time, and waits for that. (Processors that do not know the
// instruction take it for none; __builtin_prefetch does not make it for all of x86-64.)
inline void PrefetchForWriting(const void* place) {
#ifdef __x86_64__
  asm volatile("prefetchw (%0)" : : "r"(place));
#else
  __builtin_prefetch(place, 1);
#endif
}

inline void CpuPause() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

class SpinLock {
 public:
  SpinLock() = default;
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  void lock() {
    if (!try_lock()) [[unlikely]]
      Wait();
  }

  bool try_lock() { return !held_.exchange(true, std::memory_order_acquire); }

  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  static constexpr int kSpins = 200;
  static constexpr int kYields = 20;
  static constexpr std::chrono::microseconds kNap{20};

  [[gnu::noinline]] void Wait() {
    for (int round = 0; held_.load(std::memory_order_relaxed) || !try_lock(); ++round) {
      if (round < kSpins) {
        CpuPause();
      } else if (round < kSpins + kYields) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(kNap);
      }
    }
  }

  std::atomic<bool> held_{false};
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
