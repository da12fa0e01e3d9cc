#include "base/calendar.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace jeton {
namespace {

// Seconds of the widths up to the day.
constexpr std::array<std::int64_t, 4> kSeconds = {1, 60, 3600, kSecondsPerDay};

std::int64_t SecondsOf(Width width) {
  return kSeconds[static_cast<std::size_t>(width)];
}

// What an hour, minute or second is counted in.
std::int64_t CountingSeconds(Width width) {
  return width == Width::kSecond ? 1 : 60;
}

std::int64_t CivilDay(std::int64_t local_s) {
  return FloorDiv(local_s, kSecondsPerDay);
}

Error Refused(std::string_view text, const std::string& why) {
  constexpr std::size_t kMaxShown = 64;
  return {ErrorKind::kInvalid, "ERR bucket " + QuoteForLog(text.substr(0, kMaxShown)) + " " + why};
}

// Calls `visit` with every regime that shows some of the local interval [begin, end), in the order
// of time, until it returns true.
template <typename Visit>
void VisitRegimes(const TimeZone& zone, std::int64_t local_begin, std::int64_t local_end,
                  Visit visit) {
  Regime regime = zone.At(local_begin - TimeZone::kMaxOffsetSeconds);
  while (regime.begin_s < local_end + TimeZone::kMaxOffsetSeconds) {
    const bool overlaps = regime.LocalBegin() < local_end && regime.LocalEnd() > local_begin;
    if (overlaps && visit(regime)) return;
    if (regime.end_s >= TimeZone::kEndOfTime) return;
    regime = zone.After(regime);
  }
}

std::string OffsetText(std::int64_t offset_s) {
  // The tail of "1970010100+0100".
  return FormatCalendarText({Width::kHour, 0, offset_s}).substr(10);
}

}  // namespace

Calendar::Calendar(Width width, std::shared_ptr<const TimeZone> zone)
    : width_(width), zone_(std::move(zone)) {
  time_ = {FirstInstantFrom(0), FirstInstantFrom(DayOf(kLastYear + 1, 1, 1) * kSecondsPerDay)};
  bounds_ = {AtSecond(time_.begin_s), AtSecond(time_.end_s - 1)};
}

Result<Calendar> Calendar::Make(Width width, std::string_view zone) {
  TimeZones zones;
  return Make(width, zone, zones);
}

Result<Calendar> Calendar::Make(Width width, std::string_view zone, TimeZones& zones) {
  auto found = zones.Find(zone);
  if (!found.ok()) return found.error();
  return Calendar(width, std::move(*found));
}

Bucket Calendar::At(WallMs wall_ms) const {
  return AtSecond(std::clamp(FloorDiv(wall_ms, 1000), time_.begin_s, time_.end_s - 1));
}

Bucket Calendar::AtSecond(std::int64_t utc_s) const {
  const Regime regime = zone_->At(utc_s);
  const std::int64_t local_s = utc_s + regime.offset_s;
  if (IsCivil()) return CountOfDay(width_, CivilDay(local_s));
  const std::int64_t size = SecondsOf(width_);
  const std::int64_t begin_s = FloorDiv(local_s, size) * size - regime.offset_s;
  return FloorDiv(std::max(begin_s, regime.begin_s), CountingSeconds(width_));
}

Bucket Calendar::Clamp(Bucket bucket) const {
  return std::clamp(bucket, bounds_.first, bounds_.last);
}

Calendar::Stretch Calendar::StretchOf(Bucket bucket) const {
  bucket = Clamp(bucket);
  if (IsCivil()) {
    return {FirstInstantFrom(FirstDayOf(width_, bucket) * kSecondsPerDay),
            FirstInstantFrom(FirstDayOf(width_, bucket + 1) * kSecondsPerDay)};
  }
  // A bucket that begins within a minute (Monrovia was 44:30 behind until 1972) has its number
  // rounded down, but the end of that minute is in it.
  const std::int64_t unit = CountingSeconds(width_);
  const std::int64_t inside_s = bucket * unit + unit - 1;
  const Regime regime = zone_->At(inside_s);
  const std::int64_t size = SecondsOf(width_);
  const std::int64_t begin_s = FloorDiv(inside_s + regime.offset_s, size) * size - regime.offset_s;
  return {std::max(begin_s, regime.begin_s), std::min(begin_s + size, regime.end_s)};
}

WallMs Calendar::StartOf(Bucket bucket) const {
  return StretchOf(bucket).begin_s * 1000;
}
WallMs Calendar::EndOf(Bucket bucket) const {
  return StretchOf(bucket).end_s * 1000;
}

Bucket Calendar::Next(Bucket bucket) const {
  bucket = Clamp(bucket);
  if (bucket == bounds_.last) return bucket;
  return IsCivil() ? bucket + 1 : AtSecond(StretchOf(bucket).end_s);
}

Bucket Calendar::Previous(Bucket bucket) const {
  bucket = Clamp(bucket);
  if (bucket == bounds_.first) return bucket;
  return IsCivil() ? bucket - 1 : AtSecond(StretchOf(bucket).begin_s - 1);
}

Bucket Calendar::Back(Bucket bucket, std::int64_t count) const {
  bucket = Clamp(bucket);
  // More than there can be: nothing that is multiplied below overflows.
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  count = std::clamp<std::int64_t>(count, 0, kMost);
  if (IsCivil()) return std::max(bucket - count, bounds_.first);
  const std::int64_t then_s = StretchOf(bucket).begin_s - count * SecondsOf(width_);
  return AtSecond(std::max(then_s, time_.begin_s));
}

