// GET SET and their kin: reading and replacing a counter's value as Redis does with strings. A
// value is always a number.
#include <array>
#include <span>

#include "base/text.h"
#include "command/cluster_host.h"
#include "command/counter_access.h"
#include "command/expiry_option.h"

namespace jeton::command {

namespace {

using engine::Entry;
using engine::Key;

// ---- reading

// What is known of a counter over all nodes. Where its precision lets them hold changes back, the
// value is an estimate; where it is 0, the value is what has arrived.
Estimate EstimateOf(Context& ctx, const Key& key, const Entry& entry) {
  const Decimal precision =
      entry.precision.value_or(ctx.server.settings.values().default_precision);
  if (!precision.IsZero()) {
    if (const ClusterHost* cluster = ctx.server.host.cluster()) {
      return cluster->EstimateOf(key, entry.value, precision, ctx.now);
    }
  }
  return {.known = entry.value, .value = entry.value, .lower = entry.value, .upper = entry.value};
}

std::shared_ptr<const ClusterStatus> StatusOf(const Context& ctx) {
  const ClusterHost* cluster = ctx.server.host.cluster();
  return cluster == nullptr ? std::make_shared<const ClusterStatus>() : cluster->status();
}

// Value, lower and upper bound, lag in ms, missing nodes: what those nodes have counted in that
// time, and nothing else, may be outside of the bounds.
void ReplyBounds(Context& ctx, const Estimate& estimate) {
  const std::shared_ptr<const ClusterStatus> status = StatusOf(ctx);
  ctx.reply.Array(5);
  ctx.reply.DecimalBulk(estimate.value);
  ctx.reply.DecimalBulk(estimate.lower);
  ctx.reply.DecimalBulk(estimate.upper);
  ctx.reply.Integer(status->staleness_ms);
  ctx.reply.Array(status->missing_nodes.size());
  for (const std::string& id : status->missing_nodes) ctx.reply.Bulk(id);
}

// "GET k STATE", "GET k EXACT", "GET k BOUNDS": words that redis does not know.
void GetWithOption(Context& ctx, const Estimate& estimate) {
  const std::string_view option = ctx.args[2];
  if (ctx.args.size() > 3) return ctx.reply.Error(kSyntaxError);
  if (EqualsIgnoreCase(option, "STATE")) {
    ctx.reply.Array(2);
    ctx.reply.DecimalBulk(estimate.value);
    ctx.reply.Bulk(StatusOf(ctx)->consistent ? "CONSISTENT" : "INCONSISTENT");
  } else if (EqualsIgnoreCase(option, "EXACT")) {
    ctx.reply.DecimalBulk(estimate.known);
  } else if (EqualsIgnoreCase(option, "BOUNDS")) {
    ReplyBounds(ctx, estimate);
  } else {
    constexpr std::size_t kMaxShown = 128;
    ctx.reply.Error("ERR Unknown GET option '" + std::string(option.substr(0, kMaxShown)) + "'");
  }
}

void ReplyValue(Context& ctx, const Key& key, const std::optional<Entry>& entry) {
  if (entry) {
    ctx.reply.DecimalBulk(EstimateOf(ctx, key, *entry).value);
  } else {
    ReplyMissing(ctx);
  }
}

// The value, or nil in either dialect.
void ReplyOldValue(Context& ctx, const std::optional<Entry>& entry) {
  if (entry) {
    ctx.reply.DecimalBulk(entry->value);
  } else {
    ctx.reply.Null();
  }
}

void Get(Context& ctx) {
  if (ctx.redis() && ctx.args.size() > 2) {
    return ctx.reply.Error(WrongArguments(ctx.command.name));
  }
  const Key key = ctx.Key(1);
  const std::optional<Entry> entry = FindAndCount(ctx, key);
  if (RefuseTree(ctx, entry)) return;
  if (ctx.args.size() == 2) return ReplyValue(ctx, key, entry);
  GetWithOption(ctx, entry ? EstimateOf(ctx, key, *entry) : Estimate());
}

// A tree reads as missing here: one name of the wrong kind must not take the others' values away.
void MGet(Context& ctx) {
  const bool exact_by_default = ctx.server.settings.values().default_precision.IsZero();
  ctx.reply.Array(ctx.args.size() - 1);
  std::array<std::int64_t, Reply::kIntegersAtOnce> integers;  // found and not in the reply yet
  std::size_t found = 0;
  const auto reply_found = [&] {
    CountLookups(ctx, true, found);
    ctx.reply.IntegerBulks(std::span(integers).first(found));
    found = 0;
  };
  Key made;
  for (std::size_t i = 1; i < ctx.args.size(); ++i) {
    // The dispatcher has made several, not one alone and none under EXEC.
    if (ctx.keys.empty()) made = ctx.Key(i);
    const Key& key = ctx.keys.empty() ? made : ctx.keys[i - 1];
    // Nearly all are integers that no precision makes an estimate.
    const engine::CounterPlace place = ctx.keyspace.FindInteger(key, ctx.now.wall_ms);
    if (place && exact_by_default && !place.has_precision()) [[likely]] {
      integers[found++] = *place;
      if (found == integers.size()) reply_found();
      continue;
    }
    reply_found();
    std::optional<Entry> entry = FindAndCount(ctx, key);
    if (entry && entry->kind == engine::Kind::kTree) entry.reset();
    ReplyValue(ctx, key, entry);
  }
  reply_found();
}

// ---- writing

// A new value takes the old expiry with it, as everywhere in Redis but for KEEPTTL.
void Replace(Context& ctx, const Key& key, const std::optional<Entry>& entry,
             const Decimal& value) {
  Store(ctx, key, entry, value);
  if (entry && entry->expires_at != 0) ctx.unit.Expire(key, 0);
}

struct SetOptions {
  bool nx = false, xx = false, get = false;
  ExpiryOption expiry = {};

