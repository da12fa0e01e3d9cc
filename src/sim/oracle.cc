#include "sim/oracle.h"

#include <algorithm>

#include "command/subscription_feed.h"
#include "sim/oracle_internal.h"

namespace jeton::sim {
namespace {

bool SameItems(std::vector<RespValue> a, std::vector<RespValue> b) {
  const auto less = [](const RespValue& x, const RespValue& y) { return x.text < y.text; };
  std::sort(a.begin(), a.end(), less);
  std::sort(b.begin(), b.end(), less);
  return a == b;
}

using Pair = std::pair<RespValue, RespValue>;

// Sorted by the key; empty if they are not pairs.
std::vector<Pair> PairsOf(const RespValue& value) {
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i + 1 < value.items.size(); i += 2) {
    pairs.emplace_back(value.items[i], value.items[i + 1]);
  }
  const auto less = [](const Pair& a, const Pair& b) { return a.first.text < b.first.text; };
  std::sort(pairs.begin(), pairs.end(), less);
  return pairs;
}

bool FitsScan(const RespValue& wanted, const RespValue& found) {
  if (found.items.size() != 2) return false;
  const std::vector<Pair> all = PairsOf(wanted);
  const std::vector<Pair> pairs = PairsOf(found.items[1]);
  if (found.items[0].text == "0") return pairs == all;
  return std::all_of(pairs.begin(), pairs.end(), [&](const Pair& pair) {
    return std::find(all.begin(), all.end(), pair) != all.end();
  });
}

bool FitsTop(const LongQuery& query, const RespValue& found) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i + 1 < found.items.size(); i += 2) {
    const std::string& key = found.items[i].text;
    if (!seen.insert(key).second) return false;
    if (query.touched.count(key) != 0) continue;
    if (found.items[i + 1] != Counter(true, query.tree->Sum(key, query.range))) return false;
  }
  return found.type == RespValue::Type::kArray && seen.size() <= query.count;
}

bool FitsLong(const LongQuery& query, const RespValue& found) {
  if (found.IsError()) return query.may_be_gone && found.text.starts_with("ERR tree '");
  if (query.may_be_gone || query.kind == LongQuery::Kind::kValues) return true;
  if (query.kind == LongQuery::Kind::kTop) return FitsTop(query, found);
  const std::size_t step = query.kind == LongQuery::Kind::kPairs ? 2 : 1;
  std::set<std::string> seen;
  for (std::size_t i = 0; i + step <= found.items.size(); i += step) {
    const std::string& key = found.items[i].text;
    if (!seen.insert(key).second) return false;
    if (query.touched.count(key) != 0) continue;
    if (!query.tree->Has(key)) return false;
    if (step == 2 && found.items[i + 1] != Bulk(query.tree->Sum(key, query.range))) return false;
  }
  return std::all_of(query.tree->keys.begin(), query.tree->keys.end(), [&](const auto& entry) {
    return query.touched.count(entry.first) != 0 || seen.count(entry.first) != 0;
  });
}

bool Fits(const Expected& expected, const RespValue& found) {
  const RespValue& wanted = expected.value;
  switch (expected.kind) {
    case Expected::Kind::kExact:
      return found == wanted;
    case Expected::Kind::kNoError:
      return !found.IsError();
    case Expected::Kind::kAnything:
      return true;
    case Expected::Kind::kErrorLike:
      return found.IsError() && found.text.starts_with(wanted.text);
    case Expected::Kind::kSameItems:
      return found.type == RespValue::Type::kArray && SameItems(found.items, wanted.items);
    case Expected::Kind::kScan:
      return found.items.size() == 2 && found.items[0].text == "0" &&
             SameItems(found.items[1].items, wanted.items);
    case Expected::Kind::kOneOf:
      if (wanted.items.empty()) return found.IsNull();
      return std::find(wanted.items.begin(), wanted.items.end(), found) != wanted.items.end();
    case Expected::Kind::kSamePairs:
      return found.type == wanted.type && PairsOf(found) == PairsOf(wanted);
    case Expected::Kind::kScanPairs:
      return FitsScan(wanted, found);
    case Expected::Kind::kAllButLast:
      return found.type == wanted.type && found.items.size() == wanted.items.size() &&
             std::equal(wanted.items.begin(), wanted.items.end() - 1, found.items.begin());
    case Expected::Kind::kEach:
      return found.type == RespValue::Type::kArray && found.items.size() == expected.parts.size() &&
             std::equal(expected.parts.begin(), expected.parts.end(), found.items.begin(), Fits);
    case Expected::Kind::kLong:
      return FitsLong(*expected.query, found);
  }
  return false;
}

}  // namespace

std::string Mismatch(const Expected& expected, const RespValue& found) {
  if (Fits(expected, found)) return {};
  if (expected.kind == Expected::Kind::kEach) {
    for (std::size_t i = 0; i < std::min(expected.parts.size(), found.items.size()); ++i) {
      const std::string text = Mismatch(expected.parts[i], found.items[i]);
      if (!text.empty()) return "in the reply to EXEC, at " + std::to_string(i) + ", " + text;
    }
  }
  return "a reply is " + found.ToText() + ", expected " + expected.value.ToText();
}

// ---- changes

const Cell* Oracle::Live(std::string_view name, WallMs now) const {
  const Cell* cell = history_.Find(name);
  return cell == nullptr || (cell->expires_at != 0 && cell->expires_at <= now) ? nullptr : cell;
}

