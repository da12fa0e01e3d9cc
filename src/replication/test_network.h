// For tests: Replicators joined by a network in memory. Time goes in steps; each direction of a
// connection is a stream of bytes that arrives in order, after a delay, in pieces of any size, or
// stops for a while (then nothing is lost, as with TCP), or breaks.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "replication/test_host.h"

namespace jeton::replication::test {

class TestNetwork {
 public:
  struct Node {
    Disk disk;
    std::unique_ptr<TestHost> host;  // null: down
    std::unique_ptr<Replicator> replicator;
    Address address;
    Settings settings;
    std::int64_t wall_ahead_ms = 0;
    std::vector<std::string> events;
    int starts = 0;
    bool frozen = false;  // SIGSTOP
  };

  explicit TestNetwork(std::uint64_t seed) : prng(seed) {}

  // Node i is at host "n<i>".
  Node& Add(const Settings& settings) {
    const auto number = static_cast<unsigned>(nodes.size());
    auto node = std::make_unique<Node>();
    node->disk.node = NodeNumber(number + 1);
    node->disk.cluster = ClusterNumber(number + 1);
    node->address = {"n" + std::to_string(number), 7000};
    node->settings = settings;
    nodes.push_back(std::move(node));
    Start(number);
    return *nodes.back();
  }

  void Start(std::size_t i) {
    Node& node = *nodes[i];
    ++node.starts;
    node.host =
        std::make_unique<TestHost>(node.disk, ledger, OriginNumber(next_origin_++), prng.Next());
    node.replicator = std::make_unique<Replicator>(*node.host, prng.Next(), node.settings);
    node.replicator->Restore(NowOf(i), {node.disk.members, node.disk.joining});
    node.replicator->Announce(NowOf(i), node.address);
    for (const auto& [origin, frames] : node.disk.log) {
      for (const auto& [to, bytes] : frames) {
        if (to <= node.host->applied().Get(origin))
          (void)node.replicator->AddFrame(NowOf(i), bytes);
      }
    }
  }

  // A crash: peers see their connections end later, or never.
  void Stop(std::size_t i) {
    nodes[i]->replicator.reset();
    nodes[i]->host.reset();
    for (auto& [id, connection] : connections_) {
      for (const int side : {0, 1}) {
        if (connection.node[side] == i) connection.link[side] = 0;
      }
    }
  }

  void Cut(std::size_t i) { Publish(i, nodes[i]->host->Cut(true)); }
  void Publish(std::size_t i, const std::shared_ptr<const std::string>& bytes) {
    if (bytes == nullptr) return;
    ASSERT(nodes[i]->replicator->AddFrame(NowOf(i), bytes).ok());
  }
  void Increment(std::size_t i, std::uint64_t amount = 1) {
    nodes[i]->host->Increment(amount);
    Cut(i);
  }
  void Meet(std::size_t i, std::size_t j, bool keep = false) {
    ASSERT(nodes[i]->replicator->Meet(NowOf(i), nodes[j]->address, keep).ok());
  }

  void Run(std::int64_t ms) {
    const MonoNs end = mono_ns + ms * kNsPerMs;
    while (mono_ns < end) Step();
  }
  // False if it has not come true within `ms`.
  template <typename Condition>
  bool RunUntil(std::int64_t ms, Condition condition) {
    const MonoNs end = mono_ns + ms * kNsPerMs;
    while (!condition()) {
      if (mono_ns >= end) return false;
      Step();
    }
    return true;
  }

  void Step() {
    mono_ns += step_ms * kNsPerMs;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      Node& node = *nodes[i];
      if (node.replicator == nullptr || node.frozen) continue;
      // Whoever holds writes cuts what there is.
      if (node.host->held && !node.host->staging) Cut(i);
      if (sync_each_step) node.host->Sync();
      node.replicator->Tick(NowOf(i));
      CarryOut(i);
    }
    Deliver();
    for (auto& node : nodes) {
      if (node->host != nullptr) node->host->Check();
    }
  }

