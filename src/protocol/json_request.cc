#include "protocol/json.h"
#include "protocol/json_text.h"

namespace jeton {
namespace {

// "Field key must be an integer, not a string" or "..., not 1.5".
Error WrongType(std::string_view name, std::string_view expected, const JsonValue& value) {
  std::string text = "Field ";
  AppendJsonEscaped(text, name);
  text.append(" must be ").append(expected).append(", not ");
  text.append(value.IsNumber() ? value.Text().substr(0, 64) : value.TypeName());
  return {ErrorKind::kInvalid, std::move(text)};
}

}  // namespace

Status JsonRequest::Parse(std::string_view line) {
  version_ = KarmaVersion::kUnknown;
  if (Status status = document_.Parse(line); !status.ok()) return status;
  if (document_.Root().type() != JsonType::kObject) {
    return Error{ErrorKind::kInvalid, "Expected a JSON object"};
  }
  if (document_.Root().Find("v") || document_.Root().Find("op")) {
    version_ = KarmaVersion::kV2;
  } else if (document_.Root().Find("command")) {
    version_ = KarmaVersion::kV1;
  }
  return {};
}

std::optional<JsonValue> JsonRequest::Field(std::string_view name) const {
  const auto value = document_.Root().Find(name);
  return value && value->IsNull() ? std::nullopt : value;
}

Result<std::optional<std::string_view>> JsonRequest::String(std::string_view name) const {
  const auto value = Field(name);
  if (!value) return std::optional<std::string_view>();
  if (!value->IsString()) return WrongType(name, "a string", *value);
  return std::optional(value->Text());
}

Result<std::optional<std::int64_t>> JsonRequest::Int64(std::string_view name) const {
  const auto value = Field(name);
  if (!value) return std::optional<std::int64_t>();
  const auto number = value->Int64();
  if (!number) return WrongType(name, "an integer of 64 bits", *value);
  return number;
}

Result<std::optional<std::uint64_t>> JsonRequest::Uint64(std::string_view name) const {
  const auto value = Field(name);
  if (!value) return std::optional<std::uint64_t>();
  const auto number = value->Uint64();
  if (!number) return WrongType(name, "an unsigned integer of 64 bits", *value);
  return number;
}

Result<std::optional<std::string_view>> JsonRequest::DecimalText(std::string_view name) const {
  const auto value = Field(name);
  if (!value) return std::optional<std::string_view>();
  if (!value->IsNumber() && !value->IsString()) return WrongType(name, "a number", *value);
  return std::optional(value->Text());
}

Result<std::optional<bool>> JsonRequest::Bool(std::string_view name) const {
  const auto value = Field(name);
  if (!value) return std::optional<bool>();
  if (value->type() != JsonType::kBool) return WrongType(name, "a boolean", *value);
  return std::optional(value->Bool());
}

Result<std::optional<JsonValue>> JsonRequest::Array(std::string_view name) const {
  const auto value = Field(name);
  if (value && value->type() != JsonType::kArray) return WrongType(name, "an array", *value);
  return value;
}

Result<std::optional<JsonValue>> JsonRequest::Object(std::string_view name) const {
  const auto value = Field(name);
  if (value && value->type() != JsonType::kObject) return WrongType(name, "an object", *value);
  return value;
}

}  // namespace jeton
