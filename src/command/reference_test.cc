#include "command/reference.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace jeton::command {
namespace {

void ExpectCurrent(const std::string& name, const std::string& text) {
  const auto path = std::filesystem::path(JETON_SOURCE_DIR) / "docs" / "reference" / name;
  if (std::getenv("JETON_UPDATE_REFERENCE") != nullptr) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::ifstream file(path);
  std::stringstream written;
  written << file.rdbuf();
  EXPECT_TRUE(written.str() == text)
      << "docs/reference/" << name
      << " is stale: run JETON_UPDATE_REFERENCE=1 command_test --gtest_filter='Reference*'";
}

TEST(Reference, CommandsAreCurrent) {
  const CommandTable table;
  ExpectCurrent("commands.md", CommandReference(table));
}

TEST(Reference, SettingsAreCurrent) {
  ExpectCurrent("settings.md", SettingsReference());
}

}  // namespace
}  // namespace jeton::command
