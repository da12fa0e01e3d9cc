#include "base/time_zone.h"

#include <date/tz.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <fstream>
#include <iterator>
#include <string>

#include "base/posix_tz.h"

namespace jeton {
namespace {

constexpr std::int64_t kDay = 86'400;

std::int64_t Utc(int year, unsigned month, unsigned day) {
  using namespace std::chrono;
  const sys_days date = std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day);
  return sys_seconds(date).time_since_epoch().count();
}

std::int64_t OffsetAt(const char* zone, std::int64_t utc_s) {
  TimeZones zones;
  return (*zones.Find(zone))->At(utc_s).offset_s;
}

std::string FileOf(const std::string& zone) {
  std::ifstream file(std::string(TimeZones::kSystemDirectory) + "/" + zone, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The date library reads the same files, but ends with the last change that they list.
TEST(TimeZone, AgreesWithTheDateLibraryUntil2037) {
  TimeZones zones;
  for (const char* name :
       {"Europe/Berlin", "Europe/Dublin", "America/New_York", "America/St_Johns", "America/Havana",
        "Africa/Monrovia", "Africa/Casablanca", "Asia/Kathmandu", "Asia/Pyongyang", "Asia/Gaza",
        "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham", "Antarctica/Troll", "EST5EDT"}) {
    const auto zone = *zones.Find(name);
    const auto* reference = date::locate_zone(name);
    Regime regime = zone->At(0);
    while (regime.begin_s < Utc(2037, 12, 1)) {
      for (const std::int64_t t : {std::max<std::int64_t>(0, regime.begin_s), regime.end_s - 1}) {
        if (t >= Utc(2037, 12, 1)) continue;
        const auto info = reference->get_info(date::sys_seconds(std::chrono::seconds(t)));
        ASSERT_EQ(regime.offset_s, info.offset.count()) << name << " " << t;
      }
      if (regime.end_s >= TimeZone::kEndOfTime) break;
      regime = zone->After(regime);
    }
  }
}

TEST(TimeZone, TheClosingRuleGoesOnForEver) {
  for (const int year : {2038, 2100, 2399, 2437, 2438, 2439, 2440, 2441, 2800, 9999}) {
    EXPECT_EQ(OffsetAt("Europe/Berlin", Utc(year, 7, 1)), 7200) << year;
    EXPECT_EQ(OffsetAt("Europe/Berlin", Utc(year, 12, 31)), 3600) << year;
    EXPECT_EQ(OffsetAt("Europe/Dublin", Utc(year, 7, 1)), 3600) << year;
    EXPECT_EQ(OffsetAt("Europe/Dublin", Utc(year, 1, 1)), 0) << year;
    EXPECT_EQ(OffsetAt("Australia/Lord_Howe", Utc(year, 1, 1)), 11 * 3600) << year;
    EXPECT_EQ(OffsetAt("Australia/Lord_Howe", Utc(year, 7, 1)), 10 * 3600 + 1800) << year;
    EXPECT_EQ(OffsetAt("Asia/Kathmandu", Utc(year, 7, 1)), 5 * 3600 + 2700) << year;
  }
}

TEST(TimeZone, RegimesMeetWithoutGapsOverThe400YearSeam) {
  TimeZones zones;
  const auto zone = *zones.Find("Europe/Berlin");
  Regime regime = zone->At(Utc(2435, 1, 1));
  while (regime.begin_s < Utc(2445, 1, 1)) {
    const Regime next = zone->After(regime);
    ASSERT_EQ(next.begin_s, regime.end_s);
    ASSERT_NE(next.offset_s, regime.offset_s);
    ASSERT_EQ(zone->At(next.end_s - 1).begin_s, next.begin_s);
    regime = next;
  }
}

TEST(TimeZone, KnowsOddPlaces) {
  EXPECT_EQ(OffsetAt("Africa/Monrovia", 0), -2670);  // -0:44:30 until 1972
  EXPECT_EQ(OffsetAt("Pacific/Apia", Utc(2011, 12, 30)), -10 * 3600);
  EXPECT_EQ(OffsetAt("Pacific/Apia", Utc(2011, 12, 31)), 14 * 3600);
  EXPECT_EQ(OffsetAt("utc", Utc(2011, 12, 31)), 0);
}

TEST(TimeZones, RefusesWhatIsNoZone) {
  TimeZones zones;
  for (std::string_view name :
       {"", "Europe/Berlin2", "europe/berlin/", "../../../etc/passwd", "/etc/passwd", "Europe",
        "right/UTC", "posix/UTC", "zone.tab", "tzdata.zi", "a\nb"}) {
    EXPECT_FALSE(zones.Find(name).ok()) << name;
  }
  EXPECT_FALSE(zones.Find(std::string_view("UTC\0", 4)).ok());
  EXPECT_EQ(zones.Find("Mars/Base").error().text,
            "ERR unknown time zone \"Mars/Base\": want a name of the IANA database, as UTC or "
            "Europe/Berlin");
  EXPECT_EQ(*zones.Find("Asia/Tokyo"), *zones.Find("Asia/Tokyo"));
}

TEST(TimeZone, DamagedFilesAreRefusedWithoutHarm) {
  const std::string file = FileOf("Europe/Berlin");
  ASSERT_TRUE(TimeZone::FromFile("x", file).ok());
  for (std::size_t size = 0; size < file.size(); ++size) {
    ASSERT_FALSE(TimeZone::FromFile("x", std::string_view(file).substr(0, size)).ok()) << size;
  }
  EXPECT_TRUE(rc::check([&file](std::uint64_t at, char byte) {
    std::string changed = file;
    changed[at % changed.size()] = byte;
    const auto zone = TimeZone::FromFile("x", changed);
    if (zone.ok()) (*zone)->At(static_cast<std::int64_t>(at % 1'000'000'000));
  }));
}

TEST(PosixTz, ReadsEveryFormOfTheRule) {
  const auto days = PosixTz::Parse("XXX3YYY,J60/0,300/-1:30");
  ASSERT_TRUE(days);
  EXPECT_EQ(days->standard_offset_s, -3 * 3600);
  EXPECT_EQ(days->summer_offset_s, -2 * 3600);
  // J60 is 1 March in every year; 300 counts from 0 and counts the leap day.
  EXPECT_EQ(days->summer_begins.LocalIn(2024), Utc(2024, 3, 1));
  EXPECT_EQ(days->summer_begins.LocalIn(2023), Utc(2023, 3, 1));
  EXPECT_EQ(days->summer_ends.LocalIn(2024), Utc(2024, 1, 1) + 300 * kDay - 5400);
  EXPECT_EQ(PosixTz::Parse("<+0545>-5:45")->standard_offset_s, 5 * 3600 + 2700);
  for (std::string_view text :
       {"", "UTC", "1", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M1.1.1",
        "CET-1CEST,M3.5.0,M10.5.0/3x", "<CET-1", "CET-99"}) {
    EXPECT_FALSE(PosixTz::Parse(text)) << text;
  }
}

}  // namespace
}  // namespace jeton
