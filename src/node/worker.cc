#include "node/worker.h"

#include <algorithm>
#include <limits>

#include "command/subscription_feed.h"
#include "node/node.h"

namespace jeton::node {
namespace {

constexpr std::string_view kProtectedModeText =
    "-DENIED Jeton is running in protected mode because no password is set and this connection "
    "does not come from the loopback interface. Set 'requirepass', or connect from the same host, "
    "or turn 'protected-mode' off if nobody else can reach this port.\r\n";

}  // namespace

Worker::Worker(Node& node, int index, command::WorkerStats& stats)
    : node_(node),
      index_(index),
      stats_(stats),
      dispatcher_(node.state(), stats),
      karma_(node.state(), dispatcher_),
      arena_(new char[kArenaBytes]) {}

Worker::~Worker() {
  while (!connections_.empty()) Close(*connections_.begin()->second);
}

Connection& Worker::Open(const Peer& peer, Now now) {
  command::ServerState& state = node_.state();
  const command::Values& values = state.settings.values();
  auto owned =
      std::make_unique<Connection>(Connection::LimitsOf(values, values.requirepass.empty()));
  Connection& connection = *owned;
  command::Session& session = connection.session;
  session.address = peer.address;
  session.local_address = peer.local_address;
  session.from_loopback = peer.from_loopback;
  session.listener_dialect = peer.dialect;
  session.worker = index_;
  session.fd = peer.fd;
  command::OpenSession(state, session, now.wall_ms);
  connections_.emplace(session.id, std::move(owned));
  stats_.connections_received.fetch_add(1, std::memory_order_relaxed);

  std::string_view refusal;
  {
    std::lock_guard guard(state.sessions_mutex);
    if (state.sessions.size() > static_cast<std::size_t>(values.maxclients)) {
      refusal = "-ERR max number of clients reached\r\n";
    }
  }
  // Another node may come in where a client may not: only its first bytes tell.
  if (refusal.empty() && values.protected_mode && values.requirepass.empty() &&
      !peer.from_loopback) {
    connection.refusal = kProtectedModeText;
  }
  if (!refusal.empty()) {
    stats_.connections_rejected.fetch_add(1, std::memory_order_relaxed);
    connection.out = refusal;
    connection.close_when_sent = true;
    connection.sendable = connection.out.size();
    MakeSendable(connection);
  }
  return connection;
}

void Worker::Close(Connection& connection) {
  command::CloseSession(node_.state(), connection.session);
  std::erase(queued_, &connection);
  std::erase(gated_, &connection);
  std::erase(sendable_, &connection);
  std::erase(subscribers_, &connection);
  std::erase(timed_, &connection);
  connections_.erase(connection.session.id);
}

// ---- input

std::span<char> Worker::InputSpace(Connection& connection) {
  if (!connection.fresh.empty()) {  // a second piece in one turn: they must lie together
    connection.pending.assign(connection.fresh);
    connection.fresh = {};
  }
  if (!connection.pending.empty()) {
    const std::size_t size = connection.pending.size();
    const std::size_t room = std::max(kReadBytes, connection.parser.NeededBytes() > size
                                                      ? connection.parser.NeededBytes() - size
                                                      : std::size_t{0});
    connection.pending.resize(size + std::min<std::size_t>(room, 1u << 20));
    return {connection.pending.data() + size, connection.pending.size() - size};
  }
  if (kArenaBytes - arena_used_ < kReadBytes) return {};
  return {arena_.get() + arena_used_, kReadBytes};
}

void Worker::Received(Connection& connection, std::size_t size, Now now) {
  // The space that was lent ends where the string or the arena's lent piece ends.
  if (!connection.pending.empty()) {
    const std::size_t lent = connection.pending.size() - connection.session.query_buffer_bytes;
    ASSERT(size <= lent);
    connection.pending.resize(connection.session.query_buffer_bytes + size);
    connection.session.query_buffer_bytes = connection.pending.size();
  } else {
    connection.fresh = {arena_.get() + arena_used_, size};
    arena_used_ += (size + 63) & ~std::size_t{63};
    connection.session.query_buffer_bytes = size;
  }
  if (size == 0) return;
  stats_.net_input_bytes.fetch_add(size, std::memory_order_relaxed);
  connection.session.last_active_ms = now.wall_ms;
  if (connection.dead || connection.close_when_sent) {
    connection.fresh = {};
    connection.pending.clear();
    connection.session.query_buffer_bytes = 0;
    return;
  }
  const auto limit = static_cast<std::size_t>(node_.state().settings.values().query_buffer_limit);
  if (connection.pending.size() > limit) {
    Cut(connection, "its unread input exceeds query-buffer-limit");
    return;
  }
  Queue(connection);
}

void Worker::InputEnded(Connection& connection) {
  connection.input_ended = true;
  Queue(connection);
}

void Worker::Queue(Connection& connection) {
  if (connection.queued || connection.dead) return;
  connection.queued = true;
  queued_.push_back(&connection);
}

// ---- time and notes from other threads

MonoNs Worker::next_deadline_ns() const {
  MonoNs next = std::numeric_limits<MonoNs>::max();
  for (const Connection* connection : timed_) {
    if (const auto& query = connection->session.query) next = std::min(next, query->DeadlineNs());
  }
  return next;
}

void Worker::QueueOverdue(MonoNs now) {
  std::size_t kept = 0;
  for (Connection* connection : timed_) {
    const auto& query = connection->session.query;
    const bool waits = query != nullptr && query->DeadlineNs() != 0;
    if (waits && query->DeadlineNs() > now) {
      timed_[kept++] = connection;
      continue;
    }
    connection->in_timed_list = false;
    if (waits) Queue(*connection);
  }
  timed_.resize(kept);
}

void Worker::Tick(Now now) {
  if (node_.state().pause_until_ms.load() <= now.wall_ms) ReleaseHeldBack();
  for (std::size_t i = 0; i < subscribers_.size();) {
    Connection& connection = *subscribers_[i];
    if (connection.session.subscriptions.empty()) {
      connection.in_subscriber_list = false;
      subscribers_[i] = subscribers_.back();
      subscribers_.pop_back();
      continue;
    }
    PushSubscriptions(connection, now);
    ++i;
  }
  const std::int64_t timeout = node_.state().settings.values().timeout;
  if (timeout <= 0) return;
  for (auto& [id, connection] : connections_) {
    const command::Session& session = connection->session;
    if (session.monitor || !session.subscriptions.empty()) continue;
    if (now.wall_ms - session.last_active_ms < timeout * 1000) continue;
    connection->dead = true;
    MakeSendable(*connection);
  }
}

void Worker::PushSubscriptions(Connection& connection, Now now) {
  if (connection.dead || connection.close_when_sent || node_.state().loading.load()) return;
  // Not only what NextDue names: PushDue also knows what is due because the clock was set back.
  Reply reply(connection.out,
              connection.session.resp == 3 ? ReplyFormat::kResp3 : ReplyFormat::kResp2);
  command::PushDue(connection.session, node_.keyspace(), now.wall_ms, reply);
  if (WithinOutputLimit(connection)) Gate(connection);
}

void Worker::PostMonitorLine(std::string_view line) {
  std::lock_guard guard(mailbox_mutex_);
  if (monitor_lines_.size() < kMonitorLinesMax) monitor_lines_.emplace_back(line);
  has_monitor_lines_.store(true, std::memory_order_release);
}

void Worker::DeliverMonitorLines() {
  std::deque<std::string> lines;
  {
    std::lock_guard guard(mailbox_mutex_);
    lines.swap(monitor_lines_);
    has_monitor_lines_.store(false, std::memory_order_release);
  }
  for (auto& [id, connection] : connections_) {
    if (!connection->session.monitor || connection->dead) continue;
    for (const std::string& line : lines) connection->out.append("+").append(line).append("\r\n");
    if (WithinOutputLimit(*connection)) Gate(*connection);
  }
}

void Worker::CheckSessions() {
  check_sessions_.store(false, std::memory_order_release);
  for (auto& [id, connection] : connections_) {
    if (connection->session.query != nullptr) Queue(*connection);
    if (connection->session.killed.load(std::memory_order_acquire)) {
      connection->dead = true;
      MakeSendable(*connection);
    }
  }
  if (node_.state().pause_until_ms.load() == 0) ReleaseHeldBack();
}

void Worker::ReleaseHeldBack() {
  if (held_back_ == 0) return;
  held_back_ = 0;
  for (auto& [id, connection] : connections_) {
    if (!connection->held_back) continue;
    connection->held_back = false;
    Queue(*connection);
  }
}

}  // namespace jeton::node
