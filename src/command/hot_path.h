// HotPath: the short way for what a counting program sends all day: INCR, DECR, INCRBY, DECRBY and
// GET of counters that hold an integer. It does the whole of a request exactly as the dispatcher
// would (reply, log, locks, statistics), or nothing at all; whatever is unusual about a request,
// its session or the state of the server makes it do nothing, and the dispatcher takes the request.
//
//   hot.Begin(session, now)            may this session's requests go this way?
//   hot.Execute(command, args, key)    once per request; false: not this one
//   hot.End(out)                       writes the replies, before anybody else writes to `out`
//
// One per dispatcher, in its thread; the TurnLock is held shared throughout.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "command/server_state.h"
#include "engine/unit.h"

namespace jeton::command {

class HotPath {
 public:
  // Requests between Begin and End.
  static constexpr std::size_t kRunMax = 128;

  // `calls_until_timed`: how many fast commands may still run before one is timed, by the
  // dispatcher.
  HotPath(ServerState& server, WorkerStats& stats, engine::Unit& unit,
          std::uint32_t& calls_until_timed)
      : server_(server), stats_(stats), unit_(unit), calls_until_timed_(calls_until_timed) {}

  bool Begin(Session& session, Now now);
  // At most kRunMax times.
  bool Execute(const Command& command, std::span<const std::string_view> args,
               const engine::Key& key);
  void End(std::string& out);

 private:
  static constexpr std::size_t kReplyMax = 32;  // "$20\r\n-9223372036854775808\r\n"

  bool Add(const engine::Key& key, std::int64_t delta);
  bool Get(const engine::Key& key);
  bool MayWrite() const;
  void Reply(std::int64_t value, bool bulk);

  ServerState& server_;
  WorkerStats& stats_;
  engine::Unit& unit_;
  std::uint32_t& calls_until_timed_;

  Session* session_ = nullptr;  // of the run
  WallMs now_ = 0;
  bool exact_by_default_ = true;
  std::uint64_t requests_ = 0;
  std::uint64_t changes_ = 0;
  std::array<std::uint32_t, kHotForms> calls_{};
  std::array<const Command*, kHotForms> commands_{};
  char* reply_end_ = replies_;
  char replies_[kRunMax * kReplyMax];
};

}  // namespace jeton::command
