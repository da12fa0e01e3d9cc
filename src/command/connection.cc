// PING, HELLO, AUTH and what else is about the connection itself. CLIENT is in client.cc.
#include <algorithm>
#include <optional>

#include "base/text.h"
#include "command/client.h"
#include "command/cluster_text.h"
#include "command/context.h"
#include "command/errors.h"
#include "command/info.h"

namespace jeton::command {

namespace {

constexpr std::string_view kHelloNeedsAuth =
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
    "<proto> "
    "AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "
    "version at the same time";

// Takes the same time for every candidate of the same length.
bool SamePassword(std::string_view given, std::string_view wanted) {
  unsigned difference = given.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = wanted.empty() ? '\0' : wanted[i % wanted.size()];
    difference |= static_cast<unsigned char>(given[i] ^ expected);
  }
  return difference == 0;
}

bool MayEnter(const ServerState& server, std::string_view user, std::string_view password) {
  if (user != "default") return false;
  const std::string& wanted = server.settings.values().requirepass;
  return wanted.empty() || SamePassword(password, wanted);
}

void Ping(Context& context) {
  const std::string_view text = context.args.size() > 1 ? context.args[1] : std::string_view();
  if (!context.session.subscriptions.empty() && context.session.resp == 2) {
    context.reply.Array(2);
    context.reply.Bulk("pong");
    context.reply.Bulk(text);
  } else if (context.args.size() > 1) {
    context.reply.Bulk(text);
  } else {
    context.reply.Simple("PONG");
  }
}

void Echo(Context& context) {
  context.reply.Bulk(context.args[1]);
}

void Quit(Context& context) {
  context.session.close_after_reply = true;
  context.reply.Ok();
}

void Reset(Context& context) {
  Session& session = context.session;
  DiscardTransaction(context.server, session);
  DropSubscriptions(context.server, session);
  if (session.monitor) context.server.monitors.fetch_sub(1, std::memory_order_relaxed);
  session.monitor = false;
  session.name.clear();
  session.dialect = session.listener_dialect;
  session.resp = 2;
  session.reply_mode = ReplyMode::kOn;
  session.no_evict = false;
  session.no_touch = false;
  session.authenticated = context.server.settings.values().requirepass.empty();
  context.reply.Simple("RESET");
}

void Select(Context& context) {
  const auto index = ParseInt64(context.args[1]);
  if (!index) return context.reply.Error(kNotAnInteger);
  if (*index != 0) return context.reply.Error("ERR DB index is out of range");
  context.reply.Ok();
}

void Auth(Context& context) {
  if (context.args.size() > 3) return context.reply.Error(kSyntaxError);
  const bool named = context.args.size() == 3;
  if (!named && context.server.settings.values().requirepass.empty()) {
    return context.reply.Error(
        context.redis() ? "ERR AUTH <password> called without any password configured for the "
                          "default user. Are you sure your configuration is correct?"
                        : "ERR Client sent AUTH, but no password is set");
  }
  const std::string_view user = named ? context.args[1] : "default";
  if (!MayEnter(context.server, user, context.args.back())) {
    return context.reply.Error(context.redis()
                                   ? "WRONGPASS invalid username-password pair or user is disabled."
                                   : "ERR invalid password");
  }
  context.session.authenticated = true;
  context.reply.Ok();
}

void HelloOfRedis(Context& context) {
  const Session& session = context.session;
  const bool as_redis = context.server.settings.values().extended_redis_compatibility;
  // The reply is in the version that was just chosen, not in the request's.
  Reply reply(context.reply.out(), session.resp == 3 ? ReplyFormat::kResp3 : ReplyFormat::kResp2);
  reply.Map(7);
  reply.Bulk("server");
  reply.Bulk(as_redis ? "redis" : "jeton");
  reply.Bulk("version");
  reply.Bulk(as_redis ? kRedisVersion : std::string_view(context.server.version));
  reply.Bulk("proto");
  reply.Integer(session.resp);
  reply.Bulk("id");
  reply.Integer(static_cast<std::int64_t>(session.id));
  reply.Bulk("mode");
  reply.Bulk("standalone");
  reply.Bulk("role");
  reply.Bulk("master");
  reply.Bulk("modules");
  reply.Array(0);
}

struct HelloOptions {
  int version = 0;
  bool auth = false;
  std::string_view user, password;
  std::optional<std::string_view> name;
};

Result<HelloOptions> ParseHello(std::span<const std::string_view> args) {
  HelloOptions options;
  const auto version = ParseInt64(args[1]);
  if (!version) {
    return Error{.text = "ERR Protocol version is not an integer or out of range"};
  }
  if (*version != 2 && *version != 3) return Error{.text = "NOPROTO unsupported protocol version"};
  options.version = static_cast<int>(*version);
  for (std::size_t i = 2; i < args.size(); ++i) {
    const std::size_t more = args.size() - 1 - i;
    if (EqualsIgnoreCase(args[i], "AUTH") && more >= 2) {
      options.auth = true;
      options.user = args[i + 1];
      options.password = args[i + 2];
      i += 2;
    } else if (EqualsIgnoreCase(args[i], "SETNAME") && more >= 1) {
      options.name = args[++i];
      if (!IsClientWord(*options.name)) return Error{.text = std::string(kBadClientName)};
    } else {
      return Error{.text = "ERR Syntax error in HELLO option '" + std::string(args[i]) + "'"};
    }
  }
  return options;
}

void Hello(Context& context) {
  Session& session = context.session;
  const bool bare = context.args.size() == 1;
  HelloOptions options;
  if (!bare) {
    const auto parsed = ParseHello(context.args);
    if (!parsed.ok()) return context.reply.Error(parsed.error());
    options = *parsed;
  }
  if (options.auth) {
    if (!MayEnter(context.server, options.user, options.password)) {
      return context.reply.Error("WRONGPASS invalid username-password pair or user is disabled.");
    }
    session.authenticated = true;
  }
  if (!session.authenticated) return context.reply.Error(kHelloNeedsAuth);
  if (bare && !context.redis())
    return ReplyHello(StatusFor(context.server, session), context.reply);
  if (options.name) session.name = *options.name;
  if (!bare) {
    session.resp = options.version;
    session.dialect = Dialect::kRedis;
  }
  HelloOfRedis(context);
}

}  // namespace

