// INFO, CONFIG, TIME, SAVE, SHUTDOWN and what else is about the server as a whole. COMMAND and its
// kin are in introspection.cc.
#include <algorithm>

#include "base/text.h"
#include "command/context.h"
#include "command/documentation.h"
#include "command/errors.h"
#include "command/info.h"
#include "command/introspection.h"

namespace jeton::command {

namespace {

void Info(Context& context) {
  context.reply.Verbatim("txt", InfoText(context.server, context.session.dialect,
                                         context.args.subspan(1), context.now.wall_ms));
}

void Time(Context& context) {
  context.reply.Array(2);
  context.reply.Bulk(std::to_string(context.now.wall_ms / 1000));
  context.reply.Bulk(std::to_string(context.now.wall_ms % 1000 * 1000));
}

// A node that takes writes is a master in Redis' words; it has no replicas in theirs.
void Role(Context& context) {
  context.reply.Array(3);
  context.reply.Bulk("master");
  context.reply.Integer(static_cast<std::int64_t>(context.server.host.persistence().appended_lsn));
  context.reply.Array(0);
}

void LastSave(Context& context) {
  context.reply.Integer(context.server.host.persistence().last_save_ms / 1000);
}

void Save(Context& context) {
  const Status status = context.server.host.SaveNow();
  if (!status.ok()) return context.reply.Error(status.error());
  context.reply.Ok();
}

void BgSave(Context& context) {
  if (context.args.size() == 2 && !EqualsIgnoreCase(context.args[1], "SCHEDULE")) {
    return context.reply.Error(kSyntaxError);
  }
  const Status status = context.server.host.StartSnapshot();
  if (!status.ok()) return context.reply.Error(status.error());
  context.reply.Simple("Background saving started");
}

void Shutdown(Context& context) {
  using Mode = Host::ShutdownSave;
  Mode mode = Mode::kDefault;
  for (const std::string_view word : context.args.subspan(1)) {
    const bool save = EqualsIgnoreCase(word, "SAVE");
    const bool no_save = EqualsIgnoreCase(word, "NOSAVE");
    if (EqualsIgnoreCase(word, "ABORT")) {
      return context.reply.Error("ERR No shutdown in progress.");
    }
    if ((save && mode == Mode::kNoSave) || (no_save && mode == Mode::kSave)) {
      return context.reply.Error(kSyntaxError);
    }
    if (save || no_save) {
      mode = save ? Mode::kSave : Mode::kNoSave;
    } else if (!EqualsIgnoreCase(word, "NOW") && !EqualsIgnoreCase(word, "FORCE")) {
      return context.reply.Error(kSyntaxError);
    }
  }
  // As in Redis, the answer is that the connection ends.
  context.session.close_after_reply = true;
  context.server.host.RequestShutdown(mode);
}

void ConfigGet(Context& context) {
  const auto found = context.server.settings.Get(context.args.subspan(2));
  context.reply.Map(found.size());
  for (const auto& [name, value] : found) {
    context.reply.Bulk(name);
    context.reply.Bulk(value);
  }
}

void ConfigSet(Context& context) {
  const auto words = context.args.subspan(2);
  if (words.size() % 2 != 0) return context.reply.Error(WrongArguments("config|set"));
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  for (std::size_t i = 0; i < words.size(); i += 2) pairs.emplace_back(words[i], words[i + 1]);
  const Status status = context.server.settings.ConfigSet(pairs);
  if (!status.ok()) return context.reply.Error(status.error());
  context.keyspace.set_drop_zero_counters(context.server.settings.values().zero_counters_drop);
  context.reply.Ok();
}

void ConfigRewrite(Context& context) {
  if (context.server.settings.config_file.empty()) {
    return context.reply.Error("ERR The server is running without a config file");
  }
  const auto old_text = context.server.host.ReadConfigFile();
  if (!old_text.ok())
    return context.reply.Error("ERR Rewriting config file: " + old_text.error().text);
  const Status status =
      context.server.host.WriteConfigFile(context.server.settings.RewriteText(*old_text));
  if (!status.ok()) return context.reply.Error("ERR Rewriting config file: " + status.error().text);
  context.reply.Ok();
}

void ResetStat(Context& context) {
  for (WorkerStats* stats : context.server.worker_stats) {
    for (auto* counter :
         {&stats->commands, &stats->hits, &stats->misses, &stats->expired, &stats->net_input_bytes,
          &stats->net_output_bytes, &stats->connections_received, &stats->connections_rejected,
          &stats->error_replies}) {
      counter->store(0, std::memory_order_relaxed);
    }
    for (auto& counts : stats->per_command) {
      for (auto* counter :
           {&counts.calls, &counts.microseconds, &counts.rejected, &counts.failed}) {
        counter->store(0, std::memory_order_relaxed);
      }
    }
  }
  context.server.stats_reset_ms = context.now.wall_ms;
  context.reply.Ok();
}

constexpr std::string_view kGroup = "server";

void AddConfig(CommandTable& table) {
  constexpr std::uint32_t kFlags = kAdmin | kLoading | kNoScript;
  table.Add({.name = "config",
             .summary = "Read and change the settings.",
             .group = kGroup,
             .complexity = "Depends on the subcommand.",
             .flags = kLoading});
  table.Add(
      {.name = "config|get",
       .summary = "The settings whose names match a pattern.",
       .group = kGroup,
       .complexity = "O(N) where N is the number of settings",
       .flags = kFlags,
       .arguments = {{.name = "parameter", .type = ArgumentType::kPattern, .multiple = true}},
       .examples = {{"CONFIG GET maxmem*",
                     "1) \"maxmemory\"\n2) \"0\"\n3) \"maxmemory-policy\"\n4) \"noeviction\""}},
       .handler = ConfigGet});
  table.Add({.name = "config|set",
             .summary = "Change settings that may change while the server runs, all or none.",
             .group = kGroup,
             .flags = kFlags | kExclusive,
             .arguments = {{.name = "data",
                            .type = ArgumentType::kBlock,
                            .multiple = true,
                            .arguments = {{.name = "parameter"}, {.name = "value"}}}},
             .errors = {"ERR Unknown option or number of arguments for CONFIG SET - 'x'"},
             .examples = {{"CONFIG SET timeout 60", "OK"},
                          {"CONFIG GET timeout", "1) \"timeout\"\n2) \"60\""}},
             .handler = ConfigSet});
  table.Add(
      {.name = "config|rewrite",
       .summary = "Write the present settings into the settings file.",
       .group = kGroup,
       .complexity = "O(N) where N is the number of settings",
       .flags = kFlags,
       .errors = {"ERR The server is running without a config file"},
       .examples = {{"CONFIG REWRITE", "(error) ERR The server is running without a config file"}},
       .handler = ConfigRewrite});
  table.Add({.name = "config|resetstat",
             .summary = "Set the counts of INFO back to zero.",
             .group = kGroup,
             .flags = kFlags | kExclusive,
             .examples = {{"CONFIG RESETSTAT", "OK"}},
             .handler = ResetStat});
  table.Add({.name = "config|help",
             .summary = "Print the subcommands.",
             .group = kGroup,
             .flags = kLoading,
             .handler = ReplyHelp});
}

void AddSaving(CommandTable& table) {
  table.Add({.name = "save",
             .summary = "Write a snapshot and wait until it is on disk.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of names",
             .flags = kAdmin | kNoScript | kNoMulti | kExclusive,
             .examples = {{"SAVE", "OK"}},
             .handler = Save});
  table.Add({.name = "bgsave",
             .summary = "Write a snapshot while serving.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of names, in slices",
             .flags = kAdmin | kNoScript,
             .arguments = {{.name = "schedule",
                            .type = ArgumentType::kPureToken,
                            .token = "SCHEDULE",
                            .optional = true}},
             .examples = {{"BGSAVE", "Background saving started"}},
             .handler = BgSave});
  table.Add({.name = "lastsave",
             .summary = "When the last snapshot was complete, in seconds since 1970.",
             .group = kGroup,
             .flags = kFast | kLoading,
             .examples = {{"LASTSAVE", "(integer) 1700000000"}},
             .handler = LastSave});
  table.Add(
      {.name = "shutdown",
       .summary = "End the server in order.",
       .group = kGroup,
       .complexity = "O(N) with SAVE, where N is the number of names",
       .flags = kAdmin | kLoading | kNoScript | kNoMulti | kExclusive,
       .arguments =
           {{.name = "save-selector",
             .type = ArgumentType::kOneOf,
             .optional = true,
             .arguments = {{.name = "nosave", .type = ArgumentType::kPureToken, .token = "NOSAVE"},
                           {.name = "save", .type = ArgumentType::kPureToken, .token = "SAVE"}}},
            {.name = "now", .type = ArgumentType::kPureToken, .token = "NOW", .optional = true},
            {.name = "force", .type = ArgumentType::kPureToken, .token = "FORCE", .optional = true},
            {.name = "abort",
             .type = ArgumentType::kPureToken,
             .token = "ABORT",
             .optional = true}},
       .examples = {{"SHUTDOWN NOSAVE", ""}},
       .handler = Shutdown});
}

}  // namespace

void AddServerCommands(CommandTable& table) {
  table.Add({.name = "info",
             .summary = "What the server does and has done, in sections.",
             .group = kGroup,
             .flags = kLoading,
             .arguments = {{.name = "section", .optional = true, .multiple = true}},
             .handler = Info});
  table.Add({.name = "time",
             .summary = "The server's time: seconds since 1970 and microseconds.",
             .group = kGroup,
             .flags = kFast | kLoading,
             .examples = {{"TIME", "1) \"1700000000\"\n2) \"0\""}},
             .handler = Time});
  table.Add({.name = "role",
             .summary = "The role of the node in the words of Redis: a master without replicas.",
             .group = kGroup,
             .flags = kFast | kLoading | kNoScript,
             .examples = {{"ROLE", "1) \"master\"\n2) (integer) 0\n3) (empty array)"}},
             .handler = Role});
  AddConfig(table);
  AddSaving(table);
  AddIntrospectionCommands(table);
}

}  // namespace jeton::command
