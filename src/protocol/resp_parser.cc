#include "protocol/resp_parser.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/text.h"

namespace jeton {
namespace {

// What the fast path takes: so many arguments, three digits of length.
constexpr std::size_t kShortArguments = 1024;
constexpr std::size_t kShortBulk = 999;

// Redis' own figures for clients that have yet to authenticate.
constexpr std::size_t kUnauthenticatedArguments = 10;
constexpr std::int64_t kUnauthenticatedBulkBytes = 16 * 1024;

// A cut request of more arguments than this does not leave its memory with the connection.
constexpr std::size_t kKeptSpans = 1024;

bool IsCrLf(const char* p) {
  return p[0] == '\r' && p[1] == '\n';
}

// The blanks between words, as isspace in the C locale.
bool IsBlank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
// What ends a word without quotes. Vertical tab and form feed do not, as in sdssplitargs.
bool EndsWord(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void SplitPlain(std::string_view line, std::vector<std::string_view>& args) {
  std::size_t i = 0;
  while (true) {
    while (i < line.size() && IsBlank(line[i])) ++i;
    if (i == line.size()) return;
    const std::size_t begin = i;
    while (i < line.size() && !EndsWord(line[i])) ++i;
    args.push_back(line.substr(begin, i - begin));
  }
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// One character after a backslash in double quotes.
char Unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Decodes the quoted part that begins behind its opening quote at `i`, up to and including its
// closing quote. False if there is none, or no blank behind it.
bool DecodeQuoted(std::string_view line, char quote, std::size_t& i, char*& out) {
  for (; i < line.size(); ++i) {
    const char c = line[i];
    const std::size_t left = line.size() - i - 1;
    if (c == quote) {
      ++i;
      return i == line.size() || IsBlank(line[i]);
    }
    if (c != '\\' || left == 0) {
      *out++ = c;
    } else if (quote == '\'') {
      if (line[i + 1] == '\'') ++i;
      *out++ = line[i];
    } else if (left >= 3 && line[i + 1] == 'x' && HexDigit(line[i + 2]) >= 0 &&
               HexDigit(line[i + 3]) >= 0) {
      *out++ = static_cast<char>(HexDigit(line[i + 2]) * 16 + HexDigit(line[i + 3]));
      i += 3;
    } else {
      *out++ = Unescape(line[++i]);
    }
  }
  return false;
}

// "$999\r\n"
constexpr std::ptrdiff_t kLengthLineMax = 6;

// Whether a line of a length, 4 to 6 bytes, stands at `other`, where as many as the longest are.
bool SameLine(std::string_view line, const char* other) {
  std::uint32_t x[2];
  std::uint32_t y[2];
  std::memcpy(&x[0], line.data(), 4);
  std::memcpy(&y[0], other, 4);
  std::memcpy(&x[1], line.data() + line.size() - 4, 4);
  std::memcpy(&y[1], other + line.size() - 4, 4);
  return x[0] == y[0] && x[1] == y[1];
}

// The request at the front if it is complete and made of short parts only, as nearly all are: up to
// `most` arguments of up to 999 bytes. Returns its size, or 0 to leave it, whatever it is, to the
// slow path. It has appended to `args` even then.
inline std::size_t TakeShort(std::string_view input, std::size_t most,
                             std::vector<std::string_view>& args) {
  const char* p = input.data();
  const char* const end = p + input.size();
  // The shortest request is longer than the longest count.
  if (end - p < 10 || p[0] != '*') return 0;
  std::size_t missing = static_cast<unsigned char>(p[1]) - static_cast<unsigned>('0');
  if (missing - 1 > 8) return 0;
  p += 2;
  while (*p != '\r') {
    const unsigned digit = static_cast<unsigned char>(*p++) - static_cast<unsigned>('0');
    missing = missing * 10 + digit;
    if (digit > 9 || missing > most) return 0;
  }
  if (missing > most || p[1] != '\n') return 0;
  p += 2;
  // The length's line of the argument before: nearly all in a row are of one length.
  std::string_view line;
  unsigned size = 0;
  do {
    if (!line.empty() && end - p > kLengthLineMax && SameLine(line, p)) {
      p += line.size();
      if (end - p < static_cast<std::ptrdiff_t>(size) + 2 || !IsCrLf(p + size)) return 0;
      args.emplace_back(p, size);
      p += size + 2;
      continue;
    }
    const char* const begin = p;
    // "$0\r\n\r\n" is the shortest argument, and "$999\r\n" the longest header: both are 6 bytes.
    if (end - p < 6 || p[0] != '$') return 0;
    size = static_cast<unsigned char>(p[1]) - static_cast<unsigned>('0');
    if (size > 9) return 0;
    p += 2;
    while (*p != '\r') {
      const unsigned digit = static_cast<unsigned char>(*p) - static_cast<unsigned>('0');
      if (digit > 9 || size == 0 || size > kShortBulk / 10) return 0;
      size = size * 10 + digit;
      ++p;
    }
    if (!IsCrLf(p)) return 0;
    p += 2;
    line = {begin, static_cast<std::size_t>(p - begin)};
    if (end - p < static_cast<std::ptrdiff_t>(size) + 2 || !IsCrLf(p + size)) return 0;
    args.emplace_back(p, size);
    p += size + 2;
  } while (--missing > 0);
  return static_cast<std::size_t>(p - input.data());
}

}  // namespace

void RespParser::SetLimits(const Limits& limits) {
  limits_ = limits;
  short_arguments_ = std::min(limits.unauthenticated ? kUnauthenticatedArguments : kShortArguments,
                              limits.arguments);
  if (limits.bulk_bytes < kShortBulk) short_arguments_ = 0;
}

RespParser::Outcome RespParser::Next(std::string_view input, std::size_t& consumed,
                                     std::vector<std::string_view>& args) {
  if (!in_multibulk_ && scanned_ == 0) {
    const std::size_t before = args.size();
    consumed = TakeShort(input, short_arguments_, args);
    if (consumed > 0) [[likely]]
      return Outcome::kRequest;
    args.resize(before);
  }
  return NextSlow(input, consumed, args);
}

RespParser::Outcome RespParser::NextSlow(std::string_view input, std::size_t& consumed,
                                         std::vector<std::string_view>& args) {
  needed_ = 0;
  consumed = 0;
  while (true) {
    const std::string_view rest = input.substr(consumed);
    Step step = Step::kNeedMore;
    if (in_multibulk_) {
      step = Multibulk(rest);
    } else if (!rest.empty()) {
      step = rest.front() == '*' ? BeginMultibulk(rest) : Inline(rest, args);
      if (in_multibulk_) step = Multibulk(rest);
    }
    if (step == Step::kNeedMore) return Outcome::kNeedMore;
    if (step == Step::kError) return Outcome::kError;
    if (in_multibulk_) EndMultibulk(rest, args);
    consumed += pos_;
    pos_ = 0;
    if (step == Step::kDone) return Outcome::kRequest;
  }
}

RespParser::Step RespParser::Inline(std::string_view input, std::vector<std::string_view>& args) {
  // A byte more than the limit is looked at, so that the outcome is the same however the bytes are
  // cut into pieces.
  const std::size_t size = std::min(input.size(), limits_.inline_bytes + 1);
  const auto* end = static_cast<const char*>(
      std::memchr(input.data() + scanned_, '\n', size > scanned_ ? size - scanned_ : 0));
  if (end == nullptr) {
    if (input.size() > limits_.inline_bytes) return Fail("too big inline request");
    scanned_ = input.size();
    return Step::kNeedMore;
  }
  scanned_ = 0;
  std::string_view line(input.data(), static_cast<std::size_t>(end - input.data()));
  pos_ = line.size() + 1;
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);

  const std::size_t before = args.size();
  if (line.find_first_of("\"'") == std::string_view::npos) {
    SplitPlain(line, args);
  } else if (!SplitQuoted(line, args)) {
    args.resize(before);
    return Fail("unbalanced quotes in request");
  }
  return args.size() > before ? Step::kDone : Step::kEmpty;
}

// Words with quotes are decoded into one block as large as the line: no word grows by decoding.
bool RespParser::SplitQuoted(std::string_view line, std::vector<std::string_view>& args) {
  scratch_.push_back(std::make_unique_for_overwrite<char[]>(line.size()));
  char* out = scratch_.back().get();
  std::size_t i = 0;
  while (true) {
    while (i < line.size() && IsBlank(line[i])) ++i;
    if (i == line.size()) return true;
    char* const begin = out;
    while (i < line.size() && !EndsWord(line[i])) {
      const char c = line[i++];
      if (c != '"' && c != '\'') {
        *out++ = c;
        continue;
      }
      if (!DecodeQuoted(line, c, i, out)) return false;
      break;  // the closing quote ends the word
    }
    args.emplace_back(begin, static_cast<std::size_t>(out - begin));
  }
}

// The line at pos_ without its end. Redis looks at the line only once its end is there, and so the
// order of its checks is kept.
RespParser::Step RespParser::LengthLine(std::string_view input, std::string_view too_big,
                                        std::string_view& line) {
  ASSERT(pos_ + scanned_ <= input.size());
  const std::string_view rest = input.substr(pos_);
  const std::size_t size = std::min(rest.size(), limits_.inline_bytes + 1);
  const auto* end = static_cast<const char*>(
      std::memchr(rest.data() + scanned_, '\r', size > scanned_ ? size - scanned_ : 0));
  if (end == nullptr) {
    if (rest.size() > limits_.inline_bytes) return Fail(too_big);
    scanned_ = rest.size();
    return Step::kNeedMore;
  }
  line = rest.substr(0, static_cast<std::size_t>(end - rest.data()));
  if (line.size() + 1 == rest.size()) {
    scanned_ = line.size();
    return Step::kNeedMore;
  }
  scanned_ = 0;
  return Step::kDone;
}

RespParser::Step RespParser::BeginMultibulk(std::string_view input) {
  std::string_view line;
  const Step step = LengthLine(input, "too big mbulk count string", line);
  if (step != Step::kDone) return step;

  const auto count = ParseInt64(line.substr(1));
  if (!count || input[line.size() + 1] != '\n' ||
      *count > static_cast<std::int64_t>(limits_.arguments)) {
    return Fail("invalid multibulk length");
  }
  if (limits_.unauthenticated && *count > static_cast<std::int64_t>(kUnauthenticatedArguments)) {
    return Fail("unauthenticated multibulk length");
  }
  pos_ = line.size() + 2;
  if (*count <= 0) return Step::kEmpty;
  in_multibulk_ = true;
  missing_ = static_cast<std::size_t>(*count);
  bulk_size_ = -1;
  return Step::kDone;
}

RespParser::Step RespParser::BulkLength(std::string_view input) {
  std::string_view line;
  const Step step = LengthLine(input, "too big bulk count string", line);
  if (step != Step::kDone) return step;

  const char type = input[pos_];
  if (type != '$') {
    std::string text = "expected '$', got ' '";
    if (type != '\r' && type != '\n') text[text.size() - 2] = type;
    return Fail(text);
  }
  const auto size = ParseInt64(line.substr(1));
  if (!size || *size < 0 || input[pos_ + line.size() + 1] != '\n' ||
      *size > static_cast<std::int64_t>(limits_.bulk_bytes)) {
    return Fail("invalid bulk length");
  }
  if (limits_.unauthenticated && *size > kUnauthenticatedBulkBytes) {
    return Fail("unauthenticated bulk length");
  }
  pos_ += line.size() + 2;
  bulk_size_ = *size;
  return Step::kDone;
}

RespParser::Step RespParser::Multibulk(std::string_view input) {
  while (missing_ > 0) {
    if (bulk_size_ < 0) {
      const Step step = BulkLength(input);
      if (step != Step::kDone) return step;
    }
    const auto size = static_cast<std::size_t>(bulk_size_);
    if (input.size() < pos_ + size + 2) {
      needed_ = pos_ + size + 2;
      return Step::kNeedMore;
    }
    if (!IsCrLf(input.data() + pos_ + size)) return Fail("expected CRLF after the bulk");
    spans_.push_back({.offset = pos_, .size = size});
    pos_ += size + 2;
    bulk_size_ = -1;
    --missing_;
  }
  return Step::kDone;
}

void RespParser::EndMultibulk(std::string_view input, std::vector<std::string_view>& args) {
  for (const Span& span : spans_) args.push_back(input.substr(span.offset, span.size));
  spans_.clear();
  if (spans_.capacity() > kKeptSpans) spans_.shrink_to_fit();
  in_multibulk_ = false;
}

RespParser::Step RespParser::Fail(std::string_view text) {
  error_.assign("Protocol error: ").append(text);
  return Step::kError;
}

}  // namespace jeton
