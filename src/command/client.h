// CLIENT: what connections are called, who is there, and ending them.
#pragma once

#include <string_view>

#include "command/command.h"

namespace jeton::command {

inline constexpr std::string_view kBadClientName =
    "ERR Client names cannot contain spaces, newlines or special characters.";

// Printable ASCII without blanks: a name must not break the lines of CLIENT LIST.
bool IsClientWord(std::string_view word);

void AddClientCommands(CommandTable& table);  // called by AddConnectionCommands

}  // namespace jeton::command
