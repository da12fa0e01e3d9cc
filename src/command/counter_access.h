// What the counter commands have in common: finding a counter, storing one, and the reply that its
// value gets in the connection's dialect. The caller's command holds the key's partition.
#pragma once

#include <optional>

#include "base/decimal.h"
#include "command/context.h"
#include "command/errors.h"

namespace jeton::command {

using engine::kBeforeAnyExpiry;

inline std::optional<engine::Entry> Find(const Context& ctx, const engine::Key& key) {
  return ctx.keyspace.Find(key, ctx.now.wall_ms);
}

// Counts hits or misses for INFO.
void CountLookups(Context& ctx, bool found, std::uint64_t lookups = 1);

// Like Find, for commands that read: counts a hit or a miss.
std::optional<engine::Entry> FindAndCount(Context& ctx, const engine::Key& key);

// True, and a WRONGTYPE reply, if `entry` is a tree.
bool RefuseTree(Context& ctx, const std::optional<engine::Entry>& entry);

// Stores `value`. `entry` is what Find returned for the key: if that is empty, remains of an
// expired counter go first, so that neither their expiry nor their precision passes to the new one.
void Store(Context& ctx, const engine::Key& key, const std::optional<engine::Entry>& entry,
           const Decimal& value);
// The same for a value that is the old one and something added: on several masters, what others
// add at the same time counts too.
void StoreSum(Context& ctx, const engine::Key& key, const std::optional<engine::Entry>& entry,
              const Decimal& sum);

// Sets the expiry; a time that is not in the future drops the counter instead.
void StoreExpiry(Context& ctx, const engine::Key& key, WallMs expires_at);

// A counter's value as INCR and its kind reply it: a bulk string in the discnt dialect; in the
// redis dialect an integer, or a bulk string where none fits.
inline void ReplyCounter(Context& ctx, const Decimal& value) {
  if (ctx.redis()) {
    ctx.reply.Decimal(value);
  } else {
    ctx.reply.DecimalBulk(value);
  }
}

// What GET and its kind reply for a counter that does not exist.
inline void ReplyMissing(Context& ctx) {
  if (ctx.redis()) {
    ctx.reply.Null();
  } else {
    ctx.reply.Bulk("0");
  }
}

// As in Redis: a strict 64-bit integer, or the error.
Result<std::int64_t> ParseInteger(std::string_view text);

}  // namespace jeton::command
