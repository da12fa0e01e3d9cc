// Where an export goes: standard output, or a file that appears under its name at the end.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"
#include "bench/connect.h"

namespace jeton::server {

class OutputFile {
 public:
  static constexpr std::size_t kBufferBytes = 256u << 10;

  // Empty: standard output. A pipe or device is written as it is, without a temporary file.
  static Result<OutputFile> Open(const std::string& path);
  OutputFile(OutputFile&& other) noexcept
      : fd_(std::move(other.fd_)),
        path_(std::move(other.path_)),
        temporary_(std::exchange(other.temporary_, {})),
        buffer_(std::move(other.buffer_)) {}
  OutputFile& operator=(OutputFile&&) = delete;
  // Takes an unfinished temporary file away.
  ~OutputFile();

  // Append here; FlushIfFull after each row.
  std::string& buffer() { return buffer_; }
  Status FlushIfFull() { return buffer_.size() >= kBufferBytes ? Flush() : Status(); }
  // Once, at the end: everything is on disk, and the file has its name.
  Status Finish();

 private:
  OutputFile(int fd, std::string path, std::string temporary)
      : fd_(fd), path_(std::move(path)), temporary_(std::move(temporary)) {}

  Status Flush();
  Error Failed() const;

  bench::Socket fd_;  // closes itself
  std::string path_;
  std::string temporary_;  // empty: none, or renamed
  std::string buffer_;
};

}  // namespace jeton::server
