// The do-nothing server: the ceiling that a server on one thread can reach on this machine with
// plain sockets. One thread, one epoll; it does not look at what is asked, only counts commands and
// answers each with the same reply.
//
//   first byte of a connection   a command is                reply
//   *  (RESP)                    a line that begins with *   :1
//   {  (Karma's JSON)            a line                      {"success":true,"response":1}
//   other (memcached)            a line                      1
//
//   ceiling [PORT]               prints the port it listens on; 0, the default, for any free one
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bench/reply_counter.h"

namespace jeton::bench {
namespace {

constexpr std::size_t kReadBytes = std::size_t{256} << 10;
constexpr int kEventsMax = 512;

struct Connection {
  int fd = -1;
  bool started = false;
  bool resp = false;
  bool at_line_start = true;
  std::string_view reply;
  std::string out;  // what the socket has not taken yet
  std::size_t out_at = 0;
};

int Listen(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, 1024) != 0) {
    std::perror("ceiling");
    std::exit(1);
  }
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

class Ceiling {
 public:
  explicit Ceiling(int port) : listener_(Listen(port)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    Watch(EPOLL_CTL_ADD, listener_, EPOLLIN);
  }

  [[noreturn]] void Run() {
    epoll_event events[kEventsMax];
    while (true) {
      const int count = epoll_wait(epoll_, events, kEventsMax, -1);
      for (int i = 0; i < count; ++i) {
        if (events[i].data.fd == listener_) {
          Accept();
        } else {
          Serve(connections_.at(events[i].data.fd), events[i].events);
        }
      }
    }
  }

 private:
  void Watch(int operation, int fd, std::uint32_t wanted) {
    epoll_event event{.events = wanted, .data = {.fd = fd}};
    epoll_ctl(epoll_, operation, fd, &event);
  }

  void Accept() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    connections_[fd].fd = fd;
    Watch(EPOLL_CTL_ADD, fd, EPOLLIN);
  }

  void Serve(Connection& connection, std::uint32_t events) {
    if ((events & EPOLLIN) != 0 && connection.out.empty()) {
      const ssize_t got = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
      if (got <= 0) return Close(connection);
      Answer(connection, {buffer_.data(), static_cast<std::size_t>(got)});
    } else if ((events & EPOLLOUT) != 0) {
      Send(connection);
    } else if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
      Close(connection);
    }
  }

  void Close(const Connection& connection) {
    const int fd = connection.fd;
    close(fd);
    connections_.erase(fd);
  }

  static void Begin(Connection& connection, char first) {
    connection.started = true;
    connection.resp = first == '*';
    connection.reply = connection.resp ? ":1\r\n"
                       : first == '{'  ? "{\"success\":true,\"response\":1}\r\n"
                                       : "1\r\n";
  }

  std::uint64_t CountCommands(Connection& connection, std::string_view bytes) {
    // Lines that begin with * are all lines but those that do not.
    const LineScan scan = ScanLines(bytes, connection.at_line_start, '*');
    const bool ends = bytes.back() == '\n';
    const std::uint64_t begun = scan.ends - ends + connection.at_line_start;
    connection.at_line_start = ends;
    return connection.resp ? begun - scan.others : scan.ends;
  }

  // The replies of the longest pipeline so far stand ready to be sent.
  void Answer(Connection& connection, std::string_view bytes) {
    if (!connection.started) Begin(connection, bytes[0]);
    const std::uint64_t commands = CountCommands(connection, bytes);
    std::string& ready = ready_[connection.reply.data()];
    while (ready.size() < commands * connection.reply.size()) ready += connection.reply;
    const std::string_view replies =
        std::string_view(ready).substr(0, commands * connection.reply.size());
    if (replies.empty()) return;
    const ssize_t sent = send(connection.fd, replies.data(), replies.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return Close(connection);
    const auto taken = static_cast<std::size_t>(sent < 0 ? 0 : sent);
    if (taken == replies.size()) return;
    connection.out = replies.substr(taken);
    Watch(EPOLL_CTL_MOD, connection.fd, EPOLLOUT);
  }

  void Send(Connection& connection) {
    const ssize_t sent = send(connection.fd, connection.out.data() + connection.out_at,
                              connection.out.size() - connection.out_at, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN ? void() : Close(connection);
    connection.out_at += static_cast<std::size_t>(sent);
    if (connection.out_at < connection.out.size()) return;
    connection.out.clear();
    connection.out_at = 0;
    Watch(EPOLL_CTL_MOD, connection.fd, EPOLLIN);
  }

  int listener_;
  int epoll_;
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
  std::unordered_map<int, Connection> connections_;
  std::unordered_map<const void*, std::string> ready_;
};

}  // namespace
}  // namespace jeton::bench

int main(int argc, char** argv) {
  jeton::bench::Ceiling(argc > 1 ? std::atoi(argv[1]) : 0).Run();
}
