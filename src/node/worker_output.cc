// Worker, the output: replies wait behind gates until the log is safe, and then leave.
#include "node/node.h"
#include "node/worker.h"

namespace jeton::node {
namespace {

constexpr std::size_t kKeptOutputCapacity = 64u << 10;

}  // namespace

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

}  // namespace jeton::node
