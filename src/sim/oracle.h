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
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/calendar.h"
#include "base/time.h"
#include "base/time_zone.h"
#include "protocol/resp_value.h"
#include "sim/history.h"

namespace jeton::sim {

using Words = std::vector<std::string>;

// A query over a whole tree that goes on in slices while others change the tree: what it promises
// is exact for the keys that nobody touched meanwhile.
struct LongQuery {
  enum class Kind : std::uint8_t { kTop, kPairs, kKeys, kValues };
  Kind kind = Kind::kPairs;
  std::string name = {};
  TreeRef tree = nullptr;  // as it was at the begin
  BucketRange range = engine::Tree::kAll;
  std::size_t count = 0;  // of kTop
  std::set<std::string> touched = {};
  bool may_be_gone = false;  // the tree was dropped, or may have expired
};

// One reply to come.
struct Expected {
  enum class Kind : std::uint8_t {
    kExact,
    kNoError,  // anything but an error
    kAnything,
    kErrorLike,   // an error that begins with value.text
    kSameItems,   // an array with the items of value, in any order
    kScan,        // [cursor, names]: the names in any order
    kOneOf,       // one of the items of value, null if there are none
    kSamePairs,   // a container of the type of value, with its pairs in any order
    kScanPairs,   // [cursor, pairs]: those of value if the cursor is 0, else some of them
    kAllButLast,  // the last item may be anything
    kEach,        // an array: each item as its part of `parts`
    kLong         // see `query`
  };
  Kind kind = Kind::kExact;
  RespValue value;
  std::size_t steps = 0;     // of the history, when it was made: it may show all of them
  bool ends_request = true;  // the last reply of its request; false for pushes
  std::vector<Expected> parts = {};
  std::shared_ptr<LongQuery> query = nullptr;
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
  bool closed = false;               // QUIT: nothing after it counts
  std::shared_ptr<LongQuery> query;  // under way: the last of what is expected is its reply
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

  // `goes_on`: the node has only begun with it, and goes on in slices.
  void Execute(OracleSession& session, const Words& args, Now now, const Refusals& refusals,
               bool goes_on = false);
  // What went on in slices is done.
  void EndQuery(OracleSession& session);
  // Pushes that the node's tick owes a subscriber.
  void Tick(OracleSession& session, Now now);
  // A sweep has dropped this name.
  void Sweep(const std::string& name) { Drop(name); }
  // Upkeep has moved on a tree's watermark. Empty if it was right, or not `checked`.
  std::string Trim(const std::string& name, Bucket watermark, WallMs now, bool checked);
  // The oldest bucket that a tree may have at `now`.
  Bucket OldestKept(const TreeModel& tree, WallMs now);

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

  // Changes.
  void Store(std::string_view name, const std::optional<Cell>& cell);
  void PutTree(Call& call, TreeModel tree);
  const Cell* Live(std::string_view name, WallMs now) const;
  void Put(std::string_view name, const Decimal& value, WallMs now);
  void Expire(std::string_view name, WallMs at, WallMs now);
  void Drop(std::string_view name);
  void Touch(std::string_view name, WallMs now);

  bool RefuseTree(Call& call, const Cell* cell);
  const Calendar& CalendarOf(const engine::TreeSettings& settings);

  // Commands about trees, oracle_trees.cc.
  struct Place;
  std::optional<Place> FindPlace(Call& call);
  std::optional<Bucket> BucketOf(Call& call, const Place& place, const std::string* at);
  std::optional<Bucket> BucketToChange(Call& call, const Place& place, const std::string* at);
  std::optional<BucketRange> RangeOf(Call& call, const Place& place, const std::string* from,
                                     const std::string* to);
  void Begin(Call& call, LongQuery query);
  void TreeCreate(Call& call);
  void TreeDrop(Call& call);
  void TreeList(Call& call);
  void TreeInfo(Call& call);
  void TreeAdd(Call& call);
  void TreeMIncrBy(Call& call);
  void TreeSet(Call& call);
  void TreeGet(Call& call);
  void TreeSum(Call& call);
  void TreeMSum(Call& call);
  void TreeRange(Call& call);
  void TreeTotal(Call& call);
  void TreeTop(Call& call);
  void TreeScan(Call& call);
  void TreeReset(Call& call);
  void TreeClear(Call& call);
  void TreeTrim(Call& call);
  void HashAdd(Call& call);
  void HashSet(Call& call);
  void HashGet(Call& call);
  void HashExists(Call& call);
  void HashLen(Call& call);
  void HashAll(Call& call);
  static void AddTreeRules(std::map<std::string_view, Rule>& table);

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
  TimeZones zones_;
  std::map<std::pair<Width, std::string>, Calendar> calendars_;
};

}  // namespace jeton::sim
