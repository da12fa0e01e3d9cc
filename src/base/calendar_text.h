// The text of a moment of the calendar, as wide as it is written: `2023`, `202307`, `2023-07`,
// `20230701`, `2023-07-01`, `2023W27`, `2023-W27`, `2023070113`, `202307011305`, `20230701130559`;
// from the hour on with an optional offset from UTC, `2023102902+0100`, to name one of a repeated
// hour. Pure syntax and the proleptic Gregorian calendar: no time zones here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jeton {

// How much time a bucket takes. The numbers are stored: they never change their meaning.
enum class Width : std::uint8_t {
  kSecond = 0,
  kMinute = 1,
  kHour = 2,
  kDay = 3,
  kWeek = 4,
  kMonth = 5,
  kYear = 6,
};
constexpr std::uint8_t kWidthCount = 7;

// "second" .. "year", and back in any case. The error lists the words.
std::string_view WidthName(Width width);
Result<Width> ParseWidth(std::string_view text);

constexpr int kFirstYear = 1970;
constexpr int kLastYear = 9999;
constexpr std::int64_t kSecondsPerDay = 86'400;

// Rounds down, also below zero; b > 0.
constexpr std::int64_t FloorDiv(std::int64_t a, std::int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

// Counts from 1970: days (0 is 1 January), ISO weeks (0 is the one of 1 January 1970, which began
// on 29 December), months (0 is January), years.
using CivilCount = std::int64_t;

CivilCount DayOf(int year, unsigned month, unsigned day);
// Between days and the count of `width`, which is kDay or wider.
CivilCount CountOfDay(Width width, CivilCount day);
CivilCount FirstDayOf(Width width, CivilCount count);

// The first day whose number yyyymmdd is not below this one, which need not be a date: for clients
// that bound a range by any numbers. 1 January 1970 for less, 1 January 10000 for more.
// The last day not above n is FirstDayFrom(n + 1) - 1.
CivilCount FirstDayFrom(std::uint64_t yyyymmdd);

// What a text says: a stretch of `width` that begins at this second of the local clock (counted
// from 1970-01-01 00:00 of that clock).
struct CalendarText {
  Width width = Width::kDay;
  std::int64_t local_s = 0;
  std::optional<std::int64_t> offset_s;
};

// Checks that the calendar has it (no 30 February, no week 53 in a year of 52) and that the year is
// one of 1970..9999. Errors name the text.
Result<CalendarText> ParseCalendarText(std::string_view text);

// The canonical text: digits only, but for the W of a week. The offset is written if it is there.
std::string FormatCalendarText(const CalendarText& text);

// "a day as 20230701 or 2023-07-01": for errors.
std::string_view WidthExample(Width width);

}  // namespace jeton
