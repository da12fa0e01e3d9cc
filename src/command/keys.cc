#include "command/command.h"

namespace jeton::command {

void AddKeyCommands(CommandTable&) {}

}  // namespace jeton::command
