// CLUSTER of a lone node, with Discnt's replies. Slots do not exist here: cluster clients are told
// that cluster support is disabled, so that they take the node for a single server. What would need
// other nodes says that it is not there yet.
#include "base/text.h"
#include "command/counter_access.h"
#include "command/info.h"

namespace jeton::command {

namespace {

constexpr std::size_t kNodeIdBytes = 40;
constexpr std::string_view kDisabled = "ERR This instance has cluster support disabled";
constexpr std::string_view kInvalidId = "ERR Invalid node identifier";
constexpr std::string_view kNotMyself = "ERR I tried hard but I can't forget myself...";
constexpr std::string_view kNoMeet =
    "ERR CLUSTER MEET is not available in this version: a node cannot join others yet";
constexpr std::string_view kNoReset =
    "ERR CLUSTER RESET is not available in this version: a lone node has no cluster to leave";
constexpr std::string_view kNoSaveConfig =
    "ERR CLUSTER SAVECONFIG is not available in this version: a lone node keeps its id on disk by "
    "itself and knows no other nodes";

void Nodes(Context& ctx) {
  const ShownAddress address = AddressOf(ctx.server, ctx.session);
  // id, address, flags, when the last ping left and the last pong came, state of the link
  ctx.reply.Bulk(ctx.server.node_id + " " + address.host + ":" + std::to_string(address.port) +
                 " myself 0 0 connected\n");
}

void Info(Context& ctx) {
  // As in Discnt: reachable are the others, the size counts this node too.
  ctx.reply.Bulk(
      "cluster_state:ok\r\n"
      "cluster_known_nodes:1\r\n"
      "cluster_reachable_nodes:0\r\n"
      "cluster_size:1\r\n"
      "cluster_stats_messages_sent:0\r\n"
      "cluster_stats_messages_received:0\r\n");
}

void MyId(Context& ctx) {
  ctx.reply.Bulk(ctx.server.node_id);
}

void ReplyUnknownNode(Context& ctx) {
  constexpr std::size_t kMaxShown = 128;
  ctx.reply.Error("ERR Unknown node " + std::string(ctx.args[2].substr(0, kMaxShown)),
                  ErrorKind::kNotFound);
}

void CountFailureReports(Context& ctx) {
  if (!EqualsIgnoreCase(ctx.args[2], ctx.server.node_id)) return ReplyUnknownNode(ctx);
  ctx.reply.Integer(0);
}

// Any other node is unknown to a lone one.
void Forget(Context& ctx) {
  if (ctx.args[2].size() != kNodeIdBytes) return ctx.reply.Error(kInvalidId);
  if (EqualsIgnoreCase(ctx.args[2], ctx.server.node_id)) return ctx.reply.Error(kNotMyself);
  ReplyUnknownNode(ctx);
}

template <const std::string_view& text>
void Refuse(Context& ctx) {
  ctx.reply.Error(text, ErrorKind::kUnavailable);
}

void Help(Context& ctx) {
  constexpr std::string_view kLines[] = {
      "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "COUNT-FAILURE-REPORTS <node-id>",
      "    How many nodes say that <node-id> has failed.",
      "FORGET <node-id>",
      "    Remove a node from the cluster.",
      "INFO",
      "    The state of the cluster.",
      "MEET <ip> <port>",
      "    Join a node; not available in this version.",
      "MYID",
      "    The id of this node.",
      "NODES",
      "    All known nodes: <id> <ip:port> <flags> <ping-sent> <pong-received> <link-state>.",
      "RESET [HARD|SOFT]",
      "    Leave the cluster; not available in this version.",
      "SAVECONFIG",
      "    Save what is known of other nodes; not available in this version.",
      "HELP",
      "    Print this help."};
  ctx.reply.Array(std::size(kLines));
  for (const std::string_view line : kLines) ctx.reply.Simple(line);
}

void AddOne(CommandTable& table, Command command) {
  command.group = "cluster";
  command.flags |= kLoading;
  table.Add(std::move(command));
}

void AddKnowledge(CommandTable& table) {
  AddOne(table, {.name = "cluster|nodes",
                 .summary = "All known nodes, one a line: id, address, flags, ping sent, pong "
                            "received, link state.",
                 .complexity = "O(N) where N is the number of nodes",
                 .handler = Nodes});
  AddOne(table, {.name = "cluster|info",
                 .summary = "The state of the cluster as this node sees it.",
                 .examples = {{"CLUSTER INFO",
                               "\"cluster_state:ok\\r\\ncluster_known_nodes:1\\r\\n"
                               "cluster_reachable_nodes:0\\r\\ncluster_size:1\\r\\n"
                               "cluster_stats_messages_sent:0\\r\\n"
                               "cluster_stats_messages_received:0\\r\\n\""}},
                 .handler = Info});
  AddOne(table, {.name = "cluster|myid",
                 .summary = "The id of this node; it survives restarts.",
                 .handler = MyId});
  AddOne(table, {.name = "cluster|count-failure-reports",
                 .summary = "How many nodes say that a node has failed.",
                 .arguments = {{.name = "node-id"}},
                 .errors = {"ERR Unknown node x"},
                 .examples = {{"CLUSTER COUNT-FAILURE-REPORTS x", "(error) ERR Unknown node x"}},
                 .handler = CountFailureReports});
}

void AddMembership(CommandTable& table) {
  AddOne(table, {.name = "cluster|forget",
                 .summary = "Removes a node from the cluster.",
                 .flags = kAdmin,
                 .arguments = {{.name = "node-id"}},
                 .errors = {kInvalidId, kNotMyself, "ERR Unknown node x"},
                 .examples = {{"CLUSTER FORGET x", "(error) ERR Invalid node identifier"}},
                 .handler = Forget});
  AddOne(table, {.name = "cluster|meet",
                 .summary = "Joins a node to the cluster. Not available in this version.",
                 .flags = kAdmin,
                 .arguments = {{.name = "ip"}, {.name = "port", .type = ArgumentType::kInteger}},
                 .errors = {kNoMeet},
                 .examples = {{"CLUSTER MEET 10.0.0.2 5262",
                               "(error) ERR CLUSTER MEET is not available in this version: a node "
                               "cannot join others yet"}},
                 .handler = Refuse<kNoMeet>});
  AddOne(
      table,
      {.name = "cluster|reset",
       .summary = "Leaves the cluster. Not available in this version.",
       .flags = kAdmin,
       .arguments =
           {{.name = "reset-type",
             .type = ArgumentType::kOneOf,
             .optional = true,
             .arguments = {{.name = "hard", .type = ArgumentType::kPureToken, .token = "HARD"},
                           {.name = "soft", .type = ArgumentType::kPureToken, .token = "SOFT"}}}},
       .errors = {kNoReset},
       .examples = {{"CLUSTER RESET",
                     "(error) ERR CLUSTER RESET is not available in this version: a lone node has "
                     "no cluster to leave"}},
       .handler = Refuse<kNoReset>});
  AddOne(table,
         {.name = "cluster|saveconfig",
          .summary = "Saves what is known of other nodes. Not available in this version.",
          .flags = kAdmin,
          .errors = {kNoSaveConfig},
          .examples = {{"CLUSTER SAVECONFIG",
                        "(error) ERR CLUSTER SAVECONFIG is not available in this version: a "
                        "lone node keeps its id on disk by itself and knows no other nodes"}},
          .handler = Refuse<kNoSaveConfig>});
}

void AddSlots(CommandTable& table) {
  constexpr std::string_view kError = "(error) ERR This instance has cluster support disabled";
  AddOne(table, {.name = "cluster|slots",
                 .summary = "Refused: there are no slots, every node takes every name.",
                 .errors = {kDisabled},
                 .examples = {{"CLUSTER SLOTS", kError}},
                 .handler = Refuse<kDisabled>});
  AddOne(table, {.name = "cluster|shards",
                 .summary = "Refused: there are no shards, every node takes every name.",
                 .errors = {kDisabled},
                 .examples = {{"CLUSTER SHARDS", kError}},
                 .handler = Refuse<kDisabled>});
  AddOne(table, {.name = "cluster|keyslot",
                 .summary = "Refused: there are no slots, every node takes every name.",
                 .arguments = {{.name = "key"}},
                 .errors = {kDisabled},
                 .examples = {{"CLUSTER KEYSLOT visits", kError}},
                 .handler = Refuse<kDisabled>});
}

}  // namespace

void AddClusterCommands(CommandTable& table) {
  AddOne(table, {.name = "cluster",
                 .summary = "The nodes that count together.",
                 .complexity = "Depends on the subcommand"});
  AddKnowledge(table);
  AddMembership(table);
  AddSlots(table);
  AddOne(table, {.name = "cluster|help", .summary = "The subcommands.", .handler = Help});
}

}  // namespace jeton::command
