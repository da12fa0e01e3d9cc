#include "protocol/csv.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace jeton {
namespace {

using namespace std::string_literals;

// Hands out at most `step` bytes at a time. `bytes` must outlive it.
CsvSource SourceOf(std::string_view bytes, std::size_t step) {
  return [=](char* out, std::size_t size) mutable -> Result<std::size_t> {
    const std::size_t n = bytes.copy(out, std::min(step, size));
    bytes.remove_prefix(n);
    return n;
  };
}

using Records = std::vector<std::vector<std::string>>;

// The records, and after an error one with its text alone.
Records ReadCsv(std::string_view bytes, std::size_t step = 3) {
  CsvReader reader(SourceOf(bytes, step));
  Records records;
  std::vector<std::string> fields;
  for (;;) {
    const auto more = reader.Next(fields);
    if (!more.ok()) {
      records.push_back({more.error().text});
      return records;
    }
    if (!*more) return records;
    records.push_back(fields);
  }
}

std::string ReadRows(std::string_view bytes) {
  CounterCsvReader reader(SourceOf(bytes, 5));
  CounterRow row;
  std::string text;
  for (;;) {
    const auto more = reader.Next(row);
    if (!more.ok()) return text + more.error().text;
    if (!*more) return text;
    text += (reader.HasTree() ? row.tree + "|" : "") + row.key + "|" + row.bucket + "|" +
            row.value.ToString() + "\n";
  }
}

TEST(Csv, ReadsRecordsInAnyPieces) {
  const std::string bytes = "a,b\r\n\"c,\"\"d\"\"\r\n\",\n\n\"\",e f \r\nlast,\"x\"";
  const Records expected = {{"a", "b"}, {"c,\"d\"\r\n", ""}, {"", "e f "}, {"last", "x"}};
  for (const std::size_t step : {1, 2, 3, 1000}) EXPECT_EQ(ReadCsv(bytes, step), expected);
}

TEST(Csv, ReadsEmptyInputAndMarks) {
  EXPECT_EQ(ReadCsv(""), Records());
  EXPECT_EQ(ReadCsv("\r\n\n"), Records());
  EXPECT_EQ(ReadCsv("\xef\xbb\xbf"), Records());
  EXPECT_EQ(ReadCsv("\xef\xbb\xbfx\n", 1), (Records{{"x"}}));
  EXPECT_EQ(ReadCsv("\xef\xbbx\n"), (Records{{"\xef\xbbx"}}));
  EXPECT_EQ(ReadCsv(","), (Records{{"", ""}}));
  EXPECT_EQ(ReadCsv("\0,\xff"s), (Records{{"\0"s, "\xff"}}));
}

TEST(Csv, RefusesWithTheLine) {
  EXPECT_EQ(ReadCsv("a\n\nb\"c\n").back().front(),
            "line 3: a quote in the middle of a field: quote the whole field, and write it twice");
  EXPECT_EQ(ReadCsv("\"a\nb\nc\"\n\"x\"y\n").back().front(),
            "line 4: text after the closing quote of a field");
  EXPECT_EQ(ReadCsv("a\n\"b\nc").back().front(), "line 2: a quoted field is not closed");
  EXPECT_EQ(ReadCsv("a\rb").back().front(), "line 1: a CR without LF: quote a field that has one");
  EXPECT_EQ(ReadCsv("a\r").back().front(), "line 1: a CR without LF: quote a field that has one");
}

TEST(Csv, FieldsAndRecordsHaveAMaximum) {
  const std::string longest(CsvReader::kFieldBytesMax, 'x');
  EXPECT_EQ(ReadCsv(longest), (Records{{longest}}));
  EXPECT_EQ(ReadCsv(longest + "x").back().front(), "line 1: a field of more than 65536 bytes");
  EXPECT_EQ(ReadCsv("\"" + longest + "x\"").back().front(),
            "line 1: a field of more than 65536 bytes");
  const std::string widest(CsvReader::kFieldsMax - 1, ',');
  EXPECT_EQ(ReadCsv(widest).front().size(), CsvReader::kFieldsMax);
  EXPECT_EQ(ReadCsv(widest + ",").back().front(), "line 1: more than 64 fields");
}

TEST(Csv, AnErrorOfTheSourceIsPassedOn) {
  const auto broken = [](char*, std::size_t) -> Result<std::size_t> {
    return Error{ErrorKind::kIo, "no luck"};
  };
  std::vector<std::string> fields;
  EXPECT_EQ(CsvReader(broken).Next(fields).error().kind, ErrorKind::kIo);
}

TEST(CounterCsv, ReadsThreeOrFourColumnsWithOrWithoutHeader) {
  EXPECT_EQ(ReadRows("articles,12345,20230701,126\n"), "articles|12345|20230701|126\n");
  EXPECT_EQ(ReadRows("tree,key,bucket,value\r\na,1,2023-07-01,0.5\r\n"), "a|1|2023-07-01|0.5\n");
  EXPECT_EQ(ReadRows("1,20230701,-2.50\n2,20230701,1e3\n"), "1|20230701|-2.5\n2|20230701|1000\n");
  EXPECT_EQ(ReadRows("Key,Bucket,Value\n,20230701,1"), "|20230701|1\n");
  EXPECT_EQ(ReadRows("key,bucket,value\n"), "");
  EXPECT_EQ(ReadRows(""), "");
}

TEST(CounterCsv, RefusesWithLineAndValue) {
  EXPECT_EQ(ReadRows("1,2\n"), "line 1: 2 columns, not key,bucket,value or tree,key,bucket,value");
  EXPECT_EQ(ReadRows("key,bucket,value\n1,20230701,1\na,1,20230701,1\n"),
            "1|20230701|1\nline 3: 4 columns, but the first line has 3");
  EXPECT_EQ(ReadRows("key,value,bucket\n"), "line 1: value \"bucket\" is not a decimal number");
  EXPECT_EQ(ReadRows("1,20230701,\n"), "line 1: value \"\" is not a decimal number");
  EXPECT_EQ(ReadRows("1,20230701,1e21\n"), "line 1: value \"1e21\" is outside -1e20 to 1e20");
}

TEST(CounterCsv, WritesWhatRfc4180AsksFor) {
  std::string out;
  AppendCsvHeader(out);
  AppendCsvRow(out, {.tree = "a", .key = "x,\"y\"", .bucket = "20230701", .value = 7});
  AppendCsvRow(out, {.tree = "\xef\xbb\xbf", .key = "", .bucket = "2023W27", .value = -1});
  EXPECT_EQ(out,
            "tree,key,bucket,value\r\n"
            "a,\"x,\"\"y\"\"\",20230701,7\r\n"
            "\"\xef\xbb\xbf\",,2023W27,-1\r\n");
}

RC_GTEST_PROP(CounterCsv, WhatIsWrittenIsReadAgain, ()) {
  const auto text = rc::gen::container<std::string>(
      rc::gen::oneOf(rc::gen::element(',', '"', '\r', '\n'), rc::gen::arbitrary<char>()));
  const CounterRow row{
      .tree = *text, .key = *text, .bucket = *text, .value = *rc::gen::arbitrary<std::int64_t>()};
  std::string out;
  AppendCsvRow(out, row);
  CounterCsvReader reader(SourceOf(out, 2));
  CounterRow read;
  RC_ASSERT(reader.Next(read).value());
  RC_ASSERT(read.tree == row.tree && read.key == row.key && read.bucket == row.bucket);
  RC_ASSERT(read.value == row.value);
  RC_ASSERT(!reader.Next(read).value());
}

TEST(JsonLines, WritesARowALine) {
  std::string out;
  const CounterRow row{.tree = "a\n",
                       .key = "\"1\"",
                       .bucket = "20230701",
                       .value = Decimal::Parse("-99999999999999999999.5").value()};
  ASSERT_TRUE(AppendJsonLine(out, row).ok());
  EXPECT_EQ(out,
            "{\"tree\":\"a\\n\",\"key\":\"\\\"1\\\"\",\"bucket\":\"20230701\","
            "\"value\":\"-99999999999999999999.5\"}\n");
}

TEST(JsonLines, RefusesWhatJsonCannotHold) {
  std::string out;
  const auto status =
      AppendJsonLine(out, {.tree = "a", .key = "\xff", .bucket = "20230701", .value = 1});
  EXPECT_EQ(status.error().text, "\"\\xff\" is not UTF-8, as JSON has to be; CSV can hold it");
  EXPECT_EQ(out, "");
}

}  // namespace
}  // namespace jeton
