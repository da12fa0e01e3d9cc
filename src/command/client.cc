#include "command/client.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/text.h"
#include "command/context.h"
#include "command/documentation.h"
#include "command/errors.h"
#include "command/info.h"

namespace jeton::command {

bool IsClientWord(std::string_view word) {
  return std::all_of(word.begin(), word.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

namespace {

void Id(Context& context) {
  context.reply.Integer(static_cast<std::int64_t>(context.session.id));
}

void GetName(Context& context) {
  if (context.session.name.empty()) return context.reply.Null();
  context.reply.Bulk(context.session.name);
}

void SetName(Context& context) {
  if (!IsClientWord(context.args[2])) return context.reply.Error(kBadClientName);
  context.session.name = context.args[2];
  context.reply.Ok();
}

void SetInfo(Context& context) {
  const std::string_view option = context.args[2];
  const bool name = EqualsIgnoreCase(option, "LIB-NAME");
  if (!name && !EqualsIgnoreCase(option, "LIB-VER")) {
    return context.reply.Error("ERR Unrecognized option '" + std::string(option) + "'");
  }
  if (!IsClientWord(context.args[3])) {
    return context.reply.Error("ERR " + ToLower(option) +
                               " cannot contain spaces, newlines or special characters.");
  }
  (name ? context.session.library_name : context.session.library_version) = context.args[3];
  context.reply.Ok();
}

void Info(Context& context) {
  context.reply.Verbatim("txt", DescribeSession(context.session, context.now.wall_ms) + "\n");
}

std::string_view TypeOf(const Session& session) {
  return session.subscriptions.empty() ? "normal" : "pubsub";
}

bool IsClientType(std::string_view type) {
  for (const std::string_view known : {"normal", "master", "replica", "slave", "pubsub"}) {
    if (EqualsIgnoreCase(type, known)) return true;
  }
  return false;
}

void List(Context& context) {
  std::optional<std::string_view> type;
  std::set<std::int64_t> ids;
  if (context.args.size() > 2) {
    const std::string_view option = context.args[2];
    if (EqualsIgnoreCase(option, "TYPE") && context.args.size() == 4) {
      type = context.args[3];
      if (!IsClientType(*type)) {
        return context.reply.Error("ERR Unknown client type '" + std::string(*type) + "'");
      }
    } else if (EqualsIgnoreCase(option, "ID") && context.args.size() > 3) {
      for (const std::string_view word : context.args.subspan(3)) {
        const auto id = ParseInt64(word);
        if (!id || *id <= 0) return context.reply.Error("ERR Invalid client ID");
        ids.insert(*id);
      }
    } else {
      return context.reply.Error(kSyntaxError);
    }
  }
  std::string text;
  std::lock_guard guard(context.server.sessions_mutex);
  for (const auto& [id, session] : context.server.sessions) {
    if (type && !EqualsIgnoreCase(*type, TypeOf(*session))) continue;
    if (!ids.empty() && !ids.contains(static_cast<std::int64_t>(id))) continue;
    text += DescribeSession(*session, context.now.wall_ms) + "\n";
  }
  context.reply.Verbatim("txt", text);
}

struct KillFilter {
  std::optional<std::int64_t> id;
  std::optional<std::int64_t> max_age_seconds;
  std::string_view address, local_address, type;
  bool other_user = false;  // there is no user but the default one
  bool skip_me = true;

  bool Matches(const Session& session, const Session& me, WallMs now) const {
    if (skip_me && &session == &me) return false;
    if (id && static_cast<std::int64_t>(session.id) != *id) return false;
    if (!address.empty() && session.address != address) return false;
    if (!local_address.empty() && session.local_address != local_address) return false;
    if (!type.empty() && !EqualsIgnoreCase(type, TypeOf(session))) return false;
    if (max_age_seconds && (now - session.created_ms) / 1000 < *max_age_seconds) return false;
    return !other_user;
  }
};

Result<KillFilter> ParseKill(std::span<const std::string_view> args) {
  KillFilter filter;
  if (args.size() % 2 != 0) return Error{.text = std::string(kSyntaxError)};
  for (std::size_t i = 0; i < args.size(); i += 2) {
    const std::string_view option = args[i];
    const std::string_view value = args[i + 1];
    if (EqualsIgnoreCase(option, "ID")) {
      filter.id = ParseInt64(value);
      if (!filter.id || *filter.id <= 0) {
        return Error{.text = "ERR client-id should be greater than 0"};
      }
    } else if (EqualsIgnoreCase(option, "MAXAGE")) {
      filter.max_age_seconds = ParseInt64(value);
      if (!filter.max_age_seconds || *filter.max_age_seconds <= 0) {
        return Error{.text = "ERR maxage is not an integer or out of range"};
      }
    } else if (EqualsIgnoreCase(option, "ADDR")) {
      filter.address = value;
    } else if (EqualsIgnoreCase(option, "LADDR")) {
      filter.local_address = value;
    } else if (EqualsIgnoreCase(option, "TYPE")) {
      if (!IsClientType(value)) {
        return Error{.text = "ERR Unknown client type '" + std::string(value) + "'"};
      }
      filter.type = value;
    } else if (EqualsIgnoreCase(option, "USER")) {
      filter.other_user = value != "default";
    } else if (EqualsIgnoreCase(option, "SKIPME") &&
               (EqualsIgnoreCase(value, "yes") || EqualsIgnoreCase(value, "no"))) {
      filter.skip_me = EqualsIgnoreCase(value, "yes");
    } else {
      return Error{.text = std::string(kSyntaxError)};
    }
  }
  return filter;
}

void Kill(Context& context) {
  KillFilter filter;
  const bool old_form = context.args.size() == 3;
  if (old_form) {
    filter.address = context.args[2];
    filter.skip_me = false;
  } else {
    const auto parsed = ParseKill(context.args.subspan(2));
    if (!parsed.ok()) return context.reply.Error(parsed.error());
    filter = *parsed;
  }
  std::int64_t killed = 0;
  {
    std::lock_guard guard(context.server.sessions_mutex);
    for (const auto& [id, session] : context.server.sessions) {
      if (!filter.Matches(*session, context.session, context.now.wall_ms)) continue;
      ++killed;
      if (session == &context.session) {
        session->close_after_reply = true;  // it still gets its answer
      } else {
        session->killed.store(true);
      }
    }
  }
  if (killed > 0) context.server.host.WakeWorkers();
  if (!old_form) return context.reply.Integer(killed);
  if (killed == 0) return context.reply.Error("ERR No such client");
  context.reply.Ok();
}

void ReplyCommand(Context& context) {
  Session& session = context.session;
  const std::string_view mode = context.args[2];
  if (EqualsIgnoreCase(mode, "ON")) {
    session.reply_mode = ReplyMode::kOn;
    context.reply.Ok();
  } else if (EqualsIgnoreCase(mode, "OFF")) {
    session.reply_mode = ReplyMode::kOff;
  } else if (EqualsIgnoreCase(mode, "SKIP")) {
    if (session.reply_mode != ReplyMode::kOff) session.reply_mode = ReplyMode::kSkipNext;
  } else {
    context.reply.Error(kSyntaxError);
  }
}

// ON or OFF into a flag that only the session's owner looks at.
void Switch(Context& context, bool Session::*flag) {
  const std::string_view mode = context.args[2];
  const bool on = EqualsIgnoreCase(mode, "ON");
  if (!on && !EqualsIgnoreCase(mode, "OFF")) return context.reply.Error(kSyntaxError);
  context.session.*flag = on;
  context.reply.Ok();
}

void Pause(Context& context) {
  const auto timeout = ParseInt64(context.args[2]);
  if (!timeout) return context.reply.Error("ERR timeout is not an integer or out of range");
  if (*timeout < 0) return context.reply.Error("ERR timeout is negative");
  bool writes_only = false;
  if (context.args.size() == 4) {
    writes_only = EqualsIgnoreCase(context.args[3], "WRITE");
    if (!writes_only && !EqualsIgnoreCase(context.args[3], "ALL")) {
      return context.reply.Error("ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
  }
  constexpr std::int64_t kMaxPauseMs = 1LL << 40;
  context.server.pause_writes_only.store(writes_only);
  context.server.pause_until_ms.store(context.now.wall_ms + std::min(*timeout, kMaxPauseMs));
  context.reply.Ok();
}

void Unpause(Context& context) {
  context.server.pause_until_ms.store(0);
  context.server.host.WakeWorkers();
  context.reply.Ok();
}

void AddNames(CommandTable& table) {
  constexpr std::string_view kGroup = "connection";
  constexpr std::uint32_t kFlags = kLoading | kNoScript;
  table.Add({.name = "client",
             .summary = "What connections are called, who is there, and ending them.",
             .group = kGroup,
             .complexity = "Depends on the subcommand.",
             .flags = kLoading});
  table.Add({.name = "client|id",
             .summary = "The number of this connection.",
             .group = kGroup,
             .flags = kFlags | kFast,
             .examples = {{"CLIENT ID", "(integer) 1"}},
             .handler = Id});
  table.Add({.name = "client|getname",
             .summary = "The name of this connection.",
             .group = kGroup,
             .flags = kFlags | kFast,
             .examples = {{"CLIENT GETNAME", "(nil)"}},
             .handler = GetName});
  table.Add({.name = "client|setname",
             .summary = "Name this connection.",
             .group = kGroup,
             .flags = kFlags | kFast,
             .arguments = {{.name = "connection-name"}},
             .examples = {{"CLIENT SETNAME worker-1", "OK"}, {"CLIENT GETNAME", "\"worker-1\""}},
             .handler = SetName});
  table.Add({.name = "client|setinfo",
             .summary = "Say which client library this is.",
             .group = kGroup,
             .flags = kFlags | kFast,
             .arguments = {{.name = "attr",
                            .type = ArgumentType::kOneOf,
                            .arguments = {{.name = "libname", .token = "LIB-NAME"},
                                          {.name = "libver", .token = "LIB-VER"}}}},
             .examples = {{"CLIENT SETINFO LIB-NAME mylib", "OK"}},
             .handler = SetInfo});
  table.Add({.name = "client|info",
             .summary = "What the server knows of this connection.",
             .group = kGroup,
             .flags = kFlags,
             .handler = Info});
  table.Add({.name = "client|capa",
             .summary = "Say what the client can do; nothing depends on it.",
             .group = kGroup,
             .flags = kFlags | kFast,
             .arguments = {{.name = "capability", .multiple = true}},
             .examples = {{"CLIENT CAPA redirect", "OK"}},
             .handler = [](Context& context) { context.reply.Ok(); }});
}

Argument OnOff() {
  return {.name = "enabled",
          .type = ArgumentType::kOneOf,
          .arguments = {{.name = "on", .type = ArgumentType::kPureToken, .token = "ON"},
                        {.name = "off", .type = ArgumentType::kPureToken, .token = "OFF"}}};
}

void AddModes(CommandTable& table) {
  constexpr std::string_view kGroup = "connection";
  constexpr std::uint32_t kFlags = kLoading | kNoScript;
  table.Add({.name = "client|no-evict",
             .summary = "Accepted for clients that ask for it; no connection is ever evicted.",
             .group = kGroup,
             .flags = kFlags | kFast,
             .arguments = {OnOff()},
             .examples = {{"CLIENT NO-EVICT ON", "OK"}},
             .handler = [](Context& context) { Switch(context, &Session::no_evict); }});
  table.Add({.name = "client|no-touch",
             .summary = "Accepted for clients that ask for it; reading never changes a counter.",
             .group = kGroup,
             .flags = kFlags | kFast,
             .arguments = {OnOff()},
             .examples = {{"CLIENT NO-TOUCH ON", "OK"}},
             .handler = [](Context& context) { Switch(context, &Session::no_touch); }});
  table.Add(
      {.name = "client|reply",
       .summary = "Turn replies on or off, or leave out the next one.",
       .group = kGroup,
       .flags = kFlags | kFast | kNoMulti,
       .arguments =
           {{.name = "action",
             .type = ArgumentType::kOneOf,
             .arguments = {{.name = "on", .type = ArgumentType::kPureToken, .token = "ON"},
                           {.name = "off", .type = ArgumentType::kPureToken, .token = "OFF"},
                           {.name = "skip", .type = ArgumentType::kPureToken, .token = "SKIP"}}}},
       .examples = {{"CLIENT REPLY ON", "OK"}},
       .handler = ReplyCommand});
}

void AddOthers(CommandTable& table) {
  constexpr std::string_view kGroup = "connection";
  constexpr std::uint32_t kFlags = kAdmin | kLoading | kNoScript | kExclusive;
  table.Add({.name = "client|list",
             .summary = "One line for each connection.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of connections",
             .flags = kFlags,
             .arguments = {{.name = "client-type", .token = "TYPE", .optional = true},
                           {.name = "client-id",
                            .type = ArgumentType::kInteger,
                            .token = "ID",
                            .optional = true,
                            .multiple = true}},
             .handler = List});
  table.Add({.name = "client|kill",
             .summary = "End a connection by its address, or all that match every filter.",
             .group = kGroup,
             .complexity = "O(N) where N is the number of connections",
             .flags = kFlags,
             .arguments = {{.name = "filter",
                            .type = ArgumentType::kOneOf,
                            .arguments = {{.name = "ip:port"},
                                          {.name = "new-format",
                                           .type = ArgumentType::kBlock,
                                           .multiple = true,
                                           .arguments = {{.name = "filter"}, {.name = "value"}}}}}},
             .errors = {"ERR No such client"},
             .examples = {{"CLIENT KILL 10.0.0.1:5", "(error) ERR No such client"},
                          {"CLIENT KILL ID 999", "(integer) 0"}},
             .handler = Kill});
  table.Add(
      {.name = "client|pause",
       .summary = "Hold back all requests, or those that write, for some milliseconds.",
       .group = kGroup,
       .flags = kFlags,
       .arguments =
           {{.name = "timeout", .type = ArgumentType::kInteger},
            {.name = "mode",
             .type = ArgumentType::kOneOf,
             .optional = true,
             .arguments = {{.name = "write", .type = ArgumentType::kPureToken, .token = "WRITE"},
                           {.name = "all", .type = ArgumentType::kPureToken, .token = "ALL"}}}},
       .examples = {{"CLIENT PAUSE 100 WRITE", "OK"}},
       .handler = Pause});
  table.Add({.name = "client|unpause",
             .summary = "End a pause.",
             .group = kGroup,
             .flags = kFlags,
             .examples = {{"CLIENT UNPAUSE", "OK"}},
             .handler = Unpause});
  table.Add({.name = "client|help",
             .summary = "Print the subcommands.",
             .group = kGroup,
             .flags = kLoading,
             .handler = ReplyHelp});
}

}  // namespace

void AddClientCommands(CommandTable& table) {
  AddNames(table);
  AddModes(table);
  AddOthers(table);
}

}  // namespace jeton::command
