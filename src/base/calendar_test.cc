#include "base/calendar.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "base/prng.h"

namespace jeton {
namespace {

constexpr WallMs kMinuteMs = 60'000;

// "2023-03-25 23:00" in UTC.
WallMs Utc(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c >= '0' && c <= '9') digits += c;
  }
  const auto parsed = ParseCalendarText(digits);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? parsed->local_s * 1000 : 0;
}

Calendar Make(Width width, std::string_view zone = "UTC") {
  auto made = Calendar::Make(width, zone);
  EXPECT_TRUE(made.ok()) << zone;
  return *made;
}

std::string ErrorOf(const Calendar& calendar, std::string_view text) {
  const auto bucket = calendar.ParseExact(text);
  return bucket.ok() ? "parsed as " + calendar.Format(*bucket) : bucket.error().text;
}

struct GoldenBucket {
  Width width;
  const char* zone;
  const char* text;
  const char* begins;  // UTC
  int minutes;
};

constexpr GoldenBucket kGolden[] = {
    // Days of 23 and 25 hours.
    {Width::kDay, "UTC", "20230701", "2023-07-01 00:00", 24 * 60},
    {Width::kDay, "Europe/Berlin", "20230326", "2023-03-25 23:00", 23 * 60},
    {Width::kDay, "Europe/Berlin", "20230327", "2023-03-26 22:00", 24 * 60},
    {Width::kDay, "Europe/Berlin", "20231029", "2023-10-28 22:00", 25 * 60},
    {Width::kDay, "Europe/Berlin", "20400325", "2040-03-24 23:00", 23 * 60},
    {Width::kDay, "America/New_York", "20230312", "2023-03-12 05:00", 23 * 60},
    {Width::kDay, "America/New_York", "20231105", "2023-11-05 04:00", 25 * 60},
    // Midnight itself is skipped, or comes twice.
    {Width::kDay, "America/Havana", "20230312", "2023-03-12 05:00", 23 * 60},
    {Width::kDay, "America/Havana", "20231105", "2023-11-05 04:00", 25 * 60},
    // Offsets of 45 minutes, and a summer of 30.
    {Width::kDay, "Asia/Kathmandu", "20230701", "2023-06-30 18:15", 24 * 60},
    {Width::kDay, "Asia/Kathmandu", "19860101", "1985-12-31 18:30", 24 * 60 - 15},
    {Width::kDay, "Australia/Lord_Howe", "20230402", "2023-04-01 13:00", 24 * 60 + 30},
    {Width::kDay, "Australia/Lord_Howe", "20231001", "2023-09-30 13:30", 24 * 60 - 30},
    // Samoa went over the date line.
    {Width::kDay, "Pacific/Apia", "20111229", "2011-12-29 10:00", 24 * 60},
    {Width::kDay, "Pacific/Apia", "20111231", "2011-12-30 10:00", 24 * 60},
    {Width::kWeek, "Pacific/Apia", "2011W52", "2011-12-26 10:00", 6 * 24 * 60},
    {Width::kMonth, "Pacific/Apia", "201112", "2011-12-01 10:00", 30 * 24 * 60},
    // ISO weeks over New Year.
    {Width::kWeek, "UTC", "2020W53", "2020-12-28 00:00", 7 * 24 * 60},
    {Width::kWeek, "UTC", "2021W01", "2021-01-04 00:00", 7 * 24 * 60},
    {Width::kWeek, "UTC", "2025W01", "2024-12-30 00:00", 7 * 24 * 60},
    {Width::kWeek, "Europe/Berlin", "2023W12", "2023-03-19 23:00", 7 * 24 * 60 - 60},
    // Month ends and leap days.
    {Width::kMonth, "UTC", "202402", "2024-02-01 00:00", 29 * 24 * 60},
    {Width::kMonth, "UTC", "210002", "2100-02-01 00:00", 28 * 24 * 60},
    {Width::kMonth, "Europe/Berlin", "202310", "2023-09-30 22:00", 31 * 24 * 60 + 60},
    {Width::kMonth, "UTC", "999912", "9999-12-01 00:00", 31 * 24 * 60},
    {Width::kYear, "UTC", "2024", "2024-01-01 00:00", 366 * 24 * 60},
    {Width::kYear, "Europe/Berlin", "2023", "2022-12-31 23:00", 365 * 24 * 60},
    {Width::kYear, "UTC", "9999", "9999-01-01 00:00", 365 * 24 * 60},
    {Width::kDay, "UTC", "99991231", "9999-12-31 00:00", 24 * 60},
    {Width::kDay, "UTC", "20240229", "2024-02-29 00:00", 24 * 60},
    // Hours: repeated ones, short ones, and those that begin at odd minutes.
    {Width::kHour, "UTC", "2023070113", "2023-07-01 13:00", 60},
    {Width::kHour, "Europe/Berlin", "2023102902", "2023-10-29 00:00", 60},
    {Width::kHour, "Europe/Berlin", "2023102902+0100", "2023-10-29 01:00", 60},
    {Width::kHour, "Europe/Berlin", "2023102903", "2023-10-29 02:00", 60},
    {Width::kHour, "America/New_York", "2023110501-0500", "2023-11-05 06:00", 60},
    {Width::kHour, "Asia/Kathmandu", "2023070113", "2023-07-01 07:15", 60},
    {Width::kHour, "Asia/Kathmandu", "1986010100", "1985-12-31 18:30", 45},
    {Width::kHour, "Australia/Lord_Howe", "2023040201", "2023-04-01 14:00", 60},
    {Width::kHour, "Australia/Lord_Howe", "2023040201+1030", "2023-04-01 15:00", 30},
    {Width::kHour, "Australia/Lord_Howe", "2023040202", "2023-04-01 15:30", 60},
    {Width::kHour, "Australia/Lord_Howe", "2023100102", "2023-09-30 15:30", 30},
    {Width::kHour, "America/St_Johns", "2010110700", "2010-11-07 02:30", 1},
    {Width::kHour, "America/St_Johns", "2010110623-0330", "2010-11-07 02:31", 59},
    {Width::kHour, "America/St_Johns", "2010110700-0330", "2010-11-07 03:30", 60},
    {Width::kMinute, "Europe/Berlin", "202310290230", "2023-10-29 00:30", 1},
    {Width::kMinute, "Europe/Berlin", "202310290230+0100", "2023-10-29 01:30", 1},
};

