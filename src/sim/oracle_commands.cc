// What each command answers and changes; the workload writes every command in upper case.
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

std::string BadTime(std::string_view command) {
  return "ERR invalid expire time in '" + ToLower(command) + "' command";
}

std::int64_t Int(const std::string& text) {
  return *ParseInt64(text);
}

// "EX 10" and its kin: the time, or 0 if it is not one that may be set.
WallMs TimeOf(const std::string& word, const std::string& amount, WallMs now) {
  const std::int64_t n = Int(amount);
  if (n <= 0) return 0;
  if (word == "EX") return now + n * 1000;
  if (word == "PX") return now + n;
  return word == "EXAT" ? n * 1000 : n;
}

bool NamesTime(const std::string& word) {
  return word == "EX" || word == "PX" || word == "EXAT" || word == "PXAT";
}

RespValue OldValue(const Cell* cell) {
  return cell == nullptr ? Nothing() : Bulk(cell->value);
}

}  // namespace

bool Oracle::RefuseTree(Call& call, const Cell* cell) {
  if (cell == nullptr || !cell->tree) return false;
  call.Reply(Failure(command::kWrongType));
  return true;
}

// ---- adding

void Oracle::Add(Call& call) {
  const Words& args = call.args;
  const bool redis = call.session.redis;
  const std::string& word = args[0];
  const bool integers = redis && word != "INCRBYFLOAT";
  Decimal delta = word == "INCR" ? 1 : -1;
  if (word == "INCRBY" || word == "DECRBY" || word == "INCRBYFLOAT") {
    const auto integer = ParseInt64(args[2]);
    if (integers && !integer) return call.Reply(Failure(kNotAnInteger));
    const Result<Decimal> parsed = Decimal::Parse(args[2]);
    if (!parsed) return call.Reply(Failure(parsed.error().text));
    delta = word == "DECRBY" ? -*parsed : *parsed;
  }
  const Cell* cell = Live(args[1], call.now.wall_ms);
  if (RefuseTree(call, cell)) return;
  const Decimal old = cell == nullptr ? Decimal() : cell->value;
  if (integers && !old.IsInt64()) return call.Reply(Failure(kNotAnInteger));
  const auto sum = Decimal::Add(old, delta);
  if (integers && !(sum && sum->IsInt64())) return call.Reply(Failure(kWouldOverflow));
  if (!sum) return call.Reply(Failure(kOutOfRange));
  Put(args[1], *sum, call.now.wall_ms);
  call.Reply(word == "INCRBYFLOAT" ? Bulk(*sum) : Counter(redis, *sum));
}

void Oracle::MIncrBy(Call& call) {
  const Result<Decimal> delta = Decimal::Parse(call.args[1]);
  if (!delta) return call.Reply(Failure(delta.error().text));
  std::vector<RespValue> items;
  for (std::size_t i = 2; i < call.args.size(); ++i) {
    const Cell* cell = Live(call.args[i], call.now.wall_ms);
    if (cell != nullptr && cell->tree) {
      items.push_back(Failure(command::kWrongType));
      continue;
    }
    const auto sum = Decimal::Add(cell == nullptr ? Decimal() : cell->value, *delta);
    if (sum) Put(call.args[i], *sum, call.now.wall_ms);
    items.push_back(sum ? Counter(call.session.redis, *sum) : Failure(kOutOfRange));
  }
  call.Reply(List(std::move(items)));
}