  bool plain() const { return !nx && !xx && !get && expiry.word == ExpiryWord::kNone; }
};

bool TakeSetWord(std::span<const std::string_view> words, std::size_t& i, SetOptions& options) {
  const std::string_view word = words[i];
  if (EqualsIgnoreCase(word, "NX")) {
    options.nx = true;
  } else if (EqualsIgnoreCase(word, "XX")) {
    options.xx = true;
  } else if (EqualsIgnoreCase(word, "GET")) {
    options.get = true;
  } else {
    return ExpiryWordOf(word) != ExpiryWord::kPersist && TakeExpiry(words, i, options.expiry);
  }
  return !(options.nx && options.xx);
}

Result<SetOptions> ParseSet(std::span<const std::string_view> words) {
  SetOptions options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!TakeSetWord(words, i, options)) {
      return Error{ErrorKind::kInvalid, std::string(kSyntaxError)};
    }
  }
  return options;
}

// Stores `value` under the expiry that the options ask for; `at` is its time if they name one.
void SetWithExpiry(Context& ctx, const Key& key, const std::optional<Entry>& entry,
                   const Decimal& value, const SetOptions& options, WallMs at) {
  if (options.expiry.word == ExpiryWord::kKeepTtl) {
    Store(ctx, key, entry, value);
  } else if (options.expiry.has_time()) {
    Store(ctx, key, entry, value);
    StoreExpiry(ctx, key, at);
  } else {
    Replace(ctx, key, entry, value);
  }
}

void Set(Context& ctx) {
  const Result<SetOptions> options = ParseSet(ctx.args.subspan(3));
  if (!options) return ctx.reply.Error(options.error());
  WallMs at = 0;
  if (options->expiry.has_time()) {
    const Result<WallMs> time = ExpiryTime(options->expiry, ctx.now.wall_ms, ctx.command.name);
    if (!time) return ctx.reply.Error(time.error());
    at = *time;
  }
  const Result<Decimal> value = Decimal::Parse(ctx.args[2]);
  if (!value) return ctx.reply.Error(value.error());
  const Key key = ctx.Key(1);
  const std::optional<Entry> entry = Find(ctx, key);
  const bool tree = entry && entry->kind == engine::Kind::kTree;
  const bool held_back = (options->nx && entry) || (options->xx && !entry);
  if (tree && (options->get || !held_back)) {
    return ctx.reply.Error(kWrongType, ErrorKind::kWrongType);
  }
  if (!held_back) SetWithExpiry(ctx, key, entry, *value, *options, at);
  if (options->get) return ReplyOldValue(ctx, entry);
  if (held_back) return ctx.reply.Null();
  if (!ctx.redis() && options->plain()) return ctx.reply.DecimalBulk(*value);
  ctx.reply.Ok();
}

