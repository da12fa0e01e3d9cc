#include "net/worker_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <shared_mutex>

namespace jeton::net {
namespace {

constexpr int kEventsAtOnce = 512;
constexpr int kAcceptsAtOnce = 256;
constexpr MonoNs kTickNs = 100 * kNsPerMs;
constexpr MonoNs kDrainNs = 2 * kNsPerSecond;

// What an epoll event belongs to: the low bits of its pointer say of which kind it is.
enum class Tag : std::uintptr_t { kClient = 0, kListener = 1, kWake = 2 };
constexpr std::uintptr_t kTagMask = 3;

epoll_event EventFor(std::uint32_t events, const void* object, Tag tag) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = reinterpret_cast<std::uintptr_t>(object) | static_cast<std::uintptr_t>(tag);
  return event;
}

}  // namespace

WorkerLoop::WorkerLoop(node::Node& node, node::Worker& worker) : node_(node), worker_(worker) {}
WorkerLoop::~WorkerLoop() {
  for (auto& [raw, client] : clients_) worker_.Close(*client->connection);
}

Status WorkerLoop::Prepare() {
  epoll_ = FileDescriptor(epoll_create1(EPOLL_CLOEXEC));
  wake_ = FileDescriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  epoll_event event = EventFor(EPOLLIN, nullptr, Tag::kWake);
  if (!epoll_.valid() || !wake_.valid() ||
      epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    return Error{ErrorKind::kIo, std::string("cannot set up epoll: ") + std::strerror(errno)};
  }
  return {};
}

Status WorkerLoop::AddListener(FileDescriptor fd, command::Dialect dialect,
                               AcceptHandler on_accept) {
  auto listener = std::make_unique<Listener>();
  listener->fd = std::move(fd);
  listener->dialect = dialect;
  listener->on_accept = std::move(on_accept);
  epoll_event event = EventFor(EPOLLIN, listener.get(), Tag::kListener);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener->fd.get(), &event) != 0) {
    return Error{ErrorKind::kIo, std::string("cannot watch a listener: ") + std::strerror(errno)};
  }
  listeners_.push_back(std::move(listener));
  return {};
}

void WorkerLoop::Adopt(FileDescriptor client, command::Dialect dialect) {
  {
    std::lock_guard guard(adopted_mutex_);
    adopted_.emplace_back(std::move(client), dialect);
  }
  Wake();
}

void WorkerLoop::Wake() {
  if (woken_.exchange(true)) return;
  const std::uint64_t one = 1;
  // The only possible failure is a full counter, and then the loop is awake anyway.
  if (write(wake_.get(), &one, sizeof one) < 0) return;
}

void WorkerLoop::Stop() {
  stop_.store(true);
  Wake();
}

void WorkerLoop::Run() {
  while (!stop_.load(std::memory_order_acquire)) Iterate(TimeoutMs());
  Drain();
}

int WorkerLoop::TimeoutMs() const {
  if (worker_.HasWork() || !unread_.empty()) return 0;
  const MonoNs next = std::min(next_tick_ns_, worker_.next_deadline_ns());
  const MonoNs left = next - node_.environment().mono_now();
  return left <= 0 ? 0 : static_cast<int>((left + kNsPerMs - 1) / kNsPerMs);
}

void WorkerLoop::Iterate(int timeout_ms) {
  std::array<epoll_event, kEventsAtOnce> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, timeout_ms);
  std::shared_lock turn(node_.state().turn_lock);
  const Now now = node_.now();  // for all of this turn: nothing below waits
  std::vector<Client*> earlier;
  earlier.swap(unread_);
  for (Client* client : earlier) OnReadable(*client, now);
  for (int i = 0; i < count; ++i) {
    const std::uintptr_t word = events[static_cast<std::size_t>(i)].data.u64;
    const std::uint32_t what = events[static_cast<std::size_t>(i)].events;
    switch (static_cast<Tag>(word & kTagMask)) {
      case Tag::kWake: {
        std::uint64_t drained;
        if (read(wake_.get(), &drained, sizeof drained) > 0) woken_.store(false);
        break;
      }
      case Tag::kListener:
        OnListener(*reinterpret_cast<Listener*>(word & ~kTagMask));
        break;
      case Tag::kClient: {
        auto& client = *reinterpret_cast<Client*>(word & ~kTagMask);
        if ((what & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) OnReadable(client, now);
        if ((what & EPOLLOUT) != 0) worker_.MakeSendable(*client.connection);
        break;
      }
    }
  }
  TakeAdopted();
  worker_.RunTurn(now);
  TickIfDue(now);
  worker_.Release();
  if (node_.state().disk_failed.load(std::memory_order_relaxed)) worker_.FailGates();
  SendAll();
}

// ---- accepting

void WorkerLoop::OnListener(Listener& listener) {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    FileDescriptor client(
        accept4(listener.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client.valid()) {
      listener.on_accept(std::move(client), listener.dialect);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      node_.environment().say(node::LogLevel::kWarning,
                              std::string("Cannot accept a connection: ") + std::strerror(errno));
      RestListeners(true);
    }
    if (errno != EINTR && errno != ECONNABORTED) return;
  }
}

