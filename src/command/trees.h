// The parts of the family TREE.*: each adds its entries to the command table.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "command/command.h"
#include "command/context.h"

namespace jeton::command {

void AddTreeLifeCommands(
    CommandTable& table);  // trees_life.cc: CREATE DROP LIST INFO RESET CLEAR TRIM
void AddTreeValueCommands(CommandTable& table);  // trees_values.cc: one or more keys
void AddTreeWalkCommands(CommandTable& table);   // trees_walks.cc: TOTAL TOP SCAN

// Options of the form "WORD value", each at most once, in any order and case.
struct TreeOptions {
  std::optional<std::string_view> from, to, at, key, before;
};
// The options of `words` that `allowed` names. False if there is another word, one twice, or one
// without its value.
bool ParseTreeOptions(std::span<const std::string_view> words,
                      std::span<const std::string_view> allowed, TreeOptions& options);
// The leading options of `words` only; `words` is left with what stands behind them.
bool TakeTreeOptions(std::span<const std::string_view>& words,
                     std::span<const std::string_view> allowed, TreeOptions& options);

// FROM and TO.
inline constexpr std::array<std::string_view, 2> kRangeWords = {"FROM", "TO"};

// Arguments that several entries have.
Argument TreeNameArgument();
Argument TreeKeyArgument();
Argument FromOption();
Argument ToOption();
Argument AtOption();

}  // namespace jeton::command
