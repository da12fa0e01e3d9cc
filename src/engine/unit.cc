#include "engine/unit.h"

namespace jeton::engine {

void Unit::Put(const Key& key, const Decimal& value, const Decimal& delta) {
  if (keyspace_.IsExpired(key, now_)) Drop(key);
  Record({.type = MutationType::kCounter, .name = key.name, .value = value, .delta = delta}, key);
}

void Unit::PutInteger(const Key& key, CounterPlace place, std::int64_t value, std::int64_t delta) {
  keyspace_.ApplyInteger(key, place, value, now_);
  EncodeIntegerMutation(key.name, value, delta, bytes_);
  ++changes_;
  watches_.Touch(key.name);
}

void Unit::Expire(const Key& key, WallMs expires_at) {
  Record({.type = MutationType::kExpire, .name = key.name, .expires_at = expires_at}, key);
}

void Unit::SetPrecision(const Key& key, const Decimal& precision) {
  // One negative number stands for "the default" in the log, whatever the caller's was.
  const Decimal value = precision.IsNegative() ? Decimal(-1) : precision;
  Record({.type = MutationType::kPrecision, .name = key.name, .value = value}, key);
}

void Unit::Drop(const Key& key) {
  last_tree_ = nullptr;  // another tree may get its place
  Record({.type = MutationType::kDrop, .name = key.name}, key);
}

void Unit::Flush() {
  last_tree_ = nullptr;
  const Mutation flush{.type = MutationType::kFlush};
  keyspace_.Apply(flush, {}, now_);
  EncodeMutation(flush, bytes_);
  ++changes_;
  watches_.TouchAll();
}

void Unit::Record(const Mutation& mutation, const Key& key) {
  keyspace_.Apply(mutation, key, now_);
  EncodeMutation(mutation, bytes_);
  ++changes_;
  watches_.Touch(key.name);
}

}  // namespace jeton::engine
