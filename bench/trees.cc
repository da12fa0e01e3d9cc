// Commands about trees in process, without log or network: `build/release/bench_trees`.
//
// TREE.MSUM and TREE.MINCRBY name 1,000 random keys each; the rate is keys per second on one core,
// from words to reply. The whole-tree commands report the longest slice that they held their worker
// up for, in time of the processor: `worst_us`, and how many slices there were.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "base/prng.h"
#include "command/dispatcher.h"
#include "command/test_server.h"
#include "engine/tree.h"
#include "engine/tree_mutation.h"

namespace jeton::command {
namespace {

constexpr std::size_t kKeysPerCommand = 1000;
constexpr int kCommands = 64;

// What this thread used: whatever else runs on the machine, a slice costs the same.
double ThreadMicroseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

class NoLog final : public LogSink {
 public:
  void Append(std::string_view) override {}
  Lsn last_lsn() const override { return 0; }
};

class Server {
 public:
  // Each key has buckets on so many days, `step` apart, the last one yesterday.
  Server(std::uint64_t keys, std::int64_t days, std::int64_t step = 1)
      : stats_(state_.commands.size()) {
    session_.authenticated = true;
    OpenSession(state_, session_, now_.wall_ms);
    engine::Unit unit(keyspace_, state_.watches);
    const engine::Key name = keyspace_.MakeKey("t");
    unit.CreateTree(name, {});
    const engine::Tree& tree = *keyspace_.FindTree(name, now_.wall_ms);
    engine::TreeMutation cells{.type = engine::TreeMutationType::kCells, .tree = "t"};
    for (std::uint64_t key = 0; key < keys; ++key) {
      const std::string text = KeyOf(key);
      cells.key = tree.MakeKey(text);
      cells.cells.clear();
      for (std::int64_t day = days - 1; day >= 0; --day)
        cells.cells.push_back({19'674 - day * step, static_cast<std::int64_t>(key % 997)});
      keyspace_.Apply(cells, name);
    }
  }
  ~Server() { CloseSession(state_, session_); }

  static std::string KeyOf(std::uint64_t i) { return std::to_string(10'000'000 + i); }

  std::size_t Run(std::span<const std::string_view> words) {
    out_.clear();
    Reply reply(out_, ReplyFormat::kResp2);
    state_.turn_lock.lock_shared();
    dispatcher_.Execute(session_, words, now_, reply);
    state_.turn_lock.unlock_shared();
    return out_.size();
  }

  // False when the query was done; what was to be sent has been.
  bool Continue() {
    if (session_.query == nullptr) return false;
    out_.clear();
    Reply reply(out_, ReplyFormat::kResp2);
    state_.turn_lock.lock_shared();
    dispatcher_.Continue(session_, now_, reply);
    state_.turn_lock.unlock_shared();
    return true;
  }

  engine::Keyspace& keyspace() { return keyspace_; }

 private:
  Now now_{.wall_ms = TestServer::kStart};
  FakeHost host_;
  NoLog log_;
  Settings settings_;
  engine::Keyspace keyspace_{{.hash_seed = 1}};
  ServerState state_{host_, log_, keyspace_, settings_};
  WorkerStats stats_;
  Dispatcher dispatcher_{state_, stats_};
  Session session_;
  std::string out_;
};

// The last one asked for stays: making 30 M buckets takes longer than measuring them.
Server& ServerOf(const benchmark::State& bench) {
  const auto keys = static_cast<std::uint64_t>(bench.range(0));
  const std::tuple wanted(keys, bench.range(1), bench.range(2));
  static std::tuple<std::uint64_t, std::int64_t, std::int64_t> made;
  static std::unique_ptr<Server> server;
  if (made != wanted) {
    server.reset();
    server = std::make_unique<Server>(keys, bench.range(1), bench.range(2));
    made = wanted;
  }
  return *server;
}

// A few commands as a parser leaves them: words in a buffer that was just read.
class Requests {
 public:
  Requests(std::vector<std::string> head, std::uint64_t keys, bool with_amounts) {
    Prng prng(7);
    for (int i = 0; i < kCommands; ++i) {
      std::vector<std::string> words = head;
      for (std::size_t k = 0; k < kKeysPerCommand; ++k) {
        words.push_back(Server::KeyOf(prng.Below(keys)));
        if (with_amounts) words.push_back("3");
      }
      texts_.push_back(std::move(words));
    }
    for (const auto& words : texts_) views_.emplace_back(words.begin(), words.end());
  }
  std::span<const std::string_view> Next() { return views_[next_++ % views_.size()]; }

 private:
  std::vector<std::vector<std::string>> texts_;
  std::vector<std::vector<std::string_view>> views_;
  std::size_t next_ = 0;
};

void RunMany(benchmark::State& bench, const std::vector<std::string>& head, bool with_amounts) {
  const auto keys = static_cast<std::uint64_t>(bench.range(0));
  Server& server = ServerOf(bench);
  Requests requests(head, keys, with_amounts);
  for (auto _ : bench) benchmark::DoNotOptimize(server.Run(requests.Next()));
  bench.SetItemsProcessed(bench.iterations() * static_cast<std::int64_t>(kKeysPerCommand));
}

void MIncrBy(benchmark::State& bench) {
  RunMany(bench, {"TREE.MINCRBY", "t"}, true);
}
void MSum(benchmark::State& bench) {
  RunMany(bench, {"TREE.MSUM", "t", "KEYS"}, false);
}
void MSumOfRange(benchmark::State& bench) {
  RunMany(bench, {"TREE.MSUM", "t", "FROM", "20231110", "TO", "20231113", "KEYS"}, false);
}

void RunSlices(benchmark::State& bench, const std::vector<std::string_view>& words) {
  Server server(static_cast<std::uint64_t>(bench.range(0)), bench.range(1));
  double worst = 0;
  double slices = 0;
  for (auto _ : bench) {
    bool more = true;
    bool first = true;
    slices = 0;
    while (more) {
      const double before = ThreadMicroseconds();
      if (first) {
        server.Run(words);
      } else {
        more = server.Continue();
      }
      first = false;
      worst = std::max(worst, ThreadMicroseconds() - before);
      ++slices;
    }
  }
  bench.counters["worst_us"] = worst;
  bench.counters["slices"] = slices;
}

void Top(benchmark::State& bench) {
  RunSlices(bench, {"TREE.TOP", "t", "10000"});
}
void TopOfRange(benchmark::State& bench) {
  RunSlices(bench, {"TREE.TOP", "t", "100", "FROM", "20230101", "TO", "20231113"});
}
void Total(benchmark::State& bench) {
  RunSlices(bench, {"TREE.TOTAL", "t", "FROM", "2023"});
}
void GetAll(benchmark::State& bench) {
  RunSlices(bench, {"HGETALL", "t"});
}
void Clear(benchmark::State& bench) {
  RunSlices(bench, {"TREE.CLEAR", "t", "FROM", "20231113", "TO", "20231113"});
}
void Reset(benchmark::State& bench) {
  RunSlices(bench, {"TREE.RESET", "t"});
}
void Trim(benchmark::State& bench) {
  RunSlices(bench, {"TREE.TRIM", "t", "BEFORE", "20231113"});
}

// Keys, buckets of each, and how many days lie between two of them.
BENCHMARK(MSum)->Args({1'000'000, 1, 1});
BENCHMARK(MIncrBy)->Args({1'000'000, 1, 1});
BENCHMARK(MSum)->Args({1'000'000, 30, 1});
BENCHMARK(MSumOfRange)->Args({1'000'000, 30, 1});
BENCHMARK(MIncrBy)->Args({1'000'000, 30, 1});
BENCHMARK(MSumOfRange)->Args({1'000'000, 30, 2});
BENCHMARK(MIncrBy)->Args({1'000'000, 30, 2});
BENCHMARK(Top)->Args({1'000'000, 1})->Iterations(3)->Unit(benchmark::kMillisecond);
BENCHMARK(TopOfRange)->Args({1'000'000, 30})->Iterations(3)->Unit(benchmark::kMillisecond);
BENCHMARK(Total)->Args({1'000'000, 30})->Iterations(3)->Unit(benchmark::kMillisecond);
BENCHMARK(GetAll)->Args({1'000'000, 1})->Iterations(3)->Unit(benchmark::kMillisecond);
BENCHMARK(Clear)->Args({1'000'000, 1})->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(Reset)->Args({1'000'000, 1})->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(Trim)->Args({1'000'000, 30})->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace jeton::command

BENCHMARK_MAIN();
