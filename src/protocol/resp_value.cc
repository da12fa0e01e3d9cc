#include "protocol/resp_value.h"

#include <charconv>

#include "base/text.h"

namespace jeton {
namespace {

using Outcome = RespValueOutcome;

std::string Bad(std::string_view what, std::string_view line) {
  return std::string(what) + " " + QuoteForLog(line.substr(0, 64));
}

// Reads values one after another; once something is wrong or missing it stays so.
class Reader {
 public:
  explicit Reader(std::string_view input) : input_(input) {}

  std::size_t pos() const { return pos_; }
  const std::string& error() const { return error_; }

  Outcome Value(RespValue& value, int depth) {
    if (depth > kRespValueMaxDepth) return Fail("nested too deeply");
    std::string_view line;
    if (const Outcome outcome = Line(line); outcome != Outcome::kValue) return outcome;
    if (line.empty()) return Fail("an empty line where a reply begins");
    const char type = line.front();
    line.remove_prefix(1);
    switch (type) {
      case '+':
        return Text(value, RespValue::Type::kSimple, line);
      case '-':
        return Text(value, RespValue::Type::kError, line);
      case ',':
        return Text(value, RespValue::Type::kDouble, line);
      case '(':
        return Text(value, RespValue::Type::kBigNumber, line);
      case ':':
        value.type = RespValue::Type::kInteger;
        return Number(line, value.integer) ? Outcome::kValue : Fail(Bad("bad integer", line));
      case '_':
        value.type = RespValue::Type::kNull;
        return line.empty() ? Outcome::kValue : Fail(Bad("bad null", line));
      case '#':
        value.type = RespValue::Type::kBool;
        value.integer = line == "t" ? 1 : 0;
        return line == "t" || line == "f" ? Outcome::kValue : Fail(Bad("bad boolean", line));
      case '$':
        return Bulk(value, RespValue::Type::kBulk, line);
      case '!':
        return Bulk(value, RespValue::Type::kError, line);
      case '=':
        return Verbatim(value, line);
      case '*':
        return Items(value, RespValue::Type::kArray, line, 1, depth);
      case '~':
        return Items(value, RespValue::Type::kSet, line, 1, depth);
      case '>':
        return Items(value, RespValue::Type::kPush, line, 1, depth);
      case '%':
        return Items(value, RespValue::Type::kMap, line, 2, depth);
      case '|': {
        RespValue attribute;
        const Outcome outcome = Items(attribute, RespValue::Type::kMap, line, 2, depth);
        return outcome == Outcome::kValue ? Value(value, depth + 1) : outcome;
      }
      default:
        return Fail(Bad("unknown reply type", std::string_view(&type, 1)));
    }
  }

 private:
  Outcome Fail(std::string text) {
    error_ = std::move(text);
    return Outcome::kError;
  }

  Outcome Line(std::string_view& line) {
    const std::size_t end = input_.find('\r', pos_);
    if (end == std::string_view::npos || end + 1 == input_.size()) return Outcome::kNeedMore;
    if (input_[end + 1] != '\n') return Fail("CR without LF");
    line = input_.substr(pos_, end - pos_);
    pos_ = end + 2;
    return Outcome::kValue;
  }

  static bool Number(std::string_view text, std::int64_t& number) {
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    return read.ec == std::errc() && read.ptr == text.data() + text.size();
  }

  static Outcome Text(RespValue& value, RespValue::Type type, std::string_view text) {
    value.type = type;
    value.text = text;
    return Outcome::kValue;
  }

  Outcome Bulk(RespValue& value, RespValue::Type type, std::string_view line) {
    std::int64_t size = 0;
    if (!Number(line, size) || size < -1 || size > std::int64_t{kRespValueMaxBytes}) {
      return Fail(Bad("bad length", line));
    }
    if (size == -1) {
      value.type = RespValue::Type::kNull;
      return Outcome::kValue;
    }
    const auto bytes = static_cast<std::size_t>(size);
    if (input_.size() - pos_ < bytes + 2) return Outcome::kNeedMore;
    if (input_.substr(pos_ + bytes, 2) != "\r\n") return Fail("no CRLF after a bulk");
    Text(value, type, input_.substr(pos_, bytes));
    pos_ += bytes + 2;
    return Outcome::kValue;
  }

  Outcome Verbatim(RespValue& value, std::string_view line) {
    const Outcome outcome = Bulk(value, RespValue::Type::kVerbatim, line);
    if (outcome != Outcome::kValue || value.IsNull()) return outcome;
    if (value.text.size() < 4 || value.text[3] != ':') {
      return Fail(Bad("verbatim text without a format", value.text));
    }
    value.text.erase(0, 4);
    return outcome;
  }