TEST(Calendar, BucketsBeginAndEndWhereTheClocksSay) {
  for (const GoldenBucket& golden : kGolden) {
    SCOPED_TRACE(std::string(golden.zone) + " " + golden.text);
    const Calendar calendar = Make(golden.width, golden.zone);
    const auto bucket = calendar.ParseExact(golden.text);
    ASSERT_TRUE(bucket.ok()) << bucket.error().text;
    const WallMs begins = Utc(golden.begins);
    EXPECT_EQ(calendar.StartOf(*bucket), begins);
    EXPECT_EQ(calendar.EndOf(*bucket), begins + golden.minutes * kMinuteMs);
    EXPECT_EQ(calendar.At(begins), *bucket);
    EXPECT_EQ(calendar.At(calendar.EndOf(*bucket) - 1), *bucket);
    EXPECT_EQ(calendar.Format(*bucket), golden.text);
  }
}

TEST(Calendar, ASecondIsASecond) {
  const Calendar calendar = Make(Width::kSecond, "Europe/Berlin");
  const Bucket bucket = *calendar.ParseExact("20231029023015+0100");
  EXPECT_EQ(calendar.StartOf(bucket), Utc("2023-10-29 01:30:15"));
  EXPECT_EQ(calendar.EndOf(bucket), Utc("2023-10-29 01:30:16"));
  EXPECT_EQ(calendar.At(Utc("2023-10-29 01:30:15") + 999), bucket);
  EXPECT_EQ(calendar.Format(bucket), "20231029023015+0100");
}

TEST(Calendar, AnOffsetWithSecondsKeepsItsBuckets) {
  // Monrovia was 44 minutes and 30 seconds behind until 1972.
  const Calendar hours = Make(Width::kHour, "Africa/Monrovia");
  const Bucket hour = *hours.ParseExact("1971070100");
  EXPECT_EQ(hours.StartOf(hour), Utc("1971-07-01 00:44:30"));
  EXPECT_EQ(hours.EndOf(hour), Utc("1971-07-01 01:44:30"));
  const Calendar minutes = Make(Width::kMinute, "Africa/Monrovia");
  const Bucket minute = *minutes.ParseExact("197201062359");
  EXPECT_EQ(minutes.EndOf(minute), Utc("1972-01-07 00:44:30"));
  EXPECT_EQ(minutes.Format(minutes.Next(minute)), "197201070044");
}

