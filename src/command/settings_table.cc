#include "command/settings_table.h"

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "command/host_port.h"

namespace jeton::command {

namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr bool kRunTime = true;
constexpr bool kStartOnly = false;

SettingEntry Entry(std::string_view name, std::string kind, std::string expected, bool at_run_time,
                   std::string_view summary) {
  SettingEntry entry;
  entry.name = name;
  entry.redis_reason = "argument must be " + expected;
  entry.kind = std::move(kind);
  entry.expected = std::move(expected);
  entry.at_run_time = at_run_time;
  entry.summary = summary;
  return entry;
}

SettingEntry Integer(std::string_view name, std::int64_t Values::*field, std::int64_t low,
                     std::int64_t high, bool at_run_time, std::string_view summary) {
  const std::string from = std::to_string(low);
  const std::string to = std::to_string(high);
  const bool open = high == kMax;
  SettingEntry entry =
      Entry(name, "integer " + from + ".." + (open ? "" : to),
            "an integer from " + from + (open ? " up" : " to " + to), at_run_time, summary);
  entry.redis_reason = "argument must be between " + from + " and " + to + " inclusive";
  entry.parse = [=](Values& values, std::string_view text) {
    const auto number = ParseInt64(text);
    if (!number || *number < low || *number > high) return false;
    values.*field = *number;
    return true;
  };
  entry.print = [=](const Values& values) { return std::to_string(values.*field); };
  return entry;
}

bool ParseBytes(std::string_view text, std::int64_t low, std::int64_t high, std::int64_t& bytes) {
  const auto size = ParseByteSize(text);
  if (!size.ok() || *size > static_cast<std::uint64_t>(high)) return false;
  if (static_cast<std::int64_t>(*size) < low) return false;
  bytes = static_cast<std::int64_t>(*size);
  return true;
}

SettingEntry Bytes(std::string_view name, std::int64_t Values::*field, std::int64_t low,
                   std::int64_t high, bool at_run_time, std::string_view summary) {
  const std::string from = std::to_string(low);
  const bool open = high == kMax;
  const std::string to = open ? "" : std::to_string(high);
  SettingEntry entry =
      Entry(name, "bytes " + from + ".." + to,
            "a size in bytes (such as 512, 64kb, 1gb) from " + from + (open ? " up" : " to " + to),
            at_run_time, summary);
  entry.redis_reason =
      "argument must be a memory value from " + from + (open ? " up" : " to " + to);
  entry.parse = [=](Values& values, std::string_view text) {
    return ParseBytes(text, low, high, values.*field);
  };
  entry.print = [=](const Values& values) { return std::to_string(values.*field); };
  return entry;
}

// Two words that stand for true and false.
SettingEntry Either(std::string_view name, bool Values::*field, std::string_view yes,
                    std::string_view no, bool at_run_time, std::string_view summary) {
  const std::string one(yes);
  const std::string other(no);
  SettingEntry entry =
      Entry(name, one + "|" + other, "'" + one + "' or '" + other + "'", at_run_time, summary);
  entry.parse = [=](Values& values, std::string_view text) {
    if (!EqualsIgnoreCase(text, one) && !EqualsIgnoreCase(text, other)) return false;
    values.*field = EqualsIgnoreCase(text, one);
    return true;
  };
  entry.print = [=](const Values& values) { return values.*field ? one : other; };
  return entry;
}

SettingEntry YesNo(std::string_view name, bool Values::*field, bool at_run_time,
                   std::string_view summary) {
  return Either(name, field, "yes", "no", at_run_time, summary);
}

SettingEntry Text(std::string_view name, std::string Values::*field, bool at_run_time,
                  std::string_view summary) {
  SettingEntry entry =
      Entry(name, "text", "a text without line ends and NUL", at_run_time, summary);
  entry.parse = [=](Values& values, std::string_view text) {
    if (text.find_first_of(std::string_view("\0\r\n", 3)) != text.npos) return false;
    values.*field = text;
    return true;
  };
  entry.print = [=](const Values& values) { return values.*field; };
  return entry;
}

std::string Join(std::span<const std::string_view> words, std::string_view between) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += between;
    text += word;
  }
  return text;
}

