#include "command/hot_path.h"

#include <limits>
#include <mutex>

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

bool HotPath::Execute(const Command& command, std::span<const std::string_view> args,
                      const engine::Key& key) {
  if (calls_until_timed_ == 0 || key.name.size() > engine::kMaxNameBytes) return false;
  bool done = false;
  switch (command.hot) {
    case HotForm::kIncr:
      done = args.size() == 2 && Add(key, 1);
      break;
    case HotForm::kDecr:
      done = args.size() == 2 && Add(key, -1);
      break;
    case HotForm::kIncrBy:
    case HotForm::kDecrBy: {
      if (args.size() != 3) return false;
      const auto delta = ParseInt64(args[2]);
      if (!delta || *delta == std::numeric_limits<std::int64_t>::min()) return false;
      done = Add(key, command.hot == HotForm::kIncrBy ? *delta : -*delta);
      break;
    }
    case HotForm::kGet:
      done = args.size() == 2 && Get(key);
      break;
    case HotForm::kNone:
      return false;
  }
  if (!done) return false;
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

bool HotPath::Add(const engine::Key& key, std::int64_t delta) {
  if (!MayWrite()) return false;
  std::int64_t sum = 0;
  {
    const std::lock_guard guard(server_.keyspace.LockOf(engine::Keyspace::PartitionOf(key)));
    const engine::CounterPlace place = server_.keyspace.FindInteger(key, now_);
    if (!place || __builtin_add_overflow(*place, delta, &sum)) return false;
    unit_.PutInteger(key, place, sum, delta);
    server_.log.Append(unit_.bytes());
  }
  changes_ += unit_.changes();
  unit_.Clear();
  Reply(sum, session_->dialect != Dialect::kRedis);
  return true;
}

bool HotPath::Get(const engine::Key& key) {
  std::int64_t value = 0;
  {
    const std::lock_guard guard(server_.keyspace.LockOf(engine::Keyspace::PartitionOf(key)));
    const engine::CounterPlace place = server_.keyspace.FindInteger(key, now_);
    // With a precision the value may be an estimate.
    if (!place || place.has_precision() || !exact_by_default_) return false;
    value = *place;
  }
  Reply(value, true);
  return true;
}

void HotPath::Reply(std::int64_t value, bool bulk) {
  reply_end_ = bulk ? PutIntegerBulk(value, reply_end_) : PutIntegerReply(value, reply_end_);
  ++requests_;
}

void HotPath::End(std::string& out) {
  ASSERT(requests_ <= kRunMax);
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
