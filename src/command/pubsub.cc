// SUBSCRIBE ISUBSCRIBE UNSUBSCRIBE PUBSUB: a counter is a channel, and its subscribers are told its
// value when it changes (subscription_feed.h). Nobody publishes but the counters themselves.
#include <cmath>

#include "base/text.h"
#include "command/counter_access.h"
#include "command/subscription_feed.h"

namespace jeton::command {

namespace {

constexpr std::int64_t kDefaultIntervalMs = 1000;
constexpr std::int64_t kMinIntervalMs = 10;
constexpr std::int64_t kMaxIntervalMs = 365LL * 24 * 3600 * 1000;
constexpr std::string_view kBadInterval =
    "ERR the interval must be at least 0.01 and at most 31536000 seconds";

constexpr std::size_t kMaxSubscriptions = 100'000;
constexpr std::string_view kTooMany = "ERR a client may subscribe to at most 100000 counters";

constexpr std::string_view kNoPatterns =
    "ERR PSUBSCRIBE is not supported: a channel is a counter, SUBSCRIBE to it by its name";
constexpr std::string_view kNoPublish =
    "ERR PUBLISH is not supported: a channel is a counter, its value is published when it changes";

void Confirm(Context& ctx, std::string_view what, std::string_view name) {
  ctx.reply.Push(3);
  ctx.reply.Bulk(what);
  ctx.reply.Bulk(name);
  ctx.reply.Integer(static_cast<std::int64_t>(ctx.session.subscriptions.size()));
}

void ConfirmNothing(Context& ctx, std::string_view what) {
  ctx.reply.Push(3);
  ctx.reply.Bulk(what);
  ctx.reply.Null();
  ctx.reply.Integer(static_cast<std::int64_t>(ctx.session.subscriptions.size()));
}

void SubscribeTo(Context& ctx, std::span<const std::string_view> names, std::int64_t interval_ms) {
  if (ctx.session.subscriptions.size() + names.size() > kMaxSubscriptions) {
    return ctx.reply.Error(kTooMany);
  }
  for (const std::string_view name : names) {
    if (AddSubscription(ctx.session, name, interval_ms, ctx.now.wall_ms)) {
      std::lock_guard guard(ctx.server.subscriptions_mutex);
      ++ctx.server.subscribers[std::string(name)];
    }
    Confirm(ctx, "subscribe", name);
  }
}

void Subscribe(Context& ctx) {
  SubscribeTo(ctx, ctx.args.subspan(1), kDefaultIntervalMs);
}

void ISubscribe(Context& ctx) {
  const Result<Decimal> seconds = Decimal::Parse(ctx.args[1]);
  if (!seconds) return ctx.reply.Error(seconds.error());
  const double milliseconds = seconds->ToDouble() * 1000;
  if (milliseconds < kMinIntervalMs || milliseconds > kMaxIntervalMs) {
    return ctx.reply.Error(kBadInterval, ErrorKind::kRange);
  }
  SubscribeTo(ctx, ctx.args.subspan(2), std::llround(milliseconds));
}

void UnsubscribeFrom(Context& ctx, std::string_view name) {
  const auto found = ctx.session.subscriptions.find(name);
  if (found != ctx.session.subscriptions.end()) {
    ctx.session.subscriptions.erase(found);
    std::lock_guard guard(ctx.server.subscriptions_mutex);
    const auto channel = ctx.server.subscribers.find(name);
    if (channel != ctx.server.subscribers.end() && --channel->second == 0) {
      ctx.server.subscribers.erase(channel);
    }
  }
  Confirm(ctx, "unsubscribe", name);
}

void Unsubscribe(Context& ctx) {
  for (const std::string_view name : ctx.args.subspan(1)) UnsubscribeFrom(ctx, name);
  if (ctx.args.size() > 1) return;
  if (ctx.session.subscriptions.empty()) return ConfirmNothing(ctx, "unsubscribe");
  while (!ctx.session.subscriptions.empty()) {
    UnsubscribeFrom(ctx, std::string(ctx.session.subscriptions.begin()->first));
  }
}

void PSubscribe(Context& ctx) {
  ctx.reply.Error(kNoPatterns);
}

// There never are patterns, so there is nothing to take back; clients send it when they tidy up.
void PUnsubscribe(Context& ctx) {
  for (const std::string_view pattern : ctx.args.subspan(1)) Confirm(ctx, "punsubscribe", pattern);
  if (ctx.args.size() == 1) ConfirmNothing(ctx, "punsubscribe");
}

void Publish(Context& ctx) {
  ctx.reply.Error(kNoPublish);
}

void Channels(Context& ctx) {
  if (ctx.args.size() > 3) return ctx.reply.Error(WrongArguments(ctx.command.name));
  const std::size_t array = ctx.reply.DeferArray();
  std::size_t count = 0;
  std::lock_guard guard(ctx.server.subscriptions_mutex);
  for (const auto& [name, subscribers] : ctx.server.subscribers) {
    if (ctx.args.size() == 3 && !GlobMatch(ctx.args[2], name)) continue;
    ctx.reply.Bulk(name);
    ++count;
  }
  ctx.reply.SetDeferred(array, count);
}

void NumSub(Context& ctx) {
  ctx.reply.Array((ctx.args.size() - 2) * 2);
  std::lock_guard guard(ctx.server.subscriptions_mutex);
  for (const std::string_view name : ctx.args.subspan(2)) {
    const auto found = ctx.server.subscribers.find(name);
    const std::size_t count = found == ctx.server.subscribers.end() ? 0 : found->second;
    ctx.reply.Bulk(name);
    ctx.reply.Integer(static_cast<std::int64_t>(count));
  }
}

void NumPat(Context& ctx) {
  ctx.reply.Integer(0);
}

void PubSubHelp(Context& ctx) {
  constexpr std::string_view kLines[] = {
      "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "CHANNELS [<pattern>]",
      "    The counters that somebody subscribes to.",
      "NUMPAT",
      "    The number of pattern subscriptions: always 0.",
      "NUMSUB [<channel> ...]",
      "    The number of subscribers of each counter.",
      "HELP",
      "    Print this help."};
  ctx.reply.Array(std::size(kLines));
  for (const std::string_view line : kLines) ctx.reply.Simple(line);
}

constexpr std::string_view kEach = "O(N) where N is the number of counters";
constexpr std::uint32_t kSubscriber = kPubSub | kNoMulti | kNoScript | kLoading;

Argument Names(std::string_view name, bool optional) {
  return {.name = name, .optional = optional, .multiple = true};
}

void AddSubscribing(CommandTable& table) {
  table.Add({.name = "subscribe",
             .summary = "Pushes the value of counters when it changes, at most once a second.",
             .group = "pubsub",
             .complexity = kEach,
             .flags = kSubscriber,
             .arguments = {Names("channel", false)},
             .errors = {kTooMany},
             .examples = {{"SUBSCRIBE visits", "1) \"subscribe\"\n2) \"visits\"\n3) (integer) 1"}},
             .handler = Subscribe});
  table.Add(
      {.name = "isubscribe",
       .summary = "As SUBSCRIBE, at most once in so many seconds; fractions are fine.",
       .group = "pubsub",
       .complexity = kEach,
       .flags = kSubscriber,
       .arguments = {{.name = "seconds", .type = ArgumentType::kDouble}, Names("channel", false)},
       .errors = {kNotAFloat, kOutOfRange, kBadInterval, kTooMany},
       .examples = {{"ISUBSCRIBE 0.5 visits", "1) \"subscribe\"\n2) \"visits\"\n3) (integer) 1"}},
       .handler = ISubscribe});
  table.Add(
      {.name = "unsubscribe",
       .summary = "Ends subscriptions: those named, or all.",
       .group = "pubsub",
       .complexity = kEach,
       .flags = kSubscriber,
       .arguments = {Names("channel", true)},
       .examples = {{"UNSUBSCRIBE visits", "1) \"unsubscribe\"\n2) \"visits\"\n3) (integer) 0"},
                    {"UNSUBSCRIBE", "1) \"unsubscribe\"\n2) (nil)\n3) (integer) 0"}},
       .handler = Unsubscribe});
}

void AddUnsupported(CommandTable& table) {
  table.Add({.name = "psubscribe",
             .summary = "Not supported: subscribe to counters by their names.",
             .group = "pubsub",
             .flags = kSubscriber,
             .arguments = {Names("pattern", false)},
             .errors = {kNoPatterns},
             .examples = {{"PSUBSCRIBE v*",
                           "(error) ERR PSUBSCRIBE is not supported: a channel is a counter, "
                           "SUBSCRIBE to it by its name"}},
             .handler = PSubscribe});
  table.Add({.name = "punsubscribe",
             .summary = "Confirms that there are no pattern subscriptions.",
             .group = "pubsub",
             .flags = kSubscriber,
             .arguments = {Names("pattern", true)},
             .examples = {{"PUNSUBSCRIBE", "1) \"punsubscribe\"\n2) (nil)\n3) (integer) 0"}},
             .handler = PUnsubscribe});
  table.Add(
      {.name = "publish",
       .summary = "Not supported: only counters publish, when they change.",
       .group = "pubsub",
       .flags = kFast | kLoading,
       .arguments = {{.name = "channel"}, {.name = "message"}},
       .errors = {kNoPublish},
       .examples = {{"PUBLISH visits hello",
                     "(error) ERR PUBLISH is not supported: a channel is a counter, its value "
                     "is published when it changes"}},
       .handler = Publish});
}

void AddPubSubContainer(CommandTable& table) {
  table.Add({.name = "pubsub",
             .summary = "Who subscribes to what.",
             .group = "pubsub",
             .complexity = "Depends on the subcommand"});
  table.Add({.name = "pubsub|channels",
             .summary = "The counters that somebody subscribes to.",
             .group = "pubsub",
             .complexity = "O(N) where N is the number of channels",
             .flags = kLoading,
             .arguments = {{.name = "pattern", .type = ArgumentType::kPattern, .optional = true}},
             .examples = {{"PUBSUB CHANNELS", "(empty array)"}},
             .handler = Channels});
  table.Add({.name = "pubsub|numsub",
             .summary = "The number of subscribers of each counter.",
             .group = "pubsub",
             .complexity = kEach,
             .flags = kLoading,
             .arguments = {Names("channel", true)},
             .examples = {{"PUBSUB NUMSUB visits", "1) \"visits\"\n2) (integer) 0"}},
             .handler = NumSub});
  table.Add({.name = "pubsub|numpat",
             .summary = "The number of pattern subscriptions: always 0.",
             .group = "pubsub",
             .flags = kLoading,
             .examples = {{"PUBSUB NUMPAT", "(integer) 0"}},
             .handler = NumPat});
  table.Add({.name = "pubsub|help",
             .summary = "The subcommands.",
             .group = "pubsub",
             .flags = kLoading,
             .handler = PubSubHelp});
}

}  // namespace

void AddPubSubCommands(CommandTable& table) {
  AddSubscribing(table);
  AddUnsupported(table);
  AddPubSubContainer(table);
}

}  // namespace jeton::command
