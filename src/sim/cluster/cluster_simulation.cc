#include "sim/cluster/cluster_simulation.h"

#include <algorithm>
#include <utility>

#include "sim/cluster/cluster_simulation_internal.h"

namespace jeton::sim {

namespace {

constexpr MonoNs kHealingMax = 240 * kNsPerSecond;
constexpr MonoNs kHelpAfter = 20 * kNsPerSecond;

}  // namespace

ClusterSimulation::ClusterSimulation(const ClusterRunOptions& options)
    : options_(options),
      prng_(options.seed * 104'729 + 3),
      returning_prng_(options.seed * 7'919 + 11),
      ledger_(ClusterCells()) {}

void ClusterSimulation::Draw() {
  const auto swarm = [&](double rate) {
    constexpr double kStrengths[] = {0, 0.3, 1, 2};
    return rate * kStrengths[prng_.Below(4)];
  };
  const auto count = static_cast<std::size_t>(3 + prng_.Below(Chance(0.2) ? 5 : 2));
  steps_ = options_.steps > 0 ? options_.steps : static_cast<int>(300 * (1 + prng_.Below(8)));
  rates_.crash = swarm(0.002);
  rates_.partition = swarm(0.004);
  rates_.power = Chance(0.5) ? 0.5 : 0;
  rates_.back = Chance(0.3) ? 0.3 : 0;
  rates_.forget = Chance(0.3) ? 0.001 : 0;
  rates_.snapshot = swarm(0.002);
  rates_.jump = swarm(0.001);
  rates_.disk = Chance(0.3) ? 0.002 : 0;
  rates_.write = Chance(0.5) ? 0.4 : 0.1;
  rates_.flush = Chance(0.3) ? 0.1 : 0.7;
  requests_.set = swarm(0.1);
  requests_.drop = swarm(0.05);
  requests_.flush_all = Chance(0.2) ? 0.01 : 0;
  requests_.expire = swarm(0.03);
  requests_.precision = swarm(0.05);
  requests_.tree = swarm(0.2);
  drivers_.assign(count, nullptr);
  lives_.resize(count);
  nodes_.resize(count);
  network_ = std::make_unique<Network>(drivers_, prng_);
  network_->set_weather({.delay_max = Chance(0.3) ? 300 * kNsPerMs : 5 * kNsPerMs,
                         .corrupts = swarm(0.001),
                         .resets = swarm(0.002)});
  sync_always_ = Chance(0.6);
  for (std::size_t n = 0; n < count; ++n) MakeNode(n);
}

// On an empty disk.
void ClusterSimulation::MakeNode(std::size_t n) {
  lives_[n] = {};
  lives_[n].skew = Chance(0.5) ? 0 : prng_.Between(-3'600'000, 3'600'000);
  nodes_[n] = std::make_unique<ClusterNode>(
      ClusterNode::Options{.index = n,
                           .sync_always = sync_always_,
                           .seed = prng_.Next(),
                           .bugs = options_.bugs,
                           .cluster_bugs = options_.cluster_bugs,
                           .say = [this, n](std::string_view line) {
                             Event(NameOf(n) + " says: " + std::string(line));
                           }});
}

void ClusterSimulation::Advance(MonoNs by) {
  mono_ += by;
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    nodes_[n]->SetClock(wall_ + mono_ / kNsPerMs + lives_[n].skew, mono_);
  }
}

void ClusterSimulation::Serve(std::size_t n) {
  ClusterNode& node = *nodes_[n];
  if (!node.up()) return;
  if (node.disk().died()) return Crash(n);  // some time after SetAside
  // Once more, before it has added anything, or all, of what it brings along.
  if (node.cluster().rejoins() && returning_prng_.Chance(0.01)) Forget(n);
  if (!node.up()) return;
  const Now now = node.now();
  if (node.replica() != nullptr) node.replica()->PlantBugs(options_.bugs);
  network_->Deliver(n, now);
  if (mono_ >= lives_[n].next_tick || Chance(0.1)) {
    Tick(n);
    lives_[n].next_tick = node.cluster().NextTick(now);
  }
  SeeForgotten(n);
  network_->CarryOut(n, now);
  if (node.wants_restart()) return SetAside(n);
  if (Chance(rates_.flush)) node.Flush();
  if (Chance(0.05)) Upkeep(n);
  if (Chance(rates_.snapshot)) (void)node.node().StartSnapshot();
  for (int i = 0; i < 40 && node.node().snapshot_wanted(); ++i) (void)node.node().SnapshotStep();
  if (node.Acknowledged()) {
    Life& life = lives_[n];
    ++result_.counts.acknowledged;
    if (!life.told_late && life.to_acknowledge > 0) {
      life.acknowledged = life.to_acknowledge;
      life.acknowledged_epoch = life.to_acknowledge_epoch;
    }
    if (life.has_record && life.to_acknowledge_epoch >= life.recorded_epoch) {
      (life.told_late ? life.recorded_late : life.recorded) = life.to_acknowledge;
    }
  }
  Check(n, "a turn");
}

void ClusterSimulation::Step() {
  Advance(prng_.Between(1, 10) * kNsPerMs);
  for (std::size_t n = 0; n < nodes_.size() && result_.ok; ++n) {
    if (healing_ && !nodes_[n]->up() && Returns(n)) Start(n);
    if (Chance(0.85)) Serve(n);
    if (!healing_ && Chance(rates_.write)) Write(n);
  }
  if (!healing_ && result_.ok) Break();
}

// Who was forgotten by one that has been forgotten itself since knows nobody who lets it in.
// Somebody has it meet another one.
void ClusterSimulation::HelpLost() {
  for (std::size_t n = 1; n < nodes_.size(); ++n) {
    if (!nodes_[n]->up() || !nodes_[n]->cluster().rejoins() || !KnowsNobody(n)) continue;
    if (!std::exchange(lives_[n].helped, true)) Join(n);
  }
}

void ClusterSimulation::Heal() {
  Event("heal");
  healing_ = true;
  network_->HealAll();
  network_->set_weather({});
  rates_.flush = 0.9;
  for (std::size_t n = 0; n < nodes_.size() && result_.ok; ++n) {
    nodes_[n]->disk().SetCapacity(SimDisk::kNever);
    if (nodes_[n]->up() && nodes_[n]->node().state().disk_failed.load()) Crash(n);
    nodes_[n]->disk().FailSync(SimDisk::kNever);
    if (!Returns(n)) continue;
    if (!nodes_[n]->up()) Start(n);
    if (lives_[n].forgotten) continue;
    if (n != 0 && result_.ok && KnowsNobody(n)) Join(n);
  }
  if (result_.ok) ForgetAgain();
  const MonoNs began = mono_;
  std::string why;
  MonoNs next_look = began;
  while (result_.ok) {
    if (mono_ >= next_look) {
      if (Converged(why)) break;
      if (mono_ - began > kHelpAfter) HelpLost();
      // Not in step with the rows that the nodes tell each second.
      next_look = mono_ + prng_.Between(700, 1300) * kNsPerMs;
    }
    if (mono_ - began > kHealingMax) {
      Explain();
      return Fail("after healing " + why);
    }
    Step();
  }
  if (!result_.ok) return;
  result_.counts.healing_seconds = static_cast<double>(mono_ - began) / kNsPerSecond;
  result_.counts.folded = nodes_[0]->replica()->folded().size();
  CompareAll();
  CheckBrought();
}

ClusterRunResult ClusterSimulation::Run() {
  Draw();
  Advance(0);
  for (std::size_t n = 0; n < nodes_.size() && result_.ok; ++n) Start(n);
  lives_[0].joined = true;
  if (Chance(0.5)) {
    for (int i = 0; i < 20 && result_.ok; ++i) {
      Write(0);
      Serve(0);
    }
  }
  for (std::size_t n = 1; n < nodes_.size(); ++n) {
    if (Chance(0.8)) Join(n);
  }
  for (int i = 0; i < steps_ && result_.ok; ++i) Step();
  if (result_.ok) Heal();
  result_.counts.pieces = network_->pieces();
  result_.counts.bytes = network_->bytes();
  result_.counts.virtual_seconds = static_cast<double>(mono_) / kNsPerSecond;
  return std::move(result_);
}

ClusterRunResult RunClusterSeed(const ClusterRunOptions& options) {
  return ClusterSimulation(options).Run();
}

}  // namespace jeton::sim