void Oracle::Touch(std::string_view name, WallMs now) {
  Written& written = written_[std::string(name)];
  written.at = now;
  written.clock_epoch = clock_epoch_;
  for (OracleSession* session : sessions_) {
    if (session->watched.count(std::string(name)) != 0) session->watch_dirty = true;
  }
}

void Oracle::Store(std::string_view name, const std::optional<Cell>& cell) {
  const Cell* before = history_.Find(name);
  for (OracleSession* session : sessions_) {
    LongQuery* query = session->query.get();
    if (query == nullptr || query->name != name) continue;
    const bool same = cell && cell->tree && before != nullptr && before->tree &&
                      cell->tree->settings == query->tree->settings && cell->expires_at == 0;
    if (same) {
      query->touched.merge(KeysChanged(*before->tree, *cell->tree));
    } else {
      query->may_be_gone = true;
    }
  }
  history_.Set(name, cell);
}

// What has expired leaves nothing behind to a new counter of its name.
void Oracle::Put(std::string_view name, const Decimal& value, WallMs now) {
  const Cell* live = Live(name, now);
  Cell cell = live == nullptr ? Cell() : *live;
  cell.value = value;
  Store(name, cell);
  Touch(name, now);
}

void Oracle::Expire(std::string_view name, WallMs at, WallMs now) {
  if (at != 0 && at <= now) return Drop(name);
  Cell cell = *history_.Find(name);
  cell.expires_at = at;
  Store(name, cell);
  Touch(name, now);
}

void Oracle::Drop(std::string_view name) {
  Store(name, std::nullopt);
  Touch(name, 0);
}

bool Oracle::Untouched(const std::string& name, WallMs now, std::int64_t ms) const {
  const auto it = written_.find(name);
  if (it == written_.end() || it->second.clock_epoch != clock_epoch_) return true;
  return now - it->second.at >= ms;
}

void Oracle::Recovered(WallMs now) {
  written_.clear();
  for (const auto& [name, cell] : history_.state()) {
    written_[name] = {.at = now, .clock_epoch = clock_epoch_};
  }
}

// ---- requests

void Oracle::Execute(OracleSession& session, const Words& args, Now now, const Refusals& refusals,
                     bool goes_on) {
  if (session.closed) return;
  std::vector<Expected> replies;
  const Rule& rule = RuleOf(args);
  if (Refused(session, args, rule, refusals)) return;
  if (session.in_multi && !rule.immediate) {
    session.queued.push_back(args);
    Call{session, args, now, replies}.Reply(Simple("QUEUED"));
  } else {
    Call call{session, args, now, replies};
    call.goes_on = goes_on;
    (this->*rule.handler)(call);
    history_.CloseStep(now.mono_ns);
  }
  for (std::size_t i = 0; i < replies.size(); ++i) {
    replies[i].steps = history_.size();
    replies[i].ends_request = i + 1 == replies.size();
    session.expected.push_back(std::move(replies[i]));
  }
}

void Oracle::EndQuery(OracleSession& session) {
  session.query = nullptr;
  if (!session.expected.empty()) session.expected.back().steps = history_.size();
}

bool Oracle::Refused(OracleSession& session, const Words& args, const Rule& rule,
                     const Refusals& refusals) {
  const bool exec = args[0] == "EXEC";
  bool writes = rule.writes;
  std::string text;
  if (exec && session.in_multi && !session.multi_failed) {
    for (const Words& words : session.queued) writes = writes || RuleOf(words).writes;
  }
  if (writes && refusals.disk_failed) {
    text = "MISCONF";
  } else if (writes && refusals.disk_full) {
    text = "NOSPACE";
  } else if (!session.feeds.empty() && session.resp == 2 && !rule.while_subscribed) {
    text = "ERR Can't execute";
  } else if (refusals.loading && !rule.while_loading) {
    text = "LOADING";
  } else if (session.in_multi && rule.never_in_multi) {
    text = "ERR Command not allowed inside a transaction";
  } else {
    return false;
  }
  if (exec && session.in_multi) {
    text = "EXECABORT";
    session.in_multi = session.multi_failed = session.watch_dirty = false;
    session.queued.clear();
    session.watched.clear();
  } else if (session.in_multi) {
    session.multi_failed = true;
  }
  session.expected.push_back(
      {.kind = Expected::Kind::kErrorLike, .value = Failure(text), .steps = history_.size()});
  return true;
}

void Oracle::Tick(OracleSession& session, Now now) {
  if (session.closed) return;
  for (auto& [name, feed] : session.feeds) {
    const std::int64_t look = std::min(feed.interval_ms, command::kMaxLookIntervalMs);
    const bool clock_was_set_back =
        feed.next_ms - now.wall_ms > std::max(feed.interval_ms, command::kMaxLookIntervalMs);
    if (feed.next_ms > now.wall_ms && !clock_was_set_back) continue;
    const Cell* cell = Live(name, now.wall_ms);
    const Decimal value = cell == nullptr ? Decimal() : cell->value;
    if ((cell != nullptr && cell->tree) || value == feed.last) {
      feed.next_ms = now.wall_ms + look;
      continue;
    }
    feed.last = value;
    feed.next_ms = now.wall_ms + feed.interval_ms;
    // The reply of a query that goes on in slices comes after it.
    session.expected.insert(
        session.expected.end() - (session.query ? 1 : 0),
        {.value = PushOf(session.resp, {Text("message"), Text(name), Bulk(value)}),
         .steps = history_.size(),
         .ends_request = false});
  }
}

}  // namespace jeton::sim