  Outcome Items(RespValue& value, RespValue::Type type, std::string_view line, std::size_t each,
                int depth) {
    std::int64_t count = 0;
    if (!Number(line, count) || count < -1 || count > std::int64_t{kRespValueMaxItems}) {
      return Fail(Bad("bad count", line));
    }
    value.type = count == -1 ? RespValue::Type::kNull : type;
    // Nothing is reserved on the word of a header: items are made as their bytes are met.
    for (std::size_t left = count == -1 ? 0 : static_cast<std::size_t>(count) * each; left > 0;
         --left) {
      const Outcome outcome = Value(value.items.emplace_back(), depth + 1);
      if (outcome != Outcome::kValue) return outcome;
    }
    return Outcome::kValue;
  }

  std::string_view input_;
  std::size_t pos_ = 0;
  std::string error_;
};

void Append(std::string& out, const RespValue& value, std::size_t indent);

// Each item behind its number, right-aligned; all lines but the first are indented.
void AppendItems(std::string& out, const RespValue& value, char mark, std::string_view empty,
                 std::size_t indent) {
  if (value.items.empty()) {
    out.append(empty);
    return;
  }
  const std::size_t step = value.type == RespValue::Type::kMap ? 2 : 1;
  const std::size_t width = std::to_string(value.items.size() / step).size();
  for (std::size_t i = 0; i + step <= value.items.size(); i += step) {
    if (i > 0) out.append("\n").append(indent, ' ');
    const std::string number = std::to_string(i / step + 1);
    out.append(width - number.size(), ' ').append(number).append(1, mark).append(" ");
    const std::size_t inner = indent + width + 2;
    Append(out, value.items[i], inner);
    if (step == 1) continue;
    out.append(" => ");
    Append(out, value.items[i + 1], inner);
  }
}

void Append(std::string& out, const RespValue& value, std::size_t indent) {
  switch (value.type) {
    case RespValue::Type::kSimple:
    case RespValue::Type::kVerbatim:
      out.append(value.text);
      return;
    case RespValue::Type::kError:
      out.append("(error) ").append(value.text);
      return;
    case RespValue::Type::kInteger:
      out.append("(integer) ").append(std::to_string(value.integer));
      return;
    case RespValue::Type::kBulk:
      out.append(QuoteForLog(value.text));
      return;
    case RespValue::Type::kNull:
      out.append("(nil)");
      return;
    case RespValue::Type::kDouble:
      out.append("(double) ").append(value.text);
      return;
    case RespValue::Type::kBool:
      out.append(value.integer != 0 ? "(true)" : "(false)");
      return;
    case RespValue::Type::kBigNumber:
      out.append("(big number) ").append(value.text);
      return;
    case RespValue::Type::kArray:
      return AppendItems(out, value, ')', "(empty array)", indent);
    case RespValue::Type::kMap:
      return AppendItems(out, value, '#', "(empty hash)", indent);
    case RespValue::Type::kSet:
      return AppendItems(out, value, '~', "(empty set)", indent);
    case RespValue::Type::kPush:
      return AppendItems(out, value, '>', "(empty push)", indent);
  }
}

}  // namespace

std::string RespValue::ToText() const {
  std::string out;
  Append(out, *this, 0);
  return out;
}

RespValueOutcome ParseRespValue(std::string_view input, std::size_t& consumed, RespValue& value) {
  value = RespValue();
  Reader reader(input);
  const Outcome outcome = reader.Value(value, 1);
  consumed = outcome == Outcome::kValue ? reader.pos() : 0;
  return outcome;
}

Result<std::vector<RespValue>> ParseRespValues(std::string_view input) {
  std::vector<RespValue> values;
  while (!input.empty()) {
    Reader reader(input);
    switch (reader.Value(values.emplace_back(), 1)) {
      case Outcome::kValue:
        input.remove_prefix(reader.pos());
        break;
      case Outcome::kNeedMore:
        return Error{ErrorKind::kInvalid, Bad("the reply is cut:", input)};
      case Outcome::kError:
        return Error{ErrorKind::kInvalid, reader.error()};
    }
  }
  return values;
}

void AppendRespRequest(std::string& out, const std::vector<std::string_view>& args) {
  out.append("*").append(std::to_string(args.size())).append("\r\n");
  for (const std::string_view arg : args) {
    out.append("$").append(std::to_string(arg.size())).append("\r\n");
    out.append(arg).append("\r\n");
  }
}

}  // namespace jeton
