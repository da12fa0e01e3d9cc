#include "command/command.h"

namespace jeton::command {

void AddTransactionCommands(CommandTable&) {}

}  // namespace jeton::command
