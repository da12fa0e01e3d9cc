#include "command/command.h"

namespace jeton::command {

void AddConnectionCommands(CommandTable&) {}

}  // namespace jeton::command
