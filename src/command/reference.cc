#include "command/reference.h"

#include <map>

#include "command/documentation.h"
#include "command/settings.h"

namespace jeton::command {

namespace {

std::string Indented(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    out.append("    ").append(text.substr(0, end)).append("\n");
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

// A session as one sees it in redis-cli.
std::string Session(const Command& command, bool redis) {
  std::string text;
  for (const Example& example : command.examples) {
    text += "    > " + std::string(example.request) + "\n";
    const bool other = redis && !example.reply_redis.empty();
    text += Indented(other ? example.reply_redis : example.reply);
  }
  return text;
}

std::string Properties(const Command& command) {
  std::string text;
  const auto add = [&](std::string_view word) {
    if (!text.empty()) text += ", ";
    text += word;
  };
  if ((command.flags & kWrite) != 0) add("writes");
  if ((command.flags & kReadOnly) != 0) add("reads");
  if ((command.flags & kAdmin) != 0) add("for administrators");
  if ((command.flags & kExclusive) != 0) add("runs alone");
  if ((command.flags & kNoAuth) != 0) add("needs no password");
  if ((command.flags & kNoMulti) != 0) add("not in MULTI");
  if ((command.flags & kLoading) != 0) add("also while loading");
  return text;
}

std::string Entry(const Command& command) {
  std::string usage = DisplayName(command);
  if (const std::string syntax = SyntaxOf(command); !syntax.empty()) usage += " " + syntax;
  std::string text = "### " + DisplayName(command) + "\n\n`" + usage + "`\n\n";
  text += std::string(command.summary) + " " + std::string(command.complexity);
  if (!command.complexity.ends_with('.')) text += ".";
  if (const std::string properties = Properties(command); !properties.empty()) {
    text += " (" + properties + ")";
  }
  text += "\n\n";
  if (!command.errors.empty()) {
    text += "Errors:";
    for (const std::string_view error : command.errors) text += " `" + std::string(error) + "`";
    text += "\n\n";
  }
  const std::string discnt = Session(command, false);
  const std::string redis = Session(command, true);
  if (!discnt.empty()) text += discnt + "\n";
  if (redis != discnt) text += "In the redis dialect:\n\n" + redis + "\n";
  return text;
}

// One row of the table of Karma's operations: how it is asked for, its fields, what it does.
std::string JsonRow(const Command& command) {
  const bool v1 = command.name.starts_with("karma.v1.");
  std::string text = v1 ? "| `command` `" : "| `op` `";
  text += std::string(command.json_op) + "`";
  for (const std::string_view alias : command.json_aliases)
    text += ", `" + std::string(alias) + "`";
  text += " | ";
  for (std::size_t i = 0; i < command.arguments.size(); ++i) {
    const Argument& argument = command.arguments[i];
    if (i > 0) text += ", ";
    text += argument.optional ? "[" + std::string(argument.name) + "]" : std::string(argument.name);
  }
  return text + " | " + std::string(command.summary) + " |\n";
}

}  // namespace

std::string CommandReference(const CommandTable& table) {
  std::string text =
      "# Commands\n\nGenerated from the command table; the examples run as tests. Replies are as "
      "redis-cli prints them, in the discnt dialect, and in the redis dialect where it differs.\n";
  std::map<std::string_view, std::string> groups;
  for (const Command* command : table.All()) {
    if (command->handler != nullptr) groups[command->group] += Entry(*command);
  }
  for (const auto& [group, entries] : groups) {
    text += "\n## " + std::string(group) + "\n\n" + entries.substr(0, entries.size() - 1);
  }
  text +=
      "\n## Karma's operations\n\nJSON lines on the same port, or on `karma-port`. `command` asks "
      "by version 1 of the protocol (Karma 0.1), `op` with `\"v\":2` by version 2 (Karma 1.0).\n\n"
      "| operation | fields | what it does |\n|---|---|---|\n";
  for (const Command* command : table.JsonOnly()) text += JsonRow(*command);
  return text;
}

std::string SettingsReference() {
  std::string text =
      "# Settings\n\nGenerated from the table of settings. Later sources win: defaults, the file "
      "(`name value` lines and `include FILE`), the environment (`JETON_` and the name in "
      "capitals, "
      "with `_` for `-`), flags (`--name value`), `CONFIG SET`.\n\n"
      "| setting | value | default | `CONFIG SET` | meaning |\n|---|---|---|---|---|\n";
  for (const Settings::Description& setting : Settings::Describe()) {
    std::string kind = setting.kind;
    for (std::size_t i = 0; (i = kind.find('|', i)) != std::string::npos; i += 2)
      kind.insert(i, "\\");
    const std::string value =
        setting.default_value.empty() ? "" : "`" + setting.default_value + "`";
    text += "| `" + setting.name + "` | " + kind + " | " + value + " | " +
            (setting.at_run_time ? "yes" : "no") + " | " + setting.summary + " |\n";
  }
  return text;
}

}  // namespace jeton::command
