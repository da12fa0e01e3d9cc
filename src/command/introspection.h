// COMMAND, ACL and MODULE: what a client can learn about the commands themselves.
#pragma once

#include "command/command.h"

namespace jeton::command {

void AddIntrospectionCommands(CommandTable& table);  // called by AddServerCommands

}  // namespace jeton::command
