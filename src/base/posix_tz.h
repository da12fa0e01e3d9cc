// The last line of a time zone file: the rule that goes on for ever after the listed changes, as in
// "CET-1CEST,M3.5.0,M10.5.0/3" (POSIX TZ with the extensions of RFC 8536, section 3.3.1).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace jeton {

// When the clock changes within a year, in local time of before the change.
struct YearlyChange {
  enum class Kind : unsigned char { kWeekday, kJulianNoLeap, kDayOfYear };
  Kind kind = Kind::kWeekday;
  int month = 1;          // kWeekday: 1..12
  int week = 1;           // kWeekday: 1..4, and 5 for the last one of the month
  int weekday = 0;        // kWeekday: 0 is Sunday
  int day = 0;            // kJulianNoLeap: 1..365, never 29 February; kDayOfYear: 0..365
  int time_s = 2 * 3600;  // may be negative or beyond a day

  // Seconds of the local clock since 1970-01-01 00:00.
  std::int64_t LocalIn(int year) const;
};

struct PosixTz {
  int standard_offset_s = 0;  // east of UTC
  bool has_summer = false;
  int summer_offset_s = 0;
  YearlyChange summer_begins;
  YearlyChange summer_ends;

  struct Change {
    std::int64_t utc_s;
    int offset_s;
  };
  // The two changes of a year, in order of time; only if has_summer.
  std::array<Change, 2> ChangesIn(int year) const;

  static std::optional<PosixTz> Parse(std::string_view text);
};

}  // namespace jeton
