#include "protocol/csv.h"

#include <simdjson.h>

#include "base/text.h"
#include "protocol/json_text.h"

namespace jeton {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kColumns[] = {"tree", "key", "bucket", "value"};
constexpr std::size_t kColumnsMax = 4;

bool IsHeader(const std::vector<std::string>& fields) {
  const std::size_t first = kColumnsMax - fields.size();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (!EqualsIgnoreCase(fields[i], kColumns[first + i])) return false;
  }
  return true;
}

// Also what only looks like a byte order mark, at the start of a file without a header.
bool NeedsQuotes(std::string_view field) {
  return field.find_first_of(",\"\r\n") != field.npos || field.starts_with(kByteOrderMark);
}

void AppendField(std::string& out, std::string_view field) {
  if (!NeedsQuotes(field)) {
    out += field;
    return;
  }
  out += '"';
  for (const char c : field) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

}  // namespace

Result<bool> CsvReader::Next(std::vector<std::string>& fields) {
  if (auto skipped = SkipMark(); !skipped.ok()) return skipped.error();
  fields.clear();
  for (;;) {  // over empty lines
    record_line_ = line_;
    const auto next = Peek();
    if (!next.ok()) return next.error();
    if (*next == kEnd) return false;
    const auto empty = EndRecord();
    if (!empty.ok()) return empty.error();
    if (!*empty) break;
  }
  for (;;) {
    if (fields.size() == kFieldsMax) {
      return Wrong("more than " + std::to_string(kFieldsMax) + " fields");
    }
    if (auto read = Field(fields.emplace_back()); !read.ok()) return read.error();
    const auto end = EndRecord();
    if (!end.ok()) return end.error();
    if (*end) return true;
    ++next_;  // the comma: a field ends nowhere else
  }
}

Status CsvReader::Field(std::string& out) {
  auto next = Peek();
  if (next.ok() && *next == '"') return QuotedField(out);
  for (; next.ok(); next = Peek()) {
    if (*next == kEnd || *next == ',' || *next == '\n' || *next == '\r') return {};
    if (*next == '"') {
      return Wrong("a quote in the middle of a field: quote the whole field, and write it twice");
    }
    if (auto put = Put(out, *next); !put.ok()) return put;
    ++next_;
  }
  return next.error();
}

Status CsvReader::QuotedField(std::string& out) {
  ++next_;  // the opening quote
  for (;;) {
    auto next = Peek();
    if (!next.ok()) return next.error();
    if (*next == kEnd) return Wrong("a quoted field is not closed");
    ++next_;
    if (*next == '"') {
      const auto after = Peek();
      if (!after.ok()) return after.error();
      if (*after == kEnd || *after == ',' || *after == '\n' || *after == '\r') return {};
      if (*after != '"') return Wrong("text after the closing quote of a field");
      ++next_;
    }
    if (*next == '\n') ++line_;
    if (auto put = Put(out, *next); !put.ok()) return put;
  }
}

Result<bool> CsvReader::EndRecord() {
  auto next = Peek();
  if (!next.ok()) return next.error();
  if (*next == kEnd) return true;
  const bool carriage_return = *next == '\r';
  if (carriage_return) {
    ++next_;
    next = Peek();
    if (!next.ok()) return next.error();
    if (*next != '\n') return Wrong("a CR without LF: quote a field that has one");
  }
  if (*next != '\n') return false;
  ++next_;
  ++line_;
  return true;
}

Status CsvReader::SkipMark() {
  if (started_) return {};
  started_ = true;
  // Read until three bytes are there; a source may hand them out one by one.
  while (buffer_.size() < kByteOrderMark.size()) {
    char bytes[kByteOrderMark.size()];
    const auto size = source_(bytes, kByteOrderMark.size() - buffer_.size());
    if (!size.ok()) return size.error();
    if (*size == 0) break;
    buffer_.append(bytes, *size);
  }
  if (buffer_ == kByteOrderMark) next_ = buffer_.size();
  return {};
}

Result<int> CsvReader::Peek() {
  if (next_ == buffer_.size()) {
    buffer_.resize(kReadBytes);
    next_ = 0;
    const auto size = source_(buffer_.data(), buffer_.size());
    buffer_.resize(size.value_or(0));
    if (!size.ok()) return size.error();
    if (buffer_.empty()) return int{kEnd};
  }
  return int{static_cast<unsigned char>(buffer_[next_])};
}

Status CsvReader::Put(std::string& out, int byte) const {
  if (out.size() == kFieldBytesMax) {
    return Wrong("a field of more than " + std::to_string(kFieldBytesMax) + " bytes");
  }
  out += static_cast<char>(byte);
  return {};
}

Error CsvReader::Wrong(std::string_view text) const {
  return {ErrorKind::kInvalid, "line " + std::to_string(record_line_) + ": " + std::string(text)};
}

Result<bool> CounterCsvReader::Next(CounterRow& row) {
  const bool first = columns_ == 0;
  auto more = csv_.Next(fields_);
  if (!more.ok() || !*more) return more;
  if (first) {
    columns_ = fields_.size();
    if (columns_ != 3 && columns_ != 4) {
      return Wrong(std::to_string(columns_) +
                   " columns, not key,bucket,value or tree,key,bucket,value");
    }
    if (IsHeader(fields_)) {
      more = csv_.Next(fields_);
      if (!more.ok() || !*more) return more;
    }
  }
  if (fields_.size() != columns_) {
    return Wrong(std::to_string(fields_.size()) + " columns, but the first line has " +
                 std::to_string(columns_));
  }
  const auto value = Decimal::Parse(fields_.back());
  if (!value.ok()) {
    const bool range = value.error().kind == ErrorKind::kRange;
    return Wrong("value " + QuoteForLog(fields_.back()) +
                 (range ? " is outside -1e20 to 1e20" : " is not a decimal number"));
  }
  row.value = *value;
  row.bucket = std::move(fields_[columns_ - 2]);
  row.key = std::move(fields_[columns_ - 3]);
  row.tree = HasTree() ? std::move(fields_[0]) : std::string();
  return true;
}

void AppendCsvHeader(std::string& out) {
  out += "tree,key,bucket,value\r\n";
}

void AppendCsvRow(std::string& out, const CounterRow& row) {
  AppendField(out, row.tree);
  out += ',';
  AppendField(out, row.key);
  out += ',';
  AppendField(out, row.bucket);
  out += ',';
  out += row.value.ToString();
  out += "\r\n";
}

Status AppendJsonLine(std::string& out, const CounterRow& row) {
  for (const std::string* text : {&row.tree, &row.key}) {
    if (!simdjson::validate_utf8(*text)) {
      return Error{ErrorKind::kInvalid, QuoteForLog(*text) +
                                            " is not UTF-8, as JSON has to be; "
                                            "CSV can hold it"};
    }
  }
  out += "{\"tree\":";
  AppendJsonString(out, row.tree);
  out += ",\"key\":";
  AppendJsonString(out, row.key);
  out += ",\"bucket\":";
  AppendJsonString(out, row.bucket);
  out += ",\"value\":\"" + row.value.ToString() + "\"}\n";
  return {};
}

}  // namespace jeton
