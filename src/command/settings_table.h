// The table behind Settings: one entry per setting. A new setting is a field of Values and a line
// in settings_table.cc; nothing else names it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "command/settings.h"

namespace jeton::command {

struct SettingEntry {
  std::string_view name;
  // What a value is, as the reference shows it: "integer 0..65535", "bytes 1024..", "yes|no".
  std::string kind;
  // Completes "'70000' is not ...": "an integer from 0 to 65535".
  std::string expected;
  // Completes Redis' "CONFIG SET failed (...) - ...".
  std::string redis_reason;
  bool at_run_time = false;
  bool secret = false;         // CONFIG GET does not show it
  bool several_words = false;  // the rest of a file's line is the value
  std::string_view summary;
  // The settings that a second name of Redis stands for; empty for a setting of its own.
  std::vector<std::string_view> alias_of;

  // False if the text is no value of this setting; then nothing was changed.
  std::function<bool(Values&, std::string_view)> parse;
  std::function<std::string(const Values&)> print;
};

// In the order of the reference page.
const std::vector<SettingEntry>& SettingTable();
// By name in any case; -1 if there is none.
int FindSetting(std::string_view name);

// The words of a line, quotes and escapes as in redis.conf; false if a quote is not closed.
bool SplitWords(std::string_view line, std::vector<std::string>& words);
// The nearest name for a mistyped one; empty if none is near.
std::string_view NearestSetting(std::string_view name);

}  // namespace jeton::command
