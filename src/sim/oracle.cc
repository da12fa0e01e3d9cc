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
  }
  return false;
}

}  // namespace

std::string Mismatch(const Expected& expected, const RespValue& found) {
  if (Fits(expected, found)) return {};
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

// What has expired leaves nothing behind to a new counter of its name.
void Oracle::Put(std::string_view name, const Decimal& value, WallMs now) {
  const Cell* live = Live(name, now);
  Cell cell = live == nullptr ? Cell() : *live;
  cell.value = value;
  history_.Set(name, cell);
  Touch(name, now);
}

void Oracle::Expire(std::string_view name, WallMs at, WallMs now) {
  if (at != 0 && at <= now) return Drop(name);
  Cell cell = *history_.Find(name);
  cell.expires_at = at;
  history_.Set(name, cell);
  Touch(name, now);
}

void Oracle::Drop(std::string_view name) {
  history_.Set(name, std::nullopt);
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

void Oracle::Execute(OracleSession& session, const Words& args, Now now, const Refusals& refusals) {
  if (session.closed) return;
  std::vector<Expected> replies;
  const Rule& rule = RuleOf(args);
  if (Refused(session, args, rule, refusals)) return;
  if (session.in_multi && !rule.immediate) {
    session.queued.push_back(args);
    Call{session, args, now, replies}.Reply(Simple("QUEUED"));
  } else {
    Run(session, args, now, replies);
    history_.CloseStep(now.mono_ns);
  }
  for (std::size_t i = 0; i < replies.size(); ++i) {
    replies[i].steps = history_.size();
    replies[i].ends_request = i + 1 == replies.size();
    session.expected.push_back(std::move(replies[i]));
  }
}

void Oracle::Run(OracleSession& session, const Words& args, Now now,
                 std::vector<Expected>& replies) {
  Call call{session, args, now, replies};
  (this->*RuleOf(args).handler)(call);
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
    if (value == feed.last) {
      feed.next_ms = now.wall_ms + look;
      continue;
    }
    feed.last = value;
    feed.next_ms = now.wall_ms + feed.interval_ms;
    session.expected.push_back(
        {.value = PushOf(session.resp, {Text("message"), Text(name), Bulk(value)}),
         .steps = history_.size(),
         .ends_request = false});
  }
}

}  // namespace jeton::sim
