#include "command/subscription_feed.h"

#include <algorithm>
#include <mutex>
#include <optional>

namespace jeton::command {

namespace {

// The clock may have been set back: then a time that is further away than one interval is no reason
// to stay silent until it comes round again.
bool IsDue(const Subscription& subscription, WallMs now) {
  return subscription.next_push_ms <= now ||
         subscription.next_push_ms - now > std::max(subscription.interval_ms, kMaxLookIntervalMs);
}

// Nothing for a tree: it has no one value.
std::optional<Decimal> ValueOf(engine::Keyspace& keyspace, std::string_view name, WallMs now) {
  const engine::Key key = keyspace.MakeKey(name);
  std::lock_guard guard(keyspace.LockOf(engine::Keyspace::PartitionOf(key)));
  const std::optional<engine::Entry> entry = keyspace.Find(key, now);
  if (!entry) return Decimal();
  if (entry->kind == engine::Kind::kTree) return std::nullopt;
  return entry->value;
}

void PushMessage(Reply& reply, std::string_view name, const Decimal& value) {
  reply.Push(3);
  reply.Bulk("message");
  reply.Bulk(name);
  reply.DecimalBulk(value);
}

}  // namespace

bool AddSubscription(Session& session, std::string_view name, std::int64_t interval_ms,
                     WallMs now) {
  const auto found = session.subscriptions.find(name);
  if (found != session.subscriptions.end()) {
    found->second.interval_ms = interval_ms;
    found->second.next_push_ms = std::min(found->second.next_push_ms, now + interval_ms);
    return false;
  }
  session.subscriptions.emplace(
      name, Subscription{.interval_ms = interval_ms, .next_push_ms = now, .last_value = 0});
  return true;
}

std::size_t PushDue(Session& session, engine::Keyspace& keyspace, WallMs now, Reply& reply) {
  std::size_t pushed = 0;
  for (auto& [name, subscription] : session.subscriptions) {
    if (!IsDue(subscription, now)) continue;
    const std::optional<Decimal> value = ValueOf(keyspace, name, now);
    if (!value || *value == subscription.last_value) {
      subscription.next_push_ms = now + std::min(subscription.interval_ms, kMaxLookIntervalMs);
      continue;
    }
    PushMessage(reply, name, *value);
    subscription.last_value = *value;
    subscription.next_push_ms = now + subscription.interval_ms;
    ++pushed;
  }
  return pushed;
}

WallMs NextDue(const Session& session) {
  WallMs next = kNothingDue;
  for (const auto& [name, subscription] : session.subscriptions) {
    next = std::min(next, subscription.next_push_ms);
  }
  return next;
}

}  // namespace jeton::command