TEST(Calendar, AWeekBeginsBefore1970) {
  const Calendar weeks = Make(Width::kWeek);
  EXPECT_EQ(*weeks.ParseExact("1970W01"), 0);
  EXPECT_EQ(weeks.At(0), 0);
  EXPECT_EQ(weeks.StartOf(0), -3 * 86'400'000LL);
  EXPECT_EQ(weeks.Format(0), "1970W01");
}

TEST(Calendar, BucketsOfDaysAndWiderAreNeighbours) {
  EXPECT_EQ(*Make(Width::kDay).ParseExact("19700101"), 0);
  EXPECT_EQ(*Make(Width::kDay).ParseExact("20230701"), 19539);
  EXPECT_EQ(*Make(Width::kDay, "Pacific/Apia").ParseExact("2023-07-01"), 19539);
  EXPECT_EQ(*Make(Width::kMonth).ParseExact("2023-07"), 53 * 12 + 6);
  EXPECT_EQ(*Make(Width::kYear).ParseExact("2023"), 53);
  EXPECT_EQ(*Make(Width::kWeek).ParseExact("2023-W27"),
            *Make(Width::kWeek).ParseExact("2023W26") + 1);
  EXPECT_EQ(Make(Width::kWeek).At(Utc("2023-07-01 13:05:59")), 2791);
  EXPECT_EQ(Make(Width::kHour).At(Utc("2023-07-01 13:05:59")), 28136940);
  EXPECT_EQ(Make(Width::kMinute).At(Utc("2023-07-01 13:05:59")), 28136945);
  EXPECT_EQ(Make(Width::kSecond).At(Utc("2023-07-01 13:05:59")), 1688216759);
  EXPECT_EQ(*Make(Width::kHour).ParseExact("1970010101"), 60);
  EXPECT_EQ(*Make(Width::kMinute).ParseExact("197001010101"), 61);
  EXPECT_EQ(*Make(Width::kSecond).ParseExact("19700101000001"), 1);
}

TEST(Calendar, SkippedDaysAndHoursAreErrors) {
  const Calendar apia = Make(Width::kDay, "Pacific/Apia");
  EXPECT_EQ(ErrorOf(apia, "20111230"),
            "ERR bucket \"20111230\" does not exist in Pacific/Apia: the clocks skipped it");
  EXPECT_FALSE(apia.ParseRange("2011-12-30", std::nullopt).ok());
  const Bucket before = *apia.ParseExact("20111229");
  EXPECT_EQ(apia.StartOf(before + 1), apia.EndOf(before + 1));
  EXPECT_EQ(*apia.ParseExact("20111231"), before + 2);

  const Calendar berlin = Make(Width::kHour, "Europe/Berlin");
  EXPECT_EQ(ErrorOf(berlin, "2023032602"),
            "ERR bucket \"2023032602\" does not exist in Europe/Berlin: the clocks skipped it");
  EXPECT_EQ(berlin.Format(berlin.Next(*berlin.ParseExact("2023032601"))), "2023032603");
  EXPECT_FALSE(Make(Width::kMinute, "Europe/Berlin").ParseExact("202303260230").ok());
  EXPECT_FALSE(Make(Width::kHour, "America/Havana").ParseExact("2023031200").ok());
}

TEST(Calendar, AnOffsetNamesOneOfARepeatedHour) {
  const Calendar berlin = Make(Width::kHour, "Europe/Berlin");
  const Bucket first = *berlin.ParseExact("2023102902");
  EXPECT_EQ(*berlin.ParseExact("2023102902+0200"), first);
  EXPECT_EQ(berlin.Next(first), *berlin.ParseExact("2023102902+0100"));
  EXPECT_EQ(berlin.Previous(*berlin.ParseExact("2023102903")),
            *berlin.ParseExact("2023102902+0100"));
  EXPECT_EQ(*berlin.ParseExact("2023070113+0200"), *berlin.ParseExact("2023070113"));
  EXPECT_EQ(ErrorOf(berlin, "2023102902+0300"),
            "ERR bucket \"2023102902+0300\" has another offset in Europe/Berlin: want +0200 or "
            "+0100");
  EXPECT_EQ(ErrorOf(berlin, "2023070113+0100"),
            "ERR bucket \"2023070113+0100\" has another offset in Europe/Berlin: want +0200");
}

