// A run of the load generator: threads with connections of their own, each an epoll loop that sends
// pipelines of commands, counts the replies and records how long they took.
//
// Closed loop (rate 0): a connection sends its next pipeline when the last one is answered, and a
// latency is the time from the write to the read that brought the reply.
// Open loop: pipelines are due at even intervals whatever the server does. One that finds no idle
// connection waits, and its latency counts from when it was due, not from when it could be sent: a
// stall of the server is felt by all that would have come in it ("coordinated omission", G. Tene).
// The threads spin while they wait for a due time: each needs a core.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "bench/histogram.h"
#include "bench/key_source.h"
#include "bench/request_batch.h"

namespace jeton::bench {

struct LoadOptions {
  std::string host = "127.0.0.1";
  int port = 5262;
  int connections = 50;
  int pipeline = 1;
  int threads = 1;
  std::uint64_t requests = 0;  // commands to send; 0: as many as fit into `seconds`
  double seconds = 5;
  double warmup = 0;  // seconds before those that are measured
  double rate = 0;    // commands per second of an open loop; 0: closed
  Protocol protocol = Protocol::kResp;
  std::string command = "incr";
  std::string read_command = "get";
  double read_ratio = 0;
  std::size_t items = 100;  // keys of one command of mget, mincrby, msum
  std::string tree = "bench";
  std::uint64_t keys = 1'000'000;
  std::string key_format;  // empty: articles:%08d, and %d for Karma
  Distribution distribution = Distribution::kUniform;
  std::uint64_t seed = 1;
  int hello = 2;       // the version that RESP connections say HELLO with; 0: they do not
  int server_pid = 0;  // whose CPU time is read; 0: nobody's
};

struct LoadResult {
  Histogram latency;           // of the measured commands
  std::uint64_t measured = 0;  // commands answered in the measured time
  double seconds = 0;          // the measured time
  std::uint64_t sent = 0;      // all commands, those of the warm-up too; every one was answered
  std::uint64_t errors = 0;    // error replies among all of them
  std::string first_error;
  std::optional<double> server_cpu_us;  // per measured command

  double rate() const { return seconds > 0 ? static_cast<double>(measured) / seconds : 0; }
};

// Limits that are checked: a wrong value is kInvalid and names it.
constexpr int kConnectionsMax = 50'000;
constexpr int kPipelineMax = 1'000'000;
constexpr int kThreadsMax = 256;
constexpr std::uint64_t kKeysMax = 10'000'000'000;
// A server that answers nothing for so long is given up.
constexpr MonoNs kStallNs = 30 * kNsPerSecond;

// Blocks until the run is over and every command answered. Error replies are counted, not returned
// as an error; a lost connection or broken framing is one.
Result<LoadResult> RunLoad(const LoadOptions& options);

// User and system time of a process in clock ticks, from the text of /proc/PID/stat.
std::optional<std::uint64_t> CpuTicks(std::string_view stat);

}  // namespace jeton::bench
