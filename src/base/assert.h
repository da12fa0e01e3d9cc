// ASSERT stays on in release builds: it marks a bug of ours, never bad input.
// Bytes from clients, peers and disks are checked and answered, not asserted.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace jeton {

[[noreturn]] inline void AssertionFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace jeton

#define ASSERT(condition)                                       \
  do {                                                          \
    if (!(condition)) [[unlikely]]                              \
      ::jeton::AssertionFailed(#condition, __FILE__, __LINE__); \
  } while (false)
