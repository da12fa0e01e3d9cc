#include "sim/cluster/cluster_node.h"

#include <shared_mutex>

#include "base/assert.h"
#include "protocol/resp_value.h"
#include "sim/cluster/network.h"
#include "sim/environment.h"

namespace jeton::sim {

ClusterNode::ClusterNode(const Options& options) : options_(options), prng_(options.seed) {
  const auto set = [&](std::string_view name, std::string_view value) {
    ASSERT(settings_.Set(name, value, command::Source::kFlag).ok());
  };
  set("fsync", options.sync_always ? "always" : "everysec");
  set("save", "");
  set("cluster-ring-size", "1mb");
}

ClusterNode::~ClusterNode() {
  node_.reset();
}

node::Environment ClusterNode::MakeEnvironment() {
  node::Environment env = EnvironmentOfSimulator(prng_);
  env.directory = directory_.get();
  env.settings = &settings_;
  env.fresh.wall_ms = wall_;
  env.log_options = LogOptions{.segment_size = kSegmentSizeMin, .staged_bytes_max = 1u << 20};
  env.mono_now = [this] { return mono_; };
  env.wall_now = [this] { return wall_; };
  env.say = [this](node::LogLevel, std::string_view line) { options_.say(line); };
  env.random_bytes = [this](std::uint8_t* out, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(prng_.Next());
  };
  env.cluster_bugs = options_.cluster_bugs;
  env.request_restart = [this] { wants_restart_ = true; };
  return env;
}

Status ClusterNode::Start() {
  directory_ = disk_.Mount();
  auto opened = node::Node::Open(MakeEnvironment());
  if (!opened) return opened.error();
  node_ = std::move(opened).value();
  const auto report = node_->Recover();
  if (!report) {
    const Error error = report.error();
    node_.reset();
    return error;
  }
  node_->peers()->Announce(now(), {Network::HostOf(options_.index), Network::kPort});
  Connect();
  return {};
}

void ClusterNode::Connect() {
  std::shared_lock held(node_->state().turn_lock);
  connection_ = &node_->worker(0).Open({.address = "sim:1", .local_address = "sim:0"}, now());
  waiting_ = false;
}

void ClusterNode::Crash(bool power) {
  // Nothing that a destructor still does may reach the disk.
  disk_.DieAt(0);
  node_.reset();
  directory_.reset();
  connection_ = nullptr;
  waiting_ = wants_restart_ = false;
  disk_.DieAt(SimDisk::kNever);
  disk_.Crash(prng_, !power);
}

std::string ClusterNode::Request(const std::vector<std::string_view>& words) {
  if (waiting_) return {};
  std::string bytes;
  AppendRespRequest(bytes, words);
  std::shared_lock held(node_->state().turn_lock);
  node::Worker& worker = node_->worker(0);
  const std::span<char> space = worker.InputSpace(*connection_);
  ASSERT(space.size() >= bytes.size());
  std::copy(bytes.begin(), bytes.end(), space.begin());
  worker.Received(*connection_, bytes.size(), now());
  worker.RunTurn(now());
  waiting_ = true;
  return connection_->out.substr(connection_->sent);
}

bool ClusterNode::Acknowledged() {
  if (!waiting_) return false;
  std::shared_lock held(node_->state().turn_lock);
  node::Worker& worker = node_->worker(0);
  worker.Release();
  if (connection_->sendable < connection_->out.size() || !connection_->gates.empty()) return false;
  worker.sendable().clear();
  connection_->in_send_list = false;
  worker.Sent(*connection_, connection_->sendable - connection_->sent);
  waiting_ = false;
  return true;
}

void ClusterNode::Flush() {
  (void)node_->FlushLog(true);
}

void ClusterNode::Upkeep() {
  node_->Upkeep(now());
  std::shared_lock held(node_->state().turn_lock);
  node_->worker(0).Tick(now());
}

}  // namespace jeton::sim
