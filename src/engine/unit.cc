#include "engine/unit.h"

#include "engine/replica.h"

namespace jeton::engine {

void Unit::Add(const Key& key, const Decimal& value, const Decimal& delta) {
  Replica* replica = keyspace_.replica();
  if (replica == nullptr) return Put(key, value, delta);
  if (keyspace_.IsExpired(key, now_)) Drop(key);
  replica->Add(key, value, delta, bytes_);
  Show({.type = MutationType::kCounter, .name = key.name, .value = value}, key);
}

void Unit::Put(const Key& key, const Decimal& value, const Decimal& delta) {
  if (keyspace_.IsExpired(key, now_)) Drop(key);
  const Mutation put{
      .type = MutationType::kCounter, .name = key.name, .value = value, .delta = delta};
  Replica* replica = keyspace_.replica();
  if (replica == nullptr) return Record(put, key);
  replica->Set(key, value, bytes_);
  Show(put, key);
}

void Unit::PutInteger(const Key& key, CounterPlace place, std::int64_t value, std::int64_t delta) {
  if (Replica* replica = keyspace_.replica()) [[unlikely]] {
    replica->AddInteger(key, value, delta, bytes_);
  } else {
    EncodeIntegerMutation(key.name, value, delta, bytes_);
  }
  keyspace_.ApplyInteger(key, place, value, now_);
  ++changes_;
  watches_.Touch(key.name);
}

void Unit::Expire(const Key& key, WallMs expires_at) {
  const Mutation expire{.type = MutationType::kExpire, .name = key.name, .expires_at = expires_at};
  Replica* replica = keyspace_.replica();
  if (replica == nullptr) return Record(expire, key);
  replica->SetExpiry(key, expires_at, bytes_);
  Show(expire, key);
}

void Unit::SetPrecision(const Key& key, const Decimal& precision) {
  // One negative number stands for "the default" in the log, whatever the caller's was.
  const Decimal value = precision.IsNegative() ? Decimal(-1) : precision;
  const Mutation mutation{.type = MutationType::kPrecision, .name = key.name, .value = value};
  Replica* replica = keyspace_.replica();
  if (replica == nullptr) return Record(mutation, key);
  replica->SetPrecision(key, value, bytes_);
  Show(mutation, key);
}

void Unit::Drop(const Key& key) {
  last_tree_ = nullptr;  // another tree may get its place
  const Mutation drop{.type = MutationType::kDrop, .name = key.name};
  Replica* replica = keyspace_.replica();
  if (replica == nullptr) return Record(drop, key);
  const bool is_tree = keyspace_.HasTree(key);
  replica->Drop(key, keyspace_.IsExpired(key, now_), bytes_);
  Show(drop, key);
  if (is_tree) replica->TreeWentOutOfView(key, now_);
}

void Unit::DropIdleZero(const Key& key) {
  Replica* replica = keyspace_.replica();
  if (replica == nullptr) return Drop(key);
  replica->HideZero(key, now_);
  watches_.Touch(key.name);
}

void Unit::Flush() {
  last_tree_ = nullptr;
  const Mutation flush{.type = MutationType::kFlush};
  if (Replica* replica = keyspace_.replica()) {
    replica->Flush(bytes_);
  } else {
    EncodeMutation(flush, bytes_);
  }
  keyspace_.Apply(flush, {}, now_);
  ++changes_;
  watches_.TouchAll();
}

void Unit::Record(const Mutation& mutation, const Key& key) {
  EncodeMutation(mutation, bytes_);
  Show(mutation, key);
}

void Unit::Show(const Mutation& mutation, const Key& key) {
  keyspace_.Apply(mutation, key, now_);
  ++changes_;
  watches_.Touch(key.name);
}

}  // namespace jeton::engine
