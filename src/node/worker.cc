#include "node/worker.h"

#include <algorithm>

#include "command/subscription_feed.h"
#include "node/http_api.h"
#include "node/node.h"

namespace jeton::node {
namespace {

constexpr std::size_t kSlotAhead = 24;    // requests between the fetch of a slot and its use
constexpr std::size_t kRecordAhead = 12;  // likewise of a record
constexpr std::size_t kKeptOutputCapacity = 64u << 10;

constexpr std::string_view kProtectedModeText =
    "-DENIED Jeton is running in protected mode because no password is set and this connection "
    "does not come from the loopback interface. Set 'requirepass', or connect from the same host, "
    "or turn 'protected-mode' off if nobody else can reach this port.\r\n";

RespParser::Limits LimitsOf(const command::Values& values, bool authenticated) {
  RespParser::Limits limits;
  limits.unauthenticated = !authenticated;
  limits.bulk_bytes = static_cast<std::size_t>(values.max_argument_bytes);
  return limits;
}

template <typename T>
void Remove(std::vector<T*>& from, T* what) {
  from.erase(std::remove(from.begin(), from.end(), what), from.end());
}

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
  auto owned = std::make_unique<Connection>(LimitsOf(values, values.requirepass.empty()));
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
  if (refusal.empty() && values.protected_mode && values.requirepass.empty() &&
      !peer.from_loopback) {
    refusal = kProtectedModeText;
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
  Remove(queued_, &connection);
  Remove(gated_, &connection);
  Remove(sendable_, &connection);
  Remove(subscribers_, &connection);
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

// ---- the turn

void Worker::RunTurn(Now now) {
  if (check_sessions_.load(std::memory_order_acquire)) CheckSessions();
  if (has_monitor_lines_.load(std::memory_order_acquire)) DeliverMonitorLines();
  if (queued_.empty()) return;
  turn_.clear();
  turn_.swap(queued_);
  for (Connection* connection : turn_) connection->queued = false;

  CheckMemory();
  ExecuteAll(now);
  FinishTurn(now);
}

void Worker::CheckMemory() {
  command::ServerState& state = node_.state();
  const std::int64_t limit = state.settings.values().maxmemory;
  const bool over = limit > 0 && state.keyspace.used_bytes() > static_cast<std::uint64_t>(limit);
  state.over_maxmemory.store(over, std::memory_order_relaxed);
}

bool Worker::Recognise(Connection& connection) {
  if (connection.protocol == Protocol::kNeedMore) connection.protocol = Detect(connection.input());
  if (connection.protocol == Protocol::kTls) {
    Cut(connection, "it speaks TLS, which is not configured");
  }
  return connection.protocol != Protocol::kNeedMore && !connection.dead;
}

void Worker::ParseResp(Connection& connection) {
  if (connection.parser.limits().unauthenticated == connection.session.authenticated) {
    connection.parser.SetLimits(
        LimitsOf(node_.state().settings.values(), connection.session.authenticated));
  }
  const std::string_view input = connection.input();
  std::size_t position = 0;
  for (std::size_t n = 0; n < kRequestsPerTurn; ++n) {
    std::size_t consumed = 0;
    const std::size_t first_argument = arguments_.size();
    const auto outcome = connection.parser.Next(input.substr(position), consumed, arguments_);
    position += consumed;
    if (outcome == RespParser::Outcome::kNeedMore) {
      connection.parsed = position;
      return;
    }
    AddRequest(connection, first_argument, position);
    if (outcome == RespParser::Outcome::kError) break;
  }
  connection.parsed = position;
  Queue(connection);  // there may be more in its input
}

void Worker::AddRequest(Connection& connection, std::size_t first_argument, std::size_t input_end) {
  Request request{.connection = &connection,
                  .first_argument = static_cast<std::uint32_t>(first_argument),
                  .argument_count = static_cast<std::uint32_t>(arguments_.size() - first_argument),
                  .input_end = input_end,
                  .command = nullptr,
                  .key = {}};
  if (request.argument_count > 0) {
    const std::span args(arguments_.data() + first_argument, request.argument_count);
    request.command = dispatcher_.Resolve(args);
    if (request.command != nullptr && request.command->first_key > 0 &&
        static_cast<std::uint32_t>(request.command->first_key) < request.argument_count) {
      request.key =
          node_.keyspace().MakeKey(args[static_cast<std::size_t>(request.command->first_key)]);
    }
  }
  requests_.push_back(request);
}

void Worker::ExecuteAll(Now now) {
  arguments_.clear();
  requests_.clear();
  for (Connection* connection : turn_) {
    connection->consumed = connection->parsed = 0;
    if (!ContinueQuery(*connection, now)) continue;
    if (connection->input().empty() || !Recognise(*connection)) continue;
    if (connection->protocol == Protocol::kResp) ParseResp(*connection);
  }
  const std::size_t count = requests_.size();
  // A pipeline of three stages: the table's slot of a key is fetched first, then its record, and
  // when the request runs both are in the cache.
  for (std::size_t i = 0; i < count + kSlotAhead; ++i) {
    if (i < count && requests_[i].key.hash != 0) node_.keyspace().Prefetch(requests_[i].key);
    const std::size_t record = i - (kSlotAhead - kRecordAhead);  // wraps at first: out of range
    if (record < count && requests_[record].key.hash != 0) {
      node_.keyspace().PrefetchRecord(requests_[record].key);
    }
    if (i >= kSlotAhead) ExecuteOne(requests_[i - kSlotAhead], now);
  }
  for (Connection* connection : turn_) {
    if (connection->dead || connection->Waits() || connection->input().empty()) continue;
    if (connection->protocol == Protocol::kHttp) ServeHttp(*connection, now);
    if (connection->protocol == Protocol::kJson) ServeJson(*connection, now);
    if (connection->protocol == Protocol::kResp && !connection->close_when_sent) {
      connection->consumed = connection->parsed;
    }
  }
}

void Worker::ExecuteOne(const Request& request, Now now) {
  Connection& connection = *request.connection;
  if (connection.dead || connection.close_when_sent || connection.Waits()) return;
  if (request.argument_count == 0) {
    connection.out.append("-ERR ").append(connection.parser.error()).append("\r\n");
    connection.close_when_sent = true;
    connection.consumed = request.input_end;
    ++connection.turn_replies;
    return;
  }
  const std::span args(arguments_.data() + request.first_argument, request.argument_count);
  if (dispatcher_.MustPause(connection.session, args, now)) [[unlikely]] {
    connection.held_back = true;
    ++held_back_;
    return;
  }
  Reply reply(connection.out,
              connection.session.resp == 3 ? ReplyFormat::kResp3 : ReplyFormat::kResp2);
  dispatcher_.Execute(connection.session, args, now, reply, request.command, request.key);
  connection.consumed = request.input_end;
  if (connection.session.query == nullptr) ++connection.turn_replies;
  if (connection.session.close_after_reply) connection.close_when_sent = true;
  if (!connection.session.subscriptions.empty() && !connection.in_subscriber_list) {
    connection.in_subscriber_list = true;
    subscribers_.push_back(&connection);
  }
  WithinOutputLimit(connection);
}

// One slice of what the connection's last command left to do. False while it goes on.
bool Worker::ContinueQuery(Connection& connection, Now now) {
  if (connection.session.query == nullptr) [[likely]]
    return true;
  Reply reply(connection.out,
              connection.session.resp == 3 ? ReplyFormat::kResp3 : ReplyFormat::kResp2);
  const bool done = connection.protocol == Protocol::kJson
                        ? karma_.Continue(connection.session, now, connection.out)
                        : dispatcher_.Continue(connection.session, now, reply);
  if (done) ++connection.turn_replies;
  return done && WithinOutputLimit(connection);
}

void Worker::ServeHttp(Connection& connection, Now now) {
  if (connection.http == nullptr) connection.http = std::make_unique<HttpParser>();
  const std::string_view input = connection.input();
  std::size_t position = 0;
  while (!connection.close_when_sent) {
    HttpRequest request;
    std::size_t consumed = 0;
    const auto outcome = connection.http->Next(input.substr(position), consumed, request);
    position += consumed;
    if (outcome == HttpParser::Outcome::kNeedMore) {
      if (connection.http->TakeContinue()) connection.out += "HTTP/1.1 100 Continue\r\n\r\n";
      break;
    }
    if (outcome == HttpParser::Outcome::kError) {
      AppendHttpResponse(connection.out, {.status = connection.http->error_status(),
                                          .body = connection.http->error() + "\n",
                                          .keep_alive = false});
      connection.close_when_sent = true;
      break;
    }
    AnswerHttp(node_, request, now, connection.out);
    ++connection.turn_replies;
    if (!request.keep_alive) connection.close_when_sent = true;
    if (!WithinOutputLimit(connection)) break;
  }
  connection.consumed = position;
}

void Worker::ServeJson(Connection& connection, Now now) {
  const std::string_view input = connection.input();
  std::size_t requests = 0;
  while (!connection.close_when_sent && !connection.Waits()) {
    if (requests++ == kRequestsPerTurn) return Queue(connection);
    std::size_t consumed = 0;
    std::string_view line;
    const auto outcome =
        connection.json_lines.Next(input.substr(connection.consumed), consumed, line);
    if (outcome == JsonLineParser::Outcome::kTooLong) {
      command::AppendKarmaTooLong(connection.session, connection.out);
      connection.close_when_sent = true;
    } else if (outcome == JsonLineParser::Outcome::kLine &&
               karma_.Execute(connection.session, line, now, connection.out) ==
                   command::KarmaRequests::Outcome::kPaused) {
      connection.held_back = true;
      ++held_back_;
      return;
    }
    connection.consumed += consumed;
    if (outcome == JsonLineParser::Outcome::kNeedMore) return;
    if (connection.session.query == nullptr) ++connection.turn_replies;
    if (!WithinOutputLimit(connection)) return;
  }
}

void Worker::FinishTurn(Now) {
  if (node_.appended_lsn() > node_.safe_lsn()) node_.CommitSoon();
  for (Connection* connection : turn_) {
    KeepRest(*connection);
    Gate(*connection);
    // A client that ends in the middle of a request gets no reply to that.
    if (connection->input_ended && !connection->queued && !connection->Waits()) {
      connection->close_when_sent = true;
    }
    if (connection->close_when_sent || connection->dead) MakeSendable(*connection);
  }
  arena_used_ = 0;
}

void Worker::KeepRest(Connection& connection) {
  std::string_view rest = connection.input().substr(connection.consumed);
  if (connection.close_when_sent || connection.dead) rest = {};
  if (!connection.pending.empty()) {
    if (rest.empty() && connection.pending.capacity() > kReadBytes) {
      connection.pending = std::string();
    } else {
      connection.pending.erase(0, connection.pending.size() - rest.size());
    }
  } else {
    connection.pending.assign(rest);
  }
  connection.fresh = {};
  connection.consumed = 0;
  connection.session.query_buffer_bytes = connection.pending.size();
  connection.parser.ReleaseScratch();
  if (!connection.Waits()) return;
  // Requests that were parsed and not run are parsed again: after the next slice of the query, or
  // when the pause is over (see Tick).
  connection.parser = RespParser(connection.parser.limits());
  if (connection.session.query != nullptr) {
    // An idle one is woken by whoever it waits for.
    if (!connection.session.query->IsIdle()) Queue(connection);
  } else {
    connection.queued = false;
    Remove(queued_, &connection);
  }
}

// ---- output

void Worker::Gate(Connection& connection) {
  const std::uint32_t replies = connection.turn_replies;
  connection.turn_replies = 0;
  connection.session.output_buffer_bytes = connection.out.size() - connection.sent;
  const std::size_t before =
      connection.gates.empty() ? connection.sendable : connection.gates.back().end;
  if (connection.out.size() == before) return;
  const Lsn lsn = node_.appended_lsn();
  if (connection.gates.empty() && (gates_failed_ || node_.safe_lsn() >= lsn)) {
    connection.sendable = connection.out.size();
    MakeSendable(connection);
    return;
  }
  if (connection.gates.empty()) gated_.push_back(&connection);
  connection.gates.push_back({.lsn = lsn, .end = connection.out.size(), .replies = replies});
}

void Worker::Release() {
  if (gated_.empty()) return;
  const Lsn safe = node_.safe_lsn();
  std::size_t kept = 0;
  for (Connection* connection : gated_) {
    bool opened = false;
    while (!connection->gates.empty() && connection->gates.front().lsn <= safe) {
      connection->sendable = connection->gates.front().end;
      connection->gates.pop_front();
      opened = true;
    }
    if (opened) MakeSendable(*connection);
    if (!connection->gates.empty()) gated_[kept++] = connection;
  }
  gated_.resize(kept);
}

void Worker::FailGates() {
  for (Connection* connection : gated_) {
    std::uint32_t replies = 0;
    for (const auto& gate : connection->gates) replies += gate.replies;
    connection->gates.clear();
    if (connection->session.query != nullptr) {
      // Part of its reply may be out already: what followed would be taken for the rest of it.
      Cut(*connection, "the disk failed while it was being answered");
      continue;
    }
    connection->out.resize(connection->sendable);
    for (std::uint32_t i = 0; i < replies; ++i) {
      if (connection->protocol == Protocol::kJson) {
        command::AppendKarmaDiskFailed(connection->session, connection->out);
        continue;
      }
      connection->out +=
          "-ERR the disk failed while this command was being stored: its outcome is unknown\r\n";
    }
    connection->sendable = connection->out.size();
    MakeSendable(*connection);
  }
  gated_.clear();
  gates_failed_ = true;
}

void Worker::MakeSendable(Connection& connection) {
  if (connection.in_send_list) return;
  connection.in_send_list = true;
  sendable_.push_back(&connection);
}

void Worker::Sent(Connection& connection, std::size_t size) {
  stats_.net_output_bytes.fetch_add(size, std::memory_order_relaxed);
  connection.sent += size;
  ASSERT(connection.sent <= connection.sendable);
  if (connection.sent == connection.out.size()) {
    if (connection.out.capacity() > kKeptOutputCapacity) {
      connection.out = std::string();
    } else {
      connection.out.clear();
    }
    connection.sent = connection.sendable = 0;
  } else if (connection.sent > kKeptOutputCapacity && connection.sent > connection.out.size() / 2) {
    connection.out.erase(0, connection.sent);
    connection.sendable -= connection.sent;
    for (auto& gate : connection.gates) gate.end -= connection.sent;
    connection.sent = 0;
  }
  connection.session.output_buffer_bytes = connection.out.size() - connection.sent;
}

bool Worker::WithinOutputLimit(Connection& connection) {
  const command::Values& values = node_.state().settings.values();
  const bool pushes = connection.session.monitor || !connection.session.subscriptions.empty();
  const auto limit = static_cast<std::size_t>(pushes ? values.output_buffer_limit_pubsub
                                                     : values.output_buffer_limit);
  if (limit == 0 || connection.out.size() - connection.sent <= limit) [[likely]]
    return true;
  Cut(connection, "its unsent output exceeds the output buffer limit");
  return false;
}

void Worker::Cut(Connection& connection, std::string_view why) {
  if (connection.dead) return;
  connection.dead = true;
  node_.environment().say(LogLevel::kWarning,
                          "Client " + connection.session.address + " is cut: " + std::string(why));
  MakeSendable(connection);
}

// ---- time and notes from other threads

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
