// What the commands about trees answer and change: TREE.* and H*.
#include <algorithm>
#include <limits>

#include "base/text.h"
#include "command/errors.h"
#include "sim/oracle_internal.h"

namespace jeton::sim {
namespace {

using command::kNotAnInteger;
using command::kOutOfRange;
using command::kSyntaxError;
using command::kWouldOverflow;
using engine::Tree;
using engine::TreeSettings;

RespValue NoSuchTree(const std::string& name) {
  return Failure("ERR no such tree '" + name.substr(0, 128) + "'");
}

// Leading options of the form "WORD value" from `args[i]` on; the workload writes none twice.
std::map<std::string, const std::string*> Options(const Words& args, std::size_t& i,
                                                  const std::set<std::string>& allowed) {
  std::map<std::string, const std::string*> options;
  for (; i + 1 < args.size() && allowed.count(args[i]) != 0; i += 2) {
    options[args[i]] = &args[i + 1];
  }
  return options;
}

const std::string* Option(const std::map<std::string, const std::string*>& options,
                          const std::string& word) {
  const auto it = options.find(word);
  return it == options.end() ? nullptr : it->second;
}

std::optional<std::string_view> View(const std::string* text) {
  return text == nullptr ? std::nullopt : std::optional<std::string_view>(*text);
}

}  // namespace

struct Oracle::Place {
  const TreeModel* tree = nullptr;  // until the next change
  const Calendar* calendar = nullptr;