// INCREX name BYINT n [LBOUND n] [UBOUND n] [SATURATE] [EX n [ENX]]: as the workload writes it.
void Oracle::Increx(Call& call) {
  const Words& args = call.args;
  const WallMs now = call.now.wall_ms;
  const bool redis = call.session.redis;
  const bool by_float = args[2] == "BYFLOAT";
  const bool integers = redis && !by_float;
  const Decimal by = *Decimal::Parse(args[3]);
  const Decimal end = *Decimal::Parse("1e20");
  Decimal lower = integers ? Decimal(std::numeric_limits<std::int64_t>::min()) : -end;
  Decimal upper = integers ? Decimal(std::numeric_limits<std::int64_t>::max()) : end;
  bool saturate = false, enx = false;
  WallMs at = -1;
  for (std::size_t i = 4; i < args.size(); ++i) {
    if (args[i] == "LBOUND")
      lower = *Decimal::Parse(args[++i]);
    else if (args[i] == "UBOUND")
      upper = *Decimal::Parse(args[++i]);
    else if (args[i] == "SATURATE")
      saturate = true;
    else if (args[i] == "ENX")
      enx = true;
    else if (NamesTime(args[i])) {
      at = TimeOf(args[i], args[i + 1], now);
      ++i;
    }
  }
  if (lower > upper) return call.Reply(Failure("ERR LBOUND can't be greater than UBOUND"));
  if (at == 0) return call.Reply(Failure(BadTime("increx")));
  const Cell* cell = Live(args[1], now);
  if (RefuseTree(call, cell)) return;
  const Decimal old = cell == nullptr ? Decimal() : cell->value;
  const bool had_expiry = cell != nullptr && cell->expires_at != 0;
  if (integers && !old.IsInt64()) return call.Reply(Failure(kNotAnInteger));
  const auto sum = Decimal::Add(old, by);
  const bool below = sum ? *sum < lower : by.IsNegative();
  const bool above = sum ? *sum > upper : !by.IsNegative();
  Decimal value = old, applied = 0;
  if (!below && !above) {
    value = *sum;
    applied = by;
  } else if (saturate) {
    value = below ? lower : upper;
    const auto difference = Decimal::Subtract(value, old);
    if (!difference) return call.Reply(Failure(kOutOfRange));
    applied = *difference;
  }
  if (saturate || (!below && !above)) {
    Put(args[1], value, now);
    if (at > 0 && !(enx && had_expiry)) Expire(args[1], at, now);
  }
  call.Reply(by_float ? List({Bulk(value), Bulk(applied)})
                      : List({Counter(redis, value), Counter(redis, applied)}));
}

void Oracle::Precision(Call& call) {
  const WallMs now = call.now.wall_ms;
  const Cell* cell = Live(call.args[1], now);
  if (RefuseTree(call, cell)) return;
  if (call.args.size() == 2) {
    return call.Reply(Bulk(cell == nullptr ? Decimal() : cell->precision.value_or(0)));
  }
  const Result<Decimal> wanted = Decimal::Parse(call.args[2]);
  if (!wanted) return call.Reply(Failure(wanted.error().text));
  if (wanted->IsNegative()) return call.Reply(Failure("ERR precision must be 0 (exact) or more"));
  if (cell == nullptr) Put(call.args[1], 0, now);
  Cell changed = *history_.Find(call.args[1]);
  changed.precision = *wanted;
  Store(call.args[1], changed);
  Touch(call.args[1], now);
  call.Reply(Bulk(*wanted));
}

// ---- reading and replacing

void Oracle::Get(Call& call) {
  const Cell* cell = Live(call.args[1], call.now.wall_ms);
  if (call.args.size() == 3 && call.session.redis) {
    return call.Reply(Failure(command::WrongArguments("get")));
  }
  if (RefuseTree(call, cell)) return;
  const Decimal value = cell == nullptr ? Decimal() : cell->value;
  if (call.args.size() == 3) {
    return call.Reply(List({Bulk(value), Text("CONSISTENT")}));
  }
  call.Reply(cell == nullptr && call.session.redis ? Nothing() : Bulk(value));
}

void Oracle::MGet(Call& call) {
  std::vector<RespValue> items;
  for (std::size_t i = 1; i < call.args.size(); ++i) {
    const Cell* cell = Live(call.args[i], call.now.wall_ms);
    if (cell != nullptr && cell->tree) cell = nullptr;
    items.push_back(cell != nullptr      ? Bulk(cell->value)
                    : call.session.redis ? Nothing()
                                         : Text("0"));
  }
  call.Reply(List(std::move(items)));
}

