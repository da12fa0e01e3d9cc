#include "protocol/json.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "protocol/json_text.h"

namespace jeton {
namespace {

namespace ondemand = simdjson::ondemand;

Error Invalid(std::string text) {
  return {ErrorKind::kInvalid, std::move(text)};
}

// simdjson's messages begin with the name of the error's code.
Error ParseError(simdjson::error_code code) {
  std::string_view text = simdjson::error_message(code);
  const std::size_t colon = text.find(": ");
  if (colon != std::string_view::npos) text.remove_prefix(colon + 2);
  return Invalid("Invalid JSON: " + std::string(text));
}

std::string_view Trim(std::string_view text) {
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  return text.substr(0, end == std::string_view::npos ? 0 : end + 1);
}

template <typename Integer>
std::optional<Integer> ParseInteger(const JsonValue& value) {
  if (!value.IsNumber()) return std::nullopt;
  const std::string_view text = value.Text();
  Integer number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

JsonLineParser::Outcome JsonLineParser::Next(std::string_view input, std::size_t& consumed,
                                             std::string_view& line) {
  consumed = 0;
  while (true) {
    const std::string_view rest = input.substr(consumed);
    // The line's end may be two bytes beyond the maximum.
    const std::size_t size = std::min(rest.size(), max_bytes_ + 2);
    const auto* end =
        size <= scanned_
            ? nullptr
            : static_cast<const char*>(std::memchr(rest.data() + scanned_, '\n', size - scanned_));
    if (end == nullptr) {
      scanned_ = size;
      return size == max_bytes_ + 2 ? Outcome::kTooLong : Outcome::kNeedMore;
    }
    scanned_ = 0;
    line = rest.substr(0, static_cast<std::size_t>(end - rest.data()));
    consumed += line.size() + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() > max_bytes_) return Outcome::kTooLong;
    if (!line.empty()) return Outcome::kLine;
  }
}

// The parser, and the text with the padding that it reads beyond the end. Strings in the nodes are
// views into the parser's buffer, numbers views into the text.
struct JsonDocument::Engine {
  ondemand::parser parser;
  std::string text;
};

class JsonDocument::Builder {
 public:
  explicit Builder(std::vector<Node>& nodes) : nodes_(nodes) {}

  // A value is built behind the nodes that are there. Its container's iterator owns it.
  Status Value(simdjson::simdjson_result<ondemand::value> result, int depth) {
    ondemand::value value;
    if (const auto code = std::move(result).get(value)) return ParseError(code);
    ondemand::json_type type;
    if (const auto code = value.type().get(type)) return ParseError(code);
    switch (type) {
      case ondemand::json_type::array: {
        ondemand::array array;
        if (const auto code = value.get_array().get(array)) return ParseError(code);
        return Array(array, depth);
      }
      case ondemand::json_type::object: {
        ondemand::object object;
        if (const auto code = value.get_object().get(object)) return ParseError(code);
        return Object(object, depth);
      }
      case ondemand::json_type::string: {
        std::string_view text;
        if (const auto code = value.get_string().get(text)) return ParseError(code);
        Scalar(JsonType::kString, text);
        return {};
      }
      default:
        return Token(Trim(value.raw_json_token()));
    }
  }

  Status Array(ondemand::array& array, int depth) {
    if (depth > kJsonMaxDepth) return TooDeep();
    const std::size_t self = Open(JsonType::kArray);
    for (auto item : array) {
      if (Status status = Value(std::move(item), depth + 1); !status.ok()) return status;
      ++nodes_[self].size;
    }
    Close(self);
    return {};
  }

  Status Object(ondemand::object& object, int depth) {
    if (depth > kJsonMaxDepth) return TooDeep();
    const std::size_t self = Open(JsonType::kObject);
    for (auto result : object) {
      ondemand::field field;
      if (const auto code = std::move(result).get(field)) return ParseError(code);
      std::string_view name;
      if (const auto code = field.unescaped_key().get(name)) return ParseError(code);
      Scalar(JsonType::kString, name);
      if (Status status = Value(std::move(field.value()), depth + 1); !status.ok()) return status;
      ++nodes_[self].size;
    }
    Close(self);
    return {};
  }

