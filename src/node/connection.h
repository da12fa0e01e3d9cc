// Connection: one client as the node sees it: bytes in, bytes out, and the session that commands
// know. No sockets here: net/ (or the simulator) moves the bytes. Owned by one Worker and touched
// by its thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "command/session.h"
#include "command/settings.h"
#include "protocol/detect.h"
#include "protocol/http.h"
#include "protocol/json.h"
#include "protocol/resp_parser.h"
#include "storage/log_format.h"

namespace jeton::node {

struct Connection {
  explicit Connection(const RespParser::Limits& limits) : parser(limits) {}

  static RespParser::Limits LimitsOf(const command::Values& values, bool authenticated) {
    RespParser::Limits limits;
    limits.unauthenticated = !authenticated;
    limits.bulk_bytes = static_cast<std::size_t>(values.max_argument_bytes);
    return limits;
  }

  command::Session session;
  Protocol protocol = Protocol::kNeedMore;  // decided by the first bytes
  RespParser parser;
  JsonLineParser json_lines;
  std::unique_ptr<HttpParser> http;

  // Input that an earlier turn left: an unfinished request, or requests that must wait.
  std::string pending;
  // Input of this turn that is still in the worker's arena (only while `pending` is empty).
  std::string_view fresh;
  bool queued = false;       // is in the worker's list for the next turn
  bool input_ended = false;  // the client has shut down its side; it still gets its replies
  std::size_t parsed = 0;    // of the input, by this turn's parsing
  std::size_t consumed = 0;  // of the input, by requests that ran in this turn
  bool held_back = false;    // CLIENT PAUSE stopped it in the middle of its requests

  // Output: out[0, sent) has left, out[sent, sendable) may leave, the rest waits for its gates,
  // which are in order. All positions count from the front of `out`.
  struct Gate {
    Lsn lsn = 0;                // the log must be safe up to here ...
    std::size_t end = 0;        // ... before bytes up to here may leave
    std::uint32_t replies = 0;  // how many requests' replies are behind it (for a failing disk)
  };
  std::string out;
  std::size_t sent = 0;
  std::size_t sendable = 0;
  std::deque<Gate> gates;
  std::uint32_t turn_replies = 0;  // requests that ran in this turn
  bool close_when_sent = false;    // QUIT, a protocol error, HTTP without keep-alive
  bool is_peer = false;            // another node: the transport takes it away, with `pending`
  std::string_view refusal = {};   // what it gets for an answer, unless it is another node
  bool dead = false;               // cut: nothing more is read or sent
  bool in_send_list = false;
  bool in_subscriber_list = false;
  bool in_timed_list = false;

  void* transport = nullptr;  // net's own; the node never looks at it

  // Its next request may not run yet: a pause, or a query that goes on in slices.
  bool Waits() const { return held_back || session.query != nullptr; }
  std::string_view input() const { return pending.empty() ? fresh : std::string_view(pending); }
};

}  // namespace jeton::node
