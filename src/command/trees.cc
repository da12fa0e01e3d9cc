// The family TREE.*: counters by tree, key and calendar bucket. What its entries share is here.
#include "command/trees.h"

#include <algorithm>

#include "base/text.h"

namespace jeton::command {

namespace {

std::optional<std::string_view>* OptionOf(std::string_view word, TreeOptions& options) {
  if (EqualsIgnoreCase(word, "FROM")) return &options.from;
  if (EqualsIgnoreCase(word, "TO")) return &options.to;
  if (EqualsIgnoreCase(word, "AT")) return &options.at;
  if (EqualsIgnoreCase(word, "KEY")) return &options.key;
  if (EqualsIgnoreCase(word, "BEFORE")) return &options.before;
  return nullptr;
}

}  // namespace

bool TakeTreeOptions(std::span<const std::string_view>& words,
                     std::span<const std::string_view> allowed, TreeOptions& options) {
  while (!words.empty()) {
    const bool known = std::any_of(allowed.begin(), allowed.end(), [&](std::string_view word) {
      return EqualsIgnoreCase(word, words[0]);
    });
    if (!known) return true;
    std::optional<std::string_view>* option = OptionOf(words[0], options);
    if (words.size() < 2 || option->has_value()) return false;
    *option = words[1];
    words = words.subspan(2);
  }
  return true;
}

bool ParseTreeOptions(std::span<const std::string_view> words,
                      std::span<const std::string_view> allowed, TreeOptions& options) {
  return TakeTreeOptions(words, allowed, options) && words.empty();
}

Argument TreeNameArgument() {
  return {.name = "tree", .type = ArgumentType::kKey};
}
Argument TreeKeyArgument() {
  return {.name = "key"};
}
Argument FromOption() {
  return {.name = "from", .token = "FROM", .optional = true};
}
Argument ToOption() {
  return {.name = "to", .token = "TO", .optional = true};
}
Argument AtOption() {
  return {.name = "bucket", .token = "AT", .optional = true};
}

void AddTreeCommands(CommandTable& table) {
  AddTreeLifeCommands(table);
  AddTreeValueCommands(table);
  AddTreeWalkCommands(table);
}

}  // namespace jeton::command
