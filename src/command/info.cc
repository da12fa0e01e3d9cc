#include "command/info.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "command/cluster_text.h"

namespace jeton::command {

namespace {

// One pass over the workers' counts.
struct Totals {
  std::uint64_t commands = 0, hits = 0, misses = 0, expired = 0;
  std::uint64_t input_bytes = 0, output_bytes = 0;
  std::uint64_t connections = 0, rejected = 0, errors = 0;
};

Totals Sum(const ServerState& server) {
  Totals totals;
  for (const WorkerStats* stats : server.worker_stats) {
    totals.commands += stats->commands;
    totals.hits += stats->hits;
    totals.misses += stats->misses;
    totals.expired += stats->expired;
    totals.input_bytes += stats->net_input_bytes;
    totals.output_bytes += stats->net_output_bytes;
    totals.connections += stats->connections_received;
    totals.rejected += stats->connections_rejected;
    totals.errors += stats->error_replies;
  }
  return totals;
}

// What every section is written from.
struct Page {
  ServerState& server;
  Dialect dialect;
  WallMs now;
  const Values& values;
  PersistenceStatus disk;
  Host::ProcessFacts process;
  Totals totals;
  std::string text = {};

  void Title(std::string_view title) {
    if (!text.empty()) text += "\r\n";
    fmt::format_to(std::back_inserter(text), "# {}\r\n", title);
  }
  template <typename T>
  void Line(std::string_view name, const T& value) {
    fmt::format_to(std::back_inserter(text), "{}:{}\r\n", name, value);
  }
};

std::string HumanBytes(std::uint64_t bytes) {
  constexpr std::string_view kUnits = "BKMGTP";
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{}B", bytes) : fmt::format("{:.2f}{}", value, kUnits[unit]);
}

void ServerSection(Page& page) {
  const bool discnt = page.dialect == Dialect::kDiscnt;
  const std::int64_t uptime = std::max<WallMs>(0, page.now - page.server.started_ms) / 1000;
  page.Title("Server");
  if (discnt) page.Line("discnt_version", page.server.version);
  page.Line("redis_version", kRedisVersion);
  page.Line("jeton_version", page.server.version);
  page.Line("redis_mode", "standalone");
  page.Line("server_name", page.values.extended_redis_compatibility ? "redis" : "jeton");
  page.Line("os", page.process.operating_system);
  page.Line("arch_bits", 64);
  page.Line("process_id", page.process.process_id);
  page.Line("run_id", page.server.run_id);
  page.Line("tcp_port", page.values.port);
  page.Line("server_time_usec", page.now * 1000);
  page.Line("uptime_in_seconds", uptime);
  page.Line("uptime_in_days", uptime / 86400);
  page.Line("worker_threads", page.server.worker_count);
  page.Line("executable", page.process.executable);
  page.Line("config_file", page.process.config_file);
}

void ClientsSection(Page& page) {
  std::size_t connected = 0;
  {
    std::lock_guard guard(page.server.sessions_mutex);
    connected = page.server.sessions.size();
  }
  page.Title("Clients");
  page.Line("connected_clients", connected);
  page.Line("maxclients", page.values.maxclients);
  page.Line("blocked_clients", 0);
  page.Line("monitor_clients", page.server.monitors.load());
  std::lock_guard guard(page.server.subscriptions_mutex);
  page.Line("subscribed_channels", page.server.subscribers.size());
}

void MemorySection(Page& page) {
  const std::uint64_t used = page.server.keyspace.used_bytes();
  const std::uint64_t peak = std::max(page.process.peak_resident_bytes, used);
  page.Title("Memory");
  page.Line("used_memory", used);
  page.Line("used_memory_human", HumanBytes(used));
  page.Line("used_memory_rss", page.process.resident_bytes);
  page.Line("used_memory_rss_human", HumanBytes(page.process.resident_bytes));
  page.Line("used_memory_peak", peak);
  page.Line("used_memory_peak_human", HumanBytes(peak));
  page.Line("used_memory_dataset", used);
  page.Line("total_system_memory", page.process.system_memory_bytes);
  page.Line("maxmemory", page.values.maxmemory);
  page.Line("maxmemory_human", HumanBytes(static_cast<std::uint64_t>(page.values.maxmemory)));
  page.Line("maxmemory_policy", "noeviction");
  const double used_or_one = used == 0 ? 1 : static_cast<double>(used);
  page.Line("mem_fragmentation_ratio",
            fmt::format("{:.2f}", static_cast<double>(page.process.resident_bytes) / used_or_one));
  page.Line("mem_allocator", "libc");
}

void PersistenceSection(Page& page) {
  const PersistenceStatus& disk = page.disk;
  page.Title("Persistence");
  page.Line("loading", disk.loading ? 1 : 0);
  if (disk.loading) {
    page.Line("loading_start_time", disk.loading_start_ms / 1000);
    page.Line("loading_total_bytes", disk.loading_bytes_total);
    page.Line("loading_loaded_bytes", disk.loading_bytes_done);
    const double total = std::max<double>(1, static_cast<double>(disk.loading_bytes_total));
    page.Line("loading_loaded_perc",
              fmt::format("{:.2f}", 100 * static_cast<double>(disk.loading_bytes_done) / total));
    page.Line("loading_eta_seconds", static_cast<std::int64_t>(disk.loading_eta_seconds));
  }
  page.Line("disk_state", disk.disk_state);
  page.Line("rdb_changes_since_last_save", page.server.changes_since_save.load());
  page.Line("rdb_bgsave_in_progress", disk.snapshot_running ? 1 : 0);
  page.Line("rdb_last_save_time", disk.last_save_ms / 1000);
  page.Line("rdb_last_bgsave_status", disk.last_snapshot_ok ? "ok" : "err");
  page.Line("rdb_last_bgsave_time_sec", static_cast<std::int64_t>(disk.last_snapshot_seconds));
  page.Line("rdb_current_bgsave_time_sec",
            static_cast<std::int64_t>(disk.current_snapshot_seconds));
  page.Line("aof_enabled", 1);
  page.Line("aof_rewrite_in_progress", 0);
  page.Line("aof_last_write_status", disk.disk_state == "ok" ? "ok" : "err");
  page.Line("aof_current_size", disk.log_bytes);
  page.Line("log_records", disk.log_records);
  page.Line("log_syncs", disk.log_syncs);
  page.Line("log_appended_lsn", disk.appended_lsn);
  page.Line("log_durable_lsn", disk.durable_lsn);
  if (!disk.recovery_report.empty()) page.Line("recovery", disk.recovery_report);
}

void StatsSection(Page& page) {
  page.Title("Stats");
  page.Line("total_connections_received", page.totals.connections);
  page.Line("total_commands_processed", page.totals.commands);
  page.Line("instantaneous_ops_per_sec",
            page.server.ops_rate.PerSecond(page.totals.commands, page.now));
  page.Line("total_net_input_bytes", page.totals.input_bytes);
  page.Line("total_net_output_bytes", page.totals.output_bytes);
  page.Line("rejected_connections", page.totals.rejected);
  page.Line("expired_keys", page.totals.expired);
  page.Line("evicted_keys", 0);
  page.Line("keyspace_hits", page.totals.hits);
  page.Line("keyspace_misses", page.totals.misses);
  page.Line("total_error_replies", page.totals.errors);
  std::lock_guard guard(page.server.subscriptions_mutex);
  page.Line("pubsub_channels", page.server.subscribers.size());
  page.Line("pubsub_patterns", 0);
}

void ReplicationSection(Page& page) {
  page.Title("Replication");
  page.Line("role", "master");
  page.Line("connected_slaves", 0);
  page.Line("master_replid", page.server.node_id);
  page.Line("master_repl_offset", page.disk.appended_lsn);
}

void CpuSection(Page& page) {
  page.Title("CPU");
  page.Line("used_cpu_sys", fmt::format("{:.6f}", page.process.cpu_system_seconds));
  page.Line("used_cpu_user", fmt::format("{:.6f}", page.process.cpu_user_seconds));
}

void ModulesSection(Page& page) {
  page.Title("Modules");
}

void CommandStatsLine(Page& page, const Command& command) {
  std::uint64_t calls = 0, microseconds = 0, rejected = 0, failed = 0;
  for (const WorkerStats* stats : page.server.worker_stats) {
    const auto& counts = stats->per_command[static_cast<std::size_t>(command.id)];
    calls += counts.calls;
    microseconds += counts.microseconds;
    rejected += counts.rejected;
    failed += counts.failed;
  }
  if (calls + rejected == 0) return;
  const double per_call =
      calls == 0 ? 0 : static_cast<double>(microseconds) / static_cast<double>(calls);
  page.Line(fmt::format("cmdstat_{}", command.name),
            fmt::format("calls={},usec={},usec_per_call={:.2f},rejected_calls={},failed_calls={}",
                        calls, microseconds, per_call, rejected, failed));
}

void CommandStatsSection(Page& page) {
  page.Title("Commandstats");
  for (const Command* command : page.server.commands.All()) CommandStatsLine(page, *command);
  for (const Command* command : page.server.commands.JsonOnly()) CommandStatsLine(page, *command);
}

void ClusterSection(Page& page) {
  page.Title("Cluster");
  // Cluster clients of Redis shall take every node for a single server.
  page.Line("cluster_enabled", page.dialect == Dialect::kDiscnt ? 1 : 0);
  if (const ClusterHost* cluster = page.server.host.cluster()) {
    page.text += ClusterSectionText(*cluster->status(), page.server.node_id);
  }
}

void CountersSection(Page& page) {
  page.Title("Counters");
  page.Line("counters", page.server.keyspace.counters());
  page.Line("hits", page.totals.hits);
  page.Line("misses", page.totals.misses);
  page.Line("ddb_changes_since_last_save", page.server.changes_since_save.load());
  page.Line("ddb_bgsave_in_progress", page.disk.snapshot_running ? 1 : 0);
  page.Line("ddb_last_save_time", page.disk.last_save_ms / 1000);
  page.Line("ddb_last_bgsave_status", page.disk.last_snapshot_ok ? "ok" : "err");
  page.Line("ddb_last_bgsave_time_sec", static_cast<std::int64_t>(page.disk.last_snapshot_seconds));
  page.Line("ddb_current_bgsave_time_sec",
            static_cast<std::int64_t>(page.disk.current_snapshot_seconds));
}

void KeyspaceSection(Page& page) {
  page.Title("Keyspace");
  const std::uint64_t keys = page.server.keyspace.size(page.now);
  if (keys == 0) return;
  page.Line("db0",
            fmt::format("keys={},expires={},avg_ttl=0", keys, page.server.keyspace.with_expiry()));
}

enum class Wanted { kDefault, kAll, kEverything };  // from which set of sections on it is in

struct Section {
  std::string_view name;
  Wanted wanted;
  bool only_discnt;
  void (*write)(Page&);
};

constexpr Section kSections[] = {
    {"server", Wanted::kDefault, false, ServerSection},
    {"clients", Wanted::kDefault, false, ClientsSection},
    {"memory", Wanted::kDefault, false, MemorySection},
    {"persistence", Wanted::kDefault, false, PersistenceSection},
    {"stats", Wanted::kDefault, false, StatsSection},
    {"replication", Wanted::kDefault, false, ReplicationSection},
    {"cpu", Wanted::kDefault, false, CpuSection},
    {"modules", Wanted::kEverything, false, ModulesSection},
    {"commandstats", Wanted::kAll, false, CommandStatsSection},
    {"cluster", Wanted::kDefault, false, ClusterSection},
    {"counters", Wanted::kDefault, true, CountersSection},
    {"keyspace", Wanted::kDefault, false, KeyspaceSection},
};

bool IsWanted(const Section& section, Dialect dialect, std::span<const std::string_view> names) {
  const bool by_set = !section.only_discnt || dialect == Dialect::kDiscnt;
  if (names.empty()) return by_set && section.wanted == Wanted::kDefault;
  for (const std::string_view name : names) {
    if (EqualsIgnoreCase(name, section.name)) return true;
    if (!by_set) continue;
    if (EqualsIgnoreCase(name, "default") && section.wanted == Wanted::kDefault) return true;
    if (EqualsIgnoreCase(name, "all") && section.wanted != Wanted::kEverything) return true;
    if (EqualsIgnoreCase(name, "everything")) return true;
  }
  return false;
}

}  // namespace

std::string InfoText(ServerState& server, Dialect dialect,
                     std::span<const std::string_view> sections, WallMs now) {
  Page page{.server = server,
            .dialect = dialect,
            .now = now,
            .values = server.settings.values(),
            .disk = server.host.persistence(),
            .process = server.host.process_facts(),
            .totals = Sum(server)};
  for (const Section& section : kSections) {
    if (IsWanted(section, dialect, sections)) section.write(page);
  }
  return std::move(page.text);
}

std::string DescribeSession(const Session& session, WallMs now) {
  std::string flags;
  if (session.monitor) flags += 'O';
  if (!session.subscriptions.empty()) flags += 'P';
  if (session.in_multi) flags += 'x';
  if (session.no_evict) flags += 'e';
  if (session.no_touch) flags += 'T';
  if (session.close_after_reply) flags += 'c';
  if (flags.empty()) flags += 'N';
  const std::int64_t queued =
      session.in_multi ? static_cast<std::int64_t>(session.queued.size()) : -1;
  return fmt::format(
      "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db=0 sub={} psub=0 ssub=0 "
      "multi={} watch={} qbuf={} omem={} tot-mem={} events=r cmd={} user=default redir=-1 resp={} "
      "lib-name={} lib-ver={}",
      session.id, session.address, session.local_address, session.fd, session.name,
      std::max<WallMs>(0, now - session.created_ms) / 1000,
      std::max<WallMs>(0, now - session.last_active_ms) / 1000, flags, session.subscriptions.size(),
      queued, session.watched.size(), session.query_buffer_bytes, session.output_buffer_bytes,
      session.query_buffer_bytes + session.output_buffer_bytes, session.last_command, session.resp,
      session.library_name, session.library_version);
}

namespace {

// The first address of `bind`.
std::string BoundHost(const Values& values) {
  std::string host = values.bind.substr(0, values.bind.find(' '));
  if (host.starts_with('-')) host = host.substr(1);
  return host;
}

bool IsEverywhere(const std::string& host) {
  return host.empty() || host == "*" || host == "0.0.0.0" || host == "::";
}

}  // namespace

ShownAddress AnnouncedAddress(const Values& values) {
  ShownAddress address{.host = values.cluster_announce_ip, .port = values.cluster_announce_port};
  if (address.host.empty()) address.host = BoundHost(values);
  if (IsEverywhere(address.host)) address.host.clear();
  // Every listener takes nodes.
  for (const std::int64_t port : {values.port, values.redis_port, values.karma_port}) {
    if (address.port == 0) address.port = port;
  }
  return address;
}

ShownAddress AddressOf(const ServerState& server, const Session& session) {
  const Values& values = server.settings.values();
  std::string host = BoundHost(values);
  std::int64_t port = values.port;
  const std::size_t colon = session.local_address.rfind(':');
  if (colon != std::string::npos) {
    // The port that the system chose (port 0), and the address that the client could reach.
    if (IsEverywhere(host)) host = session.local_address.substr(0, colon);
    if (port == 0) port = ParseInt64(session.local_address.substr(colon + 1)).value_or(0);
  }
  return {.host = std::move(host), .port = port};
}

}  // namespace jeton::command