void SetNx(Context& ctx) {
  const Result<Decimal> value = Decimal::Parse(ctx.args[2]);
  if (!value) return ctx.reply.Error(value.error());
  const Key key = ctx.Key(1);
  const std::optional<Entry> entry = Find(ctx, key);
  if (!entry) Store(ctx, key, entry, *value);
  ctx.reply.Integer(entry ? 0 : 1);
}

template <ExpiryWord word>
void SetEx(Context& ctx) {
  const Result<WallMs> at =
      ExpiryTime({.word = word, .amount = ctx.args[2]}, ctx.now.wall_ms, ctx.command.name);
  if (!at) return ctx.reply.Error(at.error());
  const Result<Decimal> value = Decimal::Parse(ctx.args[3]);
  if (!value) return ctx.reply.Error(value.error());
  const Key key = ctx.Key(1);
  const std::optional<Entry> entry = Find(ctx, key);
  if (RefuseTree(ctx, entry)) return;
  Store(ctx, key, entry, *value);
  StoreExpiry(ctx, key, *at);
  ctx.reply.Ok();
}

void GetSet(Context& ctx) {
  const Result<Decimal> value = Decimal::Parse(ctx.args[2]);
  if (!value) return ctx.reply.Error(value.error());
  const Key key = ctx.Key(1);
  const std::optional<Entry> entry = Find(ctx, key);
  if (RefuseTree(ctx, entry)) return;
  Replace(ctx, key, entry, *value);
  ReplyOldValue(ctx, entry);
}

void GetDel(Context& ctx) {
  const Key key = ctx.Key(1);
  const std::optional<Entry> entry = FindAndCount(ctx, key);
  if (RefuseTree(ctx, entry)) return;
  if (entry) ctx.unit.Drop(key);
  ReplyOldValue(ctx, entry);
}

void GetEx(Context& ctx) {
  ExpiryOption option;
  for (std::size_t i = 2; i < ctx.args.size(); ++i) {
    const bool known = ExpiryWordOf(ctx.args[i]) != ExpiryWord::kKeepTtl;
    if (!known || !TakeExpiry(ctx.args, i, option)) return ctx.reply.Error(kSyntaxError);
  }
  const Key key = ctx.Key(1);
  const std::optional<Entry> entry = FindAndCount(ctx, key);
  if (!entry) return ctx.reply.Null();
  if (RefuseTree(ctx, entry)) return;
  if (option.has_time()) {
    const Result<WallMs> at = ExpiryTime(option, ctx.now.wall_ms, ctx.command.name);
    if (!at) return ctx.reply.Error(at.error());
    StoreExpiry(ctx, key, *at);
  } else if (option.word == ExpiryWord::kPersist && entry->expires_at != 0) {
    ctx.unit.Expire(key, 0);
  }
  ReplyOldValue(ctx, entry);
}

// ---- several at once

// The values of MSET and MSETNX, all valid, in order; or an error, and nothing is changed.
Result<std::vector<Decimal>> ParsePairs(const Context& ctx) {
  if (ctx.args.size() % 2 == 0) {
    return Error{ErrorKind::kInvalid, WrongArguments(ctx.command.name)};
  }
  std::vector<Decimal> values;
  values.reserve(ctx.args.size() / 2);
  for (std::size_t i = 1; i < ctx.args.size(); i += 2) {
    const std::optional<Entry> entry = Find(ctx, ctx.Key(i));
    if (entry && entry->kind == engine::Kind::kTree) {
      return Error{ErrorKind::kWrongType, std::string(kWrongType)};
    }
    Result<Decimal> value = Decimal::Parse(ctx.args[i + 1]);
    if (!value) return value.error();
    values.push_back(*value);
  }
  return values;
}

void StorePairs(Context& ctx, const std::vector<Decimal>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Key key = ctx.Key(1 + 2 * i);
    Replace(ctx, key, Find(ctx, key), values[i]);
  }
}

void MSet(Context& ctx) {
  const Result<std::vector<Decimal>> values = ParsePairs(ctx);
  if (!values) return ctx.reply.Error(values.error());
  StorePairs(ctx, *values);
  ctx.reply.Ok();
}

void MSetNx(Context& ctx) {
  if (ctx.args.size() % 2 == 0) return ctx.reply.Error(WrongArguments(ctx.command.name));
  for (std::size_t i = 1; i < ctx.args.size(); i += 2) {
    if (Find(ctx, ctx.Key(i))) return ctx.reply.Integer(0);
  }
  const Result<std::vector<Decimal>> values = ParsePairs(ctx);
  if (!values) return ctx.reply.Error(values.error());
  StorePairs(ctx, *values);
  ctx.reply.Integer(1);
}

