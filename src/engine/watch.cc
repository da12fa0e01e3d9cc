#include "engine/watch.h"

#include <algorithm>

namespace jeton::engine {

void WatchTable::Watch(std::string_view name, const Flag& flag) {
  const std::lock_guard guard(mutex_);
  std::vector<Flag>& flags = flags_[std::string(name)];
  if (std::find(flags.begin(), flags.end(), flag) == flags.end()) flags.push_back(flag);
  watched_.store(flags_.size(), std::memory_order_release);
}

void WatchTable::Unwatch(std::string_view name, const Flag& flag) {
  const std::lock_guard guard(mutex_);
  const auto found = flags_.find(std::string(name));
  if (found == flags_.end()) return;
  std::erase(found->second, flag);
  if (found->second.empty()) flags_.erase(found);
  watched_.store(flags_.size(), std::memory_order_release);
}

void WatchTable::TouchAll() {
  const std::lock_guard guard(mutex_);
  for (const auto& [name, flags] : flags_) {
    for (const Flag& flag : flags) flag->store(true, std::memory_order_release);
  }
}

void WatchTable::TouchWatched(std::string_view name) {
  const std::lock_guard guard(mutex_);
  const auto found = flags_.find(std::string(name));
  if (found == flags_.end()) return;
  for (const Flag& flag : found->second) flag->store(true, std::memory_order_release);
}

}  // namespace jeton::engine