SettingEntry Choice(std::string_view name, std::vector<std::string_view> words, bool at_run_time,
                    std::string_view summary, std::function<void(Values&, std::size_t)> set,
                    std::function<std::size_t(const Values&)> get) {
  SettingEntry entry =
      Entry(name, Join(words, "|"), "one of " + Join(words, ", "), at_run_time, summary);
  entry.redis_reason = "argument(s) must be one of the following: " + Join(words, ", ");
  entry.parse = [words, set](Values& values, std::string_view text) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (!EqualsIgnoreCase(words[i], text)) continue;
      set(values, i);
      return true;
    }
    return false;
  };
  entry.print = [words, get](const Values& values) { return std::string(words[get(values)]); };
  return entry;
}

// A setting of Redis that has only one value here. Others are refused rather than ignored.
SettingEntry Fixed(std::string_view name, std::string_view value, std::string_view summary) {
  const std::string only(value);
  SettingEntry entry = Entry(name, only, "'" + only + "', the only value here", kRunTime, summary);
  entry.parse = [=](Values&, std::string_view text) { return EqualsIgnoreCase(text, only); };
  entry.print = [=](const Values&) { return only; };
  return entry;
}

SettingEntry Alias(SettingEntry entry, std::string_view name, std::string_view summary) {
  entry.alias_of = {entry.name};
  entry.name = name;
  entry.summary = summary;
  return entry;
}

SettingEntry Fsync() {
  return Choice(
      "fsync", {"always", "everysec", "no"}, kRunTime,
      "when a change is on disk: before its reply, within a second, or when the system likes",
      [](Values& values, std::size_t i) { values.fsync = static_cast<FsyncPolicy>(i); },
      [](const Values& values) { return static_cast<std::size_t>(values.fsync); });
}

SettingEntry LogLevel() {
  static constexpr std::string_view kLevels[] = {"debug", "verbose", "notice", "warning"};
  return Choice(
      "loglevel", {std::begin(kLevels), std::end(kLevels)}, kRunTime, "how much is logged",
      [](Values& values, std::size_t i) { values.loglevel = kLevels[i]; },
      [](const Values& values) {
        const auto* found = std::find(std::begin(kLevels), std::end(kLevels), values.loglevel);
        return static_cast<std::size_t>(found == std::end(kLevels) ? 2 : found - kLevels);
      });
}

SettingEntry UnixSocketPermissions() {
  SettingEntry entry = Entry("unixsocketperm", "octal 0..777", "an octal number from 0 to 777",
                             kStartOnly, "permissions of the Unix socket");
  entry.parse = [](Values& values, std::string_view text) {
    std::int64_t mode = 0;
    if (text.empty() || text.size() > 4) return false;
    for (const char c : text) {
      if (c < '0' || c > '7') return false;
      mode = mode * 8 + (c - '0');
    }
    if (mode > 0777) return false;
    values.unixsocketperm = mode;
    return true;
  };
  entry.print = [](const Values& values) {
    std::string text;
    for (std::int64_t mode = values.unixsocketperm; mode != 0; mode /= 8) {
      text.insert(text.begin(), static_cast<char>('0' + mode % 8));
    }
    return text.empty() ? std::string("0") : text;
  };
  return entry;
}

SettingEntry Save() {
  SettingEntry entry =
      Entry("save", "[seconds changes]...", "pairs of seconds and changes, or \"\"", kRunTime,
            "take a snapshot once so many seconds have passed and so many changes "
            "were made; \"\" for never");
  entry.redis_reason = "Invalid save parameters";
  entry.several_words = true;
  entry.parse = [](Values& values, std::string_view text) {
    std::vector<std::string> words;
    if (!SplitWords(text, words)) return false;
    std::erase(words, "");
    if (words.size() % 2 != 0 || words.size() > 64) return false;
    std::vector<SavePoint> points;
    for (std::size_t i = 0; i < words.size(); i += 2) {
      const auto seconds = ParseInt64(words[i]);
      const auto changes = ParseInt64(words[i + 1]);
      if (!seconds || !changes || *seconds < 1 || *changes < 0) return false;
      points.push_back({.seconds = *seconds, .changes = *changes});
    }
    values.save = std::move(points);
    return true;
  };
  entry.print = [](const Values& values) {
    std::string text;
    for (const SavePoint& point : values.save) {
      if (!text.empty()) text += " ";
      text += std::to_string(point.seconds) + " " + std::to_string(point.changes);
    }
    return text;
  };
  return entry;
}

SettingEntry DefaultPrecision() {
  SettingEntry entry = Entry("default-precision", "decimal 0..", "a decimal from 0 up", kRunTime,
                             "precision of counters that have none of their own; 0 is exact");
  entry.parse = [](Values& values, std::string_view text) {
    const auto number = Decimal::Parse(text);
    if (!number.ok() || number->IsNegative()) return false;
    values.default_precision = *number;
    return true;
  };
  entry.print = [](const Values& values) { return values.default_precision.ToString(); };
  return entry;
}

