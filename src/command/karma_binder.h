// KarmaBinder: the fields of a JSON request become the words of a command, as its arguments declare
// (JsonForm in command.h). From there on a JSON request goes the way of every other one.
//
// What does not fit is refused with a sentence that names the field. Fields that nobody declared
// are ignored, as in Karma; idempotency fields are not, since to ignore them would mean to count
// twice.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "command/command.h"
#include "protocol/json.h"

namespace jeton::command {

class KarmaBinder {
 public:
  static constexpr std::size_t kItemsMax = 10'000;  // of an array

  // words()[0] is the command's name. They are valid until the next Bind or the request's next
  // Parse.
  Status Bind(const Command& command, const JsonRequest& request);
  const std::vector<std::string_view>& words() const { return words_; }

 private:
  Status BindArgument(const Argument& argument, const JsonRequest& request);
  Status BindTree(const Argument& argument, const JsonRequest& request);
  Status BindKey(const Argument& argument, const JsonRequest& request);
  Status BindValue(const Argument& argument, const JsonRequest& request);
  Status BindBucket(const Argument& argument, const JsonRequest& request);
  Status BindFromTo(const Argument& argument, const JsonRequest& request);
  Status BindRange(const Argument& argument, const JsonRequest& request);
  Status BindNumber(const Argument& argument, const JsonRequest& request);
  Status BindText(const Argument& argument, const JsonRequest& request);
  Status BindArray(const Argument& argument, const JsonRequest& request);
  Status BindItem(JsonForm form, const JsonValue& item);
  Status BindSeriesKey(const JsonValue& item);

  void Add(std::string_view word);  // never one without data
  void AddAbsent(const Argument& argument) { words_.push_back(argument.json_default); }

  std::vector<std::string_view> words_;
};

}  // namespace jeton::command
