// The feed of a subscriber: which of its counters are to be told about now. A counter is a channel;
// its value is pushed when it differs from the one pushed last, not more often than the
// subscription's interval, and for the first time at once if it is not 0. Pure: the node's worker
// calls it on its timer for the sessions that it owns.
#pragma once

#include <limits>

#include "base/time.h"
#include "command/session.h"
#include "engine/keyspace.h"
#include "protocol/reply.h"

namespace jeton::command {

// A counter that did not change is looked at this often, whatever the interval.
inline constexpr std::int64_t kMaxLookIntervalMs = 1000;

inline constexpr WallMs kNothingDue = std::numeric_limits<WallMs>::max();

// Adds a subscription, or gives the one there is a new interval. False if it was there already.
bool AddSubscription(Session& session, std::string_view name, std::int64_t interval_ms, WallMs now);

// Writes a message for each counter that is due and changed; returns how many. The caller holds the
// TurnLock (shared will do) and no partition.
std::size_t PushDue(Session& session, engine::Keyspace& keyspace, WallMs now, Reply& reply);

// When PushDue should be called next; kNothingDue without subscriptions. Only grows by PushDue.
WallMs NextDue(const Session& session);

}  // namespace jeton::command
