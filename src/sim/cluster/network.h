// Network: the connections between simulated nodes. Each is a pair of byte streams with a delay of
// their own, as TCP has them: nothing is lost or reordered within a stream, but it stalls while its
// way is cut, ends at one side earlier than at the other, and now and then delivers a wrong byte.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "base/time.h"
#include "node/peer_driver.h"

namespace jeton::sim {

struct NetworkWeather {
  MonoNs delay_min = kNsPerMs / 10;
  MonoNs delay_max = 5 * kNsPerMs;
  double corrupts = 0;  // chance, of a piece
  double resets = 0;    // chance, of a piece
};

class Network {
 public:
  static constexpr std::uint16_t kPort = 7000;

  // `drivers[n]` is null while node n is down. Both outlive the network.
  Network(std::vector<node::PeerDriver*>& drivers, Prng& prng)
      : drivers_(drivers), prng_(prng), cut_(drivers.size()) {
    for (auto& row : cut_) row.assign(drivers.size(), false);
  }

  static std::string HostOf(std::size_t node) { return "10.0.0." + std::to_string(node + 1); }

  void set_weather(const NetworkWeather& weather) { weather_ = weather; }
  void Cut(std::size_t from, std::size_t to, bool cut) { cut_[from][to] = cut; }
  void HealAll();
  // Every connection ends, at once or a little later.
  void ResetSome(double chance);

  // What the node's driver wants sent, dialed and closed.
  void CarryOut(std::size_t node, Now now);
  // Delivers what is due to the node.
  void Deliver(std::size_t node, Now now);
  // The process of the node is gone: its peers find out.
  void Died(std::size_t node, MonoNs now);

  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t pieces() const { return pieces_; }

 private:
  struct Piece {
    MonoNs due = 0;
    std::string bytes;
    bool end = false;  // of the stream
  };
  struct Side {
    std::size_t node = 0;
    replication::LinkId link = 0;  // 0: not open
    std::deque<Piece> inbox;
    std::size_t reported = 0;  // bytes that its driver takes for unsent
  };
  struct Connection {
    Side sides[2];
    bool pending = false;  // side 0 has dialed and waits
    MonoNs answer_at = 0;
  };

  MonoNs Delay() { return prng_.Between(weather_.delay_min, weather_.delay_max); }
  bool IsCut(std::size_t from, std::size_t to) const { return cut_[from][to]; }
  void Dial(std::size_t node, const replication::Dial& dial, MonoNs now);
  void Answer(Connection& connection, Now now);
  void Push(Connection& connection, int from, Piece piece, MonoNs now);
  void TellBacklog(Connection& connection, int side, Now now);
  bool DeliverSide(Connection& connection, int side, Now now);

  std::vector<node::PeerDriver*>& drivers_;
  Prng& prng_;
  NetworkWeather weather_;
  std::vector<std::vector<bool>> cut_;  // [from][to]
  std::vector<std::unique_ptr<Connection>> connections_;
  std::uint64_t bytes_ = 0, pieces_ = 0;
};

}  // namespace jeton::sim
