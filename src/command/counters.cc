#include "command/command.h"

namespace jeton::command {

void AddCounterCommands(CommandTable&) {}

}  // namespace jeton::command