void Oracle::Set(Call& call) {
  const Words& args = call.args;
  const WallMs now = call.now.wall_ms;
  bool nx = false, xx = false, get = false, keep = false;
  WallMs at = -1;
  for (std::size_t i = 3; i < args.size(); ++i) {
    nx = nx || args[i] == "NX";
    xx = xx || args[i] == "XX";
    get = get || args[i] == "GET";
    keep = keep || args[i] == "KEEPTTL";
    if (NamesTime(args[i])) {
      at = TimeOf(args[i], args[i + 1], now);
      ++i;
    }
  }
  if (nx && xx) return call.Reply(Failure(kSyntaxError));
  if (at == 0) return call.Reply(Failure(BadTime("set")));
  const Result<Decimal> value = Decimal::Parse(args[2]);
  if (!value) return call.Reply(Failure(value.error().text));
  const Cell* cell = Live(args[1], now);
  const RespValue old = OldValue(cell);
  const bool held_back = (nx && cell != nullptr) || (xx && cell == nullptr);
  if ((get || !held_back) && RefuseTree(call, cell)) return;
  if (!held_back) {
    const bool had_expiry = cell != nullptr && cell->expires_at != 0;
    Put(args[1], *value, now);
    if (at > 0) Expire(args[1], at, now);
    if (at < 0 && !keep && had_expiry) Expire(args[1], 0, now);
  }
  if (get) return call.Reply(old);
  if (held_back) return call.Reply(Nothing());
  call.Reply(!call.session.redis && args.size() == 3 ? Bulk(*value) : Simple("OK"));
}

void Oracle::SetNx(Call& call) {
  const Result<Decimal> value = Decimal::Parse(call.args[2]);
  if (!value) return call.Reply(Failure(value.error().text));
  const bool there = Live(call.args[1], call.now.wall_ms) != nullptr;
  if (!there) Put(call.args[1], *value, call.now.wall_ms);
  call.Reply(Number(there ? 0 : 1));
}

void Oracle::SetEx(Call& call) {
  const Words& args = call.args;
  const WallMs now = call.now.wall_ms;
  const WallMs at = TimeOf(args[0] == "SETEX" ? "EX" : "PX", args[2], now);
  if (at == 0) return call.Reply(Failure(BadTime(args[0])));
  const Result<Decimal> value = Decimal::Parse(args[3]);
  if (!value) return call.Reply(Failure(value.error().text));
  if (RefuseTree(call, Live(args[1], now))) return;
  Put(args[1], *value, now);
  Expire(args[1], at, now);
  call.Reply(Simple("OK"));
}

void Oracle::GetSet(Call& call) {
  const Result<Decimal> value = Decimal::Parse(call.args[2]);
  if (!value) return call.Reply(Failure(value.error().text));
  const Cell* cell = Live(call.args[1], call.now.wall_ms);
  if (RefuseTree(call, cell)) return;
  call.Reply(OldValue(cell));
  const bool had_expiry = cell != nullptr && cell->expires_at != 0;
  Put(call.args[1], *value, call.now.wall_ms);
  if (had_expiry) Expire(call.args[1], 0, call.now.wall_ms);
}

void Oracle::GetDel(Call& call) {
  const Cell* cell = Live(call.args[1], call.now.wall_ms);
  if (RefuseTree(call, cell)) return;
  call.Reply(OldValue(cell));
  if (cell != nullptr) Drop(call.args[1]);
}

void Oracle::GetEx(Call& call) {
  const Words& args = call.args;
  const WallMs now = call.now.wall_ms;
  const Cell* cell = Live(args[1], now);
  if (RefuseTree(call, cell)) return;
  const RespValue old = OldValue(cell);
  if (cell != nullptr && args.size() > 2) {
    if (args[2] == "PERSIST") {
      if (cell->expires_at != 0) Expire(args[1], 0, now);
    } else {
      const WallMs at = TimeOf(args[2], args[3], now);
      if (at == 0) return call.Reply(Failure(BadTime("getex")));
      Expire(args[1], at, now);
    }
  }
  call.Reply(old);
}

