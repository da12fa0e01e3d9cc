#include "engine/zeros.h"

namespace jeton::engine {

void ZeroQueue::Note(std::uint64_t hash, Record& record, WallMs now) {
  if (record.zero_state() == ZeroState::kNone) {
    record.set_zero_state(ZeroState::kQueued);
    queue_.push_back({now, hash});
  } else {
    record.set_zero_state(ZeroState::kTouched);
  }
}

void ZeroQueue::Collect(WallMs now, WallMs lifetime, std::size_t max,
                        std::vector<std::string>& names) {
  const std::size_t end = queue_.size();  // entries that are queued again wait for the next call
  const std::size_t wanted = names.size() + max;
  for (std::size_t left = 4 * max + 16; left > 0 && head_ < end && names.size() < wanted; --left) {
    const Entry entry = queue_[head_];
    // A clock that was set back must not hold up the queue for longer than a lifetime.
    if (entry.at <= now && now - entry.at < lifetime) break;
    ++head_;
    Check(entry, now, names);
  }
  Compact();
}

bool ZeroQueue::IsForgotten(std::uint64_t hash) {
  if (forgotten_.empty()) return false;
  const auto found = forgotten_.find(hash);
  if (found == forgotten_.end()) return false;
  if (--found->second == 0) forgotten_.erase(found);
  return true;
}

void ZeroQueue::Check(const Entry& entry, WallMs now, std::vector<std::string>& names) {
  if (IsForgotten(entry.hash)) return;
  found_.clear();
  table_.FindAll(entry.hash, found_);
  for (Record* record : found_) {
    if (record->zero_state() == ZeroState::kNone) continue;
    if (!MayGo(*record)) {
      record->set_zero_state(ZeroState::kNone);
      continue;
    }
    // Reported ones stay in the queue as well: whoever cannot drop them now sees them again.
    queue_.push_back({now, entry.hash});
    if (record->zero_state() == ZeroState::kTouched) {
      record->set_zero_state(ZeroState::kQueued);
    } else {
      record->set_zero_state(ZeroState::kIdle);
      names.emplace_back(record->name());
    }
  }
}

void ZeroQueue::Clear() {
  queue_ = {};
  head_ = 0;
  forgotten_.clear();
}

void ZeroQueue::Compact() {
  if (head_ == queue_.size()) {
    Clear();
  } else if (head_ > 64 && head_ > queue_.size() / 2) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

}  // namespace jeton::engine
