// Worker, the turn: requests are parsed and run, and what is left of the input is kept.
#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "node/http_api.h"
#include "node/node.h"
#include "node/worker.h"

namespace jeton::node {
namespace {

// Slots and records are fetched for so many requests at once, in loops that do nothing else: the
// processor then looks up the addresses of several at the same time, which it cannot if there is
// the work of a whole request between two.
constexpr std::size_t kFetchedAtOnce = 16;
// Requests between the fetch of a record and its use, at least.
constexpr std::size_t kRecordAhead = 16;

// Without a call where the end tells that they differ, or where they are short.
bool SameText(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  if (a.size() < 4) return a == b;
  std::uint32_t ends[2];
  std::memcpy(&ends[0], a.data() + a.size() - 4, 4);
  std::memcpy(&ends[1], b.data() + b.size() - 4, 4);
  return ends[0] == ends[1] && SameBytes(a, b.data());
}

}  // namespace

// A request of two arguments that was parsed: what one that differs in nothing but its name, and
// not in the length of that, begins with. Nearly every request of a pipeline is like the one before
// it.
struct Worker::Pattern {
  std::string_view head;  // up to the name; empty: none
  std::string_view word;  // the first argument, in it
  std::size_t name_size = 0;
  const command::Command* command = nullptr;