constexpr std::int64_t kBufferLow = 1024;
constexpr std::int64_t kBufferHigh = 1LL << 40;

// Redis' form: classes with a hard limit, a soft limit and the soft limit's seconds.
bool ParseOutputClasses(Values& values, std::string_view text) {
  std::vector<std::string> words;
  if (!SplitWords(text, words) || words.empty() || words.size() % 4 != 0) return false;
  std::int64_t normal = values.output_buffer_limit;
  std::int64_t pubsub = values.output_buffer_limit_pubsub;
  for (std::size_t i = 0; i < words.size(); i += 4) {
    if (words[i + 2] != "0" || words[i + 3] != "0") return false;
    const bool replica =
        EqualsIgnoreCase(words[i], "slave") || EqualsIgnoreCase(words[i], "replica");
    if (replica && words[i + 1] == "0") continue;
    const bool is_normal = EqualsIgnoreCase(words[i], "normal");
    if (!is_normal && !EqualsIgnoreCase(words[i], "pubsub")) return false;
    if (!ParseBytes(words[i + 1], kBufferLow, kBufferHigh, is_normal ? normal : pubsub)) {
      return false;
    }
  }
  values.output_buffer_limit = normal;
  values.output_buffer_limit_pubsub = pubsub;
  return true;
}

SettingEntry OutputClasses() {
  SettingEntry entry = Entry(
      "client-output-buffer-limit", "class hard 0 0 ...",
      "a class (normal, pubsub), its hard limit in bytes from 1024 up, and 0 0: there are no soft "
      "limits",
      kRunTime, "output-buffer-limit and output-buffer-limit-pubsub in the form of Redis");
  entry.several_words = true;
  entry.alias_of = {"output-buffer-limit", "output-buffer-limit-pubsub"};
  entry.parse = ParseOutputClasses;
  entry.print = [](const Values& values) {
    return "normal " + std::to_string(values.output_buffer_limit) + " 0 0 slave 0 0 0 pubsub " +
           std::to_string(values.output_buffer_limit_pubsub) + " 0 0";
  };
  return entry;
}

SettingEntry Bind() {
  SettingEntry entry = Text("bind", &Values::bind, kStartOnly, "addresses to listen on");
  entry.kind = "address ...";
  entry.several_words = true;
  return entry;
}

SettingEntry ClusterSecret() {
  SettingEntry entry = Text("cluster-secret", &Values::cluster_secret, kRunTime,
                            "what a node must know to be taken into the cluster; empty: nothing");
  entry.secret = true;
  return entry;
}

SettingEntry ClusterAnnounceIp() {
  SettingEntry entry =
      Entry("cluster-announce-ip", "address", "an address or a name, or empty", kRunTime,
            "where other nodes and clients reach this node; empty for the address it is bound to");
  entry.parse = [](Values& values, std::string_view text) {
    if (!text.empty() && !IsHost(text)) return false;
    values.cluster_announce_ip = text;
    return true;
  };
  entry.print = [](const Values& values) { return values.cluster_announce_ip; };
  return entry;
}

SettingEntry ClusterJoin() {
  SettingEntry entry =
      Entry("cluster-join", "host:port,...", "a list of host:port with commas in between",
            kStartOnly, "nodes to join at the start; one that is this node itself is passed over");
  entry.several_words = true;
  entry.parse = [](Values& values, std::string_view text) {
    const auto list = ParseHostPorts(text);
    if (!list) return false;
    values.cluster_join = text;
    return true;
  };
  entry.print = [](const Values& values) { return values.cluster_join; };
  return entry;
}

