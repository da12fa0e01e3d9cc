// TimeZone: when the clocks of a place showed which offset from UTC, from 1970 on and for ever.
//
// Read from the files of the system's IANA database (RFC 8536), which are only ever read: after the
// changes that a file lists, its closing rule goes on, so that summers after 2037 are right too
// (the date library that Debian 12 carries ends there). Immutable, so safe for any number of
// threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace jeton {

// A stretch of time [begin_s, end_s) with one offset, in seconds since 1970-01-01 UTC. Neighbouring
// regimes have different offsets. The first one begins and the last one ends far out of all use.
struct Regime {
  std::int64_t begin_s = 0;
  std::int64_t end_s = 0;
  std::int64_t offset_s = 0;  // local = UTC + offset

  std::int64_t LocalBegin() const { return begin_s + offset_s; }
  std::int64_t LocalEnd() const { return end_s + offset_s; }
};

class TimeZone {
 public:
  // No zone of the database was ever further from UTC, nor does a file with more pass.
  static constexpr std::int64_t kMaxOffsetSeconds = 26 * 3600;
  static constexpr std::int64_t kEndOfTime = 1'000'000'000'000;  // about the year 33,000
  static constexpr std::size_t kMaxFileSize = 1 << 20;

  static std::shared_ptr<const TimeZone> Utc();

  // `file` is the content of a time zone file, `name` is for name() and for errors.
  static Result<std::shared_ptr<const TimeZone>> FromFile(std::string name, std::string_view file);

  const std::string& name() const { return name_; }

  // The regime at an instant within ±kEndOfTime. A compare when asked near the last instant that
  // anybody asked for, else a binary search.
  Regime At(std::int64_t utc_s) const;
  // The one after; only if `regime.end_s` is before kEndOfTime.
  Regime After(const Regime& regime) const { return At(regime.end_s); }

 private:
  // From begin_s on the offset holds, to the next one's begin.
  struct Row {
    std::int64_t begin_s;
    std::int64_t offset_s;
  };

  TimeZone(std::string name, std::vector<Row> rows, std::int64_t cycle_begin_s);
  Regime InTable(std::int64_t utc_s) const;

  const std::string name_;
  const std::vector<Row> rows_;
  // The calendar repeats itself after 400 years to the day and weekday, and so does the closing
  // rule: instants after cycle_begin_s + 400 years are looked up 400 years earlier.
  const std::int64_t cycle_begin_s_;
  // The row that was last found: only a guess where to look first, so any thread may overwrite it.
  mutable std::atomic<std::uint32_t> guess_ = 0;
};

// The zones in use, each read once. Thread-safe. Bounded by the number of files in the database.
class TimeZones {
 public:
  static constexpr std::string_view kSystemDirectory = "/usr/share/zoneinfo";

  explicit TimeZones(std::string directory = std::string(kSystemDirectory))
      : directory_(std::move(directory)) {}

  // "UTC" (in any case, and as Etc/UTC) needs no file. Errors name the zone.
  Result<std::shared_ptr<const TimeZone>> Find(std::string_view name);

 private:
  const std::string directory_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const TimeZone>, std::less<>> zones_;
};

}  // namespace jeton
