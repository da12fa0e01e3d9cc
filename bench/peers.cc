// The engine of a node with peers, in process, without log or network: `build/release/bench_peers`.
//
// One core, batches of 64 names as a worker has them. `cluster` 0 is a node alone, 1 one with
// peers that cuts a frame every so many increments, 2 takes in a frame of each of two other origins
// as well. `cut` and `merge` are by themselves: entries per second.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "crdt/frame.h"
#include "engine/keyspace.h"
#include "engine/loader.h"
#include "engine/replica.h"
#include "engine/unit.h"
#include "names.h"

namespace jeton::engine {
namespace {

constexpr WallMs kNow = 1'700'000'000'000;

// A node whose log is a number.
class Site {
 public:
  Site(std::uint8_t id, bool clustered) : id_(id) {
    unit_.set_now(kNow);
    if (!clustered) return;
    replica_ = std::make_unique<Replica>(keyspace_, &watches_,
                                         Replica::Options{.node = NodeId{id},
                                                          .own = OriginId{id},
                                                          .close_record = [this] { return lsn_; },
                                                          .wall_now = [] { return kNow; }});
    keyspace_.set_replica(replica_.get());
    replica_->BeginAs(OriginId{id}, 0);
  }

  void Add(Key key, std::int64_t delta = 1) {
    const std::lock_guard guard(keyspace_.LockOf(Keyspace::PartitionOf(key)));
    if (CounterPlace place = keyspace_.FindInteger(key, kNow)) {
      unit_.PutInteger(key, place, *place + delta, delta);
    } else {
      unit_.Add(key, delta, delta);
    }
  }
  void Commit() {
    ++lsn_;
    unit_.Clear();
  }
  std::string Cut() {
    std::string all = replica_->Cut(lsn_, {}, false).value_or("");
    ++lsn_;
    return all;
  }
  void Take(const std::string& bytes) {
    ByteReader in(bytes);
    const auto outcome = replica_->ApplyFrame(crdt::DecodeFrame(in), kNow);
    if (outcome != Replica::Outcome::kApplied) std::abort();
    ++lsn_;
  }
  Keyspace& keyspace() { return keyspace_; }
  Replica& replica() { return *replica_; }
  Unit& unit() { return unit_; }
  OriginId own() const { return OriginId{id_}; }

 private:
  const std::uint8_t id_;
  Keyspace keyspace_{Keyspace::Options{.hash_seed = 1}};
  WatchTable watches_;
  Unit unit_{keyspace_, watches_};
  std::unique_ptr<Replica> replica_;
  Lsn lsn_ = 1;
};

void AddAll(Site& site, std::uint64_t names) {
  for (std::uint64_t i = 0; i < names; ++i) {
    const std::string name = NameOf(i);
    site.Add(site.keyspace().MakeKey(name));
    if (i % kBatch == kBatch - 1) site.Commit();
  }
  site.Commit();
}

void CutAll(Site& site, std::vector<Site*> others) {
  for (std::string frame = site.Cut(); !frame.empty(); frame = site.Cut()) {
    for (Site* other : others) other->Take(frame);
  }
}

// Frames of an origin, each with all of the names once.
class Frames {
 public:
  Frames(std::uint8_t id, std::uint64_t names) : names_(names), site_(id, true) {}
  std::string Next() {
    AddAll(site_, names_);
    return site_.Cut();
  }

