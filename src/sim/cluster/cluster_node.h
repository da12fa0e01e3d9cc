// One node of a ClusterSimulation: the real thing, with its disk, its clock and one client.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "command/settings.h"
#include "node/node.h"
#include "sim/sim_disk.h"

namespace jeton::sim {

class ClusterNode {
 public:
  struct Options {
    std::size_t index = 0;
    bool sync_always = true;
    std::uint64_t seed = 0;
    engine::ReplicaBugs bugs = {};
    node::ClusterBugs cluster_bugs = {};
    std::function<void(std::string_view)> say;
  };

  explicit ClusterNode(const Options& options);
  ~ClusterNode();

  bool up() const { return node_ != nullptr; }
  node::Node& node() { return *node_; }
  node::Cluster& cluster() { return *node_->peers(); }
  // Null while the node is alone.
  engine::Replica* replica() { return node_->peers()->replica(); }
  SimDisk& disk() { return disk_; }
  OriginId origin() const { return node_->store().origin(); }

  void SetClock(WallMs wall, MonoNs mono) {
    wall_ = wall;
    mono_ = mono;
  }
  Now now() const { return {.wall_ms = wall_, .mono_ns = mono_}; }

  Status Start();
  // The process, or with `power` the machine, is gone.
  void Crash(bool power);
  void SetBack(const SimDisk::Image& image) { disk_.Restore(image); }

  // One request, one turn. What is in the connection's output at once, acknowledged or not; empty
  // if the client cannot send.
  std::string Request(const std::vector<std::string_view>& words);
  bool waiting() const { return waiting_; }
  // Whether the reply to the last request has left.
  bool Acknowledged();
  void Flush();
  void Upkeep();
  // The node has asked to be started again.
  bool wants_restart() const { return wants_restart_; }

 private:
  node::Environment MakeEnvironment();
  void Connect();

  Options options_;
  Prng prng_;
  SimDisk disk_;
  std::unique_ptr<Directory> directory_;
  command::Settings settings_;
  std::unique_ptr<node::Node> node_;
  node::Connection* connection_ = nullptr;
  bool waiting_ = false;
  bool wants_restart_ = false;
  WallMs wall_ = 0;
  MonoNs mono_ = 0;
};

}  // namespace jeton::sim
