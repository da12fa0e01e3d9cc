#include "command/command.h"

namespace jeton::command {

void AddDiagnosisCommands(CommandTable&) {}

}  // namespace jeton::command
