#include "command/hot_path.h"

#include <iterator>
#include <limits>

#include "base/assert.h"
#include "base/text.h"
#include "command/dispatcher.h"
#include "protocol/reply.h"

namespace jeton::command {

namespace {

// One writer: a load and a store are enough, and cheaper than a locked addition.
void Bump(std::atomic<std::uint64_t>& counter, std::uint64_t by) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace

bool HotPath::Begin(Session& session, Now now) {
  if (!session.authenticated || session.in_multi || session.reply_mode != ReplyMode::kOn ||
      session.query != nullptr || !session.subscriptions.empty())
    return false;
  if (server_.loading.load(std::memory_order_relaxed) ||
      server_.monitors.load(std::memory_order_relaxed) != 0 ||
      now.wall_ms < server_.pause_until_ms.load(std::memory_order_relaxed) ||
      Dispatcher::TimesEveryCall(server_.settings.values()))
    return false;
  session_ = &session;
  may_write_ = !server_.disk_failed.load(std::memory_order_relaxed) &&
               !server_.disk_full.load(std::memory_order_relaxed) &&
               !server_.over_maxmemory.load(std::memory_order_relaxed);
  replies_bulks_ = session.dialect != Dialect::kRedis;
  exact_by_default_ = server_.settings.values().default_precision.IsZero();
  now_ = now.wall_ms;
  unit_.set_now(now_);
  return true;
}

inline bool HotPath::TryExecute(std::size_t count, std::string_view third, const engine::Key& key) {
  std::int64_t delta = 0;
  switch (command_->hot) {
    case HotForm::kIncr:
      if (count != 2) return false;
      delta = 1;
      break;
    case HotForm::kDecr:
      if (count != 2) return false;
      delta = -1;
      break;
    case HotForm::kIncrBy:
    case HotForm::kDecrBy: {
      if (count != 3) return false;
      const auto parsed = ParseInt64(third);
      if (!parsed || *parsed == std::numeric_limits<std::int64_t>::min()) return false;
      delta = command_->hot == HotForm::kIncrBy ? *parsed : -*parsed;
      break;
    }
    case HotForm::kGet:
      return count == 2 && Get(key);
    case HotForm::kNone:
      return false;
  }
  return Add(key, delta);
}

bool HotPath::Execute(const Command& command, std::size_t count, std::string_view third,
                      const engine::Key& key) {
  if (&command != command_) Choose(command);
  if (calls_until_timed_ == 0 || key.name.size() > engine::kShortName ||
      !TryExecute(count, third, key)) [[unlikely]] {
    LetGo();
    return false;
  }
  --calls_until_timed_;
  ++calls_;
  return true;
}

void HotPath::Choose(const Command& command) {
  CountCalls();
  command_ = &command;
}

void HotPath::CountCalls() {
  if (calls_ == 0) return;
  Bump(stats_.per_command[static_cast<std::size_t>(command_->id)].calls, calls_);
  if (command_->hot == HotForm::kGet) Bump(stats_.hits, calls_);
  session_->last_command = command_->name;
  calls_ = 0;
}

inline bool HotPath::Holds(const engine::Key& key) const {
  return place_ && held_->hash == key.hash && held_->name.size() == key.name.size() &&
         SameBytes(held_->name, key.name.data());
}

bool HotPath::Take(const engine::Key& key) {
  Settle();
  if (mutations_end_ > std::end(mutations_) - engine::kIntegerMutationMax) [[unlikely]]
    LetGo();  // no room for one more
  Lock(engine::Keyspace::PartitionOf(key));
  place_ = server_.keyspace.FindInteger(key, now_);
  if (!place_) return false;
  held_ = &key;
  value_ = *place_;
  return true;
}

inline void HotPath::Lock(engine::Keyspace::PartitionId partition) {
  std::uint64_t* word = &locked_[partition / 64];
  const std::uint64_t bit = std::uint64_t{1} << partition % 64;
  if ((*word & bit) != 0) return;
  SpinLock& lock = server_.keyspace.LockOf(partition);
  if (held_locks_ == kHeldMax || !lock.try_lock()) {
    LetGo();
    lock.lock();
  }
  *word |= bit;
  locks_[held_locks_++] = &lock;
}

void HotPath::Settle() {
  if (additions_ != 0) {
    if (server_.keyspace.replica() != nullptr) [[unlikely]] {
      unit_.PutInteger(*held_, place_, value_, added_);
    } else {
      mutations_end_ = unit_.PutInteger(*held_, place_, value_, added_, mutations_end_);
    }
    changes_ += additions_;
    additions_ = 0;
    added_ = 0;
  }
  place_ = {};
}

void HotPath::LetGo() {
  Settle();
  if (mutations_end_ != mutations_) {
    server_.log.Append({mutations_, static_cast<std::size_t>(mutations_end_ - mutations_)});
    mutations_end_ = mutations_;
  }
  if (!unit_.empty()) [[unlikely]] {
    server_.log.Append(unit_.bytes());
    unit_.Clear();
  }
  for (std::size_t i = 0; i < held_locks_; ++i) locks_[i]->unlock();
  held_locks_ = 0;
  locked_ = {};
}

inline bool HotPath::Add(const engine::Key& key, std::int64_t delta) {
  std::int64_t sum = 0;
  std::int64_t added = 0;
  if (!may_write_ || !(Holds(key) || Take(key)) || __builtin_add_overflow(value_, delta, &sum) ||
      __builtin_add_overflow(added_, delta, &added))
    return false;
  value_ = sum;
  added_ = added;
  ++additions_;
  Reply(sum, replies_bulks_);
  return true;
}

inline bool HotPath::Get(const engine::Key& key) {
  // With a precision the value may be an estimate.
  if (!exact_by_default_ || !(Holds(key) || Take(key)) || place_.has_precision()) return false;
  Reply(value_, true);
  return true;
}

inline void HotPath::Reply(std::int64_t value, bool bulk) {
  reply_end_ = bulk ? PutIntegerBulk(value, reply_end_) : PutIntegerReply(value, reply_end_);
  ++requests_;
}

void HotPath::End(std::string& out) {
  ASSERT(requests_ <= kRunMax);
  LetGo();
  out.append(replies_, static_cast<std::size_t>(reply_end_ - replies_));
  reply_end_ = replies_;
  Bump(stats_.commands, requests_);
  session_->commands += requests_;
  requests_ = 0;
  if (changes_ != 0) {
    server_.changes_since_save.fetch_add(changes_, std::memory_order_relaxed);
    session_->last_write_lsn = server_.log.last_lsn();
  }
  changes_ = 0;
  CountCalls();
}

}  // namespace jeton::command