  void CarryOut(std::size_t i) {
    Node& node = *nodes[i];
    for (Output& output : node.replicator->TakeOutputs()) {
      if (const auto* dial = std::get_if<Dial>(&output)) {
        dials_.push_back({mono_ns + Delay(), i, dial->link, dial->host});
      } else if (auto* send = std::get_if<Send>(&output)) {
        bytes_sent += send->bytes.size();
        if (Connection* connection = ConnectionOf(i, send->link)) {
          const int side = connection->SideOf(i, send->link);
          connection->Queue(side, mono_ns + Delay(), send->bytes);
        }
      } else if (const auto* close = std::get_if<Close>(&output)) {
        last_close_reason = close->reason;
        if (Connection* connection = ConnectionOf(i, close->link)) {
          const int side = connection->SideOf(i, close->link);
          connection->link[side] = 0;
          connection->closed[side] = true;
        }
      }
    }
    for (Event& event : node.replicator->TakeEvents()) {
      if (node.events.size() < 10'000) node.events.push_back(std::move(event.text));
    }
  }

  // Both ends hear of it, or only one (`half`), which then has to find out.
  void Break(std::size_t i, std::size_t j, bool half) {
    for (auto& [id, connection] : connections_) {
      const bool between = (connection.node[0] == i && connection.node[1] == j) ||
                           (connection.node[0] == j && connection.node[1] == i);
      if (!between) continue;
      connection.lost = true;
      for (const int side : {0, 1}) {
        if (half && connection.node[side] == j) continue;
        Drop(connection, side, "connection reset");
      }
    }
  }
  void Block(std::size_t from, std::size_t to, bool blocked) {
    if (blocked) {
      blocked_.insert({from, to});
    } else {
      blocked_.erase({from, to});
    }
  }
  void Heal() {
    blocked_.clear();
    refuse_dials = 0;
    delay_ms_max = 10;
  }

  Now NowOf(std::size_t i) const {
    return {.wall_ms = 1'700'000'000'000 + mono_ns / kNsPerMs + nodes[i]->wall_ahead_ms,
            .mono_ns = mono_ns};
  }
  ReplicatorStatus StatusOf(std::size_t i) const { return nodes[i]->replicator->status(NowOf(i)); }
  bool Converged() const {
    const Node* first = nullptr;
    for (const auto& node : nodes) {
      if (node->host == nullptr) continue;
      if (first == nullptr) first = node.get();
      if (node->host->applied() != first->host->applied()) return false;
      if (node->host->Head() != node->host->applied().Get(node->host->origin())) return false;
    }
    return true;
  }
  bool HasEvent(std::size_t i, std::string_view part) const {
    for (const std::string& event : nodes[i]->events) {
      if (event.find(part) != std::string::npos) return true;
    }
    return false;
  }
  // Whether they are linked, and have been told each other's records.
  bool Linked(std::size_t i, std::size_t j) const {
    for (const PeerStatus& peer : StatusOf(i).peers) {
      if (peer.member.node == nodes[j]->disk.node) return peer.linked;
    }
    return false;
  }

  std::vector<std::unique_ptr<Node>> nodes;
  Ledger ledger;
  Prng prng;
  MonoNs mono_ns = 0;
  std::int64_t step_ms = 5;
  std::int64_t delay_ms_max = 10;
  std::size_t bytes_per_step = 1 << 30;  // of one direction of a connection
  double refuse_dials = 0;
  bool sync_each_step = true;
  std::uint64_t bytes_sent = 0;
  std::string last_close_reason;

 private:
  struct Connection {
    std::size_t node[2] = {0, 0};
    LinkId link[2] = {0, 0};          // 0: that side has let go
    bool closed[2] = {false, false};  // by that side: the other one hears of it at the end
    bool lost = false;                // what is on its way does not arrive
    std::deque<std::pair<MonoNs, std::string>> sent[2];  // by side
    std::size_t unsent[2] = {0, 0};

    int SideOf(std::size_t i, LinkId id) const { return node[0] == i && link[0] == id ? 0 : 1; }
    void Queue(int side, MonoNs at, std::string bytes) {
      if (!sent[side].empty()) at = std::max(at, sent[side].back().first);
      unsent[side] += bytes.size();
      sent[side].emplace_back(at, std::move(bytes));
    }
  };
  struct Dialed {
    MonoNs at;
    std::size_t from;
    LinkId link;
    std::string host;
  };

  MonoNs Delay() { return prng.Between(0, delay_ms_max) * kNsPerMs; }

  Connection* ConnectionOf(std::size_t i, LinkId link) {
    for (auto& [id, connection] : connections_) {
      for (const int side : {0, 1}) {
        if (connection.node[side] == i && connection.link[side] == link) return &connection;
      }
    }
    return nullptr;
  }
  void Drop(Connection& connection, int side, const char* why) {
    const LinkId link = std::exchange(connection.link[side], 0);
    Node& node = *nodes[connection.node[side]];
    if (link != 0 && node.replicator != nullptr) {
      node.replicator->Closed(NowOf(connection.node[side]), link, why);
    }
  }
  bool Blocked(std::size_t from, std::size_t to) const { return blocked_.contains({from, to}); }

  void Deliver() {
    std::vector<Dialed> later;
    for (Dialed& dialed : std::exchange(dials_, {})) {
      if (dialed.at > mono_ns) {
        later.push_back(dialed);
      } else {
        Connect(dialed);
      }
    }
    dials_.insert(dials_.end(), later.begin(), later.end());
    for (auto& [id, connection] : connections_) {
      for (const int side : {0, 1}) Move(connection, side);
    }
    std::erase_if(connections_, [](const auto& item) {
      return item.second.link[0] == 0 && item.second.link[1] == 0;
    });
  }

  void Connect(const Dialed& dialed) {
    Node& from = *nodes[dialed.from];
    if (from.replicator == nullptr) return;
    std::size_t to = nodes.size();
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i]->address.host == dialed.host) to = i;
    }
    const bool reachable = to < nodes.size() && nodes[to]->replicator != nullptr &&
                           !nodes[to]->frozen && !Blocked(dialed.from, to) &&
                           !Blocked(to, dialed.from) && !prng.Chance(refuse_dials);
    LinkId accepted = 0;
    if (reachable) accepted = nodes[to]->replicator->Accepted(NowOf(to), from.address.host);
    if (accepted != 0) {
      Connection& connection = connections_[next_connection_++];
      connection.node[0] = dialed.from;
      connection.node[1] = to;
      connection.link[0] = dialed.link;
      connection.link[1] = accepted;
    }
    from.replicator->DialDone(NowOf(dialed.from), dialed.link, accepted != 0, "refused");
  }

  // What side `from` has sent and is due goes to the other one.
  void Move(Connection& connection, int from) {
    const int to = 1 - from;
    const std::size_t receiver = connection.node[to];
    if (connection.lost || Blocked(connection.node[from], receiver)) return;
    if (nodes[receiver]->frozen) return;
    std::size_t room = bytes_per_step;
    auto& sent = connection.sent[from];
    while (room > 0 && !sent.empty() && sent.front().first <= mono_ns) {
      std::string& bytes = sent.front().second;
      const std::size_t piece = std::min<std::size_t>(
          {room, bytes.size(), 1 + prng.Below(prng.Chance(0.5) ? 64 : 65536)});
      Node& node = *nodes[receiver];
      if (connection.link[to] != 0 && node.replicator != nullptr) {
        node.replicator->Receive(NowOf(receiver), connection.link[to],
                                 std::string_view(bytes).substr(0, piece));
        node.host->Check();
        CarryOut(receiver);
      }
      room -= piece;
      connection.unsent[from] -= piece;
      if (piece == bytes.size()) {
        sent.pop_front();
      } else {
        bytes.erase(0, piece);
      }
    }
    Node& sender = *nodes[connection.node[from]];
    if (connection.link[from] != 0 && sender.replicator != nullptr) {
      sender.replicator->Backlog(NowOf(connection.node[from]), connection.link[from],
                                 connection.unsent[from]);
    }
    if (connection.closed[from] && sent.empty()) Drop(connection, to, "closed by the peer");
  }

  std::map<std::uint64_t, Connection> connections_;
  std::vector<Dialed> dials_;
  std::set<std::pair<std::size_t, std::size_t>> blocked_;
  std::uint64_t next_connection_ = 1;
  unsigned next_origin_ = 1;
};

}  // namespace jeton::replication::test
