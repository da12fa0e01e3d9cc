#include "bench/load_thread.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bench/load.h"

namespace jeton::bench {
namespace {

constexpr std::size_t kReadBytes = std::size_t{256} << 10;
constexpr int kEventsMax = 512;
constexpr int kIdleMs = 100;
// Closer to the due time than this, waking up from epoll would itself be late.
constexpr MonoNs kSpinNs = 2 * kNsPerMs;

Error Failure(std::string_view what, int code) {
  return Error{ErrorKind::kUnavailable, fmt::format("{}: {}", what, std::strerror(code))};
}

}  // namespace

MonoNs MonotonicNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

LoadThread::LoadThread(Share share, RequestBatch batch, KeySource keys, std::atomic<bool>& stop)
    : requests_(share.requests),
      batch_interval_(share.batch_interval),
      batch_(std::move(batch)),
      keys_(std::move(keys)),
      stop_(stop),
      buffer_(kReadBytes) {
  for (Socket& socket : share.sockets) {
    connections_.push_back({.socket = std::move(socket), .replies = ReplyCounter(share.framing)});
  }
}

std::uint64_t LoadThread::errors() const {
  std::uint64_t errors = 0;
  for (const Connection& connection : connections_) errors += connection.replies.errors();
  return errors;
}

std::string LoadThread::first_error() const {
  for (const Connection& connection : connections_) {
    if (connection.replies.errors() > 0) return connection.replies.first_error();
  }
  return {};
}

Status LoadThread::Run(const Schedule& schedule) {
  schedule_ = schedule;
  last_reply_ = schedule.start;
  next_due_ = schedule.start;
  Status status = Start();
  if (status) status = Loop();
  if (!status) stop_ = true;
  return status;
}

Status LoadThread::Start() {
  epoll_ = Socket(epoll_create1(EPOLL_CLOEXEC));
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
    if (epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, connections_[i].socket.fd(), &event) != 0) {
      return Failure("epoll", errno);
    }
    if (batch_interval_ > 0) {
      idle_.push_back(i);
    } else if (MaySend(schedule_.start)) {
      if (Status s = SendBatch(i, MonotonicNow()); !s) return s;
    }
  }
  return {};
}

Status LoadThread::Loop() {
  epoll_event events[kEventsMax];
  for (MonoNs now = MonotonicNow(); !Finished(now); now = MonotonicNow()) {
    if (batch_interval_ > 0) {
      if (Status s = SendDue(now); !s) return s;
    }
    const int count = epoll_wait(epoll_.fd(), events, kEventsMax, Timeout(now));
    for (int i = 0; i < count; ++i) {
      const std::size_t index = events[i].data.u64;
      if ((events[i].events & EPOLLOUT) != 0) {
        if (Status s = Flush(index); !s) return s;
      }
      if ((events[i].events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) {
        if (Status s = Read(index); !s) return s;
      }
    }
    if (answered_ < sent_ && now - last_reply_ > kStallNs) {
      return Error{ErrorKind::kUnavailable,
                   fmt::format("no reply for {} s; {} commands wait", kStallNs / kNsPerSecond,
                               sent_ - answered_)};
    }
  }
  return {};
}

bool LoadThread::Finished(MonoNs now) const {
  if (stop_) return true;
  return answered_ == sent_ && !MaySend(now);
}

int LoadThread::Timeout(MonoNs now) const {
  if (batch_interval_ == 0 || idle_.empty() || !MaySend(now)) return kIdleMs;
  const MonoNs wait = std::min(next_due_, schedule_.end) - now;
  return wait < kSpinNs ? 0 : static_cast<int>(std::min<MonoNs>(wait / kNsPerMs - 1, kIdleMs));
}

Status LoadThread::SendDue(MonoNs now) {
  while (next_due_ <= now && !idle_.empty() && MaySend(now)) {
    const std::size_t index = idle_.front();
    idle_.pop_front();
    const MonoNs due = next_due_;
    next_due_ += batch_interval_;
    if (Status s = SendBatch(index, due); !s) return s;
  }
  return {};
}

Status LoadThread::SendBatch(std::size_t index, MonoNs due) {
  Connection& connection = connections_[index];
  const std::size_t commands = std::min<std::uint64_t>(schedule_.pipeline, requests_ - sent_);
  connection.sent += commands;
  connection.due = due;
  if (answered_ == sent_) last_reply_ = std::max(last_reply_, due);  // nobody was waiting till now
  sent_ += commands;
  if (Status s = Write(connection, batch_.Next(commands, keys_)); !s) return s;
  if (!connection.unsent.empty()) Watch(index, true);
  return {};
}

// Keeps what the socket does not take: the batch's bytes are another connection's next.
Status LoadThread::Write(Connection& connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t taken = send(connection.socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (taken < 0 && errno == EINTR) continue;
    if (taken < 0 && errno != EAGAIN) return Failure("cannot send", errno);
    if (taken < 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(taken));
  }
  connection.unsent = bytes;
  connection.unsent_at = 0;
  return {};
}

Status LoadThread::Flush(std::size_t index) {
  Connection& connection = connections_[index];
  while (connection.unsent_at < connection.unsent.size()) {
    const ssize_t taken =
        send(connection.socket.fd(), connection.unsent.data() + connection.unsent_at,
             connection.unsent.size() - connection.unsent_at, MSG_NOSIGNAL);
    if (taken < 0 && errno == EINTR) continue;
    if (taken < 0) return errno == EAGAIN ? Status() : Status(Failure("cannot send", errno));
    connection.unsent_at += static_cast<std::size_t>(taken);
  }
  connection.unsent.clear();
  Watch(index, false);
  return {};
}

Status LoadThread::Read(std::size_t index) {
  Connection& connection = connections_[index];
  const ssize_t got = recv(connection.socket.fd(), buffer_.data(), buffer_.size(), 0);
  if (got < 0)
    return errno == EAGAIN || errno == EINTR ? Status() : Failure("connection lost", errno);
  if (got == 0) {
    return Error{ErrorKind::kUnavailable, "the server closed a connection"};
  }
  const std::uint64_t before = connection.replies.replies();
  if (!connection.replies.Feed({buffer_.data(), static_cast<std::size_t>(got)})) {
    return Error{ErrorKind::kCorrupt, "the server sent bytes that are no replies of the protocol"};
  }
  const std::uint64_t replies = connection.replies.replies();
  if (replies > connection.sent) {
    return Error{ErrorKind::kCorrupt, "the server sent more replies than there were commands"};
  }
  if (replies == before) return {};
  const MonoNs now = MonotonicNow();
  answered_ += replies - before;
  last_reply_ = now;
  if (now >= schedule_.measure_from && now < schedule_.end) {
    latency_.Record(now - connection.due, replies - before);
  }
  return replies == connection.sent ? OnAnswered(index, now) : Status();
}

Status LoadThread::OnAnswered(std::size_t index, MonoNs now) {
  if (batch_interval_ > 0) {
    idle_.push_back(index);
    return {};
  }
  return MaySend(now) ? SendBatch(index, now) : Status();
}

void LoadThread::Watch(std::size_t index, bool writable) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = index}};
  if (writable) event.events |= EPOLLOUT;
  epoll_ctl(epoll_.fd(), EPOLL_CTL_MOD, connections_[index].socket.fd(), &event);
}

}  // namespace jeton::bench
