#include "command/session.h"

#include "command/server_state.h"

namespace jeton::command {

std::uint64_t RateMeter::PerSecond(std::uint64_t total, WallMs now) {
  constexpr WallMs kShortestMs = 100;
  std::lock_guard guard(mutex_);
  if (now - at_ms_ >= kShortestMs || now < at_ms_) {
    const WallMs elapsed = now - at_ms_;
    const bool known = at_ms_ != 0 && elapsed > 0 && total >= total_;
    rate_ = known ? (total - total_) * 1000 / static_cast<std::uint64_t>(elapsed) : 0;
    at_ms_ = now;
    total_ = total;
  }
  return rate_;
}

void OpenSession(ServerState& server, Session& session, WallMs now) {
  session.id = server.next_session_id.fetch_add(1, std::memory_order_relaxed);
  session.dialect = session.listener_dialect;
  session.created_ms = now;
  session.last_active_ms = now;
  session.authenticated = server.settings.values().requirepass.empty();
  std::lock_guard guard(server.sessions_mutex);
  server.sessions.emplace(session.id, &session);
}

void CloseSession(ServerState& server, Session& session) {
  DiscardTransaction(server, session);
  DropSubscriptions(server, session);
  if (session.monitor) {
    session.monitor = false;
    server.monitors.fetch_sub(1, std::memory_order_relaxed);
  }
  std::lock_guard guard(server.sessions_mutex);
  server.sessions.erase(session.id);
}

void UnwatchAll(ServerState& server, Session& session) {
  for (const std::string& name : session.watched) {
    server.watches.Unwatch(name, session.watch_dirty);
  }
  session.watched.clear();
  if (session.watch_dirty != nullptr) session.watch_dirty->store(false);
}

void DiscardTransaction(ServerState& server, Session& session) {
  session.in_multi = false;
  session.multi_failed = false;
  session.queued.clear();
  UnwatchAll(server, session);
}

void DropSubscriptions(ServerState& server, Session& session) {
  if (session.subscriptions.empty()) return;
  std::lock_guard guard(server.subscriptions_mutex);
  for (const auto& [name, subscription] : session.subscriptions) {
    const auto found = server.subscribers.find(name);
    if (found != server.subscribers.end() && --found->second == 0) server.subscribers.erase(found);
  }
  session.subscriptions.clear();
}

}  // namespace jeton::command
