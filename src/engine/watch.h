// WatchTable: names that some transaction watches (WATCH). Touch marks every watcher of a name;
// while nobody watches anything it costs one load. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace jeton::engine {

class WatchTable {
 public:
  // Shared by a session and the table: true once a watched name was changed.
  using Flag = std::shared_ptr<std::atomic<bool>>;

  void Watch(std::string_view name, const Flag& flag);
  void Unwatch(std::string_view name, const Flag& flag);
  void Touch(std::string_view name) {
    if (watched_.load(std::memory_order_acquire) != 0) [[unlikely]]
      TouchWatched(name);
  }
  void TouchAll();
  std::size_t size() const { return watched_.load(std::memory_order_relaxed); }

 private:
  void TouchWatched(std::string_view name);

  std::atomic<std::size_t> watched_{0};
  std::mutex mutex_;
  std::unordered_map<std::string, std::vector<Flag>> flags_;
};

}  // namespace jeton::engine
