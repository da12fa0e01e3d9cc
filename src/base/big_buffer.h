// Memory for megabytes that are filled at once, such as a file. It is not cleared and does not move
// when it is used again, and it is on huge pages where the system has them: with small ones the
// first touch of every page costs more than what is read into it.
#pragma once

#include <sys/mman.h>

#include <cstddef>

#include "base/assert.h"

namespace jeton {

// Threads: one at a time.
class BigBuffer {
 public:
  BigBuffer() = default;
  ~BigBuffer() { Release(); }
  BigBuffer(const BigBuffer&) = delete;
  BigBuffer& operator=(const BigBuffer&) = delete;

  // At least `size` bytes. True if it had to grow: all of them are zero then.
  bool Reserve(std::size_t size) {
    if (size <= size_) return false;
    Release();
    size_ = (size + kHugePage - 1) / kHugePage * kHugePage;
    void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT(memory != MAP_FAILED);
    madvise(memory, size_, MADV_HUGEPAGE);
    data_ = static_cast<char*>(memory);
    return true;
  }
  char* data() { return data_; }
  const char* data() const { return data_; }

 private:
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

  void Release() {
    if (data_ != nullptr) munmap(data_, size_);
    data_ = nullptr;
    size_ = 0;
  }

  char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace jeton
