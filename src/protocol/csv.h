// Counters as text: CSV as of RFC 4180, read and written, and JSON lines, written. A row is a tree,
// a key, a bucket as text and a value as an exact decimal; the tree may be left out of CSV.
//
//   tree,key,bucket,value                                     the header may be missing when read
//   articles,12345,20230701,126
//   {"tree":"articles","key":"12345","bucket":"20230701","value":"126"}
//
// Pure; each object belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/decimal.h"
#include "base/result.h"

namespace jeton {

// Reads on, at most `size` bytes, and returns how many; 0 is the end. Its errors are passed on.
using CsvSource = std::function<Result<std::size_t>(char* out, std::size_t size)>;

// Any CSV, record by record. A record ends with CRLF or LF, the last one also with the file; empty
// lines are passed over, and so is a UTF-8 byte order mark at the start. Fields may hold any bytes.
class CsvReader {
 public:
  static constexpr std::size_t kFieldBytesMax = 64 << 10;
  static constexpr std::size_t kFieldsMax = 64;

  explicit CsvReader(CsvSource source) : source_(std::move(source)) {}

  // False: the end. Errors are kInvalid and begin with "line 3: ": a quote in the middle of a
  // field, text after one, a quote that is not closed, a CR without LF, a field or a record that is
  // too large. After an error do not use it further.
  Result<bool> Next(std::vector<std::string>& fields);

  // Where the last record began, from 1.
  std::uint64_t line() const { return record_line_; }
  // "line 3: " and the text, for what is wrong with the last record.
  Error Wrong(std::string_view text) const;

 private:
  static constexpr int kEnd = -1;

  Result<int> Peek();  // the next byte, or kEnd
  Status Field(std::string& out);
  Status QuotedField(std::string& out);
  Result<bool> EndRecord();  // true if a record ends here, and goes over its end
  Status SkipMark();
  Status Put(std::string& out, int byte) const;

  CsvSource source_;
  std::string buffer_;
  std::size_t next_ = 0;
  std::uint64_t line_ = 1;
  std::uint64_t record_line_ = 1;
  bool started_ = false;
};

struct CounterRow {
  std::string tree;  // empty if the file has no such column
  std::string key;
  std::string bucket;  // not looked into: what it may be depends on the tree
  Decimal value;
};

// CSV of three columns (key, bucket, value) or four (tree first), the same in all records. The
// first record is passed over if it is exactly those words, in any case.
class CounterCsvReader {
 public:
  explicit CounterCsvReader(CsvSource source) : csv_(std::move(source)) {}

  // Errors as of CsvReader; and with their line and value: the wrong number of columns, a value
  // that is no decimal or is outside the range of one.
  Result<bool> Next(CounterRow& row);
  bool HasTree() const { return columns_ == 4; }  // known after the first Next
  std::uint64_t line() const { return csv_.line(); }
  // For a bucket or a tree that the caller does not like.
  Error Wrong(std::string_view text) const { return csv_.Wrong(text); }

 private:
  CsvReader csv_;
  std::vector<std::string> fields_;
  std::size_t columns_ = 0;  // 0 before the first record
};

// Append one record, ended by CRLF. Fields are quoted where RFC 4180 asks for it.
void AppendCsvHeader(std::string& out);
void AppendCsvRow(std::string& out, const CounterRow& row);

// Appends one line, ended by LF. Everything is a string, the value too: readers that keep numbers
// as doubles would round it. JSON is UTF-8: kInvalid, by name and with nothing written, for a tree
// or a key that is not.
Status AppendJsonLine(std::string& out, const CounterRow& row);

}  // namespace jeton
