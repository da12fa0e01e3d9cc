#include "protocol/reply.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "base/assert.h"
#include "protocol/json_text.h"

namespace jeton {
namespace {

constexpr char kDigitPairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445"
    "46474849505152535455565758596061626364656667686970717273747576777879808182838485868788899091"
    "9293949596979899";

// "-9223372036854775808", its type in front and CR LF behind.
constexpr std::size_t kLineSize = 1 + 20 + 2;

// The digits before `end`; returns where they begin.
[[gnu::always_inline]] inline char* DigitsBefore(char* end, std::int64_t value) {
  std::uint64_t rest =
      value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  while (rest >= 100) {
    end -= 2;
    std::memcpy(end, kDigitPairs + 2 * (rest % 100), 2);
    rest /= 100;
  }
  if (rest >= 10) {
    end -= 2;
    std::memcpy(end, kDigitPairs + 2 * rest, 2);
  } else {
    *--end = static_cast<char>('0' + rest);
  }
  if (value < 0) *--end = '-';
  return end;
}

// Texts in simple strings and errors end at the line's end, so none may be within.
void AppendOneLine(std::string& out, std::string_view text) {
  const std::size_t begin = out.size();
  out.append(text);
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(),
      [](char c) { return c == '\r' || c == '\n'; }, ' ');
}

bool IsCodeChar(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The size of the code in front of an error's text, 0 if there is none.
std::size_t CodeSize(std::string_view text) {
  const std::size_t size = std::min(text.find(' '), text.size());
  const bool all =
      std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size), IsCodeChar);
  return all && size > 1 && text[0] >= 'A' ? size : 0;
}

}  // namespace

std::string_view ErrorCode(std::string_view error_text) {
  const std::size_t size = CodeSize(error_text);
  return size > 0 ? error_text.substr(0, size) : std::string_view("ERR");
}

std::string_view ErrorMessage(std::string_view error_text) {
  const std::size_t size = CodeSize(error_text);
  return size > 0 ? error_text.substr(std::min(size + 1, error_text.size())) : error_text;
}

// --- RESP ---

namespace {

// The first numbers of 2, 3 .. 20 digits; 0 has one.
constexpr std::uint64_t kFirstOfDigits[] = {0,
                                            10,
                                            100,
                                            1'000,
                                            10'000,
                                            100'000,
                                            1'000'000,
                                            10'000'000,
                                            100'000'000,
                                            1'000'000'000,
                                            10'000'000'000,
                                            100'000'000'000,
                                            1'000'000'000'000,
                                            10'000'000'000'000,
                                            100'000'000'000'000,
                                            1'000'000'000'000'000,
                                            10'000'000'000'000'000,
                                            100'000'000'000'000'000,
                                            1'000'000'000'000'000'000,
                                            10'000'000'000'000'000'000u};

// A number of so many bits has one of two numbers of digits (1233/4096 is the logarithm of 2).
inline unsigned CountDigits(std::uint64_t value) {
  const auto bits = static_cast<unsigned>(std::bit_width(value | 1));
  const unsigned digits = bits * 1233 >> 12;
  return digits + (value >= kFirstOfDigits[digits]);
}

// How many characters the value takes.
[[gnu::always_inline]] inline unsigned WidthOf(std::int64_t value) {
  return value < 0 ? 1 + CountDigits(0 - static_cast<std::uint64_t>(value))
                   : CountDigits(static_cast<std::uint64_t>(value));
}

// The value in `width` characters and a line's end, written where they stay.
[[gnu::always_inline]] inline char* PutLine(std::int64_t value, unsigned width, char* out) {
  DigitsBefore(out + width, value);
  std::memcpy(out + width, "\r\n", 2);
  return out + width + 2;
}

}  // namespace

char* PutIntegerReply(std::int64_t value, char* out) {
  *out++ = ':';
  return PutLine(value, WidthOf(value), out);
}

char* PutIntegerBulk(std::int64_t value, char* out) {
  if (value >= 0 && value < 10) {
    std::memcpy(out, "$1\r\n0\r\n", 7);
    out[4] = static_cast<char>('0' + value);
    return out + 7;
  }
  const unsigned width = WidthOf(value);
  char head[] = "$0\r\n";
  if (width < 10) [[likely]] {
    head[1] = static_cast<char>('0' + width);
    std::memcpy(out, head, 4);
    return PutLine(value, width, out + 4);
  }
  *out++ = '$';
  return PutLine(value, width, PutLine(width, 2, out));
}

