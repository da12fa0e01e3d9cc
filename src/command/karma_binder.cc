#include "command/karma_binder.h"

#include <optional>

#include "base/decimal.h"

namespace jeton::command {
namespace {

constexpr std::string_view kIdempotencyFields[] = {"idempotency_key", "fingerprint",
                                                   "idempotency_created_at_unix"};
constexpr std::size_t kShownBytes = 64;  // of a client's value in an error

Error Invalid(std::string text) {
  return {ErrorKind::kInvalid, std::move(text)};
}

Error Required(std::string_view field) {
  return Invalid("Field " + std::string(field) + " is required");
}

std::string Shown(const JsonValue& value) {
  if (value.IsNumber()) return std::string(value.Text().substr(0, kShownBytes));
  if (value.IsString()) return "\"" + std::string(value.Text().substr(0, kShownBytes)) + "\"";
  return std::string(value.TypeName());
}

Error MustBe(std::string_view field, std::string_view what, const JsonValue& value) {
  return Invalid("Field " + std::string(field) + " must be " + std::string(what) + ", not " +
                 Shown(value));
}

constexpr std::string_view kKeyWords = "an unsigned integer of 64 bits, or a text";
constexpr std::string_view kBucketWords = "a number or a text such as 20230701";

bool IsKey(const JsonValue& value) {
  return value.IsString() || value.Uint64().has_value();
}
bool IsBucket(const JsonValue& value) {
  return value.IsString() || value.Uint64().has_value();
}

// A number, or a decimal in a string; not below zero, and zero only where it has a meaning.
Status CheckValue(std::string_view field, const JsonValue& value, bool zero_too) {
  if (!value.IsNumber() && !value.IsString()) return MustBe(field, "a number", value);
  const auto number = Decimal::Parse(value.Text());
  if (!number) {
    const bool range = number.error().kind == ErrorKind::kRange;
    return MustBe(field, range ? "a number up to 100000000000000000000" : "a number", value);
  }
  if (number->IsNegative() || (number->IsZero() && !zero_too)) {
    return MustBe(field, zero_too ? "0 or greater" : "greater than 0", value);
  }
  return {};
}

}  // namespace

void KarmaBinder::Add(std::string_view word) {
  words_.push_back(word.empty() ? std::string_view("") : word);
}

Status KarmaBinder::Bind(const Command& command, const JsonRequest& request) {
  words_.clear();
  words_.push_back(command.name);
  for (const std::string_view field : kIdempotencyFields) {
    if (!request.Field(field)) continue;
    return Invalid("Field " + std::string(field) +
                   " is not supported by this server: nothing was changed, send the request "
                   "without it");
  }
  for (const Argument& argument : command.arguments) {
    if (Status bound = BindArgument(argument, request); !bound) return bound;
  }
  return {};
}

Status KarmaBinder::BindArgument(const Argument& argument, const JsonRequest& request) {
  switch (argument.json) {
    case JsonForm::kNone:
      return {};
    case JsonForm::kTree:
    case JsonForm::kSeries:
      return BindTree(argument, request);
    case JsonForm::kKey:
    case JsonForm::kCursor:
      return BindKey(argument, request);
    case JsonForm::kValue:
      return BindValue(argument, request);
    case JsonForm::kBucket:
    case JsonForm::kBefore:
      return BindBucket(argument, request);
    case JsonForm::kFromTo:
      return BindFromTo(argument, request);
    case JsonForm::kRange:
      return BindRange(argument, request);
    case JsonForm::kLimit:
    case JsonForm::kOffset:
      return BindNumber(argument, request);
    case JsonForm::kText:
      return BindText(argument, request);
    case JsonForm::kKeys:
    case JsonForm::kAdds:
    case JsonForm::kSets:
    case JsonForm::kSeriesKeys:
      return BindArray(argument, request);
  }
  return {};
}

Status KarmaBinder::BindTree(const Argument& argument, const JsonRequest& request) {
  const bool v1 = argument.json == JsonForm::kTree;
  std::string_view field = v1 ? "tree_name" : "tree";
  std::optional<JsonValue> value = request.Field(field);
  if (!value && !v1) value = request.Field(field = "series");
  if (!value) return v1 ? Required("tree_name") : Invalid("Field tree or series is required");
  if (!value->IsString()) return MustBe(field, "a text", *value);
  if (value->Text().empty()) return Invalid("Field " + std::string(field) + " must not be empty");
  Add(value->Text());
  return {};
}

Status KarmaBinder::BindKey(const Argument& argument, const JsonRequest& request) {
  const auto value = request.Field(argument.name);
  if (!value) {
    if (!argument.optional) return Required(argument.name);
    AddAbsent(argument);
    return {};
  }
  if (!IsKey(*value)) return MustBe(argument.name, kKeyWords, *value);
  Add(value->Text());
  return {};
}

Status KarmaBinder::BindValue(const Argument& argument, const JsonRequest& request) {
  const auto value = request.Field(argument.name);
  if (!value) {
    AddAbsent(argument);
    return {};
  }
  if (Status checked = CheckValue(argument.name, *value, false); !checked) return checked;
  Add(value->Text());
  return {};
}

Status KarmaBinder::BindBucket(const Argument& argument, const JsonRequest& request) {
  std::string_view field = argument.json == JsonForm::kBefore ? "before" : "bucket";
  std::optional<JsonValue> value = request.Field(field);
  if (!value) value = request.Field("date");
  if (!value) {
    if (!argument.optional) return Required(field);
    AddAbsent(argument);
    return {};
  }
  if (!IsBucket(*value)) return MustBe(field, kBucketWords, *value);
  Add(value->Text());
  return {};
}

Status KarmaBinder::BindFromTo(const Argument& argument, const JsonRequest& request) {
  const auto from = request.Field("time_from");
  const auto to = request.Field("time_to");
  if (!from && !to && argument.optional) {
    words_.resize(words_.size() + 2);
    return {};
  }
  constexpr std::string_view kFields[] = {"time_from", "time_to"};
  for (const auto& [field, value] : {std::pair(kFields[0], from), std::pair(kFields[1], to)}) {
    if (!value) return Required(field);
    if (!value->Uint64()) return MustBe(field, "a number such as 20230701", *value);
    Add(value->Text());
  }
  return {};
}

Status KarmaBinder::BindRange(const Argument& argument, const JsonRequest& request) {
  const auto range = request.Field(argument.name);
  if (!range) {
    if (!argument.optional) return Required(argument.name);
    words_.resize(words_.size() + 2);
    return {};
  }
  if (range->type() != JsonType::kObject) return MustBe(argument.name, "an object", *range);
  for (const std::string_view end : {std::string_view("from"), std::string_view("to")}) {
    const std::string field = std::string(argument.name) + "." + std::string(end);
    const auto value = range->Find(end);
    if (!value || value->IsNull()) return Required(field);
    if (!IsBucket(*value)) return MustBe(field, kBucketWords, *value);
    Add(value->Text());
  }
  return {};
}

Status KarmaBinder::BindNumber(const Argument& argument, const JsonRequest& request) {
  const auto value = request.Field(argument.name);
  if (!value) {
    AddAbsent(argument);
    return {};
  }
  const auto number = value->Int64();
  if (argument.json == JsonForm::kOffset) {
    if (!number || *number < 0) return MustBe(argument.name, "an integer from 0 up", *value);
  } else if (!number || *number < 1 || *number > argument.json_max) {
    return MustBe(argument.name, "an integer from 1 to " + std::to_string(argument.json_max),
                  *value);
  }
  Add(value->Text());
  return {};
}

Status KarmaBinder::BindText(const Argument& argument, const JsonRequest& request) {
  const auto value = request.Field(argument.name);
  if (!value) return Required(argument.name);
  if (!value->IsString()) return MustBe(argument.name, "a text", *value);
  Add(value->Text());
  return {};
}

Status KarmaBinder::BindArray(const Argument& argument, const JsonRequest& request) {
  const auto array = request.Field(argument.name);
  if (!array) return Required(argument.name);
  if (array->type() != JsonType::kArray) return MustBe(argument.name, "an array", *array);
  if (array->size() == 0)
    return Invalid("Field " + std::string(argument.name) + " must not be empty");
  if (array->size() > kItemsMax) {
    return Invalid("Field " + std::string(argument.name) + " must have at most " +
                   std::to_string(kItemsMax) + " items, not " + std::to_string(array->size()));
  }
  for (const JsonValue item : array->Items()) {
    if (Status bound = BindItem(argument.json, item); !bound) return bound;
  }
  return {};
}

Status KarmaBinder::BindItem(JsonForm form, const JsonValue& item) {
  if (form == JsonForm::kSeriesKeys) return BindSeriesKey(item);
  if (form == JsonForm::kKeys) {
    if (!IsKey(item)) return MustBe("keys", "an array of unsigned integers or texts", item);
    Add(item.Text());
    return {};
  }
  if (item.type() != JsonType::kArray || item.size() != 3) {
    return Invalid("Each item must be [key, bucket, value]");
  }
  int position = 0;
  for (const JsonValue part : item.Items()) {
    if (position == 0 && !IsKey(part)) return MustBe("items: key", kKeyWords, part);
    if (position == 1 && !IsBucket(part)) return MustBe("items: bucket", kBucketWords, part);
    if (position == 2) {
      Status checked = CheckValue("items: value", part, form == JsonForm::kSets);
      if (!checked) return checked;
    }
    Add(part.Text());
    ++position;
  }
  return {};
}

Status KarmaBinder::BindSeriesKey(const JsonValue& item) {
  constexpr std::string_view kShape = R"(Each item must be {"series": name, "key": key})";
  if (item.type() != JsonType::kObject) return Invalid(std::string(kShape));
  auto series = item.Find("series");
  if (!series) series = item.Find("tree");
  const auto key = item.Find("key");
  if (!series || !series->IsString() || series->Text().empty() || !key || !IsKey(*key)) {
    return Invalid(std::string(kShape));
  }
  Add(series->Text());
  Add(key->Text());
  return {};
}

}  // namespace jeton::command
