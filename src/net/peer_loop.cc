#include "net/peer_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace jeton::net {
namespace {

constexpr int kEventsAtOnce = 256;
// A backlog that shrank by this much is told at once, since frames may wait for it.
constexpr std::size_t kUrgentBytes = 256u << 10;
constexpr std::uint64_t kWakeTag = 0;  // no link has this id

std::string IpOf(const std::string& endpoint) {
  std::string ip = endpoint.substr(0, endpoint.rfind(':'));
  if (ip.size() >= 2 && ip.front() == '[') ip = ip.substr(1, ip.size() - 2);
  return ip;
}

}  // namespace

PeerLoop::PeerLoop(node::PeerDriver& driver, Environment environment)
    : driver_(driver), environment_(std::move(environment)) {}

PeerLoop::~PeerLoop() = default;

Status PeerLoop::Prepare() {
  epoll_ = FileDescriptor(epoll_create1(EPOLL_CLOEXEC));
  wake_ = FileDescriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeTag;
  if (!epoll_.valid() || !wake_.valid() ||
      epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    return Error{ErrorKind::kIo, std::string("cannot set up epoll: ") + std::strerror(errno)};
  }
  dialer_ = std::make_unique<Dialer>(wake_.get());
  buffer_.resize(kReadBytes);
  return {};
}

// ---- any thread

bool PeerLoop::Adopt(FileDescriptor fd, std::string first_bytes) {
  {
    const std::lock_guard guard(adopted_mutex_);
    if (adopted_.size() == kAdoptedMax) return false;
    adopted_.push_back({std::move(fd), std::move(first_bytes)});
  }
  Wake();
  return true;
}

void PeerLoop::Wake() {
  if (woken_.exchange(true)) return;
  const std::uint64_t one = 1;
  // The only possible failure is a full counter, and then the loop is awake anyway.
  if (write(wake_.get(), &one, sizeof one) < 0) return;
}

void PeerLoop::Stop() {
  stop_.store(true);
  Wake();
}

// ---- the rounds

void PeerLoop::Run() {
  while (!stop_.load(std::memory_order_acquire)) RunOnce(1000);
  SayGoodBye();
}

int PeerLoop::TimeoutMs(int timeout_ms) {
  if (!happened_.empty() || backlog_is_urgent_) return 0;
  const Now now = environment_.now();
  MonoNs next = driver_.NextTick(now);
  for (const auto& [id, link] : links_) {
    if (link.deadline_ns != 0) next = std::min(next, link.deadline_ns);
  }
  if (next <= now.mono_ns) return 0;
  const MonoNs left = (next - now.mono_ns + kNsPerMs - 1) / kNsPerMs;
  return static_cast<int>(std::min<MonoNs>(left, timeout_ms));
}

void PeerLoop::RunOnce(int timeout_ms) {
  std::array<epoll_event, kEventsAtOnce> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, TimeoutMs(timeout_ms));
  bool woken = false;
  read_in_turn_ = 0;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kWakeTag) {
      std::uint64_t drained;
      if (read(wake_.get(), &drained, sizeof drained) > 0) woken_.store(false);
      woken = true;
    } else if (const auto found = links_.find(event.data.u64); found != links_.end()) {
      OnEvent(found->second, event.events);
    }
  }
  if (woken) {
    TakeFound();
    TakeAdopted();
  }
  const Now now = environment_.now();
  CheckDeadlines(now);
  const bool due =
      woken || !happened_.empty() || backlog_is_urgent_ || driver_.NextTick(now) <= now.mono_ns;
  if (due) Turn(false);
}

