#include <fmt/format.h>

#include <iterator>

#include "node/http_api.h"
#include "node/node.h"

namespace jeton::node {
namespace {

class MetricsWriter {
 public:
  void Add(std::string_view name, std::string_view type, std::string_view help, double value) {
    Head(name, type, help);
    fmt::format_to(std::back_inserter(text_), "{} {}\n", name, value);
  }
  void Add(std::string_view name, std::string_view type, std::string_view help,
           std::uint64_t value) {
    Head(name, type, help);
    fmt::format_to(std::back_inserter(text_), "{} {}\n", name, value);
  }
  void Head(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name,
                   type);
  }
  void Labelled(std::string_view name, std::string_view label, std::string_view label_value,
                std::uint64_t value) {
    fmt::format_to(std::back_inserter(text_), "{}{{{}=\"{}\"}} {}\n", name, label, label_value,
                   value);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

template <typename Member>
std::uint64_t Sum(const command::ServerState& state, Member member) {
  std::uint64_t sum = 0;
  for (const auto* stats : state.worker_stats) {
    sum += (stats->*member).load(std::memory_order_relaxed);
  }
  return sum;
}

void AddCommands(const command::ServerState& state, MetricsWriter& out) {
  constexpr std::string_view kName = "jeton_commands_total";
  out.Head(kName, "counter", "Commands executed, by command");
  for (const auto entries : {state.commands.All(), state.commands.JsonOnly()}) {
    for (const command::Command* command : entries) {
      std::uint64_t calls = 0;
      for (const auto* stats : state.worker_stats) {
        calls += stats->per_command[static_cast<std::size_t>(command->id)].calls.load(
            std::memory_order_relaxed);
      }
      if (calls > 0) out.Labelled(kName, "command", command->name, calls);
    }
  }
}

void AddPersistence(const command::PersistenceStatus& p, MetricsWriter& out) {
  out.Add("jeton_loading", "gauge", "1 while the data is being loaded", std::uint64_t{p.loading});
  constexpr std::string_view kDisk = "jeton_disk_state";
  out.Head(kDisk, "gauge", "1 for the state that the disk is in");
  for (const std::string_view state : {"ok", "full", "failed"}) {
    out.Labelled(kDisk, "state", state, p.disk_state == state ? 1 : 0);
  }
  out.Add("jeton_log_bytes_total", "counter", "Bytes written to the log by this process",
          p.log_bytes);
  out.Add("jeton_log_syncs_total", "counter", "Syncs of the log by this process", p.log_syncs);
  out.Add("jeton_log_appended_lsn", "gauge", "Last log record appended", p.appended_lsn);
  out.Add("jeton_log_durable_lsn", "gauge", "Last log record known to be on disk", p.durable_lsn);
  out.Add("jeton_changes_since_snapshot", "gauge", "Changes since the last snapshot",
          p.changes_since_save);
  out.Add("jeton_snapshot_running", "gauge", "1 while a snapshot is written",
          std::uint64_t{p.snapshot_running});
  out.Add("jeton_snapshot_last_ok", "gauge", "1 if the last snapshot succeeded",
          std::uint64_t{p.last_snapshot_ok});
  out.Add("jeton_snapshot_last_timestamp_seconds", "gauge", "When the last snapshot was completed",
          static_cast<double>(p.last_save_ms) / 1000.0);
}

}  // namespace

std::string MetricsText(Node& node, Now now) {
  command::ServerState& state = node.state();
  MetricsWriter out;
  using Stats = command::WorkerStats;
  out.Add("jeton_uptime_seconds", "gauge", "Time since the start",
          static_cast<double>(now.wall_ms - state.started_ms) / 1000.0);
  std::size_t clients = 0;
  {
    std::lock_guard guard(state.sessions_mutex);
    clients = state.sessions.size();
  }
  out.Add("jeton_connected_clients", "gauge", "Open client connections", std::uint64_t{clients});
  out.Add("jeton_connections_received_total", "counter", "Connections accepted",
          Sum(state, &Stats::connections_received));
  out.Add("jeton_connections_rejected_total", "counter", "Connections turned away",
          Sum(state, &Stats::connections_rejected));
  out.Add("jeton_net_input_bytes_total", "counter", "Bytes received from clients",
          Sum(state, &Stats::net_input_bytes));
  out.Add("jeton_net_output_bytes_total", "counter", "Bytes sent to clients",
          Sum(state, &Stats::net_output_bytes));
  out.Add("jeton_error_replies_total", "counter", "Error replies",
          Sum(state, &Stats::error_replies));
  out.Add("jeton_keyspace_hits_total", "counter", "Reads that found a counter",
          Sum(state, &Stats::hits));
  out.Add("jeton_keyspace_misses_total", "counter", "Reads that found none",
          Sum(state, &Stats::misses));
  out.Add("jeton_keyspace_names", "gauge", "Counters and trees",
          node.ready() ? state.keyspace.size(now.wall_ms) : 0);
  out.Add("jeton_keyspace_bytes", "gauge", "Memory of counters and trees",
          state.keyspace.used_bytes());
  const auto facts = node.process_facts();
  out.Add("jeton_resident_memory_bytes", "gauge", "Resident memory of the process",
          facts.resident_bytes);
  out.Add("jeton_cpu_user_seconds_total", "counter", "Processor time in user mode",
          facts.cpu_user_seconds);
  out.Add("jeton_cpu_system_seconds_total", "counter", "Processor time in the kernel",
          facts.cpu_system_seconds);
  AddPersistence(node.persistence(), out);
  AddCommands(state, out);
  return out.Take();
}

}  // namespace jeton::node