TEST(Calendar, RefusesTextsOfAnotherWidth) {
  const Calendar days = Make(Width::kDay);
  EXPECT_EQ(ErrorOf(days, "202307"),
            "ERR bucket \"202307\" is too wide for buckets of a day: want a day as 20230701 or "
            "2023-07-01");
  EXPECT_EQ(ErrorOf(days, "2023070113"),
            "ERR bucket \"2023070113\" is too narrow for buckets of a day: want a day as 20230701 "
            "or 2023-07-01");
  EXPECT_EQ(days.ParseRange("2023070113", std::nullopt).error().text,
            "ERR bucket \"2023070113\" is too narrow for buckets of a day: want a day as 20230701 "
            "or 2023-07-01, or wider");
  EXPECT_FALSE(Make(Width::kMonth).ParseRange("2023W27", std::nullopt).ok());
}

TEST(Calendar, RefusesWhatIsNoBucket) {
  const Calendar days = Make(Width::kDay);
  EXPECT_EQ(ErrorOf(days, "20230231"),
            "ERR bucket \"20230231\" does not exist: that month has the days 1 to 28");
  EXPECT_EQ(ErrorOf(days, "20231301"),
            "ERR bucket \"20231301\" does not exist: a year has the months 1 to 12");
  EXPECT_EQ(ErrorOf(days, "19691231"),
            "ERR bucket \"19691231\" is out of range: want a year from 1970 to 9999");
  EXPECT_EQ(ErrorOf(Make(Width::kWeek), "2023W53"),
            "ERR bucket \"2023W53\" does not exist: 2023 has the weeks 1 to 52");
  EXPECT_EQ(ErrorOf(Make(Width::kHour), "2023070124"),
            "ERR bucket \"2023070124\" does not exist: times go from 00:00:00 to 23:59:59");
  for (std::string_view text : {"",
                                "x",
                                "2",
                                "20",
                                "202",
                                "20230",
                                "2023070",
                                "202307011",
                                "2023-7-1",
                                "2023-07-1",
                                "2023/07/01",
                                "2023-0701",
                                "202307-01",
                                "2023-07-01 ",
                                " 20230701",
                                "2023-",
                                "2023W",
                                "2023W1",
                                "2023-W",
                                "2023w27",
                                "2023W27-1",
                                "+20230701",
                                "-20230701",
                                "2023-07-01T13",
                                "20230701130559123",
                                "20230701+0100",
                                "2023070113+01",
                                "2023070113+0160",
                                "2023070113Z",
                                "today",
                                "99999999999999999999",
                                "2023-07-\n1"}) {
    EXPECT_NE(ErrorOf(days, text).find("is not a bucket: want digits as 2023,"), std::string::npos)
        << text << ": " << ErrorOf(days, text);
  }
  EXPECT_LT(ErrorOf(days, std::string(100'000, '9')).size(), 300u);
}

TEST(Calendar, RangesMayBeWider) {
  const Calendar days = Make(Width::kDay, "Europe/Berlin");
  const auto day = [&days](std::string_view text) { return *days.ParseExact(text); };
  EXPECT_EQ(*days.ParseRange("202307", "202307"), (BucketRange{day("20230701"), day("20230731")}));
  EXPECT_EQ(*days.ParseRange("2023", "2024-02"), (BucketRange{day("20230101"), day("20240229")}));
  EXPECT_EQ(*days.ParseRange("2025W01", "2025-W01"),
            (BucketRange{day("20241230"), day("20250105")}));
  EXPECT_EQ(*days.ParseRange("20230701", std::nullopt),
            (BucketRange{day("20230701"), day("99991231")}));
  EXPECT_EQ(*days.ParseRange(std::nullopt, "9999"), days.Bounds());
  EXPECT_EQ(days.Bounds(), (BucketRange{day("19700101"), day("99991231")}));
  EXPECT_TRUE(days.ParseRange("20230702", "20230701")->empty());
}

TEST(Calendar, RangesOfHoursFollowTheDay) {
  const Calendar hours = Make(Width::kHour, "Europe/Berlin");
  const auto hour = [&hours](std::string_view text) { return *hours.ParseExact(text); };
  const BucketRange long_day = *hours.ParseRange("20231029", "20231029");
  EXPECT_EQ(long_day, (BucketRange{hour("2023102900"), hour("2023102923")}));
  int count = 1;
  for (Bucket b = long_day.first; b != long_day.last; b = hours.Next(b)) ++count;
  EXPECT_EQ(count, 25);
  EXPECT_EQ(*hours.ParseRange("202307", "202307"),
            (BucketRange{hour("2023070100"), hour("2023073123")}));
  const Calendar minutes = Make(Width::kMinute, "Europe/Berlin");
  EXPECT_EQ(*minutes.ParseRange("2023102902+0100", "2023102902+0100"),
            (BucketRange{*minutes.ParseExact("202310290200+0100"),
                         *minutes.ParseExact("202310290259+0100")}));
}

TEST(Calendar, AWeekBelongsToTheMonthAndYearOfItsThursday) {
  const Calendar weeks = Make(Width::kWeek);
  const auto week = [&weeks](std::string_view text) { return *weeks.ParseExact(text); };
  EXPECT_EQ(*weeks.ParseRange("2020", "2020"), (BucketRange{week("2020W01"), week("2020W53")}));
  EXPECT_EQ(*weeks.ParseRange("2025", "2025"), (BucketRange{week("2025W01"), week("2025W52")}));
  // 1 June 2023 was a Thursday; 29 June too.
  EXPECT_EQ(*weeks.ParseRange("202306", "202306"), (BucketRange{week("2023W22"), week("2023W26")}));
}

TEST(Calendar, BackCountsBuckets) {
  const Calendar days = Make(Width::kDay, "Europe/Berlin");
  EXPECT_EQ(days.Format(days.Back(*days.ParseExact("20230401"), 30)), "20230302");
  EXPECT_EQ(days.Back(5, 100), 0);
  EXPECT_EQ(days.Back(INT64_MAX, INT64_MAX), 0);
  const Calendar hours = Make(Width::kHour, "Europe/Berlin");
  EXPECT_EQ(hours.Format(hours.Back(*hours.ParseExact("2023102903"), 3)), "2023102901");
  EXPECT_EQ(hours.Back(*hours.ParseExact("1970010203"), INT64_MAX), hours.Bounds().first);
}

TEST(Calendar, AnyNumberIsBroughtIntoBounds) {
  for (const char* zone : {"UTC", "Pacific/Apia", "Africa/Monrovia"}) {
    for (std::uint8_t i = 0; i < kWidthCount; ++i) {
      const Calendar calendar = Make(static_cast<Width>(i), zone);
      const auto [first, last] = calendar.Bounds();
      EXPECT_EQ(calendar.At(INT64_MIN), first);
      EXPECT_EQ(calendar.At(INT64_MAX), last);
      EXPECT_EQ(calendar.StartOf(INT64_MIN), calendar.StartOf(first));
      EXPECT_EQ(calendar.EndOf(INT64_MAX), calendar.EndOf(last));
      EXPECT_EQ(calendar.Next(INT64_MAX), last);
      EXPECT_EQ(calendar.Previous(INT64_MIN), first);
      EXPECT_EQ(calendar.Format(INT64_MIN).substr(0, 4), "1970");
      EXPECT_EQ(calendar.Format(INT64_MAX).substr(0, 4), "9999");
    }
  }
}

TEST(Calendar, NamesOfWidthsAndZonesAreChecked) {
  EXPECT_EQ(*ParseWidth("DAY"), Width::kDay);
  for (std::uint8_t i = 0; i < kWidthCount; ++i) {
    EXPECT_EQ(*ParseWidth(WidthName(static_cast<Width>(i))), static_cast<Width>(i));
  }
  EXPECT_EQ(ParseWidth("fortnight").error().text,
            "ERR unknown bucket width \"fortnight\": want second, minute, hour, day, week, month "
            "or year");
  EXPECT_FALSE(Calendar::Make(Width::kDay, "Berlin").ok());
  EXPECT_EQ(Make(Width::kDay, "utc").zone(), "UTC");
}

TEST(CalendarText, AnyNumberBoundsDays) {
  EXPECT_EQ(FirstDayFrom(0), 0);
  EXPECT_EQ(FirstDayFrom(20230701), DayOf(2023, 7, 1));
  EXPECT_EQ(FirstDayFrom(20230700), DayOf(2023, 7, 1));
  EXPECT_EQ(FirstDayFrom(20230732), DayOf(2023, 8, 1));
  EXPECT_EQ(FirstDayFrom(20230231), DayOf(2023, 3, 1));
  EXPECT_EQ(FirstDayFrom(20231299), DayOf(2024, 1, 1));
  EXPECT_EQ(FirstDayFrom(20230001), DayOf(2023, 1, 1));
  EXPECT_EQ(FirstDayFrom(20239900), DayOf(2024, 1, 1));
  EXPECT_EQ(FirstDayFrom(UINT64_MAX), DayOf(10000, 1, 1));
}

class CalendarLaws : public testing::TestWithParam<const char*> {};

TEST_P(CalendarLaws, HoldForEveryWidth) {
  TimeZones zones;
  for (std::uint8_t i = 0; i < kWidthCount; ++i) {
    const Calendar calendar = *Calendar::Make(static_cast<Width>(i), GetParam(), zones);
    SCOPED_TRACE(WidthName(calendar.width()));
    EXPECT_TRUE(rc::check([&calendar](std::uint64_t seed) {
      Prng prng(seed);
      // The first and the last bucket have no neighbour: AnyNumberIsBroughtIntoBounds has those.
      const WallMs end = prng.Chance(0.2) ? Utc("9998-12-01 00:00") : Utc("2060-01-01 00:00");
      const WallMs t = prng.Between(Utc("1971-02-01 00:00"), end);
      const Bucket b = calendar.At(t);
      RC_ASSERT(calendar.StartOf(b) <= t && t < calendar.EndOf(b));
      RC_ASSERT(calendar.At(calendar.StartOf(b)) == b);
      RC_ASSERT(calendar.At(calendar.EndOf(b) - 1) == b);
      RC_ASSERT(calendar.At(calendar.StartOf(b) - 1) < b);
      RC_ASSERT(calendar.At(calendar.EndOf(b)) > b);
      RC_ASSERT(calendar.StartOf(calendar.Next(b)) == calendar.EndOf(b));
      RC_ASSERT(calendar.EndOf(calendar.Previous(b)) == calendar.StartOf(b));
      RC_ASSERT(*calendar.ParseExact(calendar.Format(b)) == b);
      const auto range = calendar.ParseRange(calendar.Format(b), calendar.Format(b));
      RC_ASSERT(*range == (BucketRange{b, b}));
    }));
  }
}

TEST_P(CalendarLaws, HoldAroundEveryChangeOfTheClocks) {
  TimeZones zones;
  const auto zone = *zones.Find(GetParam());
  for (const Width width : {Width::kMinute, Width::kHour, Width::kDay}) {
    const Calendar calendar(width, zone);
    Regime regime = zone->At(Utc("1970-02-01 00:00") / 1000);
    while (regime.end_s < Utc("2045-01-01 00:00") / 1000) {
      Bucket b = calendar.At((regime.end_s - 3 * 3600) * 1000);
      for (int i = 0; i < 6; ++i) {
        const Bucket next = calendar.Next(b);
        ASSERT_GT(next, b) << calendar.Format(b);
        ASSERT_EQ(calendar.StartOf(next), calendar.EndOf(b)) << calendar.Format(b);
        const bool skipped = calendar.StartOf(b) == calendar.EndOf(b);
        ASSERT_EQ(calendar.ParseExact(calendar.Format(b)).value_or(-1), skipped ? -1 : b);
        b = next;
      }
      regime = zone->After(regime);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Zones, CalendarLaws,
                         testing::Values("UTC", "Europe/Berlin", "Europe/Dublin",
                                         "America/New_York", "Asia/Kathmandu",
                                         "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham",
                                         "Africa/Monrovia", "America/Caracas", "Asia/Pyongyang"));

// Around midnight of a change at 00:01, days are what the calendar shows, and so come back for an
// hour; hours stay in order.
TEST(Calendar, ADayMayComeBackForAnHour) {
  const Calendar days = Make(Width::kDay, "America/St_Johns");
  const Bucket day = *days.ParseExact("20101107");
  EXPECT_EQ(days.At(Utc("2010-11-07 02:30")), day);
  EXPECT_EQ(days.At(Utc("2010-11-07 02:31")), day - 1);
  EXPECT_EQ(days.At(Utc("2010-11-07 03:30")), day);
  const Calendar hours = Make(Width::kHour, "America/St_Johns");
  std::vector<std::string> texts;
  for (Bucket b = *hours.ParseExact("2010110623"); texts.size() < 4; b = hours.Next(b)) {
    texts.push_back(hours.Format(b));
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"2010110623", "2010110700", "2010110623-0330",
                                             "2010110700-0330"}));
}

}  // namespace
}  // namespace jeton