void AddConnectionCommands(CommandTable& table) {
  constexpr std::string_view kGroup = "connection";
  table.Add({.name = "ping",
             .summary = "Answer, to show that the connection and the server live.",
             .group = kGroup,
             .flags = kFast | kLoading | kPubSub,
             .arguments = {{.name = "message", .optional = true}},
             .examples = {{"PING", "PONG"}, {"PING hello", "\"hello\""}},
             .handler = [](Context& context) {
               if (context.args.size() > 2) return context.reply.Error(WrongArguments("ping"));
               Ping(context);
             }});
  table.Add({.name = "echo",
             .summary = "Answer with the message.",
             .group = kGroup,
             .flags = kFast | kLoading,
             .arguments = {{.name = "message"}},
             .examples = {{"ECHO hello", "\"hello\""}},
             .handler = Echo});
  table.Add({.name = "quit",
             .summary = "Close the connection once this reply has left.",
             .group = kGroup,
             .flags = kFast | kLoading | kPubSub | kNoAuth | kImmediate | kNoScript,
             .examples = {{"QUIT", "OK"}},
             .handler = Quit});
  table.Add({.name = "reset",
             .summary = "Bring the connection back to how it was when it opened.",
             .group = kGroup,
             .flags = kFast | kLoading | kPubSub | kNoAuth | kImmediate | kNoScript,
             .examples = {{"RESET", "RESET"}},
             .handler = Reset});
  table.Add({.name = "select",
             .summary = "Choose the keyspace; there is only number 0.",
             .group = kGroup,
             .flags = kFast | kLoading,
             .arguments = {{.name = "index", .type = ArgumentType::kInteger}},
             .errors = {"ERR DB index is out of range"},
             .examples = {{"SELECT 0", "OK"}, {"SELECT 1", "(error) ERR DB index is out of range"}},
             .handler = Select});
  table.Add({.name = "auth",
             .summary = "Give the password.",
             .group = kGroup,
             .flags = kFast | kLoading | kNoAuth | kSkipMonitor | kNoScript,
             .arguments = {{.name = "username", .optional = true}, {.name = "password"}},
             .errors = {"WRONGPASS invalid username-password pair or user is disabled."},
             .examples = {{"AUTH secret", "(error) ERR Client sent AUTH, but no password is set",
                           "(error) ERR AUTH <password> called without any password configured for "
                           "the default user. Are you sure your configuration is correct?"}},
             .handler = Auth});
  table.Add(
      {.name = "hello",
       .summary =
           "Choose the protocol and the replies of Redis; alone, show the nodes of the cluster.",
       .group = kGroup,
       .flags = kFast | kLoading | kNoAuth | kNoMulti | kSkipMonitor | kNoScript,
       .arguments = {{.name = "arguments",
                      .type = ArgumentType::kBlock,
                      .optional = true,
                      .arguments = {{.name = "protover", .type = ArgumentType::kInteger},
                                    {.name = "auth",
                                     .type = ArgumentType::kBlock,
                                     .token = "AUTH",
                                     .optional = true,
                                     .arguments = {{.name = "username"}, {.name = "password"}}},
                                    {.name = "clientname", .token = "SETNAME", .optional = true}}}},
       .errors = {"NOPROTO unsupported protocol version"},
       .examples = {{"HELLO 4", "(error) NOPROTO unsupported protocol version"}},
       .handler = Hello});
  AddClientCommands(table);
}

}  // namespace jeton::command