void PeerLoop::OnEvent(Link& link, std::uint32_t what) {
  if (link.state == Link::State::kConnecting) return OnConnected(link);
  const replication::LinkId id = link.id;
  if ((what & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Read(link);
  const auto still = links_.find(id);
  if (still != links_.end() && (what & EPOLLOUT) != 0) Write(still->second);
}

void PeerLoop::Read(Link& link) {
  // The rest is still there in the next round: epoll tells of it again.
  if (read_in_turn_ >= kReadTurnBytes) return;
  const ssize_t size = recv(link.fd.get(), buffer_.data(), buffer_.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    return Break(link, size == 0 ? "the other side closed it" : std::strerror(errno));
  }
  const auto bytes = static_cast<std::size_t>(size);
  read_in_turn_ += bytes;
  // Of a link that is being closed nothing is read any more, but it must not fill up.
  if (link.state == Link::State::kFlushing) return;
  happened_.emplace_back(Received{link.id, buffer_.substr(0, bytes)});
}

// ---- dialling

void PeerLoop::Dial(const replication::Dial& dial) {
  Link link;
  link.id = dial.link;
  links_.emplace(dial.link, std::move(link));
  dialer_->Resolve(dial.link, dial.host, dial.port);
}

void PeerLoop::TakeFound() {
  for (Dialer::Found& found : dialer_->Take()) {
    const auto at = links_.find(found.tag);
    if (at == links_.end() || at->second.state != Link::State::kResolving) continue;
    at->second.addresses.assign(found.addresses.rbegin(), found.addresses.rend());
    at->second.error = std::move(found.error);
    TryNextAddress(at->second);
  }
}

void PeerLoop::TryNextAddress(Link& link) {
  while (!link.addresses.empty()) {
    const PeerAddress address = link.addresses.back();
    link.addresses.pop_back();
    bool connected = false;
    auto fd = Dialer::Connect(address, kKeepaliveSeconds, connected);
    if (!fd) {
      link.error = fd.error().text;
      continue;
    }
    link.fd = std::move(fd).value();
    link.state = Link::State::kConnecting;
    link.deadline_ns = environment_.now().mono_ns + kConnectNs;
    link.events = EPOLLOUT;
    epoll_event event{};
    event.events = link.events;
    event.data.u64 = link.id;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, link.fd.get(), &event) == 0) return;
    link.error = std::strerror(errno);
    link.fd.Reset();
  }
  happened_.emplace_back(DialDone{link.id, false, link.error});
  Drop(link.id);
}

void PeerLoop::OnConnected(Link& link) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(link.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    link.error = std::strerror(error);
    link.fd.Reset();
    return TryNextAddress(link);
  }
  link.state = Link::State::kOpen;
  link.deadline_ns = 0;
  Watch(link, EPOLLIN);
  happened_.emplace_back(DialDone{link.id, true, {}});
}

void PeerLoop::CheckDeadlines(Now now) {
  std::vector<replication::LinkId> late;
  for (const auto& [id, link] : links_) {
    if (link.deadline_ns != 0 && link.deadline_ns <= now.mono_ns) late.push_back(id);
  }
  for (const replication::LinkId id : late) {
    Link& link = links_.at(id);
    if (link.state == Link::State::kFlushing) {
      Drop(id);
    } else {
      link.error = "nobody answered in time";
      link.fd.Reset();
      TryNextAddress(link);
    }
  }
}

// ---- the driver's turn

void PeerLoop::Turn(bool stopping) {
  std::vector<Happened> happened;
  happened.swap(happened_);
  const Now now = environment_.now();
  driver_.Begin(now);
  TellBacklogs(now);
  for (Happened& one : happened) Tell(now, one);
  driver_.Tick(now);
  if (stopping) driver_.Stopping(now);
  std::vector<replication::Output> outputs = driver_.TakeOutputs();
  driver_.End(now);
  for (replication::Output& output : outputs) CarryOut(output);
}

void PeerLoop::Tell(Now now, Happened& happened) {
  if (auto* received = std::get_if<Received>(&happened)) {
    driver_.Receive(now, received->link, received->bytes);
  } else if (auto* done = std::get_if<DialDone>(&happened)) {
    driver_.DialDone(now, done->link, done->ok, done->error);
  } else if (auto* closed = std::get_if<Closed>(&happened)) {
    driver_.Closed(now, closed->link, closed->why);
  } else {
    TakeIn(now, std::move(std::get<Adopted>(happened)));
  }
}

void PeerLoop::TellBacklogs(Now now) {
  backlog_is_urgent_ = false;
  for (auto& [id, link] : links_) {
    if (link.state != Link::State::kOpen || link.reported == link.unsent()) continue;
    link.reported = link.unsent();
    driver_.Backlog(now, id, link.reported);
  }
}

void PeerLoop::TakeAdopted() {
  std::vector<Adopted> adopted;
  {
    const std::lock_guard guard(adopted_mutex_);
    adopted.swap(adopted_);
  }
  for (Adopted& one : adopted) happened_.emplace_back(std::move(one));
}

