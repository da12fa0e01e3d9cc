// CLUSTER, with Discnt's replies. What changes the cluster is checked, posted to the node and
// answered when it was carried out, or refused. Slots do not exist here: cluster
// clients are told that cluster support is disabled, so that they take the node for a single
// server.
#include "base/text.h"
#include "command/cluster_text.h"
#include "command/context.h"
#include "command/dispatcher.h"
#include "command/errors.h"
#include "command/host_port.h"

namespace jeton::command {

namespace {

constexpr std::size_t kNodeIdBytes = 40;
constexpr std::size_t kMaxShown = 128;
constexpr std::string_view kDisabled = "ERR This instance has cluster support disabled";
constexpr std::string_view kInvalidId = "ERR Invalid node identifier";
constexpr std::string_view kNotMyself = "ERR I tried hard but I can't forget myself...";
constexpr std::string_view kNoCluster = "ERR This node cannot have others beside it";

ClusterStatus StatusOf(const Context& ctx) {
  return StatusFor(ctx.server, ctx.session);
}

void Nodes(Context& ctx) {
  ctx.reply.Bulk(NodesText(StatusOf(ctx)));
}

void Info(Context& ctx) {
  ctx.reply.Bulk(ClusterInfoText(StatusOf(ctx)));
}

void Links(Context& ctx) {
  ReplyLinks(StatusOf(ctx), ctx.reply);
}

void MyId(Context& ctx) {
  ctx.reply.Bulk(StatusOf(ctx).id);
}

void ReplyUnknownNode(Context& ctx) {
  ctx.reply.Error("ERR Unknown node " + std::string(ctx.args[2].substr(0, kMaxShown)),
                  ErrorKind::kNotFound);
}

void CountFailureReports(Context& ctx) {
  const ClusterStatus status = StatusOf(ctx);
  if (EqualsIgnoreCase(ctx.args[2], status.id)) return ctx.reply.Integer(0);
  const PeerStatus* peer = FindPeer(status, ctx.args[2]);
  if (peer == nullptr) return ReplyUnknownNode(ctx);
  ctx.reply.Integer(peer->failure_reports);
}

// ---- what changes the cluster

class WishQuery final : public LongQuery {
 public:
  WishQuery(ClusterHost& cluster, ClusterHost::Wish wish) : cluster_(cluster), wish_(wish) {}

  bool Step(Context& context) override {
    const auto outcome = cluster_.TakeOutcome(wish_);
    if (!outcome) return false;
    Reply(context, *outcome);
    return true;
  }
  bool IsIdle() const override { return true; }

  static void Reply(Context& context, const Status& outcome) {
    if (!outcome) return context.reply.Error(outcome.error());
    context.reply.Ok();
  }

