#include "command/introspection.h"

#include <algorithm>

#include "base/text.h"
#include "command/context.h"
#include "command/dispatcher.h"
#include "command/documentation.h"
#include "command/errors.h"

namespace jeton::command {

namespace {

bool IsSubcommand(const Command& command) {
  return command.name.find('|') != std::string_view::npos;
}

std::vector<const Command*> TopLevel(const CommandTable& table) {
  std::vector<const Command*> found;
  for (const Command* command : table.All()) {
    if (!IsSubcommand(*command)) found.push_back(command);
  }
  return found;
}

// "client|id" too, as COMMAND INFO and COMMAND DOCS take it.
const Command* FindByFullName(const CommandTable& table, std::string_view name) {
  const std::size_t bar = name.find('|');
  const Command* command = table.Find(name.substr(0, bar));
  if (command == nullptr || bar == std::string_view::npos) return command;
  return table.FindSubcommand(*command, name.substr(bar + 1));
}

// How a command touches its keys, as in the key specifications of Redis.
std::vector<std::string_view> KeyFlags(const Command& command) {
  if ((command.flags & kWrite) != 0) return {"RW", "access", "update"};
  return {"RO", "access"};
}

void ReplyKeySpecs(const Command& command, Reply& reply) {
  if (command.first_key == 0) return reply.Array(0);
  reply.Array(1);
  reply.Map(3);
  reply.Bulk("flags");
  const auto flags = KeyFlags(command);
  reply.Set(flags.size());
  for (const std::string_view flag : flags) reply.Simple(flag);
  reply.Bulk("begin_search");
  reply.Map(2);
  reply.Bulk("type");
  reply.Bulk("index");
  reply.Bulk("spec");
  reply.Map(1);
  reply.Bulk("index");
  reply.Integer(command.first_key);
  reply.Bulk("find_keys");
  reply.Map(2);
  reply.Bulk("type");
  reply.Bulk("range");
  reply.Bulk("spec");
  reply.Map(3);
  reply.Bulk("lastkey");  // counted from the first key where it is not from the end
  reply.Integer(command.last_key < 0 ? command.last_key : command.last_key - command.first_key);
  reply.Bulk("keystep");
  reply.Integer(command.key_step);
  reply.Bulk("limit");
  reply.Integer(0);
}

void ReplyInfo(const Command& command, Reply& reply) {
  reply.Array(10);
  reply.Bulk(command.name);
  reply.Integer(command.arity);
  const auto flags = FlagNames(command);
  reply.Set(flags.size());
  for (const std::string_view flag : flags) reply.Simple(flag);
  reply.Integer(command.first_key);
  reply.Integer(command.last_key);
  reply.Integer(command.key_step);
  const auto categories = Categories(command);
  reply.Set(categories.size());
  for (const std::string_view category : categories) reply.Simple("@" + std::string(category));
  reply.Array(0);  // tips
  ReplyKeySpecs(command, reply);
  reply.Array(command.subcommands.size());
  for (const Command* sub : command.subcommands) ReplyInfo(*sub, reply);
}

void ReplyArguments(const std::vector<Argument>& arguments, Reply& reply) {
  reply.Array(arguments.size());
  for (const Argument& argument : arguments) {
    const bool flagged = argument.optional || argument.multiple || argument.multiple_token;
    const std::size_t fields = 2 + (argument.type == ArgumentType::kKey) + !argument.token.empty() +
                               flagged + !argument.arguments.empty();
    reply.Map(fields);
    reply.Bulk("name");
    reply.Bulk(argument.name);
    reply.Bulk("type");
    reply.Bulk(TypeName(argument.type));
    if (argument.type == ArgumentType::kKey) {
      reply.Bulk("key_spec_index");
      reply.Integer(0);
    }
    if (!argument.token.empty()) {
      reply.Bulk("token");
      reply.Bulk(argument.token);
    }
    if (flagged) {
      reply.Bulk("flags");
      reply.Set(static_cast<std::size_t>(argument.optional) + argument.multiple +
                argument.multiple_token);
      if (argument.optional) reply.Simple("optional");
      if (argument.multiple) reply.Simple("multiple");
      if (argument.multiple_token) reply.Simple("multiple_token");
    }
    if (!argument.arguments.empty()) {
      reply.Bulk("arguments");
      ReplyArguments(argument.arguments, reply);
    }
  }
}

void ReplyDocs(const Command& command, Reply& reply) {
  const std::size_t fields = 4u + !command.arguments.empty() + !command.subcommands.empty();
  reply.Map(fields);
  reply.Bulk("summary");
  reply.Bulk(command.summary);
  reply.Bulk("since");
  reply.Bulk(command.since);
  reply.Bulk("group");
  reply.Bulk(command.group);
  reply.Bulk("complexity");
  reply.Bulk(command.complexity);
  if (!command.arguments.empty()) {
    reply.Bulk("arguments");
    ReplyArguments(command.arguments, reply);
  }
  if (command.subcommands.empty()) return;
  reply.Bulk("subcommands");
  reply.Map(command.subcommands.size());
  for (const Command* sub : command.subcommands) {
    reply.Bulk(sub->name);
    ReplyDocs(*sub, reply);
  }
}

void AllCommands(Context& context) {
  const auto commands = TopLevel(context.server.commands);
  context.reply.Array(commands.size());
  for (const Command* command : commands) ReplyInfo(*command, context.reply);
}

void Count(Context& context) {
  context.reply.Integer(static_cast<std::int64_t>(TopLevel(context.server.commands).size()));
}

void Info(Context& context) {
  if (context.args.size() == 2) return AllCommands(context);
  context.reply.Array(context.args.size() - 2);
  for (const std::string_view name : context.args.subspan(2)) {
    const Command* command = FindByFullName(context.server.commands, name);
    if (command == nullptr) {
      context.reply.NullArray();
    } else {
      ReplyInfo(*command, context.reply);
    }
  }
}

void Docs(Context& context) {
  std::vector<const Command*> commands;
  if (context.args.size() == 2) commands = TopLevel(context.server.commands);
  for (const std::string_view name : context.args.subspan(2)) {
    const Command* command = FindByFullName(context.server.commands, name);
    if (command != nullptr) commands.push_back(command);
  }
  context.reply.Map(commands.size());
  for (const Command* command : commands) {
    context.reply.Bulk(command->name);
    ReplyDocs(*command, context.reply);
  }
}

bool HasCategory(const Command& command, std::string_view category) {
  const auto categories = Categories(command);
  return std::any_of(categories.begin(), categories.end(),
                     [&](std::string_view own) { return EqualsIgnoreCase(own, category); });
}

void List(Context& context) {
  std::string_view filter, value;
  if (context.args.size() > 2) {
    if (context.args.size() != 5 || !EqualsIgnoreCase(context.args[2], "FILTERBY")) {
      return context.reply.Error(kSyntaxError);
    }
    filter = context.args[3];
    value = context.args[4];
    if (!EqualsIgnoreCase(filter, "MODULE") && !EqualsIgnoreCase(filter, "ACLCAT") &&
        !EqualsIgnoreCase(filter, "PATTERN")) {
      return context.reply.Error(kSyntaxError);
    }
  }
  std::vector<std::string_view> names;
  for (const Command* command : context.server.commands.All()) {
    bool wanted = filter.empty();
    if (EqualsIgnoreCase(filter, "ACLCAT")) wanted = HasCategory(*command, value);
    if (EqualsIgnoreCase(filter, "PATTERN")) {
      wanted = GlobMatch(value, command->name, GlobCase::kIgnore);
    }
    if (wanted) names.push_back(command->name);
  }
  context.reply.Array(names.size());
  for (const std::string_view name : names) context.reply.Bulk(name);
}

// The keys of the command in the arguments from the third on; an error was written if none.
KeyPositions KeysIn(Context& context, const Command*& command) {
  const auto words = context.args.subspan(2);
  command = context.dispatcher.Resolve(words);
  if (command == nullptr) {
    context.reply.Error("ERR Invalid command specified");
    return {};
  }
  const int count = static_cast<int>(words.size());
  if (command->arity >= 0 ? count != command->arity : count < -command->arity) {
    context.reply.Error("ERR Invalid number of arguments specified for command");
    return {};
  }
  const KeyPositions keys = KeysOf(*command, count);
  if (keys.first == 0) context.reply.Error("ERR The command has no key arguments");
  return keys;
}

void GetKeys(Context& context, bool with_flags) {
  const Command* command = nullptr;
  const KeyPositions keys = KeysIn(context, command);
  if (keys.first == 0) return;
  context.reply.Array(static_cast<std::size_t>((keys.last - keys.first) / keys.step + 1));
  for (int i = keys.first; i <= keys.last; i += keys.step) {
    if (with_flags) context.reply.Array(2);
    context.reply.Bulk(context.args[static_cast<std::size_t>(i) + 2]);
    if (!with_flags) continue;
    const auto flags = KeyFlags(*command);
    context.reply.Set(flags.size());
    for (const std::string_view flag : flags) context.reply.Simple(flag);
  }
}

constexpr std::string_view kGroup = "server";

void AddCommandCommand(CommandTable& table) {
  constexpr std::uint32_t kFlags = kLoading;
  table.Add({.name = "command",
             .summary = "Every command, as clients read it.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of commands",
             .flags = kFlags,
             .handler = AllCommands});
  table.Add({.name = "command|count",
             .summary = "How many commands there are.",
             .group = kGroup,
             .flags = kFlags,
             .handler = Count});
  const Argument names{.name = "command-name", .optional = true, .multiple = true};
  table.Add({.name = "command|info",
             .summary = "Arity, flags and keys of some commands, or of all.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of commands",
             .flags = kFlags,
             .arguments = {names},
             .handler = Info});
  table.Add({.name = "command|docs",
             .summary = "The documentation of some commands, or of all.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of commands",
             .flags = kFlags,
             .arguments = {names},
             .handler = Docs});
  table.Add(
      {.name = "command|list",
       .summary = "The names of commands.",
       .group = kGroup,
       .complexity = "O(N) where N is the number of commands",
       .flags = kFlags,
       .arguments = {{.name = "filterby",
                      .type = ArgumentType::kOneOf,
                      .token = "FILTERBY",
                      .optional = true,
                      .arguments = {{.name = "module-name", .token = "MODULE"},
                                    {.name = "category", .token = "ACLCAT"},
                                    {.name = "pattern",
                                     .type = ArgumentType::kPattern,
                                     .token = "PATTERN"}}}},
       .examples = {{"COMMAND LIST FILTERBY PATTERN incrb*", "1) \"incrby\"\n2) \"incrbyfloat\""}},
       .handler = List});
  const Argument request{
      .name = "request",
      .type = ArgumentType::kBlock,
      .arguments = {{.name = "command"}, {.name = "arg", .optional = true, .multiple = true}}};
  table.Add({.name = "command|getkeys",
             .summary = "The keys in a request.",
             .group = kGroup,
             .flags = kFlags,
             .arguments = {request},
             .errors = {"ERR The command has no key arguments"},
             .examples = {{"COMMAND GETKEYS MSET a 1 b 2", "1) \"a\"\n2) \"b\""}},
             .handler = [](Context& context) { GetKeys(context, false); }});
  table.Add(
      {.name = "command|getkeysandflags",
       .summary = "The keys in a request, and what is done to them.",
       .group = kGroup,
       .flags = kFlags,
       .arguments = {request},
       .errors = {"ERR The command has no key arguments"},
       .examples = {{"COMMAND GETKEYSANDFLAGS GET a", "1) 1) \"a\"\n   2) 1) RO\n      2) access"}},
       .handler = [](Context& context) { GetKeys(context, true); }});
  table.Add({.name = "command|help",
             .summary = "Print the subcommands.",
             .group = kGroup,
             .flags = kFlags,
             .handler = ReplyHelp});
}

// There is one user, "default", who may do everything once the password is given.
std::string DefaultUser(const ServerState& server) {
  const bool open = server.settings.values().requirepass.empty();
  return std::string("user default on ") + (open ? "nopass " : "") + "~* &* +@all";
}

void AclCat(Context& context) {
  if (context.args.size() == 2) {
    const auto categories = AllCategories();
    context.reply.Array(categories.size());
    for (const std::string_view category : categories) context.reply.Bulk(category);
    return;
  }
  const auto categories = AllCategories();
  const std::string_view wanted = context.args[2];
  if (std::none_of(categories.begin(), categories.end(),
                   [&](std::string_view one) { return EqualsIgnoreCase(one, wanted); })) {
    return context.reply.Error("ERR Unknown category '" + std::string(wanted) + "'");
  }
  std::vector<std::string_view> names;
  for (const Command* command : context.server.commands.All()) {
    if (HasCategory(*command, wanted)) names.push_back(command->name);
  }
  context.reply.Array(names.size());
  for (const std::string_view name : names) context.reply.Bulk(name);
}

void AclGetUser(Context& context) {
  if (context.args[2] != "default") return context.reply.Null();
  Reply& reply = context.reply;
  const bool open = context.server.settings.values().requirepass.empty();
  reply.Map(6);
  reply.Bulk("flags");
  reply.Set(open ? 2 : 1);
  reply.Bulk("on");
  if (open) reply.Bulk("nopass");
  reply.Bulk("passwords");
  reply.Array(0);  // never shown
  reply.Bulk("commands");
  reply.Bulk("+@all");
  reply.Bulk("keys");
  reply.Bulk("~*");
  reply.Bulk("channels");
  reply.Bulk("&*");
  reply.Bulk("selectors");
  reply.Array(0);
}

void AddAcl(CommandTable& table) {
  constexpr std::uint32_t kFlags = kAdmin | kLoading | kNoScript;
  table.Add({.name = "acl",
             .summary = "The one user and what it may do.",
             .group = kGroup,
             .complexity = "Depends on the subcommand.",
             .flags = kLoading});
  table.Add({.name = "acl|whoami",
             .summary = "The user of this connection.",
             .group = kGroup,
             .flags = kLoading | kFast,
             .examples = {{"ACL WHOAMI", "\"default\""}},
             .handler = [](Context& context) { context.reply.Bulk("default"); }});
  table.Add({.name = "acl|users",
             .summary = "The names of all users.",
             .group = kGroup,
             .flags = kFlags,
             .examples = {{"ACL USERS", "1) \"default\""}},
             .handler = [](Context& context) {
               context.reply.Array(1);
               context.reply.Bulk("default");
             }});
  table.Add({.name = "acl|list",
             .summary = "All users as rules.",
             .group = kGroup,
             .flags = kFlags,
             .examples = {{"ACL LIST", "1) \"user default on nopass ~* &* +@all\""}},
             .handler = [](Context& context) {
               context.reply.Array(1);
               context.reply.Bulk(DefaultUser(context.server));
             }});
  table.Add({.name = "acl|getuser",
             .summary = "What a user may do.",
             .group = kGroup,
             .flags = kFlags,
             .arguments = {{.name = "username"}},
             .examples = {{"ACL GETUSER nobody", "(nil)"}},
             .handler = AclGetUser});
  table.Add({.name = "acl|cat",
             .summary = "The categories, or the commands of one.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of commands",
             .flags = kLoading,
             .arguments = {{.name = "category", .optional = true}},
             .handler = AclCat});
  table.Add({.name = "acl|help",
             .summary = "Print the subcommands.",
             .group = kGroup,
             .flags = kLoading,
             .handler = ReplyHelp});
}

}  // namespace

void AddIntrospectionCommands(CommandTable& table) {
  AddCommandCommand(table);
  AddAcl(table);
  table.Add({.name = "module",
             .summary = "Modules: there are none.",
             .group = kGroup,
             .complexity = "Depends on the subcommand.",
             .flags = kLoading});
  table.Add({.name = "module|list",
             .summary = "An empty list, for clients that ask.",
             .group = kGroup,
             .flags = kLoading | kAdmin | kNoScript,
             .examples = {{"MODULE LIST", "(empty array)"}},
             .handler = [](Context& context) { context.reply.Array(0); }});
  table.Add({.name = "module|help",
             .summary = "Print the subcommands.",
             .group = kGroup,
             .flags = kLoading,
             .handler = ReplyHelp});
}

}  // namespace jeton::command