void Reply::Line(char type, std::int64_t value) {
  char buffer[kLineSize];
  char* const end = buffer + kLineSize;
  end[-2] = '\r';
  end[-1] = '\n';
  char* begin = DigitsBefore(end - 2, value);
  *--begin = type;
  out_->append(begin, static_cast<std::size_t>(end - begin));
}

void Reply::Line(char type, std::string_view text) {
  *out_ += type;
  out_->append(text).append("\r\n");
}

void Reply::Simple(std::string_view text) {
  if (IsJson()) return JsonString(text);
  *out_ += '+';
  AppendOneLine(*out_, text);
  out_->append("\r\n");
}

void Reply::Ok() {
  if (IsJson()) return JsonString("OK");
  out_->append("+OK\r\n");
}

void Reply::Bulk(std::string_view bytes) {
  if (IsJson()) return JsonString(bytes);
  Line('$', static_cast<std::int64_t>(bytes.size()));
  out_->append(bytes).append("\r\n");
}

void Reply::Integer(std::int64_t value) {
  if (!IsJson()) return Line(':', value);
  char buffer[kLineSize];
  char* const end = buffer + kLineSize;
  const char* begin = DigitsBefore(end, value);
  JsonBare({begin, static_cast<std::size_t>(end - begin)});
}

void Reply::Decimal(const jeton::Decimal& value) {
  if (value.IsInt64()) return Integer(value.Int64());
  char buffer[jeton::Decimal::kMaxTextSize];
  const std::string_view text(buffer, value.FormatTo(buffer));
  if (IsJson()) return JsonBare(text);
  Bulk(text);
}

void Reply::DecimalBulk(const jeton::Decimal& value) {
  if (!IsJson() && value.IsInt64()) {
    char line[kIntegerReplyMax];
    out_->append(line, static_cast<std::size_t>(PutIntegerBulk(value.Int64(), line) - line));
    return;
  }
  char buffer[jeton::Decimal::kMaxTextSize];
  Bulk({buffer, value.FormatTo(buffer)});
}

void Reply::IntegerBulks(std::span<const std::int64_t> values) {
  if (IsJson()) {
    for (const std::int64_t value : values) DecimalBulk(value);
    return;
  }
  while (!values.empty()) {
    char bytes[kIntegersAtOnce * kIntegerReplyMax];
    char* end = bytes;
    const auto some = values.first(std::min(values.size(), kIntegersAtOnce));
    for (const std::int64_t value : some) end = PutIntegerBulk(value, end);
    out_->append(bytes, static_cast<std::size_t>(end - bytes));
    values = values.subspan(some.size());
  }
}

void Reply::Null() {
  if (IsJson()) return JsonBare("null");
  out_->append(format_ == ReplyFormat::kResp3 ? "_\r\n" : "$-1\r\n");
}

void Reply::NullArray() {
  if (format_ != ReplyFormat::kResp2) return Null();
  out_->append("*-1\r\n");
}

void Reply::Bool(bool value) {
  if (IsJson()) return JsonBare(value ? "true" : "false");
  if (format_ == ReplyFormat::kResp2) return Integer(value ? 1 : 0);
  out_->append(value ? "#t\r\n" : "#f\r\n");
}

void Reply::Double(double value) {
  char buffer[32];
  const auto written = std::to_chars(buffer, buffer + sizeof(buffer), value);
  std::string_view text(buffer, static_cast<std::size_t>(written.ptr - buffer));
  if (std::isnan(value)) text = "nan";  // a NaN may have a sign
  if (IsJson()) return JsonBare(std::isfinite(value) ? text : "null");
  if (format_ == ReplyFormat::kResp2) return Bulk(text);
  Line(',', text);
}

void Reply::Verbatim(std::string_view format, std::string_view text) {
  ASSERT(format.size() == 3);
  if (format_ != ReplyFormat::kResp3) return Bulk(text);
  Line('=', static_cast<std::int64_t>(text.size() + 4));
  out_->append(format).append(":").append(text).append("\r\n");
}

void Reply::BigNumber(std::string_view digits) {
  if (IsJson()) return JsonBare(digits);
  if (format_ == ReplyFormat::kResp2) return Bulk(digits);
  Line('(', digits);
}