// The first instant from which the local clock shows `local_s` or later.
std::int64_t Calendar::FirstInstantFrom(std::int64_t local_s) const {
  std::int64_t found_s = local_s;
  VisitRegimes(*zone_, local_s, local_s + 2 * TimeZone::kMaxOffsetSeconds,
               [&](const Regime& regime) {
                 found_s = std::max(regime.begin_s, local_s - regime.offset_s);
                 return true;
               });
  return found_s;
}

Result<Calendar::Stretch> Calendar::Resolve(const CalendarText& parsed,
                                            std::string_view text) const {
  const std::int64_t end = parsed.local_s + SecondsOf(parsed.width);
  std::optional<Stretch> found;
  std::string offsets;
  VisitRegimes(*zone_, parsed.local_s, end, [&](const Regime& regime) {
    offsets += (offsets.empty() ? "" : " or ") + OffsetText(regime.offset_s);
    if (parsed.offset_s && *parsed.offset_s != regime.offset_s) return false;
    found = Stretch{std::max(parsed.local_s - regime.offset_s, regime.begin_s),
                    std::min(end - regime.offset_s, regime.end_s)};
    return true;
  });
  if (found) return *found;
  if (offsets.empty()) {
    return Refused(text, "does not exist in " + zone() + ": the clocks skipped it");
  }
  return Refused(text, "has another offset in " + zone() + ": want " + offsets);
}

Result<Bucket> Calendar::ParseExact(std::string_view text) const {
  const auto parsed = ParseCalendarText(text);
  if (!parsed.ok()) return parsed.error();
  if (parsed->width != width_) {
    const char* how = parsed->width > width_ ? "wide" : "narrow";
    return Refused(text, "is too " + std::string(how) + " for buckets of a " +
                             std::string(WidthName(width_)) + ": want " +
                             std::string(WidthExample(width_)));
  }
  const CivilCount day = CivilDay(parsed->local_s);
  if (width_ > Width::kDay) return CountOfDay(width_, day);
  const auto stretch = Resolve(*parsed, text);
  if (!stretch.ok()) return stretch.error();
  return IsCivil() ? day : FloorDiv(stretch->begin_s, CountingSeconds(width_));
}

Result<BucketRange> Calendar::ParseRange(std::optional<std::string_view> from,
                                         std::optional<std::string_view> to) const {
  BucketRange range = bounds_;
  if (from) {
    const auto wide = ParseWide(*from);
    if (!wide.ok()) return wide.error();
    range.first = wide->first;
  }
  if (to) {
    const auto wide = ParseWide(*to);
    if (!wide.ok()) return wide.error();
    range.last = wide->last;
  }
  return range;
}

Result<BucketRange> Calendar::ParseWide(std::string_view text) const {
  const auto parsed = ParseCalendarText(text);
  if (!parsed.ok()) return parsed.error();
  if (parsed->width < width_) {
    return Refused(text, "is too narrow for buckets of a " + std::string(WidthName(width_)) +
                             ": want " + std::string(WidthExample(width_)) + ", or wider");
  }
  if (parsed->width > Width::kDay) return CivilBuckets(*parsed);
  const auto stretch = Resolve(*parsed, text);
  if (!stretch.ok()) return stretch.error();
  if (parsed->width == Width::kDay) return CivilBuckets(*parsed);
  return BucketRange{AtSecond(stretch->begin_s), AtSecond(stretch->end_s - 1)};
}

// `parsed` is a day or wider, and not narrower than a bucket.
BucketRange Calendar::CivilBuckets(const CalendarText& parsed) const {
  const CivilCount first = CivilDay(parsed.local_s);
  const CivilCount end = FirstDayOf(parsed.width, CountOfDay(parsed.width, first) + 1);
  BucketRange range;
  if (!IsCivil()) {
    range = {AtSecond(FirstInstantFrom(first * kSecondsPerDay)),
             AtSecond(FirstInstantFrom(end * kSecondsPerDay) - 1)};
  } else if (width_ == Width::kWeek) {
    // Day 0 was a Thursday, and week n has the Thursday 7n.
    range = {FloorDiv(first + 6, 7), FloorDiv(end - 1, 7)};
  } else {
    range = {CountOfDay(width_, first), CountOfDay(width_, end - 1)};
  }
  return {std::max(range.first, bounds_.first), std::min(range.last, bounds_.last)};
}

// Whether an earlier regime shows some of the same unit of the clock.
bool Calendar::IsRepetition(std::int64_t local_s, const Regime& regime) const {
  if (local_s - regime.LocalBegin() > 2 * TimeZone::kMaxOffsetSeconds) return false;
  bool repetition = false;
  VisitRegimes(*zone_, local_s, local_s + SecondsOf(width_), [&](const Regime& other) {
    repetition = other.begin_s < regime.begin_s;
    return true;
  });
  return repetition;
}

std::string Calendar::Format(Bucket bucket) const {
  bucket = Clamp(bucket);
  if (IsCivil()) {
    return FormatCalendarText({width_, FirstDayOf(width_, bucket) * kSecondsPerDay, std::nullopt});
  }
  const Stretch stretch = StretchOf(bucket);
  const Regime regime = zone_->At(stretch.begin_s);
  const std::int64_t size = SecondsOf(width_);
  const std::int64_t local_s = FloorDiv(stretch.begin_s + regime.offset_s, size) * size;
  CalendarText text{width_, local_s, std::nullopt};
  if (IsRepetition(local_s, regime)) text.offset_s = regime.offset_s;
  return FormatCalendarText(text);
}

}  // namespace jeton
