// Settings: every setting of a node in one table. Each entry says name, kind, default, range,
// whether it may change at run time, and what it does; parsing, --help, CONFIG GET/SET/REWRITE, the
// settings page of the reference and the error texts are derived from it.
//
// Order of sources, later wins: defaults < file (`name value` lines, `include FILE`) < environment
// (JETON_NAME_WITH_UNDERSCORES) < flags (--name value) < CONFIG SET.
//
// Threads: Values change only while the TurnLock is held exclusively (CONFIG SET), or before the
// workers start. Who does not hold it may ask for fsync() alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/decimal.h"
#include "base/result.h"

namespace jeton::command {

enum class FsyncPolicy : std::uint8_t { kAlways, kEverySecond, kNo };

struct SavePoint {
  std::int64_t seconds = 0;
  std::int64_t changes = 0;
};

struct Values {
  // network
  std::int64_t port = 5262;
  std::int64_t redis_port = 0;  // 0: no such listener
  std::int64_t karma_port = 0;  // the same
  std::string bind = "127.0.0.1";
  std::string unixsocket;
  std::int64_t unixsocketperm = 0700;
  std::int64_t timeout = 0;          // seconds of idleness until a client is cut; 0: never
  std::int64_t tcp_keepalive = 300;  // seconds
  std::int64_t tcp_backlog = 511;
  std::int64_t maxclients = 10000;
  bool protected_mode = true;
  std::int64_t threads = 0;  // 0: one per core
  // limits
  std::int64_t query_buffer_limit = 1LL << 30;           // bytes of one client's unread input
  std::int64_t max_argument_bytes = 16LL << 20;          // one argument ("proto-max-bulk-len")
  std::int64_t output_buffer_limit = 256LL << 20;        // any client: cut beyond
  std::int64_t output_buffer_limit_pubsub = 32LL << 20;  // subscribers and monitors: cut beyond
  std::int64_t maxmemory = 0;                            // bytes; 0: no limit
  std::int64_t multi_queue_limit = 1'000'000;            // commands queued in one MULTI
  // security
  std::string requirepass;
  std::string auth_token;       // of Karma's clients; empty: none
  std::string read_auth_token;  // enough for what changes nothing
  // log output
  std::string loglevel = "notice";  // debug verbose notice warning
  std::string logfile;              // empty: standard output
  // data
  std::string dir = "./data";
  FsyncPolicy fsync = FsyncPolicy::kAlways;
  std::vector<SavePoint> save = {{3600, 1}, {300, 100}, {60, 10000}};
  std::int64_t log_segment_size = 64LL << 20;
  bool recover = false;            // start although stored bytes are damaged: load what verifies
  bool restore = true;             // the newest Karma dumps, at the very first start
  bool karma_dumps = true;         // SIGINT and SIGUSR1 write Karma dumps of all trees
  bool on_disk_error_exit = true;  // "on-disk-error exit|readonly"
  // cluster
  std::int64_t cluster_node_timeout = 15'000;  // ms
  std::string cluster_announce_ip;             // empty: as bound
  std::int64_t cluster_announce_port = 0;      // 0: port
  std::string cluster_secret;
  std::string cluster_join;                      // "host:port,host:port"
  std::int64_t cluster_ring_size = 64LL << 20;   // bytes
  std::int64_t cluster_frame_interval = 10;      // ms
  std::int64_t cluster_digest_interval = 60000;  // ms; 0: never
  bool rejoin_auto = true;                       // "rejoin auto|manual"
  std::int64_t rejoin_log_size = 256LL << 20;    // bytes
  // counters
  Decimal default_precision = 0;
  std::int64_t history_size = 10;
  bool zero_counters_drop = true;  // "zero-counters drop|keep"
  // diagnosis
  std::int64_t slowlog_log_slower_than = 10000;  // microseconds; negative: off
  std::int64_t slowlog_max_len = 128;
  std::int64_t latency_monitor_threshold = 0;  // milliseconds; 0: off
  bool extended_redis_compatibility = true;    // HELLO and INFO call the server "redis"
};

enum class Source : std::uint8_t { kDefault, kFile, kEnvironment, kFlag, kConfigSet };

class Settings {
 public:
  Settings();

  const Values& values() const { return values_; }
  // The same as in the values, for any thread.
  FsyncPolicy fsync() const { return fsync_.load(std::memory_order_relaxed); }

  // `where` is put in front of error texts ("jeton.conf:12: ").
  Status Set(std::string_view name, std::string_view value, Source source);
  // Reads lines of a file's text. `read_file` serves `include`; depth is bounded.
  using FileReader = std::function<Result<std::string>(const std::string& path)>;
  Status LoadText(std::string_view text, const std::string& path, const FileReader& read_file);
  // "NAME=value" pairs of the process environment; only JETON_* ones are looked at.
  Status LoadEnvironment(std::span<const std::string> environment);

  // CONFIG SET: several at once, all or nothing. kInvalid for unknown names, bad values and
  // settings that need a restart, in the words of Redis 7.0.
  Status ConfigSet(std::span<const std::pair<std::string_view, std::string_view>> pairs);
  // CONFIG GET: name and value of all settings that match one of the globs, in table order. Of a
  // secret only whether there is one.
  std::vector<std::pair<std::string, std::string>> Get(
      std::span<const std::string_view> globs) const;
  // CONFIG REWRITE: the file's text with current values put in place, comments and order kept.
  std::string RewriteText(std::string_view old_text) const;
  std::string config_file;  // as given on the command line; empty if none

  // One entry as seen from outside: for --help, flags and the reference page.
  struct Description {
    std::string name;
    std::string kind;  // "integer 0..65535", "bytes", "yes|no", "always|everysec|no" ...
    std::string default_value;
    bool at_run_time = false;  // CONFIG SET may change it
    std::string summary;
  };
  static std::vector<Description> Describe();

  // Called after CONFIG SET changed values (still exclusive), with the names that were set.
  std::function<void(std::span<const std::string_view> names)> on_change;

 private:
  Values values_;
  std::atomic<FsyncPolicy> fsync_;
  std::vector<Source> sources_;  // by table index
};

}  // namespace jeton::command
