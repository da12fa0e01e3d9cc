// The engine in process, without log or network: `build/release/bench_engine`.
//
// Rates are per core with batches of 64 names, as a worker has them: hash and prefetch all, then
// execute. The counter `bytes` is what a counter or key takes, all included.
#include <benchmark/benchmark.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/prng.h"
#include "engine/keyspace.h"
#include "engine/unit.h"

namespace jeton::engine {
namespace {

constexpr std::size_t kBatch = 64;

std::string NameOf(std::uint64_t i) {
  return "articles:" + std::to_string(10'000'000 + i);
}

struct Counters {
  explicit Counters(std::uint64_t count)
      : keyspace(std::make_unique<Keyspace>(Keyspace::Options{.hash_seed = 1})) {
    const std::uint64_t empty = keyspace->used_bytes();
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string name = NameOf(i);
      const auto value = static_cast<std::int64_t>(i % 1000);
      keyspace->Apply({.type = MutationType::kCounter, .name = name, .value = value},
                      keyspace->MakeKey(name), 0);
    }
    bytes_each = static_cast<double>(keyspace->used_bytes() - empty) / static_cast<double>(count);
  }

  std::unique_ptr<Keyspace> keyspace;
  double bytes_each = 0;
};

// The last size asked for stays: making 10 M counters takes longer than measuring them.
Counters& CountersOf(std::uint64_t count) {
  static std::uint64_t made = 0;
  static std::unique_ptr<Counters> counters;
  if (made != count) {
    counters.reset();
    counters = std::make_unique<Counters>(count);
    made = count;
  }
  return *counters;
}

// Names as a parser leaves them: text in a buffer that was just read.
struct Requests {
  Requests(std::uint64_t names, std::size_t count) {
    Prng prng(7);
    for (std::size_t i = 0; i < count; ++i) text += NameOf(prng.Below(names));
    size = text.size() / count;
  }
  std::string_view operator[](std::size_t i) const { return {text.data() + i * size, size}; }

  std::string text;
  std::size_t size;
};

void BM_Increment(benchmark::State& state) {
  const auto names = static_cast<std::uint64_t>(state.range(0));
  const auto stages = state.range(1);
  Counters& counters = CountersOf(names);
  Keyspace& keyspace = *counters.keyspace;
  WatchTable watches;
  Unit unit(keyspace, watches);
  constexpr std::size_t kRequests = 1 << 20;
  const Requests requests(names, kRequests);
  Key keys[kBatch];
  std::size_t next = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      keys[i] = keyspace.MakeKey(requests[next + i]);
      if (stages >= 1) keyspace.Prefetch(keys[i]);
    }
    if (stages >= 2) {
      for (const Key& key : keys) keyspace.PrefetchRecord(key);
    }
    for (const Key& key : keys) {
      const std::lock_guard guard(keyspace.LockOf(Keyspace::PartitionOf(key)));
      CounterPlace place = keyspace.FindInteger(key, 0);
      unit.PutInteger(key, place, *place + 1, 1);
    }
    unit.Clear();
    next = (next + kBatch) % kRequests;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
  state.counters["bytes"] = counters.bytes_each;
}
BENCHMARK(BM_Increment)
    ->ArgNames({"counters", "prefetch"})
    ->Args({1'000'000, 0})
    ->Args({1'000'000, 1})
    ->Args({1'000'000, 2})
    ->Args({10'000'000, 0})
    ->Args({10'000'000, 1})
    ->Args({10'000'000, 2});

void BM_Scan(benchmark::State& state) {
  Keyspace& keyspace = *CountersOf(10'000'000).keyspace;
  std::uint64_t cursor = 0;
  std::int64_t seen = 0;
  for (auto _ : state) {
    cursor = keyspace
                 .Scan(cursor, static_cast<std::size_t>(state.range(0)), 0,
                       [&](std::string_view, const Entry&) { ++seen; })
                 .next;
  }
  state.SetItemsProcessed(seen);
}
BENCHMARK(BM_Scan)->ArgName("count")->Arg(10)->Arg(1000);

void BM_EncodeSlice(benchmark::State& state) {
  Keyspace& keyspace = *CountersOf(10'000'000).keyspace;
  Keyspace::SliceCursor cursor;
  unsigned partition = 0;
  std::int64_t records = 0;
  for (auto _ : state) {
    keyspace.EncodeSlice(partition, cursor, 16 << 10, [&](std::string_view) { ++records; });
    if (!cursor.done) continue;
    partition = (partition + 1) % Keyspace::kPartitions;
    cursor = {};
  }
  state.SetItemsProcessed(records);
}
BENCHMARK(BM_EncodeSlice);

// Loads what a snapshot of 10 M counters holds.
void BM_Load(benchmark::State& state) {
  std::string bytes;
  {
    Keyspace& keyspace = *CountersOf(10'000'000).keyspace;
    for (unsigned partition = 0; partition < Keyspace::kPartitions; ++partition) {
      Keyspace::SliceCursor cursor;
      while (!cursor.done) {
        keyspace.EncodeSlice(partition, cursor, 1 << 20,
                             [&](std::string_view record) { bytes += record; });
      }
    }
  }
  std::int64_t loaded = 0;
  for (auto _ : state) {
    Keyspace keyspace({.hash_seed = 1});
    benchmark::DoNotOptimize(keyspace.ApplyEncoded(bytes, 0));
    loaded += static_cast<std::int64_t>(keyspace.size(0));
  }
  state.SetItemsProcessed(loaded);
}
BENCHMARK(BM_Load)->Unit(benchmark::kMillisecond)->Iterations(2);

}  // namespace
}  // namespace jeton::engine

BENCHMARK_MAIN();
