// Sockets: a file descriptor that closes itself, listening sockets, and the addresses of both ends.
// Errors name the address and the cause.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace jeton::net {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~FileDescriptor() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void Reset();

 private:
  int fd_ = -1;
};

// Numeric addresses only ("127.0.0.1", "::1", "0.0.0.0"): a server does not resolve names to bind.
Result<FileDescriptor> ListenTcp(const std::string& address, int port, int backlog);
// Removes a socket that nobody listens on any more; kConflict if somebody does.
Result<FileDescriptor> ListenUnix(const std::string& path, int mode, int backlog);

struct Endpoints {
  std::string remote;  // "127.0.0.1:41234", "[::1]:41234", or "path:0" of a Unix socket
  std::string local;
  bool loopback = true;
};
Endpoints EndpointsOf(int fd);

// Options of an accepted TCP connection: no delay, keep-alive after `keepalive_seconds` (0: none).
void ConfigureClient(int fd, int keepalive_seconds);

// 127.0.0.0/8, ::1, or a Unix socket's path.
bool IsLoopbackAddress(const std::string& address);

}  // namespace jeton::net