void WorkerLoop::RestListeners(bool rest) {
  for (auto& listener : listeners_) {
    if (listener->resting == rest) continue;
    listener->resting = rest;
    epoll_event event = EventFor(rest ? 0u : EPOLLIN, listener.get(), Tag::kListener);
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener->fd.get(), &event);
  }
}

void WorkerLoop::TakeAdopted() {
  std::vector<std::pair<FileDescriptor, command::Dialect>> adopted;
  {
    std::lock_guard guard(adopted_mutex_);
    adopted.swap(adopted_);
  }
  for (auto& [fd, dialect] : adopted) {
    const auto& values = node_.state().settings.values();
    ConfigureClient(fd.get(), static_cast<int>(values.tcp_keepalive));
    const Endpoints ends = EndpointsOf(fd.get());
    auto client = std::make_unique<Client>();
    client->connection = &worker_.Open({.address = ends.remote,
                                        .local_address = ends.local,
                                        .from_loopback = ends.loopback,
                                        .dialect = dialect,
                                        .fd = fd.get()},
                                       node_.now());
    client->fd = std::move(fd);
    client->events = EPOLLIN;
    client->connection->transport = client.get();
    epoll_event event = EventFor(EPOLLIN, client.get(), Tag::kClient);
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client->fd.get(), &event) != 0) {
      worker_.Close(*client->connection);
      continue;
    }
    Client* raw = client.get();
    clients_.emplace(raw, std::move(client));
  }
}

// ---- moving bytes

void WorkerLoop::OnReadable(Client& client, Now now) {
  node::Connection& connection = *client.connection;
  if (connection.input_ended) {
    // Nothing more to read, yet something happened: the connection is broken.
    connection.dead = true;
    worker_.MakeSendable(connection);
    return;
  }
  const std::span<char> space = worker_.InputSpace(connection);
  if (space.empty()) {
    unread_.push_back(&client);
    return;
  }
  const ssize_t size = recv(client.fd.get(), space.data(), space.size(), 0);
  worker_.Received(connection, size > 0 ? static_cast<std::size_t>(size) : 0, now);
  if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR))) return;
  if (size == 0) {
    Watch(client, client.events & ~static_cast<std::uint32_t>(EPOLLIN));
    worker_.InputEnded(connection);
    return;
  }
  connection.dead = true;
  worker_.MakeSendable(connection);
}

void WorkerLoop::SendAll() {
  sending_.clear();
  sending_.swap(worker_.sendable());
  for (node::Connection* connection : sending_) {
    connection->in_send_list = false;
    auto& client = *static_cast<Client*>(connection->transport);
    if (connection->is_peer) {
      HandOver(client);
      continue;
    }
    if (!SendTo(client) || node::Worker::Finished(*connection)) CloseClient(client);
  }
}

bool WorkerLoop::SendTo(Client& client) {
  node::Connection& connection = *client.connection;
  if (connection.dead) return false;
  while (connection.sent < connection.sendable) {
    const ssize_t size = send(client.fd.get(), connection.out.data() + connection.sent,
                              connection.sendable - connection.sent, MSG_NOSIGNAL);
    if (size > 0) {
      worker_.Sent(connection, static_cast<std::size_t>(size));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return false;
    Watch(client, client.events | EPOLLOUT);
    return true;
  }
  Watch(client, client.events & ~static_cast<std::uint32_t>(EPOLLOUT));
  return true;
}

void WorkerLoop::Watch(Client& client, std::uint32_t events) {
  if (client.events == events) return;
  client.events = events;
  epoll_event event = EventFor(events, &client, Tag::kClient);
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.fd.get(), &event);
}

void WorkerLoop::CloseClient(Client& client) {
  unread_.erase(std::remove(unread_.begin(), unread_.end(), &client), unread_.end());
  worker_.Close(*client.connection);
  clients_.erase(&client);
}

void WorkerLoop::HandOver(Client& client) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, client.fd.get(), nullptr);
  FileDescriptor fd = std::move(client.fd);
  std::string bytes = std::move(client.connection->pending);
  CloseClient(client);
  if (on_peer_) on_peer_(std::move(fd), std::move(bytes));
}

// ---- time

void WorkerLoop::TickIfDue(Now now) {
  if (now.mono_ns < next_tick_ns_) return;
  next_tick_ns_ = now.mono_ns + kTickNs;
  RestListeners(false);
  worker_.Tick(now);
}

void WorkerLoop::Drain() {
  for (auto& listener : listeners_) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener->fd.get(), nullptr);
    listener->fd.Reset();
  }
  const MonoNs deadline = node_.environment().mono_now() + kDrainNs;
  while ((worker_.HasWork() || worker_.HasGates()) && node_.environment().mono_now() < deadline) {
    Iterate(10);
  }
  Iterate(0);
}

}  // namespace jeton::net
