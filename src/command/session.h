// Session: what commands see and keep of one connection. Owned by the node's connection; touched
// only by the worker that the connection belongs to, or by any thread while the TurnLock is held
// exclusively (CLIENT LIST, CLIENT KILL).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/decimal.h"
#include "base/ids.h"
#include "base/time.h"
#include "command/long_query.h"
#include "engine/watch.h"

namespace jeton::command {

struct Command;

// Whose replies a connection gets (WIRE: the same data, two sets of replies).
enum class Dialect : std::uint8_t { kDiscnt, kRedis };

enum class ReplyMode : std::uint8_t { kOn, kOff, kSkipNext, kSkipThis };

// One SUBSCRIBE: a counter is a channel; its value is pushed when it changed, at most once each
// `interval_ms`.
struct Subscription {
  std::int64_t interval_ms = 1000;
  WallMs next_push_ms = 0;
  Decimal last_value;
};

struct QueuedCommand {
  std::vector<std::string> arguments;
};

struct Session {
  std::uint64_t id = 0;
  std::string address;  // "127.0.0.1:41234", or the socket's path
  std::string local_address;
  std::string name;  // CLIENT SETNAME
  std::string library_name;
  std::string library_version;
  Dialect listener_dialect = Dialect::kDiscnt;  // RESET returns to it
  Dialect dialect = Dialect::kDiscnt;
  int resp = 2;
  bool authenticated = false;  // set at accept if no password is needed
  bool from_loopback = true;
  ReplyMode reply_mode = ReplyMode::kOn;
  bool close_after_reply = false;
  std::atomic<bool> killed{
      false};  // CLIENT KILL by somebody else: the owner closes it at its next turn
  bool monitor = false;
  bool no_evict = false;
  bool no_touch = false;

  // transactions
  bool in_multi = false;
  bool multi_failed = false;  // a queued command was refused: EXEC answers EXECABORT
  std::vector<QueuedCommand> queued;
  std::vector<std::string> watched;
  engine::WatchTable::Flag watch_dirty;  // made at the first WATCH

  std::map<std::string, Subscription, std::less<>> subscriptions;

  // A command that goes on in slices; the next request waits for it.
  std::unique_ptr<LongQuery> query;
  const Command* query_command = nullptr;

  Lsn last_write_lsn = 0;  // of the last change that it made, for WAIT

  // Karma's JSON: the protocol of the request at hand (or, between two, of the next one that does
  // not say), whether version 2 was ever spoken, and whether a query has begun to write its reply.
  int karma_version = 1;
  bool karma_spoke_v2 = false;
  bool karma_reply_begun = false;

  // for CLIENT LIST and INFO
  WallMs created_ms = 0;
  WallMs last_active_ms = 0;
  std::string_view last_command;  // of the command table, which outlives the session
  std::uint64_t commands = 0;
  std::size_t query_buffer_bytes = 0;
  std::size_t output_buffer_bytes = 0;
  int worker = 0;
  int fd = -1;  // only shown
};

}  // namespace jeton::command
