#include "command/command.h"

namespace jeton::command {

void AddServerCommands(CommandTable&) {}

}  // namespace jeton::command
