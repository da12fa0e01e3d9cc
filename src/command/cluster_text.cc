#include "command/cluster_text.h"

#include <fmt/format.h>

#include <iterator>

#include "base/text.h"
#include "command/info.h"

namespace jeton::command {

namespace {

// IPv6 addresses go in brackets, so that the port can be told apart.
std::string HostAndPort(const std::string& host, std::int64_t port) {
  const bool bare_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
  return bare_v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string JoinIds(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) text.append(text.empty() ? "" : ",").append(id);
  return text;
}

// Discnt's priorities, by which its clients choose a node: the less, the better.
int PriorityOf(const PeerStatus& peer) {
  switch (peer.state) {
    case PeerStatus::State::kFailed:
    case PeerStatus::State::kForgotten:
      return 100;
    case PeerStatus::State::kSuspected:
      return 10;
    default:
      return peer.link_connected ? 1 : 5;
  }
}

template <typename T>
void Line(std::string& text, std::string_view name, const T& value) {
  fmt::format_to(std::back_inserter(text), "{}:{}\r\n", name, value);
}

void PeerLine(std::string& text, std::size_t number, const PeerStatus& peer) {
  fmt::format_to(std::back_inserter(text),
                 "node{}:id={},addr={},state={},link={},lag_ms={},pending_bytes={},bytes_in={},"
                 "bytes_out={},clock_difference_ms={},repairs={},acked_lsn={}\r\n",
                 number, peer.id, HostAndPort(peer.host, peer.port), FlagsOf(peer.state),
                 peer.link_connected ? "up" : "down", peer.lag_ms, peer.pending_bytes,
                 peer.bytes_in, peer.bytes_out, peer.clock_difference_ms, peer.repairs,
                 peer.acked_lsn);
}

void HelloEntry(Reply& reply, const std::string& id, const std::string& host, std::int64_t port,
                int priority) {
  reply.Array(4);
  reply.Bulk(id);
  reply.Bulk(host);
  reply.Bulk(std::to_string(port));
  reply.Bulk(std::to_string(priority));
}

// A handshake has no id yet: clients could do nothing with it.
bool IsShownInHello(const PeerStatus& peer) {
  return peer.state != PeerStatus::State::kHandshake && peer.state != PeerStatus::State::kForgotten;
}

}  // namespace

ClusterStatus StatusFor(const ServerState& server, const Session& session) {
  ClusterStatus status;
  if (const ClusterHost* cluster = server.host.cluster()) status = *cluster->status();
  if (status.id.empty()) status.id = server.node_id;
  if (status.host.empty() || status.port == 0) {
    const ShownAddress address = AddressOf(server, session);
    if (status.host.empty()) status.host = address.host;
    if (status.port == 0) status.port = address.port;
  }
  return status;
}

const PeerStatus* FindPeer(const ClusterStatus& status, std::string_view id) {
  for (const PeerStatus& peer : status.peers) {
    if (!peer.id.empty() && EqualsIgnoreCase(peer.id, id)) return &peer;
  }
  return nullptr;
}

std::string_view FlagsOf(PeerStatus::State state) {
  switch (state) {
    case PeerStatus::State::kHandshake:
      return "handshake";
    case PeerStatus::State::kOk:
      return "noflags";
    case PeerStatus::State::kSuspected:
      return "fail?";
    case PeerStatus::State::kFailed:
      return "fail";
    case PeerStatus::State::kForgotten:
      return "forgotten";
  }
  return "noflags";
}

std::string NodesText(const ClusterStatus& status) {
  std::string text =
      status.id + " " + HostAndPort(status.host, status.port) + " myself 0 0 connected\n";
  for (const PeerStatus& peer : status.peers) {
    fmt::format_to(std::back_inserter(text), "{} {} {} {} {} {}\n",
                   peer.id.empty() ? std::string(40, '0') : peer.id,
                   HostAndPort(peer.host, peer.port), FlagsOf(peer.state), peer.ping_sent_ms,
                   peer.pong_received_ms, peer.link_connected ? "connected" : "disconnected");
  }
  return text;
}

// As in Discnt: reachable are the others, the size counts this node too.
std::string ClusterInfoText(const ClusterStatus& status) {
  std::string text;
  Line(text, "cluster_state", status.ok ? "ok" : "fail");
  Line(text, "cluster_known_nodes", status.known_nodes);
  Line(text, "cluster_reachable_nodes", status.reachable_nodes);
  Line(text, "cluster_size", status.size);
  Line(text, "cluster_stats_messages_sent", status.messages_sent);
  Line(text, "cluster_stats_messages_received", status.messages_received);
  return text;
}

std::string ClusterSectionText(const ClusterStatus& status, const std::string& own_id) {
  std::string text;
  Line(text, "cluster_node_id", status.id.empty() ? own_id : status.id);
  Line(text, "cluster_origin", status.origin);
  text += ClusterInfoText(status);
  Line(text, "cluster_bytes_sent", status.bytes_sent);
  Line(text, "cluster_bytes_received", status.bytes_received);
  Line(text, "cluster_frames_sent", status.frames_sent);
  Line(text, "cluster_frames_received", status.frames_received);
  Line(text, "cluster_ring_bytes", status.ring_bytes);
  Line(text, "cluster_consistent", status.consistent ? 1 : 0);
  Line(text, "cluster_staleness_ms", status.staleness_ms);
  Line(text, "cluster_missing_nodes", JoinIds(status.missing_nodes));
  Line(text, "cluster_copying_state", status.copying_state ? 1 : 0);
  if (status.copying_state) {
    Line(text, "cluster_copied_bytes", status.state_bytes_done);
    Line(text, "cluster_copied_bytes_total", status.state_bytes_total);
  }
  Line(text, "cluster_gc_blocked_by", JoinIds(status.gc_blocked_by));
  Line(text, "cluster_repairs", status.repairs);
  Line(text, "cluster_digests_equal", status.digests_equal);
  Line(text, "cluster_divergences", status.divergences);
  Line(text, "cluster_alarms", status.alarms.size());
  for (std::size_t i = 0; i < status.alarms.size(); ++i) {
    Line(text, fmt::format("cluster_alarm{}", i), status.alarms[i]);
  }
  Line(text, "cluster_rejoin", status.rejoin);
  Line(text, "cluster_reinjected_counters", status.reinjected_counters);
  Line(text, "cluster_reinjected_amount", status.reinjected_amount.ToString());
  Line(text, "cluster_log_segments_lost", status.log_segments_lost);
  Line(text, "prediction_hits", status.prediction_hits);
  Line(text, "prediction_misses", status.prediction_misses);
  Line(text, "prediction_error", fmt::format("{}", status.prediction_error));
  for (std::size_t i = 0; i < status.peers.size(); ++i) PeerLine(text, i, status.peers[i]);
  return text;
}

void ReplyHello(const ClusterStatus& status, Reply& reply) {
  std::size_t shown = 0;
  for (const PeerStatus& peer : status.peers) shown += IsShownInHello(peer) ? 1 : 0;
  reply.Array(3 + shown);
  reply.Integer(1);
  reply.Bulk(status.id);
  HelloEntry(reply, status.id, status.host, status.port, 1);
  for (const PeerStatus& peer : status.peers) {
    if (IsShownInHello(peer)) HelloEntry(reply, peer.id, peer.host, peer.port, PriorityOf(peer));
  }
}

void ReplyLinks(const ClusterStatus& status, Reply& reply) {
  std::size_t links = 0;
  for (const PeerStatus& peer : status.peers) links += peer.link_connected ? 1 : 0;
  reply.Array(links);
  for (const PeerStatus& peer : status.peers) {
    if (!peer.link_connected) continue;
    const auto pending = static_cast<std::int64_t>(peer.pending_bytes);
    reply.Map(6);
    reply.Bulk("direction");
    reply.Bulk(peer.link_outgoing ? "to" : "from");
    reply.Bulk("node");
    reply.Bulk(peer.id);
    reply.Bulk("create-time");
    reply.Integer(peer.link_since_ms);
    reply.Bulk("events");
    reply.Bulk(pending > 0 ? "rw" : "r");
    reply.Bulk("send-buffer-allocated");
    reply.Integer(pending);
    reply.Bulk("send-buffer-used");
    reply.Integer(pending);
  }
}

}  // namespace jeton::command