void PeerLoop::TakeIn(Now now, Adopted adopted) {
  ConfigureClient(adopted.fd.get(), kKeepaliveSeconds);
  Link link;
  link.id = driver_.Accepted(now, IpOf(EndpointsOf(adopted.fd.get()).remote));
  if (link.id == 0) return;
  link.state = Link::State::kOpen;
  link.fd = std::move(adopted.fd);
  link.events = EPOLLIN;
  epoll_event event{};
  event.events = link.events;
  event.data.u64 = link.id;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, link.fd.get(), &event) != 0) {
    return driver_.Closed(now, link.id, std::strerror(errno));
  }
  const replication::LinkId id = link.id;
  links_.emplace(id, std::move(link));
  if (!adopted.bytes.empty()) driver_.Receive(now, id, adopted.bytes);
}

void PeerLoop::CarryOut(replication::Output& output) {
  if (const auto* dial = std::get_if<replication::Dial>(&output)) return Dial(*dial);
  auto* send = std::get_if<replication::Send>(&output);
  const auto at =
      links_.find(send != nullptr ? send->link : std::get<replication::Close>(output).link);
  if (at == links_.end()) return;  // it broke meanwhile: Closed is on its way
  if (send != nullptr) {
    Send(at->second, std::move(send->bytes));
  } else {
    Close(at->second);
  }
}

// ---- moving bytes out

void PeerLoop::Send(Link& link, std::string bytes) {
  if (link.state != Link::State::kOpen) return;
  // The driver counts what it sends as unsent until it is told otherwise.
  link.reported += bytes.size();
  if (link.unsent() == 0) {
    link.out = std::move(bytes);
    link.sent = 0;
  } else {
    if (link.sent > link.out.size() / 2) {
      link.out.erase(0, link.sent);
      link.sent = 0;
    }
    link.out += bytes;
  }
  Write(link);
}

void PeerLoop::Write(Link& link) {
  while (link.unsent() > 0) {
    const ssize_t size =
        send(link.fd.get(), link.out.data() + link.sent, link.unsent(), MSG_NOSIGNAL);
    if (size >= 0) {
      link.sent += static_cast<std::size_t>(size);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return Break(link, std::strerror(errno));
    break;
  }
  if (link.unsent() == 0) {
    link.out.clear();
    link.sent = 0;
    if (link.out.capacity() > kReadBytes) link.out = std::string();
    if (link.state == Link::State::kFlushing) return Drop(link.id);
  } else if (link.unsent() > kUnsentMax) {
    return Break(link, "more than " + std::to_string(kUnsentMax) + " bytes are unsent");
  }
  const bool shrank = link.reported >= link.unsent() + kUrgentBytes;
  if (shrank || (link.unsent() == 0 && link.reported > kUrgentBytes)) backlog_is_urgent_ = true;
  Watch(link, link.unsent() > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void PeerLoop::Close(Link& link) {
  if (link.state != Link::State::kOpen || link.unsent() == 0) return Drop(link.id);
  link.state = Link::State::kFlushing;
  link.deadline_ns = environment_.now().mono_ns + kFlushNs;
}

void PeerLoop::Watch(Link& link, std::uint32_t events) {
  if (link.events == events) return;
  link.events = events;
  epoll_event event{};
  event.events = events;
  event.data.u64 = link.id;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, link.fd.get(), &event);
}

void PeerLoop::Break(Link& link, std::string why) {
  if (link.state == Link::State::kOpen) happened_.emplace_back(Closed{link.id, std::move(why)});
  Drop(link.id);
}

void PeerLoop::Drop(replication::LinkId id) {
  links_.erase(id);
}

// ---- the end

void PeerLoop::SayGoodBye() {
  Turn(true);
  // It would be ready all the time.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, wake_.get(), nullptr);
  const MonoNs end = environment_.now().mono_ns + kGoodByeNs;
  for (;;) {
    std::erase_if(links_, [](const auto& entry) { return entry.second.unsent() == 0; });
    const MonoNs left = end - environment_.now().mono_ns;
    if (links_.empty() || left <= 0) break;
    std::array<epoll_event, kEventsAtOnce> events;
    const int timeout = static_cast<int>((left + kNsPerMs - 1) / kNsPerMs);
    const int count = epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, timeout);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      const auto found = links_.find(event.data.u64);
      if (found == links_.end()) continue;
      if ((event.events & (EPOLLHUP | EPOLLERR)) != 0) {
        links_.erase(found);
      } else {
        // What peers still send is not read: only the writing side matters now.
        Watch(found->second, EPOLLOUT);
        Write(found->second);
      }
    }
  }
  links_.clear();
}

}  // namespace jeton::net
