#include "net/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace jeton::net {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr_in& v4() const { return reinterpret_cast<const sockaddr_in&>(storage); }
  const sockaddr_in6& v6() const { return reinterpret_cast<const sockaddr_in6&>(storage); }
};

bool ParseAddress(const std::string& text, int port, SocketAddress& address) {
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<std::uint16_t>(port));
    address.size = sizeof(sockaddr_in);
    return true;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
  if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(static_cast<std::uint16_t>(port));
    address.size = sizeof(sockaddr_in6);
    return true;
  }
  return false;
}

std::string FormatAddress(const SocketAddress& address, const std::string& unix_path) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.storage.ss_family == AF_INET) {
    inet_ntop(AF_INET, &address.v4().sin_addr, text, sizeof text);
    return fmt::format("{}:{}", text, ntohs(address.v4().sin_port));
  }
  if (address.storage.ss_family == AF_INET6) {
    inet_ntop(AF_INET6, &address.v6().sin6_addr, text, sizeof text);
    return fmt::format("[{}]:{}", text, ntohs(address.v6().sin6_port));
  }
  return unix_path + ":0";
}

bool IsLoopback(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET) {
    return (ntohl(address.v4().sin_addr.s_addr) >> 24) == 127;
  }
  if (address.storage.ss_family == AF_INET6) {
    const in6_addr& v6 = address.v6().sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
  }
  return true;
}

Error SystemError(const std::string& what) {
  const int cause = errno;
  return {cause == EADDRINUSE ? ErrorKind::kConflict : ErrorKind::kIo,
          fmt::format("{}: {}", what, std::strerror(cause))};
}

bool SomebodyListensAt(const sockaddr_un& address) {
  FileDescriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return probe.valid() &&
         connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

void FileDescriptor::Reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Result<FileDescriptor> ListenTcp(const std::string& address, int port, int backlog) {
  const std::string what = fmt::format("cannot listen on {} port {}", address, port);
  SocketAddress bound;
  if (!ParseAddress(address, port, bound)) {
    return Error{ErrorKind::kInvalid, what + ": not a numeric IPv4 or IPv6 address"};
  }
  FileDescriptor fd(socket(bound.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return SystemError(what);
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bound.storage.ss_family == AF_INET6) {
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  }
  if (bind(fd.get(), bound.get(), bound.size) != 0) return SystemError(what);
  if (listen(fd.get(), backlog) != 0) return SystemError(what);
  return fd;
}

Result<FileDescriptor> ListenUnix(const std::string& path, int mode, int backlog) {
  const std::string what = fmt::format("cannot listen on {}", path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error{ErrorKind::kInvalid, fmt::format("{}: the path is longer than {} bytes", what,
                                                  sizeof address.sun_path - 1)};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (SomebodyListensAt(address)) {
    return Error{ErrorKind::kConflict, what + ": another process listens there"};
  }
  struct stat found {};
  if (lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) {
      return Error{ErrorKind::kConflict, what + ": a file that is not a socket is there"};
    }
    unlink(path.c_str());
  }
  FileDescriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return SystemError(what);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return SystemError(what);
  }
  if (chmod(path.c_str(), static_cast<mode_t>(mode)) != 0) return SystemError(what);
  if (listen(fd.get(), backlog) != 0) return SystemError(what);
  return fd;
}

Endpoints EndpointsOf(int fd) {
  SocketAddress remote, local;
  Endpoints ends;
  getsockname(fd, local.get(), &local.size);
  std::string path;
  if (local.storage.ss_family == AF_UNIX) {
    path = reinterpret_cast<const sockaddr_un&>(local.storage).sun_path;
  }
  getpeername(fd, remote.get(), &remote.size);
  ends.local = FormatAddress(local, path);
  ends.remote = FormatAddress(remote, path);
  ends.loopback = IsLoopback(remote);
  return ends;
}

void ConfigureClient(int fd, int keepalive_seconds) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);  // fails on a Unix socket: fine
  if (keepalive_seconds <= 0) return;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keepalive_seconds, sizeof keepalive_seconds);
  const int interval = std::max(1, keepalive_seconds / 3);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  const int probes = 3;
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

bool IsLoopbackAddress(const std::string& address) {
  SocketAddress parsed;
  return ParseAddress(address, 0, parsed) && IsLoopback(parsed);
}

}  // namespace jeton::net
