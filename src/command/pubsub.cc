#include "command/command.h"

namespace jeton::command {

void AddPubSubCommands(CommandTable&) {}

}  // namespace jeton::command
