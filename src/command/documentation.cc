#include "command/documentation.h"

#include <algorithm>

#include "command/context.h"

namespace jeton::command {

namespace {

std::string UpperCase(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return upper;
}

std::string SyntaxOf(const std::vector<Argument>& arguments, std::string_view between);

// Without the brackets and dots of optional and multiple ones.
std::string BareSyntax(const Argument& argument) {
  const std::string token = argument.token.empty() ? "" : std::string(argument.token) + " ";
  switch (argument.type) {
    case ArgumentType::kPureToken:
      return std::string(argument.token);
    case ArgumentType::kOneOf: {
      const std::string choice = SyntaxOf(argument.arguments, " | ");
      return argument.optional ? token + choice : token + "<" + choice + ">";
    }
    case ArgumentType::kBlock:
      return token + SyntaxOf(argument.arguments, " ");
    default:
      return token + std::string(argument.name);
  }
}

std::string SyntaxOf(const Argument& argument) {
  std::string bare = BareSyntax(argument);
  std::string text = bare;
  if (argument.multiple) {
    if (!argument.multiple_token && !argument.token.empty()) {
      bare.erase(0, argument.token.size() + 1);
    }
    text += " [" + bare + " ...]";
  }
  return argument.optional ? "[" + text + "]" : text;
}

std::string SyntaxOf(const std::vector<Argument>& arguments, std::string_view between) {
  std::string text;
  for (const Argument& argument : arguments) {
    if (!text.empty()) text += between;
    text += SyntaxOf(argument);
  }
  return text;
}

struct FlagName {
  std::uint32_t flag;
  std::string_view name;
};

constexpr FlagName kFlagNames[] = {
    {kWrite, "write"},      {kReadOnly, "readonly"},
    {kDenyOom, "denyoom"},  {kAdmin, "admin"},
    {kPubSub, "pubsub"},    {kNoScript, "noscript"},
    {kLoading, "loading"},  {kSkipMonitor, "skip_monitor"},
    {kFast, "fast"},        {kNoAuth, "no_auth"},
    {kNoMulti, "no_multi"},
};

struct GroupCategory {
  std::string_view group, category;
};

constexpr GroupCategory kGroupCategories[] = {
    {"string", "string"},        {"generic", "keyspace"},         {"connection", "connection"},
    {"pubsub", "pubsub"},        {"transactions", "transaction"}, {"hash", "hash"},
    {"sorted-set", "sortedset"},
};

}  // namespace

std::string SyntaxOf(const Command& command) {
  return SyntaxOf(command.arguments, " ");
}

std::string DisplayName(const Command& command) {
  std::string name = UpperCase(command.name);
  std::replace(name.begin(), name.end(), '|', ' ');
  return name;
}

std::string_view TypeName(ArgumentType type) {
  switch (type) {
    case ArgumentType::kKey:
      return "key";
    case ArgumentType::kString:
      return "string";
    case ArgumentType::kInteger:
      return "integer";
    case ArgumentType::kDouble:
      return "double";
    case ArgumentType::kPattern:
      return "pattern";
    case ArgumentType::kUnixTime:
      return "unix-time";
    case ArgumentType::kPureToken:
      return "pure-token";
    case ArgumentType::kOneOf:
      return "oneof";
    case ArgumentType::kBlock:
      return "block";
  }
  return "string";
}

std::vector<std::string_view> FlagNames(const Command& command) {
  std::vector<std::string_view> names;
  for (const FlagName& flag : kFlagNames) {
    if ((command.flags & flag.flag) != 0) names.push_back(flag.name);
  }
  return names;
}

std::vector<std::string_view> Categories(const Command& command) {
  std::vector<std::string_view> names;
  if ((command.flags & kWrite) != 0) names.push_back("write");
  if ((command.flags & kReadOnly) != 0) names.push_back("read");
  if ((command.flags & kAdmin) != 0) {
    names.push_back("admin");
    names.push_back("dangerous");
  }
  for (const GroupCategory& entry : kGroupCategories) {
    if (entry.group == command.group) names.push_back(entry.category);
  }
  names.push_back((command.flags & kFast) != 0 ? "fast" : "slow");
  return names;
}

std::vector<std::string_view> AllCategories() {
  std::vector<std::string_view> names = {"admin", "dangerous", "fast", "read", "slow", "write"};
  for (const GroupCategory& entry : kGroupCategories) names.push_back(entry.category);
  std::sort(names.begin(), names.end());
  return names;
}

void ReplyHelp(Context& context) {
  const std::string_view container_name =
      context.command.name.substr(0, context.command.name.find('|'));
  const Command* container = context.server.commands.Find(container_name);
  std::vector<std::string> lines;
  lines.push_back(UpperCase(container_name) +
                  " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const Command* sub : container->subcommands) {
    if (sub->name.ends_with("|help")) continue;
    std::string line = UpperCase(sub->name.substr(container_name.size() + 1));
    if (const std::string syntax = SyntaxOf(*sub); !syntax.empty()) line += " " + syntax;
    lines.push_back(std::move(line));
    lines.push_back("    " + std::string(sub->summary));
  }
  lines.push_back("HELP");
  lines.push_back("    Print this help.");
  context.reply.Array(lines.size());
  for (const std::string& line : lines) context.reply.Simple(line);
}

}  // namespace jeton::command
