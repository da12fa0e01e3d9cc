#include "base/calendar_text.h"

#include <array>
#include <chrono>

#include "base/text.h"

namespace jeton {
namespace {

namespace chrono = std::chrono;

struct WidthWords {
  std::string_view name;
  std::string_view example;
};

constexpr std::array<WidthWords, kWidthCount> kWidths = {{
    {"second", "a second as 20230701130559"},
    {"minute", "a minute as 202307011305"},
    {"hour", "an hour as 2023070113"},
    {"day", "a day as 20230701 or 2023-07-01"},
    {"week", "an ISO week as 2023W27 or 2023-W27"},
    {"month", "a month as 202307 or 2023-07"},
    {"year", "a year as 2023"},
}};

chrono::year_month_day DateOf(CivilCount day) {
  return chrono::sys_days(chrono::days(static_cast<int>(day)));
}

// 4 January is always in the first ISO week.
CivilCount FirstWeekOf(int year) {
  return CountOfDay(Width::kWeek, DayOf(year, 1, 4));
}

Error Refused(std::string_view text, std::string_view why) {
  constexpr std::size_t kMaxShown = 64;
  return {ErrorKind::kInvalid,
          "ERR bucket " + QuoteForLog(text.substr(0, kMaxShown)) + " " + std::string(why)};
}

Error NotABucket(std::string_view text) {
  return Refused(text,
                 "is not a bucket: want digits as 2023, 202307, 20230701, 2023070113, "
                 "202307011305, 20230701130559, a date as 2023-07-01 or a week as 2023W27");
}

// The number at a fixed place, which the caller knows to be digits; 0 behind the end.
int Digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  for (std::size_t i = at; i < at + count && i < text.size(); ++i) {
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

unsigned DaysInMonth(int year, unsigned month) {
  const chrono::month_day_last end{chrono::month(month)};
  return unsigned(chrono::year_month_day_last(chrono::year(year), end).day());
}

std::size_t LeadingDigits(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && text[n] >= '0' && text[n] <= '9') ++n;
  return n;
}

bool AreDigits(std::string_view text, std::size_t count) {
  return text.size() == count && LeadingDigits(text) == count;
}

// The digits of a date or a time without its dashes; empty if the text has another shape.
struct Shape {
  std::string digits;
  bool week = false;
  std::optional<std::int64_t> offset_s;
};

// [+-]hhmm or [+-]hhmmss.
std::optional<std::int64_t> ParseOffset(std::string_view text) {
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const std::string_view digits = text.substr(1);
  if (!AreDigits(digits, 4) && !AreDigits(digits, 6)) return std::nullopt;
  const int minutes = Digits(digits, 2, 2);
  const int seconds = Digits(digits, 4, 2);
  if (minutes > 59 || seconds > 59) return std::nullopt;
  const std::int64_t size = Digits(digits, 0, 2) * 3600 + minutes * 60 + seconds;
  return text[0] == '-' ? -size : size;
}

std::optional<Shape> ShapeOf(std::string_view text) {
  const std::size_t leading = LeadingDigits(text);
  const std::string_view head = text.substr(0, leading);
  std::string_view tail = text.substr(leading);
  Shape shape{std::string(head.substr(0, 14)), false, std::nullopt};
  if (leading == 10 || leading == 12 || leading == 14) {
    if (tail.empty()) return shape;
    shape.offset_s = ParseOffset(tail);
    if (!shape.offset_s) return std::nullopt;
    return shape;
  }
  if (tail.empty() && (leading == 4 || leading == 6 || leading == 8)) return shape;
  if (leading != 4) return std::nullopt;

  const bool dashed = tail.starts_with('-');
  if (dashed) tail.remove_prefix(1);
  shape.week = tail.starts_with('W');
  if (shape.week) tail.remove_prefix(1);
  if (!shape.week && !dashed) return std::nullopt;
  const bool date =
      !shape.week && tail.size() == 5 && tail[2] == '-' && AreDigits(tail.substr(3), 2);
  if (!AreDigits(tail.substr(0, 2), 2) || (tail.size() != 2 && !date)) return std::nullopt;
  shape.digits += tail.substr(0, 2);
  if (date) shape.digits += tail.substr(3);
  return shape;
}

Width WidthOf(const Shape& shape) {
  if (shape.week) return Width::kWeek;
  switch (shape.digits.size()) {
    case 4:
      return Width::kYear;
    case 6:
      return Width::kMonth;
    case 8:
      return Width::kDay;
    case 10:
      return Width::kHour;
    case 12:
      return Width::kMinute;
    default:
      return Width::kSecond;
  }
}

Result<CalendarText> WeekText(std::string_view text, int year, int week) {
  const CivilCount first = FirstWeekOf(year);
  const auto weeks = static_cast<int>(FirstWeekOf(year + 1) - first);
  if (week < 1 || week > weeks) {
    return Refused(text, "does not exist: " + std::to_string(year) + " has the weeks 1 to " +
                             std::to_string(weeks));
  }
  const CivilCount monday = FirstDayOf(Width::kWeek, first + week - 1);
  return CalendarText{Width::kWeek, monday * kSecondsPerDay, std::nullopt};
}

void AppendPadded(std::string& out, std::int64_t value, std::size_t size) {
  const std::string digits = std::to_string(value);
  if (digits.size() < size) out.append(size - digits.size(), '0');
  out += digits;
}

void AppendOffset(std::string& out, std::int64_t offset_s) {
  out += offset_s < 0 ? '-' : '+';
  const std::int64_t size = offset_s < 0 ? -offset_s : offset_s;
  AppendPadded(out, size / 3600, 2);
  AppendPadded(out, size / 60 % 60, 2);
  if (size % 60 != 0) AppendPadded(out, size % 60, 2);
}

}  // namespace

std::string_view WidthName(Width width) {
  return kWidths[static_cast<std::size_t>(width)].name;
}

std::string_view WidthExample(Width width) {
  return kWidths[static_cast<std::size_t>(width)].example;
}

Result<Width> ParseWidth(std::string_view text) {
  for (std::uint8_t i = 0; i < kWidthCount; ++i) {
    if (EqualsIgnoreCase(kWidths[i].name, text)) return static_cast<Width>(i);
  }
  return Error{ErrorKind::kInvalid, "ERR unknown bucket width " + QuoteForLog(text.substr(0, 64)) +
                                        ": want second, minute, hour, day, week, month or year"};
}

CivilCount DayOf(int year, unsigned month, unsigned day) {
  const chrono::year_month_day date{chrono::year(year), chrono::month(month), chrono::day(day)};
  return chrono::sys_days(date).time_since_epoch().count();
}

CivilCount CountOfDay(Width width, CivilCount day) {
  if (width == Width::kDay) return day;
  // 1 January 1970 was a Thursday, and a week belongs to the year that has its Thursday.
  if (width == Width::kWeek) return FloorDiv(day + 3, 7);
  const auto date = DateOf(day);
  const CivilCount years = int(date.year()) - kFirstYear;
  if (width == Width::kYear) return years;
  return years * 12 + static_cast<CivilCount>(unsigned(date.month())) - 1;
}

CivilCount FirstDayOf(Width width, CivilCount count) {
  if (width == Width::kDay) return count;
  if (width == Width::kWeek) return count * 7 - 3;
  if (width == Width::kYear) return DayOf(kFirstYear + static_cast<int>(count), 1, 1);
  const CivilCount years = FloorDiv(count, 12);
  return DayOf(kFirstYear + static_cast<int>(years), static_cast<unsigned>(count - years * 12) + 1,
               1);
}

CivilCount FirstDayFrom(std::uint64_t yyyymmdd) {
  constexpr std::uint64_t kEnd = 10'000'01'01;
  if (yyyymmdd >= kEnd) return DayOf(kLastYear + 1, 1, 1);
  const auto year = static_cast<int>(yyyymmdd / 10'000);
  if (year < kFirstYear) return 0;
  const auto month = static_cast<unsigned>(yyyymmdd / 100 % 100);
  const auto day = static_cast<unsigned>(yyyymmdd % 100);
  if (month < 1) return DayOf(year, 1, 1);
  if (month > 12) return DayOf(year + 1, 1, 1);
  if (day < 1) return DayOf(year, month, 1);
  const unsigned days = DaysInMonth(year, month);
  return day <= days ? DayOf(year, month, day) : DayOf(year, month, days) + 1;
}

Result<CalendarText> ParseCalendarText(std::string_view text) {
  const auto shape = ShapeOf(text);
  if (!shape) return NotABucket(text);
  const std::string_view digits = shape->digits;
  const int year = Digits(digits, 0, 4);
  if (year < kFirstYear) return Refused(text, "is out of range: want a year from 1970 to 9999");
  if (shape->week) return WeekText(text, year, Digits(digits, 4, 2));

  const int month = digits.size() >= 6 ? Digits(digits, 4, 2) : 1;
  if (month < 1 || month > 12)
    return Refused(text, "does not exist: a year has the months 1 to 12");
  const auto days = static_cast<int>(DaysInMonth(year, static_cast<unsigned>(month)));
  const int day = digits.size() >= 8 ? Digits(digits, 6, 2) : 1;
  if (day < 1 || day > days) {
    return Refused(text, "does not exist: that month has the days 1 to " + std::to_string(days));
  }
  const int hour = Digits(digits, 8, 2);
  const int minute = digits.size() >= 12 ? Digits(digits, 10, 2) : 0;
  const int second = digits.size() >= 14 ? Digits(digits, 12, 2) : 0;
  if (digits.size() >= 10 && (hour > 23 || minute > 59 || second > 59)) {
    return Refused(text, "does not exist: times go from 00:00:00 to 23:59:59");
  }
  const CivilCount date = DayOf(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
  const std::int64_t time = digits.size() >= 10 ? hour * 3600 + minute * 60 + second : 0;
  return CalendarText{WidthOf(*shape), date * kSecondsPerDay + time, shape->offset_s};
}

std::string FormatCalendarText(const CalendarText& text) {
  const CivilCount day = FloorDiv(text.local_s, kSecondsPerDay);
  const std::int64_t time = text.local_s - day * kSecondsPerDay;
  std::string out;
  if (text.width == Width::kWeek) {
    const CivilCount week = CountOfDay(Width::kWeek, day);
    const int year = int(DateOf(week * 7).year());  // the week's Thursday
    AppendPadded(out, year, 4);
    out += 'W';
    AppendPadded(out, week - FirstWeekOf(year) + 1, 2);
    return out;
  }
  const auto date = DateOf(day);
  AppendPadded(out, int(date.year()), 4);
  if (text.width <= Width::kMonth) AppendPadded(out, unsigned(date.month()), 2);
  if (text.width <= Width::kDay) AppendPadded(out, unsigned(date.day()), 2);
  if (text.width <= Width::kHour) AppendPadded(out, time / 3600, 2);
  if (text.width <= Width::kMinute) AppendPadded(out, time / 60 % 60, 2);
  if (text.width == Width::kSecond) AppendPadded(out, time % 60, 2);
  if (text.offset_s) AppendOffset(out, *text.offset_s);
  return out;
}

}  // namespace jeton
