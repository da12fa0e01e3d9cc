// CalendarCache: the calendars in use, one for each width and time zone. They live as long as the
// cache, so that a pointer to one can be kept.
//
// Thread-safe; finding one that was asked for before takes no lock.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/calendar.h"
#include "base/time_zone.h"

namespace jeton::command {

class CalendarCache {
 public:
  CalendarCache() = default;
  CalendarCache(const CalendarCache&) = delete;
  CalendarCache& operator=(const CalendarCache&) = delete;

  // The error names the zone that the system's database does not have. Not null.
  Result<const Calendar*> Find(Width width, std::string_view zone);

 private:
  // One spelling of a zone. Spellings of one zone are few: the database is bounded, and only UTC
  // may be written in any case.
  struct Node {
    std::string zone;
    Calendar calendar;
    const Node* next;
  };
  static constexpr std::size_t kHeads = 64;  // of each width

  static std::size_t HeadOf(std::string_view zone);

  std::mutex mutex_;  // of changes
  TimeZones zones_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::array<std::array<std::atomic<const Node*>, kHeads>, kWidthCount> heads_{};
};

}  // namespace jeton::command
