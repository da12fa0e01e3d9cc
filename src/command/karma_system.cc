// system.* of Karma 1.0.
#include <fmt/format.h>

#include "command/karma_access.h"

namespace jeton::command {
namespace {

struct Totals {
  std::uint64_t commands = 0, errors = 0;
};

Totals CountCommands(const ServerState& server) {
  Totals totals;
  for (const WorkerStats* stats : server.worker_stats) {
    totals.commands += stats->commands.load(std::memory_order_relaxed);
    totals.errors += stats->error_replies.load(std::memory_order_relaxed);
  }
  return totals;
}

double UptimeSeconds(const Context& ctx) {
  return static_cast<double>(ctx.now.wall_ms - ctx.server.started_ms) / 1000;
}

void Ping(Context& ctx) {
  ctx.reply.Bulk("pong");
}

void Health(Context& ctx) {
  const bool well = !ctx.server.disk_failed.load() && !ctx.server.disk_full.load();
  ctx.reply.Map(4);
  ctx.reply.Bulk("status");
  ctx.reply.Bulk(well ? "ok" : "disk " + ctx.server.host.persistence().disk_state);
  ctx.reply.Bulk("uptime_seconds");
  ctx.reply.Double(UptimeSeconds(ctx));
  ctx.reply.Bulk("role");
  ctx.reply.Bulk("master");
  ctx.reply.Bulk("wal_enabled");
  ctx.reply.Bool(true);
}

// The numbers of Karma's stats that have a meaning here, under Karma's names.
std::vector<std::pair<std::string_view, std::uint64_t>> Facts(Context& ctx) {
  const PersistenceStatus status = ctx.server.host.persistence();
  const Totals totals = CountCommands(ctx.server);
  return {{"trees", ctx.keyspace.trees()},        {"memory_bytes", ctx.keyspace.used_bytes()},
          {"command_count", totals.commands},     {"error_count", totals.errors},
          {"wal_bytes", status.log_bytes},        {"wal_current_lsn", status.appended_lsn},
          {"wal_durable_lsn", status.durable_lsn}};
}

void Stats(Context& ctx) {
  const auto facts = Facts(ctx);
  ctx.reply.Map(3 + facts.size());
  ctx.reply.Bulk("uptime_seconds");
  ctx.reply.Double(UptimeSeconds(ctx));
  ctx.reply.Bulk("role");
  ctx.reply.Bulk("master");
  ctx.reply.Bulk("wal_enabled");
  ctx.reply.Bool(true);
  for (const auto& [name, value] : facts) {
    ctx.reply.Bulk(name);
    ctx.reply.Integer(static_cast<std::int64_t>(value));
  }
}

void Metrics(Context& ctx) {
  std::string text = fmt::format("karma_uptime_seconds {:.3f}\n", UptimeSeconds(ctx));
  for (const auto& [name, value] : Facts(ctx)) text += fmt::format("karma_{} {}\n", name, value);
  ctx.reply.Bulk(text);
}

void Compact(Context& ctx) {
  ctx.reply.Ok();
}

void Add(CommandTable& table, std::string_view name, std::string_view summary, std::uint32_t flags,
         Handler handler) {
  constexpr std::size_t kPrefix = std::string_view("karma.").size();
  table.Add({.name = name,
             .json_op = name.substr(kPrefix),
             .summary = summary,
             .group = "karma 1.0",
             .flags = flags | kJsonOnly,
             .handler = handler});
}

}  // namespace

void AddKarmaSystemCommands(CommandTable& table) {
  Add(table, "karma.system.ping", "Says \"pong\".", kFast | kLoading, Ping);
  Add(table, "karma.system.health", "Whether the server is well.", kReadOnly | kLoading, Health);
  Add(table, "karma.system.stats", "Numbers about the server.", kReadOnly | kLoading, Stats);
  Add(table, "karma.system.metrics", "The same for Prometheus, as one text.", kReadOnly | kLoading,
      Metrics);
  Add(table, "karma.system.compact", "Nothing: memory of what was deleted comes back by itself.",
      kWrite, Compact);
}

}  // namespace jeton::command