void Reply::Container(char type, char resp2_type, std::size_t size, std::size_t values) {
  if (IsJson()) return OpenJson(type == '%', values);
  if (format_ == ReplyFormat::kResp3) return Line(type, static_cast<std::int64_t>(size));
  Line(resp2_type, static_cast<std::int64_t>(values));
}

void Reply::Array(std::size_t size) {
  Container('*', '*', size, size);
}
void Reply::Map(std::size_t pairs) {
  Container('%', '*', pairs, 2 * pairs);
}
void Reply::Set(std::size_t size) {
  Container('~', '*', size, size);
}
void Reply::Push(std::size_t size) {
  Container('>', '*', size, size);
}

// The type is left where the header will be, so that SetDeferred knows it.
std::size_t Reply::Defer(char type) {
  if (IsJson()) {
    OpenJson(type == '%', kOpen);
    return depth_;
  }
  *out_ += type;
  return out_->size() - 1;
}

std::size_t Reply::DeferArray() {
  return Defer('*');
}
std::size_t Reply::DeferMap() {
  return Defer('%');
}

void Reply::SetDeferred(std::size_t pos, std::size_t size) {
  if (IsJson()) {
    ASSERT(depth_ == pos);
    const Frame& frame = frames_[depth_ - 1];
    ASSERT(frame.written == (frame.map ? 2 * size : size));
    return CloseJson();
  }
  ASSERT(pos < out_->size());
  char type = (*out_)[pos];
  if (type == '%' && format_ == ReplyFormat::kResp2) {
    type = '*';
    size *= 2;
  }
  char buffer[kLineSize];
  char* const end = buffer + kLineSize;
  end[-2] = '\r';
  end[-1] = '\n';
  char* begin = DigitsBefore(end - 2, static_cast<std::int64_t>(size));
  *--begin = type;
  out_->replace(pos, 1, begin, static_cast<std::size_t>(end - begin));
}

void Reply::Error(std::string_view text, ErrorKind kind) {
  if (!has_error_) {
    has_error_ = true;
    error_ = {.kind = kind, .text = std::string(text)};
  }
  if (IsJson()) return JsonError(text);
  *out_ += '-';
  if (CodeSize(text) == 0) out_->append("ERR ");
  AppendOneLine(*out_, text);
  out_->append("\r\n");
}

void Reply::Raw(std::string_view bytes) {
  if (IsJson()) return JsonBare(bytes);
  out_->append(bytes);
}

// --- JSON ---

bool Reply::BeginJson() {
  if (depth_ == 0) return false;
  const Frame& frame = frames_[depth_ - 1];
  ASSERT(frame.remaining > 0);
  const bool key = frame.map && frame.written % 2 == 0;
  if (frame.map && !key) {
    *out_ += ':';
  } else if (frame.written > 0) {
    *out_ += ',';
  }
  return key;
}

// A value ends here, and with it each container that it fills.
void Reply::EndJson() {
  if (depth_ == 0) return;
  Frame& frame = frames_[depth_ - 1];
  ++frame.written;
  if (frame.remaining == kOpen) return;
  if (--frame.remaining == 0) CloseJson();
}

void Reply::CloseJson() {
  *out_ += frames_[--depth_].map ? '}' : ']';
  EndJson();
}

void Reply::JsonString(std::string_view text) {
  BeginJson();
  AppendJsonString(*out_, text);
  EndJson();
}

void Reply::JsonBare(std::string_view text) {
  const bool key = BeginJson();
  if (key && !text.starts_with('"')) {
    AppendJsonString(*out_, text);
  } else {
    out_->append(text);
  }
  EndJson();
}

void Reply::OpenJson(bool map, std::size_t values) {
  const bool key = BeginJson();
  ASSERT(!key);  // a container is no key
  ASSERT(depth_ < kMaxDepth);
  *out_ += map ? '{' : '[';
  frames_[depth_++] = {.remaining = values, .written = 0, .map = map};
  if (values == 0) CloseJson();
}

void Reply::JsonError(std::string_view text) {
  if (depth_ == 0) {
    failed_ = true;
    return;
  }
  const bool key = BeginJson();
  ASSERT(!key);
  out_->append("{\"error\":");
  AppendJsonString(*out_, ErrorMessage(text));
  *out_ += '}';
  EndJson();
}

}  // namespace jeton