void Oracle::MSet(Call& call) {
  const Words& args = call.args;
  const WallMs now = call.now.wall_ms;
  const bool only_new = args[0] == "MSETNX";
  for (std::size_t i = 1; only_new && i < args.size(); i += 2) {
    if (Live(args[i], now) != nullptr) return call.Reply(Number(0));
  }
  for (std::size_t i = 2; i < args.size(); i += 2) {
    if (RefuseTree(call, Live(args[i - 1], now))) return;
    const Result<Decimal> value = Decimal::Parse(args[i]);
    if (!value) return call.Reply(Failure(value.error().text));
  }
  for (std::size_t i = 1; i < args.size(); i += 2) {
    const Cell* cell = Live(args[i], now);
    const bool had_expiry = cell != nullptr && cell->expires_at != 0;
    Put(args[i], *Decimal::Parse(args[i + 1]), now);
    if (had_expiry) Expire(args[i], 0, now);
  }
  call.Reply(only_new ? Number(1) : Simple("OK"));
}

// ---- names and expiry

void Oracle::Del(Call& call) {
  std::int64_t dropped = 0;
  for (std::size_t i = 1; i < call.args.size(); ++i) {
    if (Live(call.args[i], call.now.wall_ms) == nullptr) continue;
    Drop(call.args[i]);
    ++dropped;
  }
  call.Reply(Number(dropped));
}

void Oracle::Exists(Call& call) {
  const auto found = std::count_if(call.args.begin() + 1, call.args.end(), [&](const auto& name) {
    return Live(name, call.now.wall_ms) != nullptr;
  });
  call.Reply(Number(found));
}

void Oracle::Type(Call& call) {
  const Cell* cell = Live(call.args[1], call.now.wall_ms);
  call.Reply(Simple(cell == nullptr ? "none" : cell->tree ? "hash" : "string"));
}

void Oracle::ExpireIn(Call& call) {
  const Words& args = call.args;
  const WallMs now = call.now.wall_ms;
  WallMs at = Int(args[2]);
  if (args[0] == "EXPIRE" || args[0] == "EXPIREAT") at *= 1000;
  if (args[0] == "EXPIRE" || args[0] == "PEXPIRE") at += now;
  const Cell* cell = Live(args[1], now);
  if (cell == nullptr) return call.Reply(Number(0));
  const WallMs old = cell->expires_at;
  const std::string option = args.size() > 3 ? args[3] : "";
  const bool refused = (option == "NX" && old != 0) || (option == "XX" && old == 0) ||
                       (option == "GT" && (old == 0 || at <= old)) ||
                       (option == "LT" && old != 0 && at >= old);
  // 0 is a time of the past like any other, not the mark for "never".
  if (!refused && at <= now) Drop(args[1]);
  if (!refused && at > now) Expire(args[1], at, now);
  call.Reply(Number(refused ? 0 : 1));
}

void Oracle::TimeLeft(Call& call) {
  const Cell* cell = Live(call.args[1], call.now.wall_ms);
  if (cell == nullptr) return call.Reply(Number(-2));
  if (cell->expires_at == 0) return call.Reply(Number(-1));
  const std::string& word = call.args[0];
  const bool absolute = word == "EXPIRETIME" || word == "PEXPIRETIME";
  const WallMs shown = absolute ? cell->expires_at : cell->expires_at - call.now.wall_ms;
  const bool seconds = word == "TTL" || word == "EXPIRETIME";
  call.Reply(Number(seconds ? (shown + 500) / 1000 : shown));
}

void Oracle::Persist(Call& call) {
  const Cell* cell = Live(call.args[1], call.now.wall_ms);
  const bool had_expiry = cell != nullptr && cell->expires_at != 0;
  if (had_expiry) Expire(call.args[1], 0, call.now.wall_ms);
  call.Reply(Number(had_expiry ? 1 : 0));
}

void Oracle::FlushAll(Call& call) {
  const State all = history_.state();
  for (const auto& [name, cell] : all) Store(name, std::nullopt);
  for (OracleSession* session : sessions_) {
    if (!session->watched.empty()) session->watch_dirty = true;
  }
  call.Reply(Simple("OK"));
}

// KEYS * | SCAN 0 COUNT many | RANDOMKEY | DBSIZE
void Oracle::Names(Call& call) {
  std::vector<RespValue> names;
  for (const auto& [name, cell] : history_.state()) {
    if (Live(name, call.now.wall_ms) != nullptr) names.push_back(Text(name));
  }
  const std::string& word = call.args[0];
  // Expired names count until they are swept.
  if (word == "DBSIZE") {
    return call.Reply(Number(static_cast<std::int64_t>(history_.state().size())));
  }
  call.Reply(word == "KEYS"   ? Expected::Kind::kSameItems
             : word == "SCAN" ? Expected::Kind::kScan
                              : Expected::Kind::kOneOf,
             List(std::move(names)));
}

