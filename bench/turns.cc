// Whole turns of a node in process, without sockets: `build/release/bench_turns`.
//
// Each thread is a worker with connections of its own, whose requests come from memory: parsed,
// run, logged (`fsync no`) and answered as in the server. It shows what several workers cost each
// other, which a load generator on the same two cores cannot. The log goes to a folder that is
// removed at the end, in memory where the system has such a place.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/assert.h"
#include "names.h"
#include "node/node.h"
#include "protocol/resp_value.h"
#include "storage/posix_file_system.h"

namespace jeton::node {
namespace {

constexpr std::uint64_t kNames = 1'000'000;
constexpr int kWorkers = 2;
constexpr int kConnections = 50;
constexpr std::size_t kRequestsEach = 1 << 19;  // that a worker goes through again and again

class Folder {
 public:
  Folder() {
    const bool has_memory = access("/dev/shm", W_OK) == 0;
    path_ = std::string(has_memory ? "/dev/shm" : "/tmp") + "/jeton-turns-XXXXXX";
    ASSERT(mkdtemp(path_.data()) != nullptr);
    auto opened = OpenPosixDirectory(path_, false);
    ASSERT(opened.ok());
    directory_ = std::move(opened).value();
  }
  ~Folder() {
    directory_.reset();
    std::filesystem::remove_all(path_);
  }
  Directory& directory() { return *directory_; }

 private:
  std::string path_;
  std::unique_ptr<Directory> directory_;
};

template <typename Clock>
std::int64_t TimeOf() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
      .count();
}

// A node with its names in it, and the thread that does for it what the server's upkeep does.
class Bench {
 public:
  Bench() {
    ASSERT(settings_.Set("fsync", "no", command::Source::kFlag).ok());
    ASSERT(settings_.Set("save", "", command::Source::kFlag).ok());
    auto opened = Node::Open(MakeEnvironment());
    ASSERT(opened.ok());
    node_ = std::move(opened).value();
    ASSERT(node_->Recover().ok());
    for (std::uint64_t i = 0; i < kNames; ++i) {
      const std::string name = engine::NameOf(i);
      node_->keyspace().Apply(
          {.type = engine::MutationType::kCounter, .name = name, .value = std::int64_t{1}},
          node_->keyspace().MakeKey(name), 0);
    }
    upkeep_ = std::thread([this] {
      while (!stop_.load()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        node_->Upkeep(node_->now());
        if (sync_.exchange(false)) (void)node_->FlushLog(true);
      }
    });
  }
  ~Bench() {
    stop_.store(true);
    upkeep_.join();
  }
  Node& node() { return *node_; }

 private:
  Environment MakeEnvironment() {
    Environment env;
    env.directory = &folder_.directory();
    env.settings = &settings_;
    ASSERT(getrandom(&env.fresh.random, sizeof env.fresh.random, 0) > 0);
    env.owner = "bench_turns";
    env.workers = kWorkers;
    env.mono_now = [] { return TimeOf<std::chrono::steady_clock>(); };
    env.wall_now = [] { return TimeOf<std::chrono::system_clock>() / kNsPerMs; };
    env.say = [](LogLevel, std::string_view) {};
    env.wake_worker = [](int) {};
    env.wake_log = [this] { sync_.store(true); };
    env.wake_upkeep = [] {};
    env.request_shutdown = [](command::Host::ShutdownSave) {};
    env.on_disk_failure = [](const Error&) {};
    env.process_facts = [] { return command::Host::ProcessFacts(); };
    env.sleep = [](double) -> Status { return {}; };
    env.read_config = []() -> Result<std::string> { return std::string(); };
    env.write_config = [](std::string_view) -> Status { return {}; };
    return env;
  }

  Folder folder_;
  command::Settings settings_;
  std::unique_ptr<Node> node_;
  std::atomic<bool> stop_{false}, sync_{false};
  std::thread upkeep_;
};

// Requests for random names, as bytes; all have one size.
struct Input {
  explicit Input(std::string_view command) {
    const engine::Requests names(kNames, kRequestsEach);
    for (std::size_t i = 0; i < kRequestsEach; ++i) AppendRespRequest(bytes, {command, names[i]});
    size = bytes.size() / kRequestsEach;
  }
  std::string bytes;
  std::size_t size;
};

void Serve(Worker& worker, Connection& connection, std::string_view bytes, Now now) {
  const std::span<char> space = worker.InputSpace(connection);
  ASSERT(space.size() >= bytes.size());
  std::copy(bytes.begin(), bytes.end(), space.begin());
  worker.Received(connection, bytes.size(), now);
}

void Turns(benchmark::State& state, const Input& input) {
  static Bench bench;
  Node& node = bench.node();
  Worker& worker = node.worker(state.thread_index());
  const auto pipeline = static_cast<std::size_t>(state.range(0));
  std::vector<Connection*> connections;
  {
    const std::shared_lock turn(node.state().turn_lock);
    for (int i = 0; i < kConnections / state.threads(); ++i) {
      connections.push_back(
          &worker.Open({.address = "bench:1", .local_address = "bench:0"}, node.now()));
    }
  }
  std::size_t next = kRequestsEach / 2 * static_cast<std::size_t>(state.thread_index());
  for (auto _ : state) {
    const std::shared_lock turn(node.state().turn_lock);
    const Now now = node.now();
    for (Connection* connection : connections) {
      if (next + pipeline > kRequestsEach) next = 0;
      Serve(worker, *connection,
            std::string_view(input.bytes).substr(next * input.size, pipeline * input.size), now);
      next += pipeline;
    }
    worker.RunTurn(now);
    worker.Release();
    // What waits for another worker's part of the log goes with the next turn.
    for (Connection* connection : std::exchange(worker.sendable(), {})) {
      connection->in_send_list = false;
      worker.Sent(*connection, connection->sendable - connection->sent);
    }
  }
  const std::shared_lock turn(node.state().turn_lock);
  for (Connection* connection : connections) worker.Close(*connection);
  state.SetItemsProcessed(state.iterations() *
                          static_cast<std::int64_t>(pipeline * connections.size()));
}
void BM_Incr(benchmark::State& state) {
  static const Input input("INCR");
  Turns(state, input);
}

void BM_Get(benchmark::State& state) {
  static const Input input("GET");
  Turns(state, input);
}

void Shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgName("pipeline")->Arg(16)->Arg(64)->Arg(256);
  bench->Threads(1)->Threads(kWorkers)->UseRealTime();
}
BENCHMARK(BM_Incr)->Apply(Shapes);
BENCHMARK(BM_Get)->Apply(Shapes);

}  // namespace
}  // namespace jeton::node

BENCHMARK_MAIN();
