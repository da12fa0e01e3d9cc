// Unit: the changes of one command (or of one EXEC). Each is applied to the keyspace at once and
// encoded; the caller appends `bytes()` to the log as one piece, while it still holds the locks, so
// that the log has changes in the order in which they were applied and a crash keeps all or none.
//
// Check before log: a command is validated completely before its first call here; nothing here can
// fail. Not thread-safe; a worker reuses one.
#pragma once

#include <cstdint>
#include <string>

#include "engine/keyspace.h"
#include "engine/watch.h"

namespace jeton::engine {

class Unit {
 public:
  Unit(Keyspace& keyspace, WatchTable& watches) : keyspace_(keyspace), watches_(watches) {}

  // The caller holds the key's partition for each of these.
  void Put(const Key& key, const Decimal& value, const Decimal& delta);
  // The hot path: `place` came from Keyspace::FindInteger for this key and is set to `value`.
  void PutInteger(const Key& key, CounterPlace place, std::int64_t value, std::int64_t delta);
  void Expire(const Key& key, WallMs expires_at);
  void SetPrecision(const Key& key, const Decimal& precision);  // negative: back to the default
  void Drop(const Key& key);
  // Exclusive.
  void Flush();

  void set_now(WallMs now) { now_ = now; }
  WallMs now() const { return now_; }
  const std::string& bytes() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }
  std::uint64_t changes() const { return changes_; }
  void Clear() {
    bytes_.clear();
    changes_ = 0;
  }

 private:
  void Record(const Mutation& mutation, const Key& key);

  Keyspace& keyspace_;
  WatchTable& watches_;
  std::string bytes_;
  std::uint64_t changes_ = 0;
  WallMs now_ = 0;
};

}  // namespace jeton::engine
