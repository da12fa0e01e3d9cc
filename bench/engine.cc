// The engine in process, without log or network: `build/release/bench_engine`.
//
// Rates are per core with batches of 64 names, as a worker has them: hash and prefetch all, then
// execute. The counter `bytes` is what a counter or key takes, all included.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/prng.h"
#include "engine/keyspace.h"
#include "engine/tree.h"
#include "engine/unit.h"
#include "names.h"

namespace jeton::engine {
namespace {

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
  // 3: the stages of different names overlap, so that memory is busy while others are executed.
  const std::size_t slots_ahead = stages == 3 ? 24 : stages > 0 ? kBatch : 0;
  const std::size_t records_ahead = stages == 3 ? 12 : stages == 2 ? kBatch : 0;
  for (auto _ : state) {
    std::size_t hashed = 0;
    std::size_t fetched = 0;
    for (std::size_t i = 0; i < kBatch; ++i) {
      for (; hashed < std::min(kBatch, i + 1 + slots_ahead); ++hashed) {
        keys[hashed] = keyspace.MakeKey(requests[next + hashed]);
        if (slots_ahead > 0) keyspace.Prefetch(keys[hashed]);
      }
      for (; fetched < std::min(kBatch, i + records_ahead); ++fetched) {
        keyspace.PrefetchRecord(keys[fetched]);
      }
      const Key& key = keys[i];
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
    ->Args({1'000'000, 3})
    ->Args({10'000'000, 0})
    ->Args({10'000'000, 1})
    ->Args({10'000'000, 2})
    ->Args({10'000'000, 3});

// As a worker does it: slots and records are fetched for 16 names at once, some groups before their
// use, and the partitions of 16 counters stay locked together.
void BM_IncrementInGroups(benchmark::State& state) {
  constexpr std::size_t kGroup = 16;
  constexpr std::size_t kGroups = 8;
  const auto names = static_cast<std::uint64_t>(state.range(0));
  const auto slots_ahead = static_cast<std::size_t>(state.range(1));
  const auto records_ahead = static_cast<std::size_t>(state.range(2));
  Counters& counters = CountersOf(names);
  Keyspace& keyspace = *counters.keyspace;
  WatchTable watches;
  Unit unit(keyspace, watches);
  constexpr std::size_t kRequests = 1 << 20;
  const Requests requests(names, kRequests);
  Key keys[kGroups][kGroup] = {};
  std::size_t group = 0;
  for (auto _ : state) {
    Key(&coming)[kGroup] = keys[(group + slots_ahead) % kGroups];
    const std::size_t first = (group + slots_ahead) * kGroup % kRequests;
    for (std::size_t i = 0; i < kGroup; ++i) coming[i] = keyspace.MakeKey(requests[first + i]);
    keyspace.PrefetchSlots(coming);
    keyspace.PrefetchRecords(keys[(group + records_ahead) % kGroups]);
    SpinLock* locks[kGroup];
    std::size_t locked = 0;
    for (const Key& key : keys[group % kGroups]) {
      SpinLock& lock = keyspace.LockOf(Keyspace::PartitionOf(key));
      if (lock.try_lock()) locks[locked++] = &lock;
    }
    for (const Key& key : keys[group % kGroups]) {
      if (CounterPlace place = keyspace.FindInteger(key, 0))
        unit.PutInteger(key, place, *place + 1, 1);
    }
    while (locked > 0) locks[--locked]->unlock();
    unit.Clear();
    ++group;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kGroup));
}
BENCHMARK(BM_IncrementInGroups)
    ->ArgNames({"counters", "slots", "records"})
    ->Args({1'000'000, 2, 1})
    ->Args({1'000'000, 4, 1})
    ->Args({1'000'000, 4, 2})
    ->Args({1'000'000, 6, 2})
    ->Args({10'000'000, 2, 1})
    ->Args({10'000'000, 4, 1})
    ->Args({10'000'000, 4, 2})
    ->Args({10'000'000, 6, 2});

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

// ---- trees

constexpr Bucket kToday = 20'000;
constexpr std::size_t kKeysPerCommand = 1000;

std::string KeyOf(std::uint64_t i) {
  return std::to_string(10'000'000 + i);
}

// One tree of numeric keys, each with so many buckets up to today, of small values.
struct Keys {
  Keys(std::uint64_t count, int buckets) {
    Unit unit(keyspace, watches);
    unit.CreateTree(name, {});
    const std::uint64_t empty = keyspace.used_bytes();
    Prng prng(3);
    for (int b = buckets - 1; b >= 0; --b) {
      for (std::uint64_t i = 0; i < count; ++i) {
        const std::string text = KeyOf(i);
        unit.AddToBucket(name, tree(), tree().MakeKey(text), kToday - b, prng.Between(1, 200));
        unit.Clear();
      }
    }
    bytes_each = static_cast<double>(keyspace.used_bytes() - empty) / static_cast<double>(count);
  }

  Tree& tree() { return *keyspace.FindTree(name, 0); }

  Keyspace keyspace{{.hash_seed = 1}};
  WatchTable watches;
  Key name = keyspace.MakeKey("articles");
  double bytes_each = 0;
};

struct TreeShape {
  std::uint64_t keys;
  int buckets;
  friend bool operator==(const TreeShape&, const TreeShape&) = default;
};

Keys& KeysOf(const benchmark::State& state) {
  const TreeShape shape{static_cast<std::uint64_t>(state.range(0)),
                        static_cast<int>(state.range(1))};
  static TreeShape made{};
  static std::unique_ptr<Keys> keys;
  if (!(made == shape)) {
    keys.reset();
    keys = std::make_unique<Keys>(shape.keys, shape.buckets);
    made = shape;
  }
  return *keys;
}

struct KeyTexts {
  explicit KeyTexts(std::uint64_t keys) {
    Prng prng(11);
    for (std::size_t i = 0; i < kCount; ++i) text += KeyOf(prng.Below(keys));
  }
  std::string_view operator[](std::size_t i) const { return {text.data() + i * 8, 8}; }

  static constexpr std::size_t kCount = 1000 * kKeysPerCommand;
  std::string text;
};

// What a command over 1,000 keys does before it looks at the first.
void Gather(const Tree& tree, const KeyTexts& texts, std::size_t first, TreeKey* keys) {
  for (std::size_t i = 0; i < kKeysPerCommand; i += kBatch) {
    const std::size_t end = std::min(i + kBatch, kKeysPerCommand);
    for (std::size_t j = i; j < end; ++j) {
      keys[j] = tree.MakeKey(texts[first + j]);
      tree.Prefetch(keys[j]);
    }
  }
}

template <typename Use>
void RunCommands(benchmark::State& state, Use use) {
  Keys& made = KeysOf(state);
  const KeyTexts texts(static_cast<std::uint64_t>(state.range(0)));
  Unit unit(made.keyspace, made.watches);
  std::vector<TreeKey> keys(kKeysPerCommand);
  std::size_t next = 0;
  for (auto _ : state) {
    const std::lock_guard guard(made.keyspace.LockOf(Keyspace::PartitionOf(made.name)));
    Tree& tree = made.tree();
    Gather(tree, texts, next, keys.data());
    constexpr std::size_t kAhead = 16;
    for (std::size_t i = 0; i < kAhead; ++i) tree.PrefetchRecord(keys[i]);
    for (std::size_t i = 0; i < kKeysPerCommand; ++i) {
      if (i + kAhead < kKeysPerCommand) tree.PrefetchRecord(keys[i + kAhead]);
      use(unit, made.name, tree, keys[i]);
    }
    unit.Clear();
    next = (next + kKeysPerCommand) % KeyTexts::kCount;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kKeysPerCommand));
  state.counters["bytes"] = made.bytes_each;
}

void TreeShapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"keys", "buckets"})->Args({1'000'000, 1})->Args({1'000'000, 30});
}

