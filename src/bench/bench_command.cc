#include "bench/bench_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/load.h"
#include "bench/report.h"

namespace jeton::bench {
namespace {

struct Flags {
  LoadOptions load;
  bool json = false;
};

int Run(const Flags& flags) {
  const auto result = RunLoad(flags.load);
  if (!result) {
    fmt::print(stderr, "jeton: {}\n", result.error().text);
    return 1;
  }
  fmt::print("{}", flags.json ? JsonReport(*result) : TableReport(flags.load, *result));
  return result->errors == 0 ? 0 : 1;
}

// One of the words; the help shows them in this order, the first is the default.
template <typename T>
void AddChoice(CLI::App& bench, const std::string& name, const std::string& about, T& value,
               const std::vector<std::pair<std::string, T>>& choices) {
  std::vector<std::string> words;
  for (const auto& [word, choice] : choices) words.push_back(word);
  bench
      .add_option_function<std::string>(
          name,
          [&value, choices](const std::string& word) {
            for (const auto& [known, choice] : choices) {
              if (word == known) value = choice;
            }
          },
          about)
      ->check(CLI::IsMember(words))
      ->type_name(fmt::format("{}", fmt::join(words, "|")))
      ->default_str(words.front());
}

void AddShape(CLI::App& bench, LoadOptions& load) {
  bench.add_option("COMMAND", load.command,
                   "incr, get, set, mget, mincrby, msum, or a text such as \"INCRBY %key% 5\"");
  bench.add_option("--read", load.read_command, "The command of the reads of --read-ratio");
  bench.add_option("--read-ratio", load.read_ratio, "Share of reads, 0 to 1");
  bench.add_option("--items", load.items, "Keys of one mget, mincrby or msum");
  bench.add_option("--tree", load.tree, "The tree of mincrby, msum and of Karma");
  bench.add_option("--keys", load.keys, "Number of different keys");
  bench.add_option("--key-format", load.key_format,
                   "Name of a key, with one %d or %08d (default articles:%08d, for Karma %d)");
  AddChoice(bench, "--distribution",
            "Which key comes next; hot is one key, sequential every key in turn", load.distribution,
            {{"uniform", Distribution::kUniform},
             {"zipf", Distribution::kZipf},
             {"hot", Distribution::kHot},
             {"sequential", Distribution::kSequential}});
  bench.add_option("--seed", load.seed, "Seed of the keys");
}

void AddLoad(CLI::App& bench, LoadOptions& load) {
  bench.add_option("--host", load.host, "Name or address of the server");
  bench.add_option("--port", load.port, "Its TCP port");
  AddChoice(bench, "--protocol", "What is spoken; karma is Karma's JSON", load.protocol,
            {{"resp", Protocol::kResp},
             {"karma", Protocol::kKarma},
             {"memcached", Protocol::kMemcached}});
  bench.add_option("--hello", load.hello, "RESP version to ask for with HELLO; 0 for no HELLO")
      ->check(CLI::IsMember({0, 2, 3}));
  bench.add_option("--connections", load.connections, "Connections, over all threads");
  bench.add_option("--pipeline", load.pipeline, "Commands in one write of a connection");
  bench.add_option("--threads", load.threads, "Threads of the generator");
  auto* requests = bench.add_option("--requests", load.requests, "Commands to send in all");
  bench.add_option("--seconds", load.seconds, "Time to measure, without --requests")
      ->excludes(requests);
  bench.add_option("--warmup", load.warmup, "Seconds before the measured time")->excludes(requests);
  bench.add_option("--rate", load.rate,
                   "Commands per second of an open loop: latencies count from when a command was "
                   "due; 0 for a closed loop");
  bench.add_option("--server-pid", load.server_pid,
                   "Process of the server on this machine, to print its CPU time per command");
}

}  // namespace

void AddBench(CLI::App& app, int& status) {
  CLI::App* bench = app.add_subcommand("bench", "Measure a server: throughput and latency");
  bench->option_defaults()->always_capture_default();
  const auto flags = std::make_shared<Flags>();
  AddShape(*bench, flags->load);
  AddLoad(*bench, flags->load);
  bench->add_flag("--json", flags->json, "Print the figures as one line of JSON");
  bench->callback([flags, &status] { status = Run(*flags); });
}

}  // namespace jeton::bench
