#include "command/command.h"

namespace jeton::command {

void AddStringCommands(CommandTable&) {}

}  // namespace jeton::command
