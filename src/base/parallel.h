// Work that is done by several threads at once and over when the call returns.
#pragma once

#include <functional>
#include <thread>
#include <vector>

namespace jeton {

// Runs `work` on so many threads at once, the calling one included. With 1 it is a plain call, so
// that a simulation stays on its thread.
inline void RunOnThreads(int threads, const std::function<void()>& work) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
}

}  // namespace jeton
