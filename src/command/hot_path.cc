#include "command/hot_path.h"

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
  exact_by_default_ = server_.settings.values().default_precision.IsZero();
  now_ = now.wall_ms;
  unit_.set_now(now_);
  return true;
}

bool HotPath::TryExecute(HotForm form, std::span<const std::string_view> args,
                         const engine::Key& key) {
  switch (form) {
    case HotForm::kIncr:
      return args.size() == 2 && Add(key, 1);
    case HotForm::kDecr:
      return args.size() == 2 && Add(key, -1);
    case HotForm::kIncrBy:
    case HotForm::kDecrBy: {
      if (args.size() != 3) return false;
      const auto delta = ParseInt64(args[2]);
      if (!delta || *delta == std::numeric_limits<std::int64_t>::min()) return false;
      return Add(key, form == HotForm::kIncrBy ? *delta : -*delta);
    }
    case HotForm::kGet:
      return args.size() == 2 && Get(key);
    case HotForm::kNone:
      return false;
  }
  return false;
}

bool HotPath::Execute(const Command& command, std::span<const std::string_view> args,
                      const engine::Key& key) {
  bool done = false;
  if (calls_until_timed_ != 0 && key.name.size() <= engine::kMaxNameBytes) [[likely]]
    done = TryExecute(command.hot, args, key);
  if (!done) {
    LetGo();
    return false;
  }
  --calls_until_timed_;
  const auto form = static_cast<std::size_t>(command.hot);
  ++calls_[form];
  commands_[form] = &command;
  session_->last_command = command.name;
  return true;
}

bool HotPath::MayWrite() const {
  return !server_.disk_failed.load(std::memory_order_relaxed) &&
         !server_.disk_full.load(std::memory_order_relaxed) &&
         !server_.over_maxmemory.load(std::memory_order_relaxed);
}

bool HotPath::Hold(const engine::Key& key) {
  if (place_ && held_.hash == key.hash && held_.name == key.name) return true;
  Settle();
  Lock(engine::Keyspace::PartitionOf(key));
  place_ = server_.keyspace.FindInteger(key, now_);
  if (!place_) return false;
  held_ = key;
  value_ = *place_;
  return true;
}

void HotPath::Lock(engine::Keyspace::PartitionId partition) {
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
    unit_.PutInteger(held_, place_, value_, added_);
    changes_ += additions_;
    additions_ = 0;
    added_ = 0;
  }
  place_ = {};
}

void HotPath::LetGo() {
  Settle();
  if (!unit_.empty()) {
    server_.log.Append(unit_.bytes());
    unit_.Clear();
  }
  for (std::size_t i = 0; i < held_locks_; ++i) locks_[i]->unlock();
  held_locks_ = 0;
  locked_ = {};
}

bool HotPath::Add(const engine::Key& key, std::int64_t delta) {
  std::int64_t sum = 0;
  std::int64_t added = 0;
  if (!MayWrite() || !Hold(key) || __builtin_add_overflow(value_, delta, &sum) ||
      __builtin_add_overflow(added_, delta, &added))
    return false;
  value_ = sum;
  added_ = added;
  ++additions_;
  Reply(sum, session_->dialect != Dialect::kRedis);
  return true;
}

bool HotPath::Get(const engine::Key& key) {
  // With a precision the value may be an estimate.
  if (!exact_by_default_ || !Hold(key) || place_.has_precision()) return false;
  Reply(value_, true);
  return true;
}

void HotPath::Reply(std::int64_t value, bool bulk) {
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
  for (std::size_t form = 0; form < kHotForms; ++form) {
    if (calls_[form] == 0) continue;
    Bump(stats_.per_command[static_cast<std::size_t>(commands_[form]->id)].calls, calls_[form]);
    if (form == static_cast<std::size_t>(HotForm::kGet)) Bump(stats_.hits, calls_[form]);
    calls_[form] = 0;
  }
}

}  // namespace jeton::command