  explicit operator bool() const { return tree != nullptr; }
  // For a change; a new one if there is none.
  TreeModel Copy() const { return tree == nullptr ? TreeModel() : *tree; }
};

const Calendar& Oracle::CalendarOf(const TreeSettings& settings) {
  const auto key = std::pair(settings.width, settings.zone);
  auto it = calendars_.find(key);
  if (it == calendars_.end()) {
    it = calendars_.emplace(key, *Calendar::Make(settings.width, settings.zone, zones_)).first;
  }
  return it->second;
}

// Empty, and WRONGTYPE, if it is a counter.
std::optional<Oracle::Place> Oracle::FindPlace(Call& call) {
  const Cell* cell = Live(call.args[1], call.now.wall_ms);
  if (cell != nullptr && !cell->tree) {
    call.Reply(Failure(command::kWrongType));
    return std::nullopt;
  }
  const TreeModel* tree = cell == nullptr ? nullptr : cell->tree.get();
  return Place{.tree = tree,
               .calendar = &CalendarOf(tree == nullptr ? TreeSettings() : tree->settings)};
}

void Oracle::PutTree(Call& call, TreeModel tree) {
  const Cell* live = Live(call.args[1], call.now.wall_ms);
  Cell cell = live == nullptr ? Cell() : *live;
  cell.tree = std::make_shared<const TreeModel>(std::move(tree));
  Store(call.args[1], cell);
  Touch(call.args[1], call.now.wall_ms);
}

// ---- buckets

Bucket Oracle::OldestKept(const TreeModel& tree, WallMs now) {
  if (tree.settings.retain == 0) return tree.watermark;
  const Calendar& calendar = CalendarOf(tree.settings);
  return std::max(tree.watermark, calendar.Back(calendar.At(now), tree.settings.retain - 1));
}

std::optional<Bucket> Oracle::BucketOf(Call& call, const Place& place, const std::string* at) {
  if (at == nullptr) return place.calendar->At(call.now.wall_ms);
  const Result<Bucket> bucket = place.calendar->ParseExact(*at);
  if (bucket.ok()) return *bucket;
  call.Reply(Failure(bucket.error().text));
  return std::nullopt;
}

std::optional<Bucket> Oracle::BucketToChange(Call& call, const Place& place,
                                             const std::string* at) {
  const std::optional<Bucket> bucket = BucketOf(call, place, at);
  if (!bucket || !place) return bucket;
  const Bucket oldest = OldestKept(*place.tree, call.now.wall_ms);
  if (*bucket >= oldest) return bucket;
  call.Reply(Failure("ERR bucket " + place.calendar->Format(*bucket) +
                     " is older than the tree keeps: its oldest is " +
                     place.calendar->Format(oldest)));
  return std::nullopt;
}

std::optional<BucketRange> Oracle::RangeOf(Call& call, const Place& place, const std::string* from,
                                           const std::string* to) {
  if (from == nullptr && to == nullptr) return Tree::kAll;
  if (!place) {
    for (const std::string* text : {from, to}) {
      if (text == nullptr) continue;
      if (const auto parsed = ParseCalendarText(*text); !parsed.ok()) {
        call.Reply(Failure(parsed.error().text));
        return std::nullopt;
      }
    }
    return Tree::kAll;
  }
  const Result<BucketRange> range = place.calendar->ParseRange(View(from), View(to));
  if (range.ok()) return *range;
  call.Reply(Failure(range.error().text));
  return std::nullopt;
}

std::string Oracle::Trim(const std::string& name, Bucket watermark, WallMs now, bool checked) {
  Cell cell = *history_.Find(name);
  TreeModel tree = *cell.tree;
  const Bucket due = OldestKept(tree, now);
  const bool right = tree.settings.retain != 0 && !tree.keys.empty() && watermark == due;
  tree.Trim(watermark);
  cell.tree = std::make_shared<const TreeModel>(std::move(tree));
  Store(name, cell);
  Touch(name, now);
  if (right || !checked) return {};
  return "upkeep trimmed " + name + " up to " + std::to_string(watermark) + ", due is " +
         std::to_string(due);
}

// ---- trees as a whole

void Oracle::TreeCreate(Call& call) {
  const Words& args = call.args;
  TreeSettings settings;
  std::size_t i = 2;
  const auto options = Options(args, i, {"BUCKET", "TZ", "RETAIN"});
  if (const std::string* width = Option(options, "BUCKET")) settings.width = *ParseWidth(*width);
  if (const std::string* zone = Option(options, "TZ")) settings.zone = *zone;
  if (const std::string* retain = Option(options, "RETAIN")) {
    settings.retain = static_cast<std::uint32_t>(*ParseInt64(*retain));
  }
  const auto place = FindPlace(call);
  if (!place) return;
  if (!*place) {
    PutTree(call, {.settings = settings});
  } else if (place->tree->settings != settings) {
    const TreeSettings& old = place->tree->settings;
    return call.Reply(Failure("ERR tree '" + args[1].substr(0, 128) +
                              "' exists with other settings: BUCKET " +
                              std::string(WidthName(old.width)) + " TZ " + old.zone + " RETAIN " +
                              std::to_string(old.retain)));
  }
  call.Reply(Simple("OK"));
}

void Oracle::TreeDrop(Call& call) {
  const auto place = FindPlace(call);
  if (!place) return;
  if (!*place) return call.Reply(NoSuchTree(call.args[1]));
  Drop(call.args[1]);
  call.Reply(Simple("OK"));
}

void Oracle::TreeList(Call& call) {
  std::vector<RespValue> names;
  for (const auto& [name, cell] : history_.state()) {
    if (cell.tree && Live(name, call.now.wall_ms) != nullptr) names.push_back(Text(name));
  }
  call.Reply(List(std::move(names)));
}

void Oracle::TreeInfo(Call& call) {
  const auto place = FindPlace(call);
  if (!place) return;
  if (!*place) return call.Reply(NoSuchTree(call.args[1]));
  const TreeModel& tree = *place->tree;
  const auto figure = [](std::uint64_t n) { return Number(static_cast<std::int64_t>(n)); };
  call.Reply(Expected::Kind::kAllButLast,
             MapOf(call.session.resp,
                   {Text("bucket"), Text(WidthName(tree.settings.width)), Text("timezone"),
                    Text(tree.settings.zone), Text("retain"), figure(tree.settings.retain),
                    Text("keys"), figure(tree.keys.size()), Text("buckets"), figure(tree.buckets()),
                    Text("total"), Counter(true, tree.Sum(Tree::kAll)), Text("bytes"), Number(0)}));
}

// ---- values

void Oracle::TreeAdd(Call& call) {
  const Words& args = call.args;
  const Result<Decimal> amount = Decimal::Parse(args[3]);
  if (!amount) return call.Reply(Failure(amount.error().text));
  const auto place = FindPlace(call);
  if (!place) return;
  const auto bucket = BucketToChange(call, *place, args.size() > 4 ? &args[5] : nullptr);
  if (!bucket) return;
  TreeModel tree = place->Copy();
  const Decimal old = tree.Get(args[2], *bucket);
  Decimal delta = *amount;
  if (args[0] == "TREE.DECRBY") {
    const Decimal most = std::max(old, Decimal());
    delta = amount->IsNegative() ? -*amount : -std::min(*amount, most);
    if (delta.IsZero()) return call.Reply(Counter(true, old));
  }
  const auto sum = Decimal::Add(old, delta);
  if (!sum) return call.Reply(Failure(kOutOfRange));
  tree.keys[args[2]][*bucket] = *sum;
  PutTree(call, std::move(tree));
  call.Reply(Counter(true, *sum));
}

void Oracle::TreeMIncrBy(Call& call) {
  const Words& args = call.args;
  std::size_t i = 2;
  const auto options = Options(args, i, {"AT"});
  const auto place = FindPlace(call);
  if (!place) return;
  const auto bucket = BucketToChange(call, *place, Option(options, "AT"));
  if (!bucket) return;
  for (std::size_t k = i; k < args.size(); k += 2) {
    const Result<Decimal> delta = Decimal::Parse(args[k + 1]);
    if (!delta) return call.Reply(Failure(delta.error().text));
  }
  TreeModel tree = place->Copy();
  std::vector<RespValue> values;
  for (; i < args.size(); i += 2) {
    const auto sum = Decimal::Add(tree.Get(args[i], *bucket), *Decimal::Parse(args[i + 1]));
    if (!sum) return call.Reply(Failure(kOutOfRange));
    tree.keys[args[i]][*bucket] = *sum;
    values.push_back(Counter(true, *sum));
  }
  PutTree(call, std::move(tree));
  call.Reply(List(std::move(values)));
}

void Oracle::TreeSet(Call& call) {
  const Words& args = call.args;
  const Result<Decimal> value = Decimal::Parse(args[4]);
  if (!value) return call.Reply(Failure(value.error().text));
  const auto place = FindPlace(call);
  if (!place) return;
  const auto bucket = BucketToChange(call, *place, &args[3]);
  if (!bucket) return;
  TreeModel tree = place->Copy();
  tree.keys[args[2]][*bucket] = *value;
  PutTree(call, std::move(tree));
  call.Reply(Simple("OK"));
}

void Oracle::TreeGet(Call& call) {
  const Words& args = call.args;
  const auto place = FindPlace(call);
  if (!place) return;
  const auto bucket = BucketOf(call, *place, args.size() > 3 ? &args[4] : nullptr);
  if (!bucket) return;
  call.Reply(Counter(true, *place ? place->tree->Get(args[2], *bucket) : Decimal()));
}

void Oracle::TreeSum(Call& call) {
  std::size_t i = 3;
  const auto options = Options(call.args, i, {"FROM", "TO"});
  const auto place = FindPlace(call);
  if (!place) return;
  const auto range = RangeOf(call, *place, Option(options, "FROM"), Option(options, "TO"));
  if (!range) return;
  call.Reply(Counter(true, *place ? place->tree->Sum(call.args[2], *range) : Decimal()));
}

void Oracle::TreeMSum(Call& call) {
  std::size_t i = 2;
  const auto options = Options(call.args, i, {"FROM", "TO"});
  const auto place = FindPlace(call);
  if (!place) return;
  const auto range = RangeOf(call, *place, Option(options, "FROM"), Option(options, "TO"));
  if (!range) return;
  std::vector<RespValue> sums;
  for (++i; i < call.args.size(); ++i) {  // behind KEYS
    sums.push_back(Counter(true, *place ? place->tree->Sum(call.args[i], *range) : Decimal()));
  }
  call.Reply(List(std::move(sums)));
}

void Oracle::TreeRange(Call& call) {
  std::size_t i = 3;
  const auto options = Options(call.args, i, {"FROM", "TO"});
  const auto place = FindPlace(call);
  if (!place) return;
  const auto range = RangeOf(call, *place, Option(options, "FROM"), Option(options, "TO"));
  if (!range) return;
  std::vector<RespValue> items;
  if (*place && place->tree->Has(call.args[2])) {
    for (const auto& [bucket, value] : place->tree->keys.at(call.args[2])) {
      if (!range->Contains(bucket) || value.IsZero()) continue;
      items.push_back(Text(place->calendar->Format(bucket)));
      items.push_back(Counter(true, value));
    }
  }
  call.Reply(MapOf(call.session.resp, std::move(items)));
}

// ---- all keys

void Oracle::TreeTotal(Call& call) {
  std::size_t i = 2;
  const auto options = Options(call.args, i, {"FROM", "TO"});
  const auto place = FindPlace(call);
  if (!place) return;
  const auto range = RangeOf(call, *place, Option(options, "FROM"), Option(options, "TO"));
  if (!range) return;
  call.Reply(Counter(true, *place ? place->tree->Sum(*range) : Decimal()));
}

// The reply of what goes on in slices is checked when it is there.
void Oracle::Begin(Call& call, LongQuery query) {
  const Cell* cell = Live(call.args[1], call.now.wall_ms);
  query.name = call.args[1];
  query.tree = cell->tree;
  query.may_be_gone = cell->expires_at != 0;
  call.session.query = std::make_shared<LongQuery>(std::move(query));
  call.Reply(Expected::Kind::kLong, Text("what a walk over the tree finds"));
  call.replies.back().query = call.session.query;
}

void Oracle::TreeTop(Call& call) {
  std::size_t i = 3;
  const auto options = Options(call.args, i, {"FROM", "TO"});
  const auto count = static_cast<std::size_t>(*ParseInt64(call.args[2]));
  if (count < 1 || count > 10'000) return call.Reply(Failure("ERR n must be from 1 to 10000"));
  const auto place = FindPlace(call);
  if (!place) return;
  const auto range = RangeOf(call, *place, Option(options, "FROM"), Option(options, "TO"));
  if (!range) return;
  if (call.goes_on) {
    return Begin(call, {.kind = LongQuery::Kind::kTop, .range = *range, .count = count});
  }
  std::vector<std::pair<std::string, Decimal>> sums;
  for (const auto& [key, buckets] : place->Copy().keys) {
    const Decimal sum = place->tree->Sum(key, *range);
    if (!sum.IsZero()) sums.emplace_back(key, sum);
  }
  std::sort(sums.begin(), sums.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : KeyPrecedes(a.first, b.first);
  });
  if (sums.size() > count) sums.resize(count);
  std::vector<RespValue> items;
  for (const auto& [key, sum] : sums) {
    items.push_back(Text(key));
    items.push_back(Counter(true, sum));
  }
  call.Reply(List(std::move(items)));
}

// TREE.SCAN and HSCAN from the begin, with a large COUNT.
void Oracle::TreeScan(Call& call) {
  const auto place = FindPlace(call);
  if (!place) return;
  std::vector<RespValue> items;
  for (const auto& [key, buckets] : place->Copy().keys) {
    const Decimal total = place->tree->Sum(key, Tree::kAll);
    items.push_back(Text(key));
    items.push_back(call.args[0] == "HSCAN" ? Bulk(total) : Counter(true, total));
  }
  call.Reply(Expected::Kind::kScanPairs, List(std::move(items)));
}

// ---- taking away

void Oracle::TreeReset(Call& call) {
  const auto place = FindPlace(call);
  if (!place) return;
  TreeModel tree = place->Copy();
  std::int64_t gone = 0;
  if (call.args.size() == 2) {
    gone = static_cast<std::int64_t>(tree.keys.size());
    tree.keys.clear();
  }
  for (std::size_t i = 2; i < call.args.size(); ++i) {
    if (tree.keys.erase(call.args[i]) != 0) ++gone;
  }
  if (gone != 0) PutTree(call, std::move(tree));
  call.Reply(Number(gone));
}

void Oracle::TreeClear(Call& call) {
  std::size_t i = 2;
  const auto options = Options(call.args, i, {"KEY", "FROM", "TO"});
  const auto place = FindPlace(call);
  if (!place) return;
  const auto range = RangeOf(call, *place, Option(options, "FROM"), Option(options, "TO"));
  if (!range) return;
  if (!*place) return call.Reply(Number(0));
  TreeModel tree = place->Copy();
  const std::string* key = Option(options, "KEY");
  const std::uint64_t gone = key != nullptr ? tree.Clear(*key, *range) : tree.Clear(*range);
  if (gone != 0) PutTree(call, std::move(tree));
  call.Reply(Number(static_cast<std::int64_t>(gone)));
}

// The watermark stops at the current bucket; what lies behind that is cleared, as a step of its
// own.
void Oracle::TreeTrim(Call& call) {
  const auto place = FindPlace(call);
  if (!place) return;
  const auto from = RangeOf(call, *place, &call.args[3], nullptr);
  if (!from) return;
  if (!*place) return call.Reply(Number(0));
  const Bucket current = place->calendar->At(call.now.wall_ms);
  const Bucket watermark = std::min(from->first, current);
  TreeModel tree = place->Copy();
  std::uint64_t gone = 0;
  if (watermark > tree.watermark) {
    gone = tree.Trim(watermark);
    PutTree(call, tree);
    if (!call.in_exec) history_.CloseStep(call.now.mono_ns);
  }
  if (from->first > current) {
    const std::uint64_t cleared = tree.Clear({current, from->first - 1});
    if (cleared != 0) PutTree(call, std::move(tree));
    gone += cleared;
  }
  call.Reply(Number(static_cast<std::int64_t>(gone)));
}

// ---- a tree as a hash

void Oracle::HashAdd(Call& call) {
  const Words& args = call.args;
  const bool integers = call.session.redis && args[0] == "HINCRBY";
  if (integers && !ParseInt64(args[3])) return call.Reply(Failure(kNotAnInteger));
  const Result<Decimal> delta = Decimal::Parse(args[3]);
  if (!delta) return call.Reply(Failure(delta.error().text));
  const auto place = FindPlace(call);
  if (!place) return;
  const auto bucket = BucketToChange(call, *place, nullptr);
  if (!bucket) return;
  TreeModel tree = place->Copy();
  const Decimal old = tree.Sum(args[2], Tree::kAll);
  if (integers && !old.IsInt64()) return call.Reply(Failure("ERR hash value is not an integer"));
  const auto total = Decimal::Add(old, *delta);
  if (integers && !(total && total->IsInt64())) return call.Reply(Failure(kWouldOverflow));
  const auto value = Decimal::Add(tree.Get(args[2], *bucket), *delta);
  if (!total || !value) return call.Reply(Failure(kOutOfRange));
  tree.keys[args[2]][*bucket] = *value;
  PutTree(call, std::move(tree));
  call.Reply(args[0] == "HINCRBY" ? Counter(true, *total) : Bulk(*total));
}

void Oracle::HashSet(Call& call) {
  const Words& args = call.args;
  for (std::size_t i = 3; i < args.size(); i += 2) {
    const Result<Decimal> value = Decimal::Parse(args[i]);
    if (!value) return call.Reply(Failure(value.error().text));
  }
  const auto place = FindPlace(call);
  if (!place) return;
  const auto bucket = BucketToChange(call, *place, nullptr);
  if (!bucket) return;
  TreeModel tree = place->Copy();
  std::int64_t added = 0;
  for (std::size_t i = 2; i < args.size(); i += 2) {
    if (!tree.Has(args[i])) ++added;
    tree.keys[args[i]] = {{*bucket, *Decimal::Parse(args[i + 1])}};
  }
  PutTree(call, std::move(tree));
  call.Reply(Number(added));
}

void Oracle::HashGet(Call& call) {
  const auto place = FindPlace(call);
  if (!place) return;
  std::vector<RespValue> items;
  for (std::size_t i = 2; i < call.args.size(); ++i) {
    const bool there = *place && place->tree->Has(call.args[i]);
    items.push_back(there ? Bulk(place->tree->Sum(call.args[i], Tree::kAll)) : Nothing());
  }
  call.Reply(call.args[0] == "HGET" ? items[0] : List(std::move(items)));
}

void Oracle::HashExists(Call& call) {
  const auto place = FindPlace(call);
  if (place) call.Reply(Number(*place && place->tree->Has(call.args[2]) ? 1 : 0));
}

void Oracle::HashLen(Call& call) {
  const auto place = FindPlace(call);
  if (place) call.Reply(Number(static_cast<std::int64_t>(place->Copy().keys.size())));
}

// HGETALL HKEYS HVALS
void Oracle::HashAll(Call& call) {
  const std::string& word = call.args[0];
  const auto place = FindPlace(call);
  if (!place) return;
  if (call.goes_on) {
    return Begin(call, {.kind = word == "HKEYS"   ? LongQuery::Kind::kKeys
                                : word == "HVALS" ? LongQuery::Kind::kValues
                                                  : LongQuery::Kind::kPairs});
  }
  std::vector<RespValue> items;
  for (const auto& [key, buckets] : place->Copy().keys) {
    if (word != "HVALS") items.push_back(Text(key));
    if (word != "HKEYS") items.push_back(Bulk(place->tree->Sum(key, Tree::kAll)));
  }
  if (word != "HGETALL") return call.Reply(Expected::Kind::kSameItems, List(std::move(items)));
  call.Reply(Expected::Kind::kSamePairs, MapOf(call.session.resp, std::move(items)));
}

void Oracle::AddTreeRules(std::map<std::string_view, Rule>& table) {
  const auto add = [&](Handler handler, bool writes, std::vector<std::string_view> words) {
    for (const std::string_view word : words) table[word] = {.handler = handler, .writes = writes};
  };
  add(&Oracle::TreeCreate, true, {"TREE.CREATE"});
  add(&Oracle::TreeDrop, true, {"TREE.DROP"});
  add(&Oracle::TreeList, false, {"TREE.LIST"});
  add(&Oracle::TreeInfo, false, {"TREE.INFO"});
  add(&Oracle::TreeAdd, true, {"TREE.INCRBY", "TREE.DECRBY"});
  add(&Oracle::TreeMIncrBy, true, {"TREE.MINCRBY"});
  add(&Oracle::TreeSet, true, {"TREE.SET"});
  add(&Oracle::TreeGet, false, {"TREE.GET"});
  add(&Oracle::TreeSum, false, {"TREE.SUM"});
  add(&Oracle::TreeMSum, false, {"TREE.MSUM"});
  add(&Oracle::TreeRange, false, {"TREE.RANGE"});
  add(&Oracle::TreeTotal, false, {"TREE.TOTAL"});
  add(&Oracle::TreeTop, false, {"TREE.TOP"});
  add(&Oracle::TreeScan, false, {"TREE.SCAN", "HSCAN"});
  add(&Oracle::TreeReset, true, {"TREE.RESET"});
  add(&Oracle::TreeClear, true, {"TREE.CLEAR"});
  add(&Oracle::TreeTrim, true, {"TREE.TRIM"});
  add(&Oracle::HashAdd, true, {"HINCRBY", "HINCRBYFLOAT"});
  add(&Oracle::HashSet, true, {"HSET"});
  add(&Oracle::TreeReset, true, {"HDEL"});
  add(&Oracle::HashGet, false, {"HGET", "HMGET"});
  add(&Oracle::HashExists, false, {"HEXISTS"});
  add(&Oracle::HashLen, false, {"HLEN"});
  add(&Oracle::HashAll, false, {"HGETALL", "HKEYS", "HVALS"});
}

}  // namespace jeton::sim