std::vector<SettingEntry> MakeTable() {
  const SettingEntry query_buffer =
      Bytes("query-buffer-limit", &Values::query_buffer_limit, 1 << 16, kBufferHigh, kRunTime,
            "bytes of one client's input that are not yet executed");
  const SettingEntry argument = Bytes("max-argument-bytes", &Values::max_argument_bytes, 1024,
                                      512LL << 20, kRunTime, "bytes of one argument");
  return {
      // network
      Integer("port", &Values::port, 0, 65535, kStartOnly, "port of all protocols; 0 for none"),
      Integer("redis-port", &Values::redis_port, 0, 65535, kStartOnly,
              "port of a listener that answers as Redis does from the first byte; 0 for none"),
      Integer("karma-port", &Values::karma_port, 0, 65535, kStartOnly,
              "a second port, for Karma's clients (theirs is 8080); 0 for none"),
      Bind(),
      Text("unixsocket", &Values::unixsocket, kStartOnly, "path of a Unix socket; empty for none"),
      UnixSocketPermissions(),
      Integer("timeout", &Values::timeout, 0, 1 << 30, kRunTime,
              "seconds of idleness until a client is cut; 0 for never"),
      Integer("tcp-keepalive", &Values::tcp_keepalive, 0, 1 << 30, kRunTime,
              "seconds between probes of idle connections; 0 for none"),
      Integer("tcp-backlog", &Values::tcp_backlog, 1, 65535, kStartOnly,
              "connections that wait to be accepted"),
      Integer("maxclients", &Values::maxclients, 1, 1'000'000, kRunTime, "connections at one time"),
      YesNo("protected-mode", &Values::protected_mode, kRunTime,
            "refuse clients from beyond this machine while there is no password"),
      Integer("threads", &Values::threads, 0, 256, kStartOnly, "workers; 0 for one per core"),
      // limits
      query_buffer,
      Alias(query_buffer, "client-query-buffer-limit", "Redis' name of query-buffer-limit"),
      argument,
      Alias(argument, "proto-max-bulk-len", "Redis' name of max-argument-bytes"),
      Bytes("output-buffer-limit", &Values::output_buffer_limit, kBufferLow, kBufferHigh, kRunTime,
            "bytes of replies that wait for one client; it is cut beyond"),
      Bytes("output-buffer-limit-pubsub", &Values::output_buffer_limit_pubsub, kBufferLow,
            kBufferHigh, kRunTime, "the same for subscribers and monitors"),
      OutputClasses(),
      Bytes("maxmemory", &Values::maxmemory, 0, kMax, kRunTime,
            "bytes beyond which writes are refused; 0 for no limit"),
      Fixed("maxmemory-policy", "noeviction", "a counter is never evicted"),
      Integer("multi-queue-limit", &Values::multi_queue_limit, 1, 100'000'000, kRunTime,
              "commands that one MULTI may queue"),
      // security
      Text("requirepass", &Values::requirepass, kRunTime,
           "the password that clients must give; empty for none"),
      Text("auth-token", &Values::auth_token, kRunTime,
           "the token of JSON requests; empty for none (then requirepass is theirs too)"),
      Text("read-auth-token", &Values::read_auth_token, kRunTime,
           "a token of JSON requests that is enough for what changes nothing; empty for none"),
      // log output
      LogLevel(),
      Text("logfile", &Values::logfile, kStartOnly,
           "where the log goes; empty for standard output"),
      // data
      Text("dir", &Values::dir, kStartOnly, "directory of the data"),
      Fsync(),
      Alias(Fsync(), "appendfsync", "Redis' name of fsync"),
      Fixed("appendonly", "yes", "every change is logged"),
      Save(),
      Bytes("log-segment-size", &Values::log_segment_size, 64 << 10, 1LL << 30, kStartOnly,
            "bytes of one file of the log"),
      YesNo("recover", &Values::recover, kStartOnly,
            "start although stored bytes are damaged, with what verifies"),
      YesNo("restore", &Values::restore, kStartOnly,
            "at the very first start load the newest dump of each tree that Karma left in dir"),
      YesNo("karma-dumps", &Values::karma_dumps, kRunTime,
            "whether SIGINT and SIGUSR1 write Karma dumps of all trees"),
      Either("on-disk-error", &Values::on_disk_error_exit, "exit", "readonly", kRunTime,
             "what to do when the disk fails"),
      Fixed("databases", "1", "there is one keyspace"),
      // cluster
      ClusterJoin(),
      ClusterSecret(),
      ClusterAnnounceIp(),
      Integer("cluster-announce-port", &Values::cluster_announce_port, 0, 65535, kRunTime,
              "the port that goes with cluster-announce-ip; 0 for port"),
      Integer("cluster-node-timeout", &Values::cluster_node_timeout, 100, 3'600'000, kRunTime,
              "milliseconds of silence after which a node is suspected; after twice as long it is "
              "down"),
      Integer("cluster-frame-interval", &Values::cluster_frame_interval, 1, 1000, kRunTime,
              "milliseconds for which changes are gathered before they go to the other nodes"),
      Integer("cluster-digest-interval", &Values::cluster_digest_interval, 0, 86'400'000, kRunTime,
              "milliseconds between comparisons of what the nodes have, in quiet times; 0: never"),
      Bytes("cluster-ring-size", &Values::cluster_ring_size, 1 << 20, kBufferHigh, kRunTime,
            "bytes of recent changes that are kept in memory for nodes that lag"),
      Either("rejoin", &Values::rejoin_auto, "auto", "manual", kRunTime,
             "whether a node that the others have forgotten starts again as a new member and adds "
             "what only it has counted"),
      Bytes("rejoin-log-size", &Values::rejoin_log_size, 0, kBufferHigh, kRunTime,
            "bytes of the log that are kept for that, as long as some node lacks what is in them"),
      // counters
      DefaultPrecision(),
      Integer("history-size", &Values::history_size, 1, 1000, kRunTime,
              "samples that the prediction of a counter looks back on"),
      Either("zero-counters", &Values::zero_counters_drop, "drop", "keep", kRunTime,
             "whether a counter that is 0, never expires and was not touched for 3 s is removed"),
      // diagnosis
      Integer("slowlog-log-slower-than", &Values::slowlog_log_slower_than, -1, kMax, kRunTime,
              "microseconds from which SLOWLOG keeps a command; -1 for never"),
      Integer("slowlog-max-len", &Values::slowlog_max_len, 0, 100'000, kRunTime,
              "entries that SLOWLOG keeps"),
      Integer("latency-monitor-threshold", &Values::latency_monitor_threshold, 0, kMax, kRunTime,
              "milliseconds from which LATENCY keeps an event; 0 for never"),
      YesNo("extended-redis-compatibility", &Values::extended_redis_compatibility, kRunTime,
            "HELLO and INFO call the server \"redis\""),
  };
}

