// The pages of docs/reference/, as Markdown out of the tables. A test compares them with the files;
// JETON_UPDATE_REFERENCE=1 command_test --gtest_filter='Reference*' writes them anew.
#pragma once

#include <string>

#include "command/command.h"

namespace jeton::command {

std::string CommandReference(const CommandTable& table);
std::string SettingsReference();

}  // namespace jeton::command
