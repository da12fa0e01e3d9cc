// Connecting, one by one, before any load: a blocking connect and, for RESP, a HELLO whose reply is
// awaited. An error reply to HELLO is fine: servers older than it answer so.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace jeton::bench {

// A file descriptor that closes itself.
class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket();

  int fd() const { return fd_; }

 private:
  int fd_;
};

// `host` is a name or an address; `hello` 0 sends none. The socket is non-blocking afterwards.
Result<Socket> Connect(const std::string& host, int port, int hello);

}  // namespace jeton::bench