  void Learn(std::string_view input, std::size_t size, std::span<const std::string_view> args,
             const command::Command* its_command) {
    // An inline command, perhaps behind an empty array, is a matter of blanks and quotes.
    if (args.size() != 2 || !input.starts_with("*2\r\n") || its_command == nullptr ||
        its_command->first_key != 1)
      return;
    word = args[0];
    name_size = args[1].size();
    head = input.substr(0, size - name_size - 2);
    command = its_command;
  }
};

void Worker::RunTurn(Now now) {
  if (check_sessions_.load(std::memory_order_acquire)) CheckSessions();
  if (has_monitor_lines_.load(std::memory_order_acquire)) DeliverMonitorLines();
  if (!timed_.empty()) [[unlikely]]
    QueueOverdue(now.mono_ns);
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
  if (connection.protocol != Protocol::kNeedMore) [[likely]]
    return connection.protocol != Protocol::kPeer && !connection.dead;
  connection.protocol = Detect(connection.input());
  if (connection.protocol == Protocol::kNeedMore) return false;
  if (connection.protocol == Protocol::kPeer) {
    RecognisePeer(connection);
  } else if (!connection.refusal.empty()) {
    stats_.connections_rejected.fetch_add(1, std::memory_order_relaxed);
    connection.out += connection.refusal;
    connection.close_when_sent = true;
  } else if (connection.protocol == Protocol::kTls) {
    Cut(connection, "it speaks TLS, which is not configured");
  } else {
    return true;
  }
  return false;
}

// Another node is no client: it is not counted as one, and leaves with the bytes that it sent.
void Worker::RecognisePeer(Connection& connection) {
  const bool stranger = !connection.refusal.empty();
  if (stranger && node_.state().settings.values().cluster_secret.empty()) {
    return Cut(connection,
               "it is another node, and protected-mode takes none from beyond this machine without "
               "a cluster-secret");
  }
  stats_.connections_received.fetch_sub(1, std::memory_order_relaxed);
  connection.is_peer = true;
  MakeSendable(connection);
}

void Worker::ParseResp(Connection& connection, Now now) {
  if (connection.parser.limits().unauthenticated == connection.session.authenticated) {
    connection.parser.SetLimits(
        Connection::LimitsOf(node_.state().settings.values(), connection.session.authenticated));
  }
  const std::string_view input = connection.input();
  Pattern pattern;
  for (std::size_t n = 0; n < kRequestsPerTurn; ++n) {
    if (request_count_ == kBatch) {
      RunBatch(now);
      if (connection.dead || connection.close_when_sent || connection.Waits()) return;
    }
    if (!pattern.head.empty()) {
      const std::size_t before = request_count_;
      TakeAlike(connection, pattern);
      n += request_count_ - before;
      if (request_count_ == kBatch) continue;
    }
    const std::size_t first_argument = arguments_.size();
    std::size_t consumed = 0;
    const std::string_view rest = input.substr(connection.parsed);
    const auto outcome = connection.parser.Next(rest, consumed, arguments_);
    connection.parsed += consumed;
    if (outcome == RespParser::Outcome::kNeedMore) return;
    const std::span args = std::span(arguments_).subspan(first_argument);
    const command::Command* command = CommandOf(args);
    AddRequest(connection, first_argument, connection.parsed, command);
    if (outcome == RespParser::Outcome::kError) break;
    pattern.Learn(rest, consumed, args, command);
  }
  Queue(connection);  // there may be more in its input
}

// As many requests that match as come next and as the batch has room for. Their common word becomes
// an argument once, their names none: those are in their keys.
void Worker::TakeAlike(Connection& connection, const Pattern& pattern) {
  const std::string_view input = connection.input();
  const std::string_view head = pattern.head;
  const std::size_t name_size = pattern.name_size;
  const std::size_t size = head.size() + name_size + 2;
  const engine::Keyspace& keyspace = node_.keyspace();
  const auto word = static_cast<std::uint32_t>(arguments_.size());
  arguments_.push_back(pattern.word);
  std::size_t at = connection.parsed;
  for (; request_count_ < kBatch && input.size() - at >= size; ++request_count_) {
    const char* const name = input.data() + at + head.size();
    if (!SameBytes(head, input.data() + at) || name[name_size] != '\r' ||
        name[name_size + 1] != '\n')
      break;
    at += size;
    requests_[request_count_] = {.connection = &connection,
                                 .command = pattern.command,
                                 .input_end = at,
                                 .first_argument = word,
                                 .argument_count = 2,
                                 .alike = true};
    keys_[request_count_] = keyspace.MakeKey({name, name_size});
    if (request_count_ - slots_fetched_ >= kFetchedAtOnce) FetchSlots();
  }
  connection.parsed = at;
}

void Worker::AddRequest(Connection& connection, std::size_t first_argument, std::size_t input_end,
                        const command::Command* command) {
  const std::span args = std::span(arguments_).subspan(first_argument);
  engine::Key& key = keys_[request_count_] = {};
  requests_[request_count_++] = {.connection = &connection,
                                 .command = command,
                                 .input_end = input_end,
                                 .first_argument = static_cast<std::uint32_t>(first_argument),
                                 .argument_count = static_cast<std::uint32_t>(args.size())};
  if (command == nullptr || command->first_key <= 0 ||
      static_cast<std::size_t>(command->first_key) >= args.size())
    return;
  key = node_.keyspace().MakeKey(args[static_cast<std::size_t>(command->first_key)]);
  if (request_count_ - slots_fetched_ >= kFetchedAtOnce) FetchSlots();
}

// Valid until the next call.
std::span<const std::string_view> Worker::ArgumentsOf(std::size_t i) {
  const Request& request = requests_[i];
  if (!request.alike)
    return std::span(arguments_).subspan(request.first_argument, request.argument_count);
  alike_arguments_ = {arguments_[request.first_argument], keys_[i].name};
  return alike_arguments_;
}

// Most requests name the command of the one before. Where that has a key there is no place for the
// name of a subcommand, which would have to be looked up.
const command::Command* Worker::CommandOf(std::span<const std::string_view> args) const {
  if (args.empty()) return nullptr;
  if (request_count_ > 0) {
    const Request& before = requests_[request_count_ - 1];
    if (before.command != nullptr && before.command->first_key == 1 &&
        SameText(arguments_[before.first_argument], args[0]))
      return before.command;
  }
  return dispatcher_.Resolve(args);
}

void Worker::FetchSlots() {
  node_.keyspace().PrefetchSlots(
      std::span(keys_).subspan(slots_fetched_, request_count_ - slots_fetched_));
  if (const engine::Replica* replica = node_.keyspace().replica()) [[unlikely]] {
    for (std::size_t i = slots_fetched_; i < request_count_; ++i) {
      if (ChangesKey(i)) replica->Prefetch(keys_[i]);
    }
  }
  slots_fetched_ = request_count_;
}

// Then what is shared of it with other nodes is wanted, too.
bool Worker::ChangesKey(std::size_t i) const {
  return keys_[i].hash != 0 && (requests_[i].command->flags & command::kWrite) != 0;
}

// Before the request at `next` runs: sees to it that the records that it and the following ones
// need are on their way.
inline void Worker::FetchRecords(std::size_t next) {
  if (next + kRecordAhead >= records_fetched_ && records_fetched_ < request_count_) [[unlikely]]
    FetchRecordsUpTo(std::min(request_count_, next + kRecordAhead + kFetchedAtOnce));
}

void Worker::FetchRecordsUpTo(std::size_t end) {
  node_.keyspace().PrefetchRecords(
      std::span(keys_).subspan(records_fetched_, end - records_fetched_));
  if (const engine::Replica* replica = node_.keyspace().replica()) [[unlikely]] {
    for (std::size_t i = records_fetched_; i < end; ++i) {
      if (ChangesKey(i)) replica->PrefetchRecord(keys_[i]);
    }
  }
  records_fetched_ = end;
}

void Worker::ExecuteAll(Now now) {
  for (Connection* connection : turn_) {
    connection->consumed = connection->parsed = 0;
    if (!ContinueQuery(*connection, now)) continue;
    if (connection->input().empty() || !Recognise(*connection)) continue;
    if (connection->protocol == Protocol::kResp) ParseResp(*connection, now);
  }
  RunBatch(now);
  for (Connection* connection : turn_) {
    if (connection->dead || connection->Waits() || connection->input().empty()) continue;
    if (connection->protocol == Protocol::kHttp) ServeHttp(*connection, now);
    if (connection->protocol == Protocol::kJson) ServeJson(*connection, now);
    if (connection->protocol == Protocol::kResp && !connection->close_when_sent) {
      connection->consumed = connection->parsed;
    }
  }
}

// The table's slots of the keys were fetched while the requests were parsed; here their records are
// fetched some requests ahead, so that both are in the cache when a request runs.
void Worker::RunBatch(Now now) {
  FetchSlots();
  std::size_t next = 0;
  while (next < request_count_) {
    const std::size_t first = next;
    next = RunHot(first, now);
    if (next > first) continue;
    FetchRecords(next);
    ExecuteOne(next, now);
    ++next;
  }
  slots_fetched_ = records_fetched_ = request_count_ = 0;
  arguments_.clear();
}

// As many requests of one connection from `first` on as can go the short way. Returns the next.
std::size_t Worker::RunHot(std::size_t first, Now now) {
  Connection& connection = *requests_[first].connection;
  command::HotPath& hot = dispatcher_.hot_path();
  if (connection.dead || connection.close_when_sent || connection.Waits() ||
      !hot.Begin(connection.session, now))
    return first;
  std::size_t i = first;
  for (; i < request_count_ && requests_[i].connection == &connection; ++i) {
    FetchRecords(i);
    const Request& request = requests_[i];
    if (request.command == nullptr || request.command->hot == command::HotForm::kNone) break;
    const std::string_view third =
        request.argument_count == 3 ? arguments_[request.first_argument + 2] : std::string_view();
    if (!hot.Execute(*request.command, request.argument_count, third, keys_[i])) break;
  }
  if (i == first) return first;
  hot.End(connection.out);
  connection.consumed = requests_[i - 1].input_end;
  connection.turn_replies += static_cast<std::uint32_t>(i - first);
  WithinOutputLimit(connection);
  return i;
}

void Worker::ExecuteOne(std::size_t i, Now now) {
  const Request& request = requests_[i];
  Connection& connection = *request.connection;
  if (connection.dead || connection.close_when_sent || connection.Waits()) return;
  if (request.argument_count == 0) {
    connection.out.append("-ERR ").append(connection.parser.error()).append("\r\n");
    connection.close_when_sent = true;
    connection.consumed = request.input_end;
    ++connection.turn_replies;
    return;
  }
  const std::span args = ArgumentsOf(i);
  if (dispatcher_.MustPause(connection.session, args, now)) [[unlikely]] {
    connection.held_back = true;
    ++held_back_;
    return;
  }
  Reply reply(connection.out,
              connection.session.resp == 3 ? ReplyFormat::kResp3 : ReplyFormat::kResp2);
  dispatcher_.Execute(connection.session, args, now, reply, request.command, keys_[i]);
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
    // An idle one is woken by whoever it waits for, or by its deadline.
    if (!connection.session.query->IsIdle()) {
      Queue(connection);
    } else if (connection.session.query->DeadlineNs() != 0 && !connection.in_timed_list) {
      connection.in_timed_list = true;
      timed_.push_back(&connection);
    }
  } else {
    connection.queued = false;
    std::erase(queued_, &connection);
  }
}

}  // namespace jeton::node
