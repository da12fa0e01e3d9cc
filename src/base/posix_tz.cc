#include "base/posix_tz.h"

#include <chrono>
#include <utility>

namespace jeton {
namespace {

constexpr std::int64_t kDaySeconds = 86'400;
constexpr int kHourSeconds = 3600;

// Eats a PosixTz from the front of its text; every method says whether it found what it is for.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool AtEnd() const { return text_.empty(); }

  bool Take(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  // Letters, or anything in <>.
  bool Name() {
    if (Take('<')) {
      const std::size_t end = text_.find('>');
      if (end == std::string_view::npos) return false;
      text_.remove_prefix(end + 1);
      return true;
    }
    std::size_t n = 0;
    while (n < text_.size() && ((text_[n] | 32) >= 'a' && (text_[n] | 32) <= 'z')) ++n;
    text_.remove_prefix(n);
    return n > 0;
  }

  bool Number(int low, int high, int& value) {
    std::size_t n = 0;
    value = 0;
    while (n < text_.size() && n < 4 && text_[n] >= '0' && text_[n] <= '9') {
      value = value * 10 + (text_[n++] - '0');
    }
    text_.remove_prefix(n);
    return n > 0 && value >= low && value <= high;
  }

  // [+-]hh[:mm[:ss]], up to a week.
  bool Time(int& seconds) {
    const bool negative = Take('-');
    if (!negative) Take('+');
    int hours = 0;
    int minutes = 0;
    int rest = 0;
    if (!Number(0, 167, hours)) return false;
    if (Take(':') && !Number(0, 59, minutes)) return false;
    if (Take(':') && !Number(0, 59, rest)) return false;
    seconds = hours * kHourSeconds + minutes * 60 + rest;
    if (negative) seconds = -seconds;
    return true;
  }

  // The sign of POSIX is west of UTC.
  bool Offset(int& seconds_east) {
    if (!Time(seconds_east) || std::abs(seconds_east) > 25 * kHourSeconds) return false;
    seconds_east = -seconds_east;
    return true;
  }

  bool Change(YearlyChange& change) {
    if (!Take(',') || !Day(change)) return false;
    return !Take('/') || Time(change.time_s);
  }

 private:
  bool Day(YearlyChange& change) {
    if (Take('M')) {
      change.kind = YearlyChange::Kind::kWeekday;
      return Number(1, 12, change.month) && Take('.') && Number(1, 5, change.week) && Take('.') &&
             Number(0, 6, change.weekday);
    }
    if (Take('J')) {
      change.kind = YearlyChange::Kind::kJulianNoLeap;
      return Number(1, 365, change.day);
    }
    change.kind = YearlyChange::Kind::kDayOfYear;
    return Number(0, 365, change.day);
  }

  std::string_view text_;
};

std::int64_t DayNumber(const YearlyChange& change, int year) {
  using namespace std::chrono;
  const std::chrono::year y(year);
  if (change.kind == YearlyChange::Kind::kWeekday) {
    const std::chrono::month m(static_cast<unsigned>(change.month));
    const std::chrono::weekday w(static_cast<unsigned>(change.weekday));
    const sys_days day = change.week == 5 ? sys_days(y / m / w[last])
                                          : sys_days(y / m / w[static_cast<unsigned>(change.week)]);
    return day.time_since_epoch().count();
  }
  const std::int64_t first = sys_days(y / January / 1).time_since_epoch().count();
  if (change.kind == YearlyChange::Kind::kDayOfYear) return first + change.day;
  const bool after_leap_day = y.is_leap() && change.day >= 60;
  return first + change.day - (after_leap_day ? 0 : 1);
}

}  // namespace

std::int64_t YearlyChange::LocalIn(int year) const {
  return DayNumber(*this, year) * kDaySeconds + time_s;
}

std::array<PosixTz::Change, 2> PosixTz::ChangesIn(int year) const {
  std::array<Change, 2> changes = {
      Change{summer_begins.LocalIn(year) - standard_offset_s, summer_offset_s},
      Change{summer_ends.LocalIn(year) - summer_offset_s, standard_offset_s}};
  if (changes[1].utc_s < changes[0].utc_s) std::swap(changes[0], changes[1]);
  return changes;
}

std::optional<PosixTz> PosixTz::Parse(std::string_view text) {
  Scanner in(text);
  PosixTz tz;
  if (!in.Name() || !in.Offset(tz.standard_offset_s)) return std::nullopt;
  if (in.AtEnd()) return tz;

  tz.has_summer = true;
  tz.summer_offset_s = tz.standard_offset_s + kHourSeconds;
  if (!in.Name()) return std::nullopt;
  // Without an offset of its own summer is an hour ahead, and the comma follows at once.
  Scanner ahead = in;
  if (!ahead.Take(',') && !in.Offset(tz.summer_offset_s)) return std::nullopt;
  if (!in.Change(tz.summer_begins) || !in.Change(tz.summer_ends) || !in.AtEnd()) {
    return std::nullopt;
  }
  return tz;
}

}  // namespace jeton
