// SlowLog and LatencyLog: bounded histories of what took long, for SLOWLOG and LATENCY.
// Both are thread-safe; an entry costs a mutex, and only slow commands make entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace jeton::command {

struct SlowEntry {
  std::uint64_t id = 0;
  WallMs at_ms = 0;
  std::int64_t microseconds = 0;
  std::vector<std::string> arguments = {};  // cut as Redis cuts them
  std::string address = {};
  std::string client_name = {};
};

class SlowLog {
 public:
  // Of one entry; more are replaced by a note of how many more there were, as in Redis.
  static constexpr std::size_t kMaxArguments = 32;
  static constexpr std::size_t kMaxArgumentBytes = 128;

  // Keeps at most `max_entries`; the oldest goes first. 0 keeps nothing.
  void Add(SlowEntry entry, std::span<const std::string_view> arguments, std::size_t max_entries);
  // The newest first, at most `count`.
  std::vector<SlowEntry> Newest(std::size_t count) const;
  std::size_t size() const;
  void Clear();

 private:
  mutable std::mutex mutex_;
  std::deque<SlowEntry> entries_;  // the newest in front
  std::uint64_t next_id_ = 0;
};

struct LatencySample {
  std::int64_t at_seconds = 0;
  std::int64_t milliseconds = 0;
};

class LatencyLog {
 public:
  static constexpr std::size_t kMaxSamples = 160;  // of one event
  static constexpr std::size_t kMaxEvents = 64;    // names; further ones are not recorded

  struct Event {
    std::vector<LatencySample> samples;  // the oldest first
    std::int64_t max_ms = 0;
  };

  // Two samples of one second are merged into the slower one.
  void Add(std::string_view event, WallMs at_ms, std::int64_t milliseconds);
  std::map<std::string, Event, std::less<>> events() const;
  // All events if `names` is empty; says how many there were.
  std::size_t Reset(std::span<const std::string_view> names);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Event, std::less<>> events_;
};

}  // namespace jeton::command
