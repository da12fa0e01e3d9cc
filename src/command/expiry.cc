#include "command/command.h"

namespace jeton::command {

void AddExpiryCommands(CommandTable&) {}

}  // namespace jeton::command
