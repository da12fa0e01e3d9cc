#include "bench/load.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

#include "bench/load_thread.h"

namespace jeton::bench {
namespace {

constexpr MonoNs kForever = std::numeric_limits<MonoNs>::max();

Status Check(const LoadOptions& options) {
  const auto between = [](std::string_view name, double value, double low, double high) {
    if (value >= low && value <= high) return Status();
    return Status(Error{ErrorKind::kInvalid,
                        fmt::format("--{} {}: must be from {} to {}", name, value, low, high)});
  };
  if (auto s = between("port", options.port, 1, 65535); !s) return s;
  if (auto s = between("connections", options.connections, 1, kConnectionsMax); !s) return s;
  if (auto s = between("threads", options.threads, 1, std::min(kThreadsMax, options.connections));
      !s) {
    return s;
  }
  if (auto s = between("pipeline", options.pipeline, 1, kPipelineMax); !s) return s;
  if (auto s = between("items", static_cast<double>(options.items), 1, kPipelineMax); !s) return s;
  if (auto s = between("keys", static_cast<double>(options.keys), 1, kKeysMax); !s) return s;
  if (auto s = between("read-ratio", options.read_ratio, 0, 1); !s) return s;
  if (auto s = between("seconds", options.seconds, 0.001, 1e6); !s) return s;
  if (auto s = between("warmup", options.warmup, 0, 1e6); !s) return s;
  return between("rate", options.rate, 0, 1e9);
}

Result<RequestBatch> MakeBatch(const LoadOptions& options) {
  const bool karma = options.protocol == Protocol::kKarma;
  const std::string format_text = !options.key_format.empty() ? options.key_format
                                  : karma                     ? "%d"
                                                              : "articles:%08d";
  auto format = KeyFormat::Parse(format_text, options.keys);
  if (!format) return format.error();
  RequestBatch::Mix mix;
  mix.read_ratio = options.read_ratio;
  auto text = CommandText(options.protocol, options.command, options.items, options.tree);
  if (!text) return text.error();
  mix.write = EncodeCommand(options.protocol, *text, *format);
  if (options.read_ratio > 0) {
    auto read = CommandText(options.protocol, options.read_command, options.items, options.tree);
    if (!read) return read.error();
    mix.read = EncodeCommand(options.protocol, *read, *format);
  }
  return RequestBatch::Make(mix, static_cast<std::size_t>(options.pipeline), *format);
}

ReplyFraming FramingOf(Protocol protocol) {
  switch (protocol) {
    case Protocol::kResp:
      break;
    case Protocol::kKarma:
      return ReplyFraming::kJsonLines;
    case Protocol::kMemcached:
      return ReplyFraming::kMemcachedLines;
  }
  return ReplyFraming::kResp;
}

Result<std::vector<Socket>> ConnectAll(const LoadOptions& options, int count) {
  const int hello = options.protocol == Protocol::kResp ? options.hello : 0;
  std::vector<Socket> sockets;
  for (int i = 0; i < count; ++i) {
    auto socket = Connect(options.host, options.port, hello);
    if (!socket) return socket.error();
    sockets.push_back(std::move(*socket));
  }
  return sockets;
}

Result<std::vector<LoadThread>> MakeThreads(const LoadOptions& options, std::atomic<bool>& stop) {
  auto batch = MakeBatch(options);
  if (!batch) return batch.error();
  const auto threads = static_cast<std::uint64_t>(options.threads);
  std::vector<LoadThread> loads;
  for (std::uint64_t i = 0; i < threads; ++i) {
    const auto part = [&](std::uint64_t whole) {
      return whole * (i + 1) / threads - whole * i / threads;
    };
    auto sockets = ConnectAll(
        options, static_cast<int>(part(static_cast<std::uint64_t>(options.connections))));
    if (!sockets) return sockets.error();
    LoadThread::Share share{.sockets = std::move(*sockets),
                            .requests = std::numeric_limits<std::uint64_t>::max(),
                            .framing = FramingOf(options.protocol)};
    if (options.requests > 0) share.requests = part(options.requests);
    if (options.rate > 0) {
      const double seconds = options.pipeline * static_cast<double>(threads) / options.rate;
      share.batch_interval = std::max<MonoNs>(1, static_cast<MonoNs>(seconds * kNsPerSecond));
    }
    loads.emplace_back(std::move(share), *batch,
                       KeySource(options.distribution, options.keys, options.seed, i, threads),
                       stop);
  }
  return loads;
}

Schedule MakeSchedule(const LoadOptions& options, MonoNs start) {
  Schedule schedule{.start = start,
                    .measure_from = start,
                    .end = kForever,
                    .pipeline = static_cast<std::size_t>(options.pipeline)};
  if (options.requests == 0) {
    schedule.measure_from += static_cast<MonoNs>(options.warmup * kNsPerSecond);
    schedule.end = schedule.measure_from + static_cast<MonoNs>(options.seconds * kNsPerSecond);
  }
  return schedule;
}

std::optional<double> CpuSeconds(int pid) {
  if (pid == 0) return std::nullopt;
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::stringstream text;
  text << in.rdbuf();
  const auto ticks = CpuTicks(text.str());
  if (!ticks) return std::nullopt;
  return static_cast<double>(*ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

void SleepUntil(MonoNs deadline, const std::atomic<bool>& stop) {
  constexpr MonoNs kLook = 20 * kNsPerMs;
  for (MonoNs left = deadline - MonotonicNow(); left > 0 && !stop;
       left = deadline - MonotonicNow()) {
    std::this_thread::sleep_for(std::chrono::nanoseconds(std::min(left, kLook)));
  }
}

void Add(LoadResult& result, const LoadThread& load) {
  result.latency.Merge(load.latency());
  result.sent += load.sent();
  result.errors += load.errors();
  if (result.first_error.empty()) result.first_error = load.first_error();
}

}  // namespace

std::optional<std::uint64_t> CpuTicks(std::string_view stat) {
  // The second field is the program's name in parentheses, which may hold anything; the times are
  // fields 14 and 15.
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  std::istringstream fields{std::string(stat.substr(name_end + 1))};
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  if (!(fields >> user >> system)) return std::nullopt;
  return user + system;
}

Result<LoadResult> RunLoad(const LoadOptions& options) {
  if (Status s = Check(options); !s) return s.error();
  if (options.server_pid != 0 && !CpuSeconds(options.server_pid)) {
    return Error{ErrorKind::kNotFound,
                 fmt::format("--server-pid {}: no such process here", options.server_pid)};
  }
  std::atomic<bool> stop = false;
  auto loads = MakeThreads(options, stop);
  if (!loads) return loads.error();

  const Schedule schedule = MakeSchedule(options, MonotonicNow());
  std::vector<Status> statuses(loads->size());
  std::vector<std::thread> threads;
  std::optional<double> cpu_before = CpuSeconds(options.server_pid);
  for (std::size_t i = 0; i < loads->size(); ++i) {
    threads.emplace_back([&, i] { statuses[i] = (*loads)[i].Run(schedule); });
  }
  std::optional<double> cpu_after;
  if (options.requests == 0) {
    SleepUntil(schedule.measure_from, stop);
    cpu_before = CpuSeconds(options.server_pid);
    SleepUntil(schedule.end, stop);
    cpu_after = CpuSeconds(options.server_pid);
  }
  for (std::thread& thread : threads) thread.join();
  if (options.requests > 0) cpu_after = CpuSeconds(options.server_pid);
  for (const Status& status : statuses) {
    if (!status) return status.error();
  }

  LoadResult result;
  MonoNs last = schedule.start;
  for (const LoadThread& load : *loads) {
    Add(result, load);
    last = std::max(last, load.last_reply());
  }
  result.measured = result.latency.count();
  const MonoNs end = options.requests > 0 ? last : schedule.end;
  result.seconds = static_cast<double>(end - schedule.measure_from) / kNsPerSecond;
  if (cpu_before && cpu_after && result.measured > 0) {
    result.server_cpu_us = (*cpu_after - *cpu_before) * 1e6 / static_cast<double>(result.measured);
  }
  return result;
}

}  // namespace jeton::bench