void BM_TreeIncrement(benchmark::State& state) {
  RunCommands(state, [](Unit& unit, const Key& name, Tree& tree, const TreeKey& key) {
    benchmark::DoNotOptimize(unit.AddToBucket(name, tree, key, kToday, 1));
  });
}
BENCHMARK(BM_TreeIncrement)->Apply(TreeShapes);

void BM_TreeSumWeek(benchmark::State& state) {
  RunCommands(state, [](Unit&, const Key&, Tree& tree, const TreeKey& key) {
    benchmark::DoNotOptimize(tree.SumOf(key, {kToday - 6, kToday}));
  });
}
BENCHMARK(BM_TreeSumWeek)->Apply(TreeShapes);

void BM_TreeTotalOfKey(benchmark::State& state) {
  RunCommands(state, [](Unit&, const Key&, Tree& tree, const TreeKey& key) {
    benchmark::DoNotOptimize(tree.Total(key));
  });
}
BENCHMARK(BM_TreeTotalOfKey)->Apply(TreeShapes);

// A slice of a whole-tree query, as TREE.TOP makes it.
void BM_TreeScanSlice(benchmark::State& state) {
  Keys& made = KeysOf(state);
  std::uint64_t cursor = 0;
  std::int64_t seen = 0;
  for (auto _ : state) {
    cursor = made.tree().Scan(cursor, 1000, [&](const KeyView& key) {
      benchmark::DoNotOptimize(key.SumOf({kToday - 6, kToday}));
      ++seen;
    });
  }
  state.SetItemsProcessed(seen);
}
BENCHMARK(BM_TreeScanSlice)->Apply(TreeShapes);

// Fewer keys: what is measured is bytes, and the sum over a year.
void BM_TreeSumYear(benchmark::State& state) {
  RunCommands(state, [](Unit&, const Key&, Tree& tree, const TreeKey& key) {
    benchmark::DoNotOptimize(tree.SumOf(key, {kToday - 363, kToday}));
  });
}
BENCHMARK(BM_TreeSumYear)->ArgNames({"keys", "buckets"})->Args({100'000, 365});

}  // namespace
}  // namespace jeton::engine

BENCHMARK_MAIN();