 private:
  static Status TooDeep() {
    return Invalid("Invalid JSON: nested deeper than " + std::to_string(kJsonMaxDepth));
  }

  Status Token(std::string_view text) {
    if (text == "null") {
      Scalar(JsonType::kNull, text);
    } else if (text == "true" || text == "false") {
      Scalar(JsonType::kBool, text);
    } else if (IsJsonNumber(text)) {
      Scalar(JsonType::kNumber, text);
    } else {
      std::string quoted;
      AppendJsonString(quoted, text.substr(0, 64));
      return Invalid("Invalid JSON: unexpected token " + quoted);
    }
    return {};
  }

  void Scalar(JsonType type, std::string_view text) {
    const auto next = static_cast<std::uint32_t>(nodes_.size() + 1);
    nodes_.push_back({.type = type, .size = 0, .next = next, .text = text});
  }

  std::size_t Open(JsonType type) {
    Scalar(type, {});
    return nodes_.size() - 1;
  }

  void Close(std::size_t index) { nodes_[index].next = static_cast<std::uint32_t>(nodes_.size()); }

  std::vector<Node>& nodes_;
};

JsonDocument::JsonDocument() : engine_(std::make_unique<Engine>()) {}
JsonDocument::~JsonDocument() = default;
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;

Status JsonDocument::Parse(std::string_view text) {
  nodes_.clear();
  // Also keeps every index within 32 bits.
  if (text.size() > kJsonMaxLineBytes) return Invalid("Invalid JSON: larger than 16 MiB");
  engine_->text.assign(text);
  engine_->text.resize(text.size() + simdjson::SIMDJSON_PADDING, ' ');

  ondemand::document document;
  const char* const bytes = engine_->text.data();
  if (const auto code =
          engine_->parser.iterate(bytes, text.size(), engine_->text.size()).get(document)) {
    return ParseError(code);
  }
  ondemand::json_type type;
  if (const auto code = document.type().get(type)) return ParseError(code);

  Builder builder(nodes_);
  Status status = Invalid("Expected a JSON object");
  if (type == ondemand::json_type::object) {
    ondemand::object object;
    if (const auto code = document.get_object().get(object)) return ParseError(code);
    status = builder.Object(object, 1);
  } else if (type == ondemand::json_type::array) {
    ondemand::array array;
    if (const auto code = document.get_array().get(array)) return ParseError(code);
    status = builder.Array(array, 1);
  }
  if (status.ok() && document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    return Invalid("Invalid JSON: text after the end");
  }
  return status;
}

JsonType JsonValue::type() const {
  return document_->nodes_[index_].type;
}
std::string_view JsonValue::Text() const {
  return document_->nodes_[index_].text;
}
std::size_t JsonValue::size() const {
  return document_->nodes_[index_].size;
}
bool JsonValue::Bool() const {
  return type() == JsonType::kBool && Text() == "true";
}
std::optional<std::int64_t> JsonValue::Int64() const {
  return ParseInteger<std::int64_t>(*this);
}
std::optional<std::uint64_t> JsonValue::Uint64() const {
  return ParseInteger<std::uint64_t>(*this);
}

ItemRange JsonValue::Items() const {
  const std::size_t count = type() == JsonType::kArray ? size() : 0;
  return {document_, index_ + 1, static_cast<std::uint32_t>(count)};
}

FieldRange JsonValue::Fields() const {
  const std::size_t count = type() == JsonType::kObject ? size() : 0;
  return {document_, index_ + 1, static_cast<std::uint32_t>(count)};
}

std::optional<JsonValue> JsonValue::Find(std::string_view name) const {
  std::optional<JsonValue> found;
  for (const JsonField field : Fields()) {
    if (field.name == name) found = field.value;
  }
  return found;
}

std::string_view JsonValue::TypeName() const {
  switch (type()) {
    case JsonType::kNull:
      return "null";
    case JsonType::kBool:
      return "a boolean";
    case JsonType::kNumber:
      return "a number";
    case JsonType::kString:
      return "a string";
    case JsonType::kArray:
      return "an array";
    case JsonType::kObject:
      return "an object";
  }
  return "a value";
}

}  // namespace jeton