std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// One character of a double-quoted word, with its escape; moves `i` past it.
char Unescape(std::string_view line, std::size_t& i) {
  if (line[i] != '\\' || i + 1 >= line.size()) return line[i++];
  if (line[i + 1] == 'x' && i + 3 < line.size() && HexDigit(line[i + 2]) >= 0 &&
      HexDigit(line[i + 3]) >= 0) {
    const int byte = HexDigit(line[i + 2]) * 16 + HexDigit(line[i + 3]);
    i += 4;
    return static_cast<char>(byte);
  }
  const char c = line[i + 1];
  i += 2;
  constexpr std::string_view kLetters = "nrtba";
  constexpr std::string_view kMeanings = "\n\r\t\b\a";
  const std::size_t at = kLetters.find(c);
  return at == std::string_view::npos ? c : kMeanings[at];
}

// The word in quotes at `i` (on the opening quote); false if it does not end, or not at a blank.
bool QuotedWord(std::string_view line, std::size_t& i, std::string& word) {
  const char quote = line[i++];
  while (i < line.size() && line[i] != quote) {
    if (quote == '"') {
      word += Unescape(line, i);
    } else if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == '\'') {
      word += '\'';
      i += 2;
    } else {
      word += line[i++];
    }
  }
  if (i >= line.size()) return false;
  ++i;
  return i == line.size() || line[i] == ' ' || line[i] == '\t' || line[i] == '\r';
}

}  // namespace

const std::vector<SettingEntry>& SettingTable() {
  static const std::vector<SettingEntry> table = MakeTable();
  return table;
}

int FindSetting(std::string_view name) {
  const auto& table = SettingTable();
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (EqualsIgnoreCase(table[i].name, name)) return static_cast<int>(i);
  }
  return -1;
}

bool SplitWords(std::string_view line, std::vector<std::string>& words) {
  std::size_t i = 0;
  while (true) {
    while (i < line.size() && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r')) ++i;
    if (i >= line.size()) return true;
    std::string word;
    while (i < line.size() && line[i] != ' ' && line[i] != '\t' && line[i] != '\r') {
      if (line[i] == '"' || line[i] == '\'') {
        if (!QuotedWord(line, i, word)) return false;
      } else {
        word += line[i++];
      }
    }
    words.push_back(std::move(word));
  }
}

std::string_view NearestSetting(std::string_view name) {
  std::string_view nearest;
  std::size_t least = std::max<std::size_t>(2, name.size() / 3) + 1;
  if (name.size() > 64) return {};
  const std::string lower = ToLower(name);
  for (const SettingEntry& entry : SettingTable()) {
    const std::size_t distance = EditDistance(lower, entry.name);
    if (distance >= least) continue;
    least = distance;
    nearest = entry.name;
  }
  return nearest;
}

}  // namespace jeton::command
