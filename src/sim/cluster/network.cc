#include "sim/cluster/network.h"

#include <algorithm>

namespace jeton::sim {

namespace {
constexpr MonoNs kDialTimeout = kNsPerSecond;
}

void Network::HealAll() {
  for (auto& row : cut_) std::fill(row.begin(), row.end(), false);
  weather_.corrupts = weather_.resets = 0;
}

void Network::Push(Connection& connection, int from, Piece piece, MonoNs now) {
  Side& to = connection.sides[1 - from];
  piece.due = now + Delay();
  // In order within the stream.
  if (!to.inbox.empty()) piece.due = std::max(piece.due, to.inbox.back().due);
  to.inbox.push_back(std::move(piece));
}

void Network::Dial(std::size_t node, const replication::Dial& dial, MonoNs now) {
  auto connection = std::make_unique<Connection>();
  connection->sides[0] = {.node = node, .link = dial.link, .inbox = {}, .reported = 0};
  connection->sides[1].node = drivers_.size();
  for (std::size_t n = 0; n < drivers_.size(); ++n) {
    if (HostOf(n) == dial.host && dial.port == kPort) connection->sides[1].node = n;
  }
  const std::size_t to = connection->sides[1].node;
  const bool reached = to < drivers_.size() && !IsCut(node, to) && !IsCut(to, node);
  connection->pending = true;
  connection->answer_at = now + (reached ? 2 * Delay() : kDialTimeout);
  connections_.push_back(std::move(connection));
}

void Network::Answer(Connection& connection, Now now) {
  connection.pending = false;
  Side& from = connection.sides[0];
  Side& to = connection.sides[1];
  const bool reached = to.node < drivers_.size() && drivers_[to.node] != nullptr &&
                       drivers_[to.node]->accepts_peers() && !IsCut(from.node, to.node) &&
                       !IsCut(to.node, from.node);
  if (reached) to.link = drivers_[to.node]->Accepted(now, HostOf(from.node));
  const replication::LinkId link = from.link;
  if (to.link == 0) from.link = 0;
  drivers_[from.node]->DialDone(now, link, to.link != 0, "connection refused");
}

void Network::CarryOut(std::size_t node, Now now) {
  node::PeerDriver& driver = *drivers_[node];
  const auto side_of = [&](replication::LinkId link) -> std::pair<Connection*, int> {
    for (auto& connection : connections_) {
      for (int side = 0; side < 2; ++side) {
        if (connection->sides[side].node == node && connection->sides[side].link == link) {
          return {connection.get(), side};
        }
      }
    }
    return {nullptr, 0};
  };
  for (replication::Output& output : driver.TakeOutputs()) {
    if (const auto* dial = std::get_if<replication::Dial>(&output)) {
      Dial(node, *dial, now.mono_ns);
    } else if (auto* send = std::get_if<replication::Send>(&output)) {
      const auto [connection, side] = side_of(send->link);
      if (connection == nullptr) continue;
      bytes_ += send->bytes.size();
      connection->sides[side].reported += send->bytes.size();
      Push(*connection, side, {.bytes = std::move(send->bytes)}, now.mono_ns);
    } else {
      const auto [connection, side] = side_of(std::get<replication::Close>(output).link);
      if (connection == nullptr) continue;
      connection->sides[side].link = 0;
      Push(*connection, side, {.bytes = {}, .end = true}, now.mono_ns);
    }
  }
}

// As the peer loop does: a link of which the driver never heard that its bytes have left would be
// full after some time.
void Network::TellBacklog(Connection& connection, int index, Now now) {
  Side& side = connection.sides[index];
  std::size_t unread = 0;
  for (const Piece& piece : connection.sides[1 - index].inbox) unread += piece.bytes.size();
  if (unread == side.reported) return;
  side.reported = unread;
  drivers_[side.node]->Backlog(now, side.link, unread);
}

// True if the side's link has ended.
bool Network::DeliverSide(Connection& connection, int index, Now now) {
  Side& side = connection.sides[index];
  const std::size_t from = connection.sides[1 - index].node;
  node::PeerDriver& driver = *drivers_[side.node];
  while (side.link != 0 && !side.inbox.empty() && side.inbox.front().due <= now.mono_ns &&
         !IsCut(from, side.node)) {
    Piece piece = std::move(side.inbox.front());
    side.inbox.pop_front();
    ++pieces_;
    const bool reset = prng_.Chance(weather_.resets);
    if (piece.end || reset) {
      const replication::LinkId link = side.link;
      side.link = 0;
      driver.Closed(now, link, reset ? "connection reset" : "the peer has closed");
      if (reset) Push(connection, index, {.bytes = {}, .end = true}, now.mono_ns);
      return true;
    }
    if (!piece.bytes.empty() && prng_.Chance(weather_.corrupts)) {
      char& byte = piece.bytes[prng_.Below(piece.bytes.size())];
      byte = static_cast<char>(byte ^ (1 << prng_.Below(8)));
    }
    // In pieces, as a kernel would give them.
    std::string_view rest = piece.bytes;
    while (!rest.empty() && side.link != 0) {
      const std::size_t size = prng_.Chance(0.1) ? 1 + prng_.Below(rest.size()) : rest.size();
      driver.Receive(now, side.link, rest.substr(0, size));
      rest.remove_prefix(size);
    }
  }
  return side.link == 0;
}

void Network::Deliver(std::size_t node, Now now) {
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = *connections_[i];
    if (connection.pending) {
      if (connection.sides[0].node == node && connection.answer_at <= now.mono_ns) {
        Answer(connection, now);
      }
      continue;
    }
    for (int side = 0; side < 2; ++side) {
      if (connection.sides[side].node == node && connection.sides[side].link != 0) {
        TellBacklog(connection, side, now);
        DeliverSide(connection, side, now);
      }
    }
  }
  std::erase_if(connections_, [](const auto& connection) {
    return !connection->pending && connection->sides[0].link == 0 && connection->sides[1].link == 0;
  });
}

void Network::Died(std::size_t node, MonoNs now) {
  for (auto& connection : connections_) {
    for (int side = 0; side < 2; ++side) {
      Side& mine = connection->sides[side];
      if (mine.node != node) continue;
      mine.inbox.clear();
      if (mine.link == 0) continue;
      mine.link = 0;
      if (connection->pending)
        connection->pending = false;
      else
        Push(*connection, side, {.bytes = {}, .end = true}, now);
    }
  }
}

void Network::ResetSome(double chance) {
  for (auto& connection : connections_) {
    if (connection->pending || !prng_.Chance(chance)) continue;
    for (Side& side : connection->sides) {
      if (side.link != 0) side.inbox.push_front({.due = 0, .bytes = {}, .end = true});
    }
  }
}

}  // namespace jeton::sim