// ---- descriptions

Argument KeyArgument() {
  return {.name = "key", .type = ArgumentType::kKey};
}
Argument ValueArgument() {
  return {.name = "value", .type = ArgumentType::kDouble};
}

Argument Token(std::string_view name, std::string_view token) {
  return {.name = name, .type = ArgumentType::kPureToken, .token = token};
}

// EX PX EXAT PXAT and `last`: KEEPTTL for SET, PERSIST for GETEX.
Argument ExpirationArgument(const Argument& last) {
  return {.name = "expiration",
          .type = ArgumentType::kOneOf,
          .optional = true,
          .arguments = {
              {.name = "seconds", .type = ArgumentType::kInteger, .token = "EX"},
              {.name = "milliseconds", .type = ArgumentType::kInteger, .token = "PX"},
              {.name = "unix-time-seconds", .type = ArgumentType::kUnixTime, .token = "EXAT"},
              {.name = "unix-time-milliseconds", .type = ArgumentType::kUnixTime, .token = "PXAT"},
              last}};
}

Argument PairsArgument() {
  return {.name = "data",
          .type = ArgumentType::kBlock,
          .multiple = true,
          .arguments = {KeyArgument(), ValueArgument()}};
}

constexpr std::string_view kEach = "O(N) where N is the number of names";

void AddReads(CommandTable& table) {
  table.Add({.name = "get",
             .summary = "The value of a counter. Discnt's STATE adds whether all nodes have been "
                        "heard; EXACT leaves predictions out; BOUNDS replies value, lower and "
                        "upper bound, lag in ms and the nodes that are missing.",
             .group = "string",
             .flags = kReadOnly | kFast,
             .arguments = {KeyArgument(),
                           {.name = "option",
                            .type = ArgumentType::kOneOf,
                            .optional = true,
                            .arguments = {Token("state", "STATE"), Token("exact", "EXACT"),
                                          Token("bounds", "BOUNDS")}}},
             .errors = {"ERR Unknown GET option 'x'", kWrongType},
             .examples = {{"GET nothing", "\"0\"", "(nil)"},
                          {"INCRBY visits 7", "\"7\"", "(integer) 7"},
                          {"GET visits", "\"7\""},
                          {"GET visits STATE", "1) \"7\"\n2) \"CONSISTENT\"",
                           "(error) ERR wrong number of arguments for 'get' command"}},
             .handler = Get,
             .hot = HotForm::kGet});
  table.Add({.name = "mget",
             .summary = "The values of several counters, in order.",
             .group = "string",
             .complexity = kEach,
             .flags = kReadOnly | kFast,
             .arguments = {{.name = "key", .type = ArgumentType::kKey, .multiple = true}},
             .examples = {{"MSET a 1 b 2.5", "OK"},
                          {"MGET a b nothing", "1) \"1\"\n2) \"2.5\"\n3) \"0\"",
                           "1) \"1\"\n2) \"2.5\"\n3) (nil)"}},
             .handler = MGet});
}

