// Trees come and go beside the upkeep that looks for them. For the sanitizers above all.
#include "command/tree_upkeep.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "command/test_server.h"
#include "engine/tree_mutation.h"

namespace jeton::command {
namespace {

constexpr int kTrees = 300;

// As a frame of a peer is applied: exclusively, and so without the partitions' locks.
void MakeTree(ServerState& state, const std::string& name) {
  const std::lock_guard turn(state.turn_lock);
  state.keyspace.Apply(
      engine::TreeMutation{.type = engine::TreeMutationType::kCreate, .tree = name},
      state.keyspace.MakeKey(name));
}

TEST(TreeUpkeep, RunsWhileAPeerMakesTrees) {
  TestServer server;
  ServerState& state = server.state();
  std::atomic<bool> done{false};
  std::jthread peer([&] {
    for (int i = 0; i < kTrees; ++i) MakeTree(state, "views:" + std::to_string(i));
    done.store(true);
  });
  engine::Unit unit(state.keyspace, state.watches);
  for (WallMs now = TestServer::kStart; !done.load(); now += 1000) TendTrees(state, unit, now);
  peer.join();
  EXPECT_EQ(state.keyspace.TreeNames(server.now().wall_ms).size(), kTrees);
}

}  // namespace
}  // namespace jeton::command
