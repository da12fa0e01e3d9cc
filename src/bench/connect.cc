#include "bench/connect.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "bench/reply_counter.h"

namespace jeton::bench {
namespace {

constexpr int kHelloSeconds = 30;

Error SocketError(const std::string& host, int port, std::string_view what) {
  return Error{ErrorKind::kUnavailable,
               fmt::format("{}:{}: {}: {}", host, port, what, std::strerror(errno))};
}

// One reply of any kind.
Status AwaitReply(int fd, const std::string& host, int port) {
  const timeval limit{.tv_sec = kHelloSeconds, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  ReplyCounter counter;
  char bytes[4096];
  while (counter.replies() == 0) {
    const ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
    if (got < 0) return SocketError(host, port, "no reply to HELLO");
    if (got == 0 || !counter.Feed({bytes, static_cast<std::size_t>(got)})) {
      return Error{ErrorKind::kUnavailable,
                   fmt::format("{}:{}: HELLO was not answered with a RESP reply", host, port)};
    }
  }
  return {};
}

}  // namespace

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

Result<Socket> Connect(const std::string& host, int port, int hello) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) {
    return Error{ErrorKind::kInvalid, fmt::format("{}: {}", host, gai_strerror(failed))};
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  Socket socket;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    socket = Socket(::socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol));
    if (socket.fd() >= 0 && connect(socket.fd(), a->ai_addr, a->ai_addrlen) == 0) break;
    if (a->ai_next == nullptr) return SocketError(host, port, "cannot connect");
  }
  const int on = 1;
  setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (hello != 0) {
    const std::string greeting = fmt::format("*2\r\n$5\r\nHELLO\r\n$1\r\n{}\r\n", hello);
    if (send(socket.fd(), greeting.data(), greeting.size(), MSG_NOSIGNAL) < 0) {
      return SocketError(host, port, "cannot send");
    }
    if (Status s = AwaitReply(socket.fd(), host, port); !s) return s.error();
  }
  fcntl(socket.fd(), F_SETFL, fcntl(socket.fd(), F_GETFL) | O_NONBLOCK);
  return socket;
}

}  // namespace jeton::bench