// ---- transactions

void Oracle::Multi(Call& call) {
  if (call.session.in_multi) return call.Reply(Failure("ERR MULTI calls can not be nested"));
  call.session.in_multi = true;
  call.Reply(Simple("OK"));
}

void Oracle::Discard(Call& call) {
  OracleSession& session = call.session;
  if (!session.in_multi) return call.Reply(Failure("ERR DISCARD without MULTI"));
  session.in_multi = session.multi_failed = session.watch_dirty = false;
  session.queued.clear();
  session.watched.clear();
  call.Reply(Simple("OK"));
}

void Oracle::Exec(Call& call) {
  OracleSession& session = call.session;
  if (!session.in_multi) return call.Reply(Failure("ERR EXEC without MULTI"));
  const bool failed = session.multi_failed;
  // A watched counter that has expired has changed, even if it was so already at its WATCH.
  bool changed = session.watch_dirty;
  for (const std::string& name : session.watched) {
    changed =
        changed || (Live(name, call.now.wall_ms) == nullptr && history_.Find(name) != nullptr);
  }
  const std::vector<Words> queued = std::move(session.queued);
  session.in_multi = session.multi_failed = session.watch_dirty = false;
  session.queued.clear();
  session.watched.clear();
  if (failed) {
    return call.Reply(Failure("EXECABORT Transaction discarded because of previous errors."));
  }
  if (changed) return call.Reply(Nothing());
  Expected all;
  all.kind = Expected::Kind::kEach;
  for (const Words& words : queued) {
    Call inner{session, words, call.now, all.parts};
    inner.in_exec = true;
    (this->*RuleOf(words).handler)(inner);
  }
  std::vector<RespValue> items;  // to be shown
  for (const Expected& part : all.parts) items.push_back(part.value);
  all.value = List(std::move(items));
  call.replies.push_back(std::move(all));
}

void Oracle::Watch(Call& call) {
  if (call.session.in_multi) return call.Reply(Failure("ERR WATCH inside MULTI is not allowed"));
  call.session.watched.insert(call.args.begin() + 1, call.args.end());
  call.Reply(Simple("OK"));
}

void Oracle::Unwatch(Call& call) {
  call.session.watched.clear();
  call.session.watch_dirty = false;
  call.Reply(Simple("OK"));
}

// ---- connections

void Oracle::Subscribe(Call& call) {
  OracleSession& session = call.session;
  for (std::size_t i = 1; i < call.args.size(); ++i) {
    const std::string& name = call.args[i];
    const auto [it, added] = session.feeds.try_emplace(name);
    it->second.interval_ms = 1000;
    it->second.next_ms =
        added ? call.now.wall_ms : std::min(it->second.next_ms, call.now.wall_ms + 1000);
    const auto count = static_cast<std::int64_t>(session.feeds.size());
    call.Reply(PushOf(session.resp, {Text("subscribe"), Text(name), Number(count)}));
  }
}

void Oracle::Unsubscribe(Call& call) {
  OracleSession& session = call.session;
  const auto confirm = [&](RespValue name) {
    const auto count = static_cast<std::int64_t>(session.feeds.size());
    call.Reply(PushOf(session.resp, {Text("unsubscribe"), std::move(name), Number(count)}));
  };
  if (call.args.size() == 1 && session.feeds.empty()) return confirm(Nothing());
  for (std::size_t i = 1; i < call.args.size(); ++i) {
    session.feeds.erase(call.args[i]);
    confirm(Text(call.args[i]));
  }
  while (call.args.size() == 1 && !session.feeds.empty()) {
    const std::string name = session.feeds.begin()->first;
    session.feeds.erase(name);
    confirm(Text(name));
  }
}

void Oracle::Ping(Call& call) {
  const bool subscriber = !call.session.feeds.empty() && call.session.resp == 2;
  call.Reply(subscriber ? List({Text("pong"), Text("")}) : Simple("PONG"));
}