 private:
  ClusterHost& cluster_;  // outlives every session
  const ClusterHost::Wish wish_;
};

// Calls `post` with the cluster; the reply says what became of the wish. EXEC cannot wait for that.
template <typename Post>
void PostTo(Context& ctx, const Post& post) {
  ClusterHost* cluster = ctx.server.host.cluster();
  if (cluster == nullptr) return ctx.reply.Error(kNoCluster, ErrorKind::kUnavailable);
  const Result<ClusterHost::Wish> wish = post(*cluster);
  if (!wish) return ctx.reply.Error(wish.error());
  if (ctx.dispatcher.in_exec()) return ctx.reply.Ok();
  ctx.session.query = std::make_unique<WishQuery>(*cluster, *wish);
}

void Meet(Context& ctx) {
  const std::string_view host = ctx.args[2];
  const auto port = ParseInt64(ctx.args[3]);
  const std::string shown_port(ctx.args[3].substr(0, kMaxShown));
  if (!port) return ctx.reply.Error("ERR Invalid TCP port specified: " + shown_port);
  if (*port < 1 || *port > 65535 || !IsHost(host)) {
    return ctx.reply.Error("ERR Invalid node address specified: " +
                           std::string(host.substr(0, kMaxShown)) + ":" + shown_port);
  }
  PostTo(ctx, [&](ClusterHost& cluster) { return cluster.Meet(host, *port); });
}

void Forget(Context& ctx) {
  if (ctx.args[2].size() != kNodeIdBytes) return ctx.reply.Error(kInvalidId);
  const ClusterStatus status = StatusOf(ctx);
  if (EqualsIgnoreCase(ctx.args[2], status.id)) return ctx.reply.Error(kNotMyself);
  const PeerStatus* peer = FindPeer(status, ctx.args[2]);
  if (peer == nullptr) return ReplyUnknownNode(ctx);
  PostTo(ctx, [&](ClusterHost& cluster) { return cluster.Forget(peer->id); });
}

void Reset(Context& ctx) {
  const bool hard = ctx.args.size() == 3 && EqualsIgnoreCase(ctx.args[2], "HARD");
  const bool soft = ctx.args.size() == 2 || EqualsIgnoreCase(ctx.args[2], "SOFT");
  if (ctx.args.size() > 3 || (!hard && !soft)) return ctx.reply.Error(kSyntaxError);
  PostTo(ctx, [&](ClusterHost& cluster) { return cluster.Reset(hard); });
}

void SaveConfig(Context& ctx) {
  PostTo(ctx, [](ClusterHost& cluster) { return cluster.SaveConfig(); });
}

void RefuseSlots(Context& ctx) {
  ctx.reply.Error(kDisabled, ErrorKind::kUnavailable);
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
      "LINKS",
      "    The open links to other nodes.",
      "MEET <ip> <port>",
      "    Join the cluster of a node, or take a node into this one.",
      "MYID",
      "    The id of this node.",
      "NODES",
      "    All known nodes: <id> <ip:port> <flags> <ping-sent> <pong-received> <link-state>.",
      "RESET [HARD|SOFT]",
      "    Leave the cluster; HARD takes a new node id too.",
      "SAVECONFIG",
      "    Save what is known of other nodes; it is saved after each change anyway.",
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
  AddOne(table, {.name = "cluster|links",
                 .summary = "The open links to other nodes, with the fields of Redis.",
                 .complexity = "O(N) where N is the number of nodes",
                 .examples = {{"CLUSTER LINKS", "(empty array)"}},
                 .handler = Links});
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
                 .summary = "Joins the cluster of another node, or takes a node into this one.",
                 .flags = kAdmin,
                 .arguments = {{.name = "ip"}, {.name = "port", .type = ArgumentType::kInteger}},
                 .errors = {"ERR Invalid TCP port specified: x",
                            "ERR Invalid node address specified: x:0"},
                 .examples = {{"CLUSTER MEET 10.0.0.2 5262", "OK"},
                              {"CLUSTER MEET 10.0.0.256 5262",
                               "(error) ERR Invalid node address specified: 10.0.0.256:5262"}},
                 .handler = Meet});
  AddOne(
      table,
      {.name = "cluster|reset",
       .summary = "Leaves the cluster: the others are not known any more, the counters stay. HARD "
                  "takes a new node id too.",
       .flags = kAdmin,
       .arguments =
           {{.name = "reset-type",
             .type = ArgumentType::kOneOf,
             .optional = true,
             .arguments = {{.name = "hard", .type = ArgumentType::kPureToken, .token = "HARD"},
                           {.name = "soft", .type = ArgumentType::kPureToken, .token = "SOFT"}}}},
       .errors = {kSyntaxError},
       .examples = {{"CLUSTER RESET", "OK"}},
       .handler = Reset});
  AddOne(table,
         {.name = "cluster|saveconfig",
          .summary = "Saves what is known of other nodes; it is saved after each change too.",
          .flags = kAdmin,
          .examples = {{"CLUSTER SAVECONFIG", "OK"}},
          .handler = SaveConfig});
}

void AddSlots(CommandTable& table) {
  constexpr std::string_view kError = "(error) ERR This instance has cluster support disabled";
  AddOne(table, {.name = "cluster|slots",
                 .summary = "Refused: there are no slots, every node takes every name.",
                 .errors = {kDisabled},
                 .examples = {{"CLUSTER SLOTS", kError}},
                 .handler = RefuseSlots});
  AddOne(table, {.name = "cluster|shards",
                 .summary = "Refused: there are no shards, every node takes every name.",
                 .errors = {kDisabled},
                 .examples = {{"CLUSTER SHARDS", kError}},
                 .handler = RefuseSlots});
  AddOne(table, {.name = "cluster|keyslot",
                 .summary = "Refused: there are no slots, every node takes every name.",
                 .arguments = {{.name = "key"}},
                 .errors = {kDisabled},
                 .examples = {{"CLUSTER KEYSLOT visits", kError}},
                 .handler = RefuseSlots});
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
