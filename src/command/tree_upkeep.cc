#include "command/tree_upkeep.h"

#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "command/tree_access.h"

namespace jeton::command {

namespace {

// Freeing a key takes about 100 ns. A partition is locked for the first number of them, one call
// frees about the second.
constexpr std::size_t kKeysPerLock = 500;
constexpr std::size_t kKeysPerCall = 20'000;

void Retain(ServerState& server, engine::Unit& unit, const std::string& name, WallMs now) {
  const engine::Key key = server.keyspace.MakeKey(name);
  std::lock_guard guard(server.keyspace.LockOf(engine::Keyspace::PartitionOf(key)));
  engine::Tree* tree = server.keyspace.FindTree(key, now);
  if (tree == nullptr || tree->settings().retain == 0 || tree->buckets() == 0) return;
  const auto calendar = server.calendars.Find(tree->settings().width, tree->settings().zone);
  if (!calendar.ok()) return;  // commands say so
  const Bucket oldest = OldestKept({.name = key, .tree = tree, .calendar = *calendar}, now);
  unit.TrimTree(key, *tree, oldest);
  if (unit.empty()) return;
  server.log.Append(unit.bytes());
  server.changes_since_save.fetch_add(unit.changes(), std::memory_order_relaxed);
  unit.Clear();
}

// Not under the partitions' locks alone: a frame of a peer makes trees under the TurnLock only.
std::vector<std::string> NamesOfTrees(ServerState& server, WallMs now) {
  std::shared_lock turn(server.turn_lock);
  return server.keyspace.TreeNames(now);
}

void RetainAll(ServerState& server, engine::Unit& unit, WallMs now) {
  // No bucket begins within a second.
  const WallMs second = FloorDiv(now, 1000);
  if (server.trees_retained_at_s.exchange(second) == second) return;
  if (server.disk_full.load() || server.disk_failed.load()) return;
  unit.Clear();
  unit.set_now(now);
  for (const std::string& name : NamesOfTrees(server, now)) {
    std::shared_lock turn(server.turn_lock);
    Retain(server, unit, name, now);
  }
}

void Release(ServerState& server) {
  std::size_t keys = 0;
  for (unsigned partition = 0; partition < engine::Keyspace::kPartitions; ++partition) {
    bool more = true;
    while (more && keys < kKeysPerCall) {
      std::shared_lock turn(server.turn_lock);
      more = server.keyspace.ReleaseTreeMemory(partition, kKeysPerLock);
      if (more) keys += kKeysPerLock;
    }
  }
}

}  // namespace

void TendTrees(ServerState& server, engine::Unit& unit, WallMs now) {
  RetainAll(server, unit, now);
  Release(server);
}

}  // namespace jeton::command