void Oracle::Hello(Call& call) {
  call.session.redis = true;
  call.session.resp = static_cast<int>(Int(call.args[1]));
  call.Reply(Expected::Kind::kNoError);
}

void Oracle::Quit(Call& call) {
  call.session.closed = true;
  call.Reply(Simple("OK"));
}

void Oracle::Reset(Call& call) {
  OracleSession& session = call.session;
  session.in_multi = session.multi_failed = session.watch_dirty = false;
  session.queued.clear();
  session.watched.clear();
  session.feeds.clear();
  session.redis = session.listener_redis;
  session.resp = 2;
  call.Reply(Simple("RESET"));
}

void Oracle::Anything(Call& call) {
  call.Reply(Expected::Kind::kAnything);
}

Oracle::Rule Oracle::RuleOf(const Words& args) {
  static const std::map<std::string_view, Rule> rules = [] {
    std::map<std::string_view, Rule> table;
    const auto add = [&](Handler handler, bool writes, std::vector<std::string_view> words) {
      for (const std::string_view word : words) {
        table[word] = {.handler = handler, .writes = writes};
      }
    };
    add(&Oracle::Add, true, {"INCR", "DECR", "INCRBY", "DECRBY", "INCRBYFLOAT"});
    add(&Oracle::MIncrBy, true, {"MINCRBY"});
    add(&Oracle::Increx, true, {"INCREX"});
    add(&Oracle::Precision, true, {"PRECISION"});
    add(&Oracle::Get, false, {"GET"});
    add(&Oracle::MGet, false, {"MGET"});
    add(&Oracle::Set, true, {"SET"});
    add(&Oracle::SetNx, true, {"SETNX"});
    add(&Oracle::SetEx, true, {"SETEX", "PSETEX"});
    add(&Oracle::GetSet, true, {"GETSET"});
    add(&Oracle::GetDel, true, {"GETDEL"});
    add(&Oracle::GetEx, true, {"GETEX"});
    add(&Oracle::MSet, true, {"MSET", "MSETNX"});
    add(&Oracle::Del, true, {"DEL", "UNLINK"});
    add(&Oracle::Exists, false, {"EXISTS", "TOUCH"});
    add(&Oracle::Type, false, {"TYPE"});
    add(&Oracle::ExpireIn, true, {"EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"});
    add(&Oracle::TimeLeft, false, {"TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"});
    add(&Oracle::Persist, true, {"PERSIST"});
    add(&Oracle::FlushAll, true, {"FLUSHALL", "FLUSHDB"});
    add(&Oracle::Names, false, {"KEYS", "SCAN", "RANDOMKEY", "DBSIZE"});
    add(&Oracle::Anything, false, {"BGSAVE", "SAVE"});
    const auto connection = [&](std::string_view word, Rule rule) {
      rule.while_loading = true;
      table[word] = rule;
    };
    connection("MULTI", {.handler = &Oracle::Multi, .immediate = true});
    connection("EXEC", {.handler = &Oracle::Exec, .immediate = true});
    connection("DISCARD", {.handler = &Oracle::Discard, .immediate = true});
    connection("WATCH", {.handler = &Oracle::Watch, .immediate = true});
    connection("UNWATCH", {.handler = &Oracle::Unwatch});
    connection("SUBSCRIBE",
               {.handler = &Oracle::Subscribe, .while_subscribed = true, .never_in_multi = true});
    connection("UNSUBSCRIBE",
               {.handler = &Oracle::Unsubscribe, .while_subscribed = true, .never_in_multi = true});
    connection("PING", {.handler = &Oracle::Ping, .while_subscribed = true});
    connection("HELLO", {.handler = &Oracle::Hello, .never_in_multi = true});
    table["SAVE"].never_in_multi = true;
    AddTreeRules(table);
    connection("QUIT", {.handler = &Oracle::Quit, .while_subscribed = true, .immediate = true});
    connection("RESET", {.handler = &Oracle::Reset, .while_subscribed = true, .immediate = true});
    return table;
  }();
  return rules.at(args[0]);
}

}  // namespace jeton::sim
