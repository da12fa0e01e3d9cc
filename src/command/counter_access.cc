#include "command/counter_access.h"

#include "base/text.h"

namespace jeton::command {

namespace {

void Count(std::atomic<std::uint64_t>& counter, std::uint64_t by) {
  // Only the owning worker writes it, so no read-modify-write is needed.
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// Between the two ends of the range lies more than a Decimal holds; the difference then stops at
// the end of the range.
Decimal Difference(const Decimal& value, const std::optional<engine::Entry>& entry) {
  if (!entry) return value;
  return Decimal::Subtract(value, entry->value).value_or(value);
}

}  // namespace

void CountLookups(Context& ctx, bool found, std::uint64_t lookups) {
  Count(found ? ctx.stats.hits : ctx.stats.misses, lookups);
}

std::optional<engine::Entry> FindAndCount(Context& ctx, const engine::Key& key) {
  std::optional<engine::Entry> entry = Find(ctx, key);
  CountLookups(ctx, entry.has_value());
  return entry;
}

bool RefuseTree(Context& ctx, const std::optional<engine::Entry>& entry) {
  if (!entry || entry->kind != engine::Kind::kTree) return false;
  ctx.reply.Error(kWrongType, ErrorKind::kWrongType);
  return true;
}

void Store(Context& ctx, const engine::Key& key, const std::optional<engine::Entry>& entry,
           const Decimal& value) {
  if (!entry && ctx.keyspace.Find(key, kBeforeAnyExpiry)) ctx.unit.Drop(key);
  ctx.unit.Put(key, value, Difference(value, entry));
}

void StoreSum(Context& ctx, const engine::Key& key, const std::optional<engine::Entry>& entry,
              const Decimal& sum) {
  if (!entry && ctx.keyspace.Find(key, kBeforeAnyExpiry)) ctx.unit.Drop(key);
  ctx.unit.Add(key, sum, Difference(sum, entry));
}

void StoreExpiry(Context& ctx, const engine::Key& key, WallMs expires_at) {
  if (expires_at <= ctx.now.wall_ms) {
    ctx.unit.Drop(key);
  } else {
    ctx.unit.Expire(key, expires_at);
  }
}

Result<std::int64_t> ParseInteger(std::string_view text) {
  if (const auto value = ParseInt64(text)) return *value;
  return Error{ErrorKind::kInvalid, std::string(kNotAnInteger)};
}

}  // namespace jeton::command
