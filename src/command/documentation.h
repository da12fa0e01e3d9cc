// What a command's entry says of it, as text: for HELP, COMMAND and the reference pages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "command/command.h"

namespace jeton::command {

// The arguments in the notation of Redis' documentation: "key [NX | XX] [EX seconds]".
std::string SyntaxOf(const Command& command);
// "CLIENT SETNAME" of client|setname.
std::string DisplayName(const Command& command);

// "key", "pure-token", "oneof" ..., as in COMMAND DOCS.
std::string_view TypeName(ArgumentType type);
// The words of COMMAND INFO for a command's flags.
std::vector<std::string_view> FlagNames(const Command& command);
// Without the "@": "write", "fast", "connection" ...
std::vector<std::string_view> Categories(const Command& command);
// Every category that a command may have, sorted.
std::vector<std::string_view> AllCategories();

// The handler of every container's HELP subcommand: one page out of the table.
void ReplyHelp(Context& context);

}  // namespace jeton::command
