// Calendar: which bucket an instant falls into, for one width and one time zone.
//
// A Bucket is a number that orders buckets by time. What it counts depends on the width and never
// changes, because it is stored:
//   day, month, year   local civil days, months, years since 1970
//   week               ISO weeks; 0 is the week of 1 January 1970
//   hour, minute       UTC minutes since 1970 of the bucket's first instant, rounded down
//   second             UTC seconds since 1970
// From the day on neighbours differ by 1. Hours are counted in minutes because they begin at :15,
// :30 or :45 of UTC in many places, and because two of them can begin within one quarter of an hour
// (St. John's changed its clocks at 00:01 until 2011): with the minute of its start every hour has
// a number of its own, a repeated hour two, in the order of time.
//
// An hour, minute or second is what the clock shows between two changes of the offset, so that the
// hour of a change can be shorter than an hour. A day, week, month or year is what the local
// calendar shows; days have 23, 24 or 25 hours, and a day that the calendar skipped (Apia,
// 2011-12-30) has a number but no instant.
//
// Pure and immutable: copy it, share it between threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/calendar_text.h"
#include "base/result.h"
#include "base/time.h"
#include "base/time_zone.h"

namespace jeton {

using Bucket = std::int64_t;

// Both ends are in it; empty if last < first.
struct BucketRange {
  Bucket first = 0;
  Bucket last = -1;

  bool Contains(Bucket bucket) const { return bucket >= first && bucket <= last; }
  bool empty() const { return last < first; }
  friend bool operator==(const BucketRange&, const BucketRange&) = default;
};

class Calendar {
 public:
  Calendar(Width width, std::shared_ptr<const TimeZone> zone);  // `zone` is not null
  // Reads the zone from the system's database. With `zones` trees of one zone share its table.
  static Result<Calendar> Make(Width width, std::string_view zone);
  static Result<Calendar> Make(Width width, std::string_view zone, TimeZones& zones);

  Width width() const { return width_; }
  const std::string& zone() const { return zone_->name(); }

  // The buckets of the local years 1970 to 9999. Everything else is refused in texts and brought to
  // the nearer end elsewhere.
  BucketRange Bounds() const { return bounds_; }

  Bucket At(WallMs wall_ms) const;
  // [StartOf, EndOf) is the bucket. A skipped day is empty: both are the start of the next one.
  WallMs StartOf(Bucket bucket) const;
  WallMs EndOf(Bucket bucket) const;
  // Of a day: the next or last number, also if the calendar skips it.
  Bucket Next(Bucket bucket) const;
  Bucket Previous(Bucket bucket) const;
  // The bucket `count` (>= 0) widths earlier, for retention: Back(now, n - 1) is the oldest of n.
  // Hours and less count elapsed time.
  Bucket Back(Bucket bucket, std::int64_t count) const;

  // A text of exactly this width. In a repeated hour the text alone means the first.
  Result<Bucket> ParseExact(std::string_view text) const;
  // The text may be wider: `from` is then its first bucket and `to` its last. Without a text the
  // range goes on to that end of Bounds(). A week belongs to the month and year of its Thursday.
  Result<BucketRange> ParseRange(std::optional<std::string_view> from,
                                 std::optional<std::string_view> to) const;
  // Digits only; an offset only where the text alone would mean an earlier bucket.
  std::string Format(Bucket bucket) const;

 private:
  // An interval of UTC seconds [begin_s, end_s).
  struct Stretch {
    std::int64_t begin_s;
    std::int64_t end_s;
  };

  bool IsCivil() const { return width_ >= Width::kDay; }
  Bucket AtSecond(std::int64_t utc_s) const;
  Bucket Clamp(Bucket bucket) const;
  Stretch StretchOf(Bucket bucket) const;
  std::int64_t FirstInstantFrom(std::int64_t local_s) const;
  bool IsRepetition(std::int64_t local_s, const Regime& regime) const;
  Result<Stretch> Resolve(const CalendarText& parsed, std::string_view text) const;
  Result<BucketRange> ParseWide(std::string_view text) const;
  BucketRange CivilBuckets(const CalendarText& parsed) const;

  Width width_;
  std::shared_ptr<const TimeZone> zone_;
  Stretch time_{};  // of the years 1970 to 9999
  BucketRange bounds_;
};

}  // namespace jeton
