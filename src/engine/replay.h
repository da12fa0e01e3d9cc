// Replay: applies a log in bulk. Mutations are gathered and sorted by partition, and then each
// partition's are applied together: its table and records stay in the cache meanwhile, and several
// threads can work on different partitions. The order of the mutations of one name is kept, which
// is all that matters once a batch is done. While one batch is applied the next is gathered.
//
// Threads: one calls it; it uses more, and takes no partition's lock: its caller owns the keyspace,
// but for workers that fetch ahead. Those are shut out by the TurnLock where tables are cleared.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/lock.h"
#include "base/time.h"
#include "engine/keyspace.h"
#include "engine/tree_mutation.h"

namespace jeton::engine {

class Replay {
 public:
  // `now` is for bookkeeping of zero counters.
  Replay(Keyspace& keyspace, TurnLock& turn_lock, WallMs now, int threads)
      : keyspace_(keyspace), turn_lock_(turn_lock), now_(now), threads_(threads) {}
  ~Replay() { Finish(); }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  // The mutations of one log record. They are applied by the next Flush at the latest: until then
  // the bytes must stay. False if they do not decode; what came before the bad mutation counts.
  bool Add(std::string_view unit);
  void Flush();

 private:
  static constexpr std::size_t kBatch = 1 << 18;  // 24 bytes each
  static constexpr std::uint32_t kNoTree = UINT32_MAX;
  struct Item {
    std::uint64_t hash;
    const char* bytes;  // of the mutation, which has been decoded once
    std::uint32_t size;
    std::uint32_t tree;  // in the batch's trees, or kNoTree
  };
  struct Batch {
    std::array<std::vector<Item>, Keyspace::kPartitions> items;
    std::vector<std::string_view> trees;  // names that items refer to
    std::size_t size = 0;
  };

  bool Gather(ByteReader& in);
  bool GatherTree(ByteReader& in);
  void Put(const Key& key, const char* begin, const ByteReader& in, std::uint32_t tree);
  void Begin();
  void Work();
  void Finish();
  void ApplyPartition(const std::vector<Item>& items) const;

  Keyspace& keyspace_;
  TurnLock& turn_lock_;
  const WallMs now_;
  const int threads_;
  Batch gathered_;
  Batch applied_;                  // by the helpers, while more is gathered
  std::atomic<unsigned> next_{0};  // of its partitions
  std::vector<std::thread> helpers_;
  TreeMutation of_tree_;
  Key tree_key_;
  bool has_tree_ = false;  // in this unit
};

}  // namespace jeton::engine
