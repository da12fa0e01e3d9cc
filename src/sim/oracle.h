// Oracle: what every request must answer and change, written a second time and simply: a map of
// decimals. It shares the arithmetic (Decimal, which has laws of its own tests) and the error texts
// with the node, nothing else.
//
// It is told each request at the moment at which the node executes it, in the same order, and
// appends the replies to expect to the client's list.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "protocol/resp_value.h"
#include "sim/history.h"

namespace jeton::sim {

using Words = std::vector<std::string>;

// One reply to come.
struct Expected {
  enum class Kind : std::uint8_t {
    kExact,
    kNoError,  // anything but an error
    kAnything,
    kErrorLike,  // an error that begins with value.text
    kSameItems,  // an array with the items of value, in any order
    kScan,       // [cursor, names]: the names in any order
    kOneOf       // one of the items of value, null if there are none
  };
  Kind kind = Kind::kExact;
  RespValue value;
  std::size_t steps = 0;     // of the history, when it was made: it may show all of them
  bool ends_request = true;  // the last reply of its request; false for pushes
};

// Empty if `found` is what was expected, else why not.
std::string Mismatch(const Expected& expected, const RespValue& found);

struct OracleSession {
  bool redis = false;
  bool listener_redis = false;
  int resp = 2;
  bool in_multi = false;
  bool multi_failed = false;
  std::vector<Words> queued;
  std::set<std::string> watched;
  bool watch_dirty = false;
  struct Feed {
    std::int64_t interval_ms = 1000;
    WallMs next_ms = 0;
    Decimal last;
  };
  std::map<std::string, Feed> feeds;
  bool closed = false;  // QUIT: nothing after it counts
  std::deque<Expected> expected;
};

// Why the node refuses at the moment, as it said before the turn.
struct Refusals {
  bool loading = false;
  bool disk_full = false;
  bool disk_failed = false;
};

class Oracle {
 public:
  explicit Oracle(History& history) : history_(history) {}

  void Add(OracleSession& session) { sessions_.insert(&session); }
  void Remove(OracleSession& session) { sessions_.erase(&session); }

  void Execute(OracleSession& session, const Words& args, Now now, const Refusals& refusals);
  // Pushes that the node's tick owes a subscriber.
  void Tick(OracleSession& session, Now now);
  // A sweep has dropped this name.
  void Sweep(const std::string& name) { Drop(name); }

  // Whether a name's counter was not written for `ms`, as far as a clock that jumps can tell. Of a
  // name that was dropped and made again (replay does that too) nobody knows: the keyspace may
  // still have its old time.
  bool Untouched(const std::string& name, WallMs now, std::int64_t ms) const;
  void ClockJumped() { ++clock_epoch_; }
  void Recovered(WallMs now);

 private:
  struct Call;
  using Handler = void (Oracle::*)(Call&);
  struct Rule;

  static Rule RuleOf(const Words& args);
  bool Refused(OracleSession& session, const Words& args, const Rule& rule,
               const Refusals& refusals);
  void Run(OracleSession& session, const Words& args, Now now, std::vector<Expected>& replies);

  // Changes.
  const Cell* Live(std::string_view name, WallMs now) const;
  void Put(std::string_view name, const Decimal& value, WallMs now);
  void Expire(std::string_view name, WallMs at, WallMs now);
  void Drop(std::string_view name);
  void Touch(std::string_view name, WallMs now);

  // Commands, oracle_commands.cc.
  void Add(Call& call);
  void MIncrBy(Call& call);
  void Increx(Call& call);
  void Precision(Call& call);
  void Get(Call& call);
  void MGet(Call& call);
  void Set(Call& call);
  void SetNx(Call& call);
  void SetEx(Call& call);
  void GetSet(Call& call);
  void GetDel(Call& call);
  void GetEx(Call& call);
  void MSet(Call& call);
  void Del(Call& call);
  void Exists(Call& call);
  void Type(Call& call);
  void ExpireIn(Call& call);
  void TimeLeft(Call& call);
  void Persist(Call& call);
  void FlushAll(Call& call);
  void Names(Call& call);
  void Multi(Call& call);
  void Discard(Call& call);
  void Exec(Call& call);
  void Watch(Call& call);
  void Unwatch(Call& call);
  void Subscribe(Call& call);
  void Unsubscribe(Call& call);
  void Ping(Call& call);
  void Hello(Call& call);
  void Quit(Call& call);
  void Reset(Call& call);
  void Anything(Call& call);

  struct Written {
    WallMs at = 0;
    std::uint64_t clock_epoch = 0;
  };
  History& history_;
  std::set<OracleSession*> sessions_;  // only ever told of changes, so that the order is no matter
  std::map<std::string, Written, std::less<>> written_;
  std::uint64_t clock_epoch_ = 0;
};

}  // namespace jeton::sim