void AddSets(CommandTable& table) {
  table.Add(
      {.name = "set",
       .summary = "Gives a counter a value and, if asked, an expiry.",
       .group = "string",
       .flags = kWrite | kDenyOom,
       .arguments =
           {KeyArgument(),
            ValueArgument(),
            {.name = "condition",
             .type = ArgumentType::kOneOf,
             .optional = true,
             .arguments = {Token("nx", "NX"), Token("xx", "XX")}},
            {.name = "get", .type = ArgumentType::kPureToken, .token = "GET", .optional = true},
            ExpirationArgument(Token("keepttl", "KEEPTTL"))},
       .errors = {kNotAFloat, kOutOfRange, kSyntaxError, kNotAnInteger,
                  "ERR invalid expire time in 'set' command", kWrongType},
       .examples = {{"SET stock 12", "\"12\"", "OK"},
                    {"SET stock 5 NX", "(nil)"},
                    {"SET stock 10 XX GET", "\"12\""},
                    {"SET stock 9 EX 60", "OK"},
                    {"TTL stock", "(integer) 60"}},
       .handler = Set});
  table.Add({.name = "setnx",
             .summary = "Gives a counter a value if there is none; replies 1 if it did.",
             .group = "string",
             .flags = kWrite | kDenyOom | kFast,
             .arguments = {KeyArgument(), ValueArgument()},
             .errors = {kNotAFloat, kOutOfRange},
             .examples = {{"SETNX stock 12", "(integer) 1"}, {"SETNX stock 5", "(integer) 0"}},
             .handler = SetNx});
  table.Add({.name = "setex",
             .summary = "Gives a counter a value that goes after so many seconds.",
             .group = "string",
             .flags = kWrite | kDenyOom,
             .arguments = {KeyArgument(),
                           {.name = "seconds", .type = ArgumentType::kInteger},
                           ValueArgument()},
             .errors = {kNotAnInteger, "ERR invalid expire time in 'setex' command", kNotAFloat,
                        kOutOfRange, kWrongType},
             .examples = {{"SETEX calls 60 1", "OK"}, {"TTL calls", "(integer) 60"}},
             .handler = SetEx<ExpiryWord::kEx>});
  table.Add({.name = "psetex",
             .summary = "Gives a counter a value that goes after so many milliseconds.",
             .group = "string",
             .flags = kWrite | kDenyOom,
             .arguments = {KeyArgument(),
                           {.name = "milliseconds", .type = ArgumentType::kInteger},
                           ValueArgument()},
             .errors = {kNotAnInteger, "ERR invalid expire time in 'psetex' command", kNotAFloat,
                        kOutOfRange, kWrongType},
             .examples = {{"PSETEX calls 60000 1", "OK"}, {"TTL calls", "(integer) 60"}},
             .handler = SetEx<ExpiryWord::kPx>});
}

void AddMultiples(CommandTable& table) {
  table.Add({.name = "mset",
             .summary = "Gives several counters their values, all of them or none.",
             .group = "string",
             .complexity = kEach,
             .flags = kWrite | kDenyOom,
             .arguments = {PairsArgument()},
             .errors = {kNotAFloat, kOutOfRange, kWrongType},
             .examples = {{"MSET a 1 b 2", "OK"}, {"GET b", "\"2\""}},
             .handler = MSet});
  table.Add({.name = "msetnx",
             .summary = "Gives several counters their values if none of them exists; replies 1 if "
                        "it did.",
             .group = "string",
             .complexity = kEach,
             .flags = kWrite | kDenyOom,
             .arguments = {PairsArgument()},
             .errors = {kNotAFloat, kOutOfRange},
             .examples = {{"MSETNX a 1 b 2", "(integer) 1"}, {"MSETNX b 3 c 4", "(integer) 0"}},
             .handler = MSetNx});
}

void AddReadAndChange(CommandTable& table) {
  table.Add({.name = "getset",
             .summary = "Gives a counter a value and replies the old one.",
             .group = "string",
             .flags = kWrite | kDenyOom | kFast,
             .arguments = {KeyArgument(), ValueArgument()},
             .errors = {kNotAFloat, kOutOfRange, kWrongType},
             .examples = {{"GETSET visits 0", "(nil)"},
                          {"INCR visits", "\"1\"", "(integer) 1"},
                          {"GETSET visits 0", "\"1\""}},
             .handler = GetSet});
  table.Add({.name = "getdel",
             .summary = "Deletes a counter and replies what it was.",
             .group = "string",
             .flags = kWrite | kFast,
             .arguments = {KeyArgument()},
             .errors = {kWrongType},
             .examples = {{"INCR visits", "\"1\"", "(integer) 1"},
                          {"GETDEL visits", "\"1\""},
                          {"GETDEL visits", "(nil)"}},
             .handler = GetDel});
  table.Add({.name = "getex",
             .summary = "The value of a counter, whose expiry is changed at the same time.",
             .group = "string",
             .flags = kWrite | kFast,
             .arguments = {KeyArgument(), ExpirationArgument(Token("persist", "PERSIST"))},
             .errors = {kSyntaxError, kNotAnInteger, "ERR invalid expire time in 'getex' command",
                        kWrongType},
             .examples = {{"INCR visits", "\"1\"", "(integer) 1"},
                          {"GETEX visits EX 60", "\"1\""},
                          {"TTL visits", "(integer) 60"}},
             .handler = GetEx});
}

}  // namespace

void AddStringCommands(CommandTable& table) {
  AddReads(table);
  AddSets(table);
  AddMultiples(table);
  AddReadAndChange(table);
}

}  // namespace jeton::command
