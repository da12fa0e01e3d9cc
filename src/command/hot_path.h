// HotPath: the short way for what a counting program sends all day: INCR, DECR, INCRBY, DECRBY and
// GET of counters that hold an integer. It does the whole of a request exactly as the dispatcher
// would (reply, log, locks, statistics), or nothing at all; whatever is unusual about a request,
// its session or the state of the server makes it do nothing, and the dispatcher takes the request.
//
//   hot.Begin(session, now)            may this session's requests go this way?
//   hot.Execute(command, count, third argument, key)
//                                      once per request; false: not this one, and no lock is held
//   hot.End(out)                       writes the replies, before anybody else writes to `out`
//
// Requests for one counter that follow each other in a run are done together: the counter stays
// locked and its value in hand, each request gets a reply of its own, and at the end one mutation
// with the last value and the sum of what was added goes to the keyspace and the log. Why that is
// as good as one each: nobody else sees the values in between, for the lock is held; no reply
// leaves before the end of the turn, when the log is safe beyond that mutation; and a crash finds
// the counter as it was before the first of the requests or after the last, which are states
// between two commands like any other. With other nodes it is one addition of the sum to the own
// entry, which is what the frame would have made of the single ones (engine/replica.h).
//
// Up to kHeldMax partitions stay locked, and what was done under them goes to the
// log in one piece: a locked instruction waits for all memory accesses before it, so the log's lock
// for each request would cost more than the rest of it. It waits for a lock only while it holds no
// other; if a further one is taken, it first lets go of all. So it cannot take part in a deadlock,
// whatever the order.
//
// One per dispatcher, in its thread; the TurnLock is held shared throughout. Between Execute and
// the next call partitions may be locked.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "command/server_state.h"
#include "engine/unit.h"
#include "protocol/reply.h"

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
  // A request of `count` arguments, the second of which is the counter's name; `third` is empty if
  // there is none. `key` stays until End. At most kRunMax times.
  bool Execute(const Command& command, std::size_t count, std::string_view third,
               const engine::Key& key);
  void End(std::string& out);

 private:
  static constexpr std::size_t kHeldMax = 16;  // about a microsecond's worth

  bool TryExecute(std::size_t count, std::string_view third, const engine::Key& key);
  void Choose(const Command& command);
  // Those since the last call.
  void CountCalls();
  // Whether it is the counter in hand.
  bool Holds(const engine::Key& key) const;
  // Locks the counter and takes its value in hand.
  bool Take(const engine::Key& key);
  void Lock(engine::Keyspace::PartitionId partition);
  // Writes what was added to the counter in hand, if there is one.
  void Settle();
  // That too, and logs all that was written, and unlocks all partitions.
  void LetGo();
  bool Add(const engine::Key& key, std::int64_t delta);
  bool Get(const engine::Key& key);
  void Reply(std::int64_t value, bool bulk);

  ServerState& server_;
  WorkerStats& stats_;
  engine::Unit& unit_;
  std::uint32_t& calls_until_timed_;

  Session* session_ = nullptr;  // of the run
  WallMs now_ = 0;
  bool exact_by_default_ = true;
  bool may_write_ = true;
  bool replies_bulks_ = true;              // to additions
  const Command* command_ = nullptr;       // of the last request
  std::uint64_t calls_ = 0;                // of it, in this run
  std::array<SpinLock*, kHeldMax> locks_;  // that are held: the first held_locks_
  std::size_t held_locks_ = 0;
  std::array<std::uint64_t, engine::Keyspace::kPartitions / 64> locked_{};  // of which partitions
  const engine::Key* held_ = nullptr;                                       // the counter in hand
  engine::CounterPlace place_ = {};                                         // null: none is
  std::int64_t value_ = 0;
  std::int64_t added_ = 0;  // and not written yet, in so many additions
  std::uint64_t additions_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t changes_ = 0;
  char* reply_end_ = replies_;
  char* mutations_end_ = mutations_;
  char replies_[kRunMax * kIntegerReplyMax];
  char mutations_[kHeldMax * engine::kIntegerMutationMax];  // under the locks that are held
};

}  // namespace jeton::command
