// One client of a Simulation: what it has yet to send, and what it waits for.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "node/connection.h"
#include "sim/simulation.h"

namespace jeton::sim {

struct Simulation::Client {
  int index = 0;
  int worker = 0;
  node::Connection* connection = nullptr;  // null while it is not connected
  Workload::ClientState state;
  OracleSession session;
  std::string unsent;
  std::uint64_t written = 0;  // bytes of requests, of this connection
  std::uint64_t delivered = 0;
  std::deque<std::pair<std::uint64_t, Words>> requests;  // with the position of their last byte
  bool queued = false;
  std::string received;  // the beginning of a reply
};

}  // namespace jeton::sim