 private:
  const std::uint64_t names_;
  Site site_;
};

void BM_Increment(benchmark::State& state) {
  const auto names = static_cast<std::uint64_t>(state.range(0));
  const auto cluster = state.range(1);
  const auto per_cut = static_cast<std::size_t>(state.range(2));
  Site site(1, cluster > 0);
  AddAll(site, names);
  std::vector<std::string> frames;
  if (cluster > 0) {
    // Written by others, too, from the begin.
    Site second(2, true), third(3, true);
    AddAll(second, names);
    AddAll(third, names);
    CutAll(site, {});
    CutAll(second, {&site});
    CutAll(third, {&site});
  }
  if (cluster > 1) {
    Site* const sites[] = {new Site(4, true), new Site(5, true)};
    for (int i = 0; i < 4000; ++i) {
      AddAll(*sites[i % 2], names);
      frames.push_back(sites[i % 2]->Cut());
    }
    delete sites[0];
    delete sites[1];
  }
  constexpr std::size_t kRequests = 1 << 20;
  const Requests requests(names, kRequests);
  Keyspace& keyspace = site.keyspace();
  Key keys[kBatch];
  std::size_t next = 0, since_cut = 0, frame = 0;
  for (auto _ : state) {
    std::size_t hashed = 0, fetched = 0;
    for (std::size_t i = 0; i < kBatch; ++i) {
      for (; hashed < std::min(kBatch, i + 25); ++hashed) {
        keys[hashed] = keyspace.MakeKey(requests[next + hashed]);
        keyspace.Prefetch(keys[hashed]);
      }
      for (; fetched < std::min(kBatch, i + 12); ++fetched) keyspace.PrefetchRecord(keys[fetched]);
      site.Add(keys[i]);
    }
    site.Commit();
    next = (next + kBatch) % kRequests;
    since_cut += kBatch;
    if (cluster == 0 || since_cut < per_cut) continue;
    since_cut = 0;
    benchmark::DoNotOptimize(site.Cut());
    if (cluster < 2) continue;
    if (frame + 2 > frames.size()) {
      state.SkipWithError("there are no more frames");
      break;
    }
    site.Take(frames[frame++]);
    site.Take(frames[frame++]);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}
BENCHMARK(BM_Increment)
    ->ArgNames({"counters", "cluster", "per_cut"})
    ->Args({1000, 0, 0})
    ->Args({1000, 1, 1 << 30})
    ->Args({1000, 1, 10'000})
    ->Args({1000, 2, 10'000})
    ->Args({1'000'000, 0, 0})
    ->Args({1'000'000, 1, 10'000});

// What a counter takes that so many masters have written, on the first of them (which began the
// cluster, so that its part alone is not kept beside the view) and on another.
void BM_Bytes(benchmark::State& state) {
  const auto masters = static_cast<std::size_t>(state.range(0));
  constexpr std::uint64_t kNames = 1'000'000;
  for (auto _ : state) {
    Site first(1, true), second(2, true), third(3, true);
    Site* const sites[] = {&first, &second, &third};
    for (Site* site : {&second, &third}) site->replica().BeginAs(OriginId{1}, 0);
    for (Site* site : {&second, &third}) site->replica().NextRun(site->own(), 0);
    for (std::size_t i = 0; i < masters; ++i) {
      AddAll(*sites[i], kNames);
      std::vector<Site*> others;
      for (Site* site : sites) {
        if (site != sites[i]) others.push_back(site);
      }
      CutAll(*sites[i], others);
    }
    state.counters["first"] = static_cast<double>(first.keyspace().used_bytes()) / kNames;
    state.counters["second"] = static_cast<double>(second.keyspace().used_bytes()) / kNames;
    state.counters["third"] = static_cast<double>(third.keyspace().used_bytes()) / kNames;
  }
}
BENCHMARK(BM_Bytes)->ArgName("masters")->Arg(1)->Arg(2)->Arg(3)->Iterations(1)->Unit(
    benchmark::kMillisecond);

// Loads what a node that joins is sent of 1 M counters that three masters have written.
void BM_LoadState(benchmark::State& state) {
  constexpr std::uint64_t kNames = 1'000'000;
  Site first(1, true);
  {
    Site second(2, true), third(3, true);
    for (Site* site : {&first, &second, &third}) AddAll(*site, kNames);
    CutAll(first, {});
    CutAll(second, {&first});
    CutAll(third, {&first});
  }
  std::vector<std::string> names, records;
  for (Keyspace::PartitionId id = 0; id < Keyspace::kPartitions; ++id) {
    Keyspace::SliceCursor slice;
    while (!slice.done) {
      first.keyspace().EncodeSlice(id, slice, 1 << 20,
                                   [&](std::string_view bytes) { names.emplace_back(bytes); });
    }
    Replica::StateCursor cursor{.name = {}, .key = {}};
    while (!cursor.done) {
      first.replica().EncodeState(id, cursor, 1 << 20,
                                  [&](std::string_view bytes) { records.emplace_back(bytes); });
    }
  }
  const std::string control = first.replica().EncodeControl(1);
  for (auto _ : state) {
    state.PauseTiming();
    auto site = std::make_unique<Site>(std::uint8_t{1}, true);
    if (!site->replica().DecodeControl(control, true)) std::abort();
    Loader loader(site->keyspace(), kNow);
    for (const std::string& record : names) loader.Apply(record);
    loader.Flush();
    state.ResumeTiming();
    for (const std::string& record : records) {
      if (!site->replica().LoadState(record, kNow)) std::abort();
    }
    state.PauseTiming();
    site.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kNames));
}
BENCHMARK(BM_LoadState)->Unit(benchmark::kMillisecond)->Iterations(2);

void BM_Cut(benchmark::State& state) {
  const auto names = static_cast<std::uint64_t>(state.range(0));
  Site site(1, true), other(2, true);
  AddAll(other, names);
  CutAll(other, {&site});
  for (auto _ : state) {
    state.PauseTiming();
    AddAll(site, names);
    state.ResumeTiming();
    CutAll(site, {});
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(names));
}
BENCHMARK(BM_Cut)->ArgName("counters")->Arg(1000)->Arg(100'000);

void BM_Merge(benchmark::State& state) {
  const auto names = static_cast<std::uint64_t>(state.range(0));
  Site site(1, true);
  AddAll(site, names);
  Frames frames(2, names);
  for (auto _ : state) {
    state.PauseTiming();
    const std::string frame = frames.Next();
    state.ResumeTiming();
    site.Take(frame);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(names));
}
BENCHMARK(BM_Merge)->ArgName("counters")->Arg(1000)->Arg(100'000);

// ---- buckets of one tree, numeric keys

constexpr Bucket kToday = 20'000;
constexpr std::size_t kKeys = 10'000;

void AddToTree(Site& site) {
  const Key name = site.keyspace().MakeKey("articles");
  if (!site.keyspace().HasTree(name)) site.unit().CreateTree(name, {});
  Tree& tree = *site.keyspace().FindTree(name, kNow);
  for (std::size_t i = 0; i < kKeys; ++i) {
    const std::string key = std::to_string(10'000'000 + i);
    site.unit().AddToBucket(name, tree, tree.MakeKey(key), kToday, 1);
    if (i % kBatch == kBatch - 1) site.Commit();
  }
  site.Commit();
}

void BM_AddToBucket(benchmark::State& state) {
  Site site(1, state.range(0) > 0), other(2, true);
  if (state.range(0) > 0) {
    AddToTree(other);
    CutAll(other, {&site});
  }
  for (auto _ : state) {
    AddToTree(site);
    if (state.range(0) > 0) CutAll(site, {});
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kKeys));
}
BENCHMARK(BM_AddToBucket)->ArgName("cluster")->Arg(0)->Arg(1);

void BM_MergeBuckets(benchmark::State& state) {
  Site site(1, true), other(2, true);
  AddToTree(site);
  for (auto _ : state) {
    state.PauseTiming();
    AddToTree(other);
    const std::string frame = other.Cut();
    state.ResumeTiming();
    site.Take(frame);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kKeys));
}
BENCHMARK(BM_MergeBuckets);

}  // namespace
}  // namespace jeton::engine

BENCHMARK_MAIN();
