#include <fmt/format.h>

#include <iterator>

#include "command/cluster_host.h"
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
  template <typename Of>
  void PerPeer(const command::ClusterStatus& status, std::string_view name, std::string_view type,
               std::string_view help, const Of& value_of) {
    Head(name, type, help);
    for (const command::PeerStatus& peer : status.peers) {
      if (peer.id.empty()) continue;
      fmt::format_to(std::back_inserter(text_), "{}{{node=\"{}\"}} {}\n", name, peer.id,
                     value_of(peer));
    }
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

void AddPeers(const command::ClusterStatus& status, MetricsWriter& out) {
  using Peer = command::PeerStatus;
  out.PerPeer(status, "jeton_peer_up", "gauge", "1 while there is a link to the node",
              [](const Peer& peer) { return peer.link_connected ? 1 : 0; });
  out.PerPeer(status, "jeton_peer_lag_seconds", "gauge",
              "Age of the newest of its changes that may not be known here; -1: not known",
              [](const Peer& peer) {
                return peer.lag_ms < 0 ? -1.0 : static_cast<double>(peer.lag_ms) / 1000.0;
              });
  out.PerPeer(status, "jeton_peer_pending_bytes", "gauge", "Bytes that wait for the node",
              [](const Peer& peer) { return peer.pending_bytes; });
  out.PerPeer(status, "jeton_peer_received_bytes_total", "counter", "Bytes that came from the node",
              [](const Peer& peer) { return peer.bytes_in; });
  out.PerPeer(status, "jeton_peer_sent_bytes_total", "counter", "Bytes that went to the node",
              [](const Peer& peer) { return peer.bytes_out; });
  out.PerPeer(
      status, "jeton_peer_clock_difference_seconds", "gauge", "Its clock minus ours",
      [](const Peer& peer) { return static_cast<double>(peer.clock_difference_ms) / 1000.0; });
  out.PerPeer(status, "jeton_peer_repairs_total", "counter", "What had to be asked of the node",
              [](const Peer& peer) { return peer.repairs; });
}

void AddCluster(const command::ClusterStatus& status, MetricsWriter& out) {
  const auto count = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
  out.Add("jeton_cluster_nodes", "gauge", "Nodes of the cluster, this one too", count(status.size));
  out.Add("jeton_cluster_reachable_nodes", "gauge", "Other nodes that are heard",
          count(status.reachable_nodes));
  out.Add("jeton_cluster_consistent", "gauge",
          "1 if all that was counted anywhere jeton_cluster_staleness_seconds ago is known here",
          std::uint64_t{status.consistent});
  out.Add("jeton_cluster_staleness_seconds", "gauge",
          "How old what may be missing here is at most; -1: some node was never heard of",
          status.staleness_ms < 0 ? -1.0 : static_cast<double>(status.staleness_ms) / 1000.0);
  out.Add("jeton_cluster_copying_state", "gauge", "1 while the state of another node is copied",
          std::uint64_t{status.copying_state});
  out.Add("jeton_cluster_copied_bytes", "gauge", "Bytes of that state so far",
          status.state_bytes_done);
  out.Add("jeton_cluster_messages_sent_total", "counter", "Messages to other nodes",
          status.messages_sent);
  out.Add("jeton_cluster_messages_received_total", "counter", "Messages from other nodes",
          status.messages_received);
  out.Add("jeton_cluster_ring_bytes", "gauge", "Recent changes in memory for other nodes",
          status.ring_bytes);
  out.Add("jeton_cluster_gc_blocked_by_nodes", "gauge",
          "Nodes that hold up the removal of what is gone",
          std::uint64_t{status.gc_blocked_by.size()});
  out.Add("jeton_cluster_alarms", "gauge", "Alarms; INFO cluster has their text",
          std::uint64_t{status.alarms.size()});
  out.Add("jeton_cluster_digests_equal_total", "counter",
          "Digests of other nodes that were compared and were equal", status.digests_equal);
  out.Add("jeton_cluster_divergence_total", "counter",
          "Digests that differed although they should be equal: must stay 0", status.divergences);
  out.Add("jeton_cluster_reinjected_counters", "gauge",
          "Counters that got what this node had added before it was forgotten",
          status.reinjected_counters);
  out.Add("jeton_cluster_reinjected_amount", "gauge", "What they got in all",
          status.reinjected_amount.ToDouble());
  out.Add("jeton_cluster_log_segments_lost_total", "counter",
          "Segments of the log that went although no other node had all increments in them",
          status.log_segments_lost);
  out.Add("jeton_prediction_hits_total", "counter", "Predictions that held",
          status.prediction_hits);
  out.Add("jeton_prediction_misses_total", "counter", "Predictions that did not",
          status.prediction_misses);
  out.Add("jeton_prediction_error", "gauge", "Mean distance of predictions from what came",
          status.prediction_error);
  AddPeers(status, out);
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
  if (const command::ClusterHost* cluster = node.cluster()) AddCluster(*cluster->status(), out);
  AddCommands(state, out);
  return out.Take();
}

}  // namespace jeton::node
