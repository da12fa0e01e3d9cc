#include "command/command.h"

namespace jeton::command {

void AddClusterCommands(CommandTable&) {}

}  // namespace jeton::command
