// What breaks in a ClusterSimulation, and comes back.
#include <algorithm>

#include "sim/cluster/cluster_simulation_internal.h"

namespace jeton::sim {

void ClusterSimulation::Start(std::size_t n) {
  ClusterNode& node = *nodes_[n];
  Life& life = lives_[n];
  Status started = node.Start();
  if (!started && life.set_aside) {
    Event(NameOf(n) + " dies as it starts: " + started.error().text);
    node.Crash(Chance(rates_.power));
    started = node.Start();
  }
  if (!started && rates_.disk > 0) {
    // Somebody makes room, or looks after the disk.
    Event(NameOf(n) + " does not start: " + started.error().text);
    node.disk().SetCapacity(SimDisk::kNever);
    node.disk().FailSync(SimDisk::kNever);
    node.Crash(true);
    // What a killed process had written and not synced may have gone now.
    if (!sync_always_) life.excused = true;
    started = node.Start();
  }
  if (!started) return Fail(NameOf(n) + " does not start: " + started.error().text);
  if (life.node != NodeId{} && node.cluster().node_id() != life.node) BeginNextLife(n);
  life.node = node.cluster().node_id();
  drivers_[n] = &node.cluster();
  const int before = life.origin;
  life.origin = ledger_.AddOrigin(node.origin());
  life.runs.push_back(life.origin);
  for (Brought& brought : brought_) {
    if (brought.node == n && node.cluster().rejoins()) brought.to.push_back(life.origin);
  }
  if (!node.cluster().rejoins()) NoteRejoined(n);
  life.known = {};
  life.seen = {};
  life.next_tick = 0;
  Event(NameOf(n) + " starts as " + TextOf(node.origin()) +
        (node.replica() == nullptr
             ? ", alone"
             : ", one of " + std::to_string(node.replica()->members().size())));
  const crdt::VersionVector vector = KnownVector(n);
  // The disk may have failed, or been full, before it heard that there are peers: then it had no
  // peers either.
  const bool was_alone = (life.failed || rates_.disk > 0) &&
                         std::all_of(vector.begin(), vector.end(),
                                     [&](const auto& item) { return item.first == node.origin(); });
  if (before >= 0 && node.replica() != nullptr && !was_alone) {
    const OriginId& old = ledger_.IdOf(static_cast<std::size_t>(before));
    // What a FLUSHALL somewhere else has swept away is in no frame.
    const std::uint64_t epoch = node.replica()->epoch();
    const Lsn late = epoch > life.recorded_epoch ? 0 : life.recorded_late;
    const Lsn at_once = epoch > life.acknowledged_epoch ? 0 : life.acknowledged;
    for (const auto& [origin, acknowledged] : {std::pair{old, at_once}, {LazyOf(old), late}}) {
      const Lsn known = KnownVector(n).Get(origin);
      if (life.excused || known >= acknowledged) continue;
      Fail(NameOf(n) + " has lost what it had acknowledged: LSN " + std::to_string(acknowledged) +
           ", there is " + std::to_string(known));
    }
  } else if (before >= 0) {
    // A run of a node alone is known to nobody else; its values are those of the next run.
    for (std::size_t cell = 0; cell < ledger_.cells().size(); ++cell) {
      const auto shown = Shown(n, ledger_.cells()[cell]);
      if (shown) ledger_.Add(life.origin, static_cast<int>(cell), {}, *shown);
    }
    ledger_.Logged(life.origin, 1);
  }
  if (before >= 0 && node.replica() != nullptr) CheckRows(n);
  life.acknowledged = life.to_acknowledge = 0;
  life.recorded = life.recorded_late = 0;
  life.excused = life.failed = false;
  if (life.joined && KnowsNobody(n) && !node.cluster().rejoins()) Join(n);
  if (before >= 0) {
    for (Life& other : lives_) {
      if (&other != &life && other.behind) other.catching_up.Join(KnownVector(n));
    }
  }
  Check(n, "a start");
}

void ClusterSimulation::Crash(std::size_t n) {
  ClusterNode& node = *nodes_[n];
  if (!node.up()) return;
  const bool power = Chance(rates_.power);
  Life& life = lives_[n];
  // Without a sync before replies a power loss may take some, and so may a failed sync.
  const bool failed = node.node().state().disk_failed.load();
  life.failed = failed;
  if ((power || failed) && !node.node().sync_before_reply()) {
    life.excused = life.uncertain = true;
  }
  ++result_.counts.crashes;
  Event(NameOf(n) + (power ? " loses its power" : " dies"));
  drivers_[n] = nullptr;
  network_->Died(n, mono_);
  node.Crash(power);
  if (life.image && Chance(rates_.back) && n != 0) {
    Event(NameOf(n) + " gets an older disk");
    node.SetBack(*life.image);
    life.excused = life.uncertain = true;
    ++result_.counts.rollbacks;
    life.behind = true;
    for (std::size_t other = 0; other < nodes_.size(); ++other) {
      if (nodes_[other]->up()) life.catching_up.Join(KnownVector(other));
    }
  }
}

void ClusterSimulation::Join(std::size_t n) {
  if (!nodes_[n]->up()) return;
  // By the one that is in it for certain: two pairs that have found each other stay two clusters.
  const std::size_t other = 0;
  if (other == n) return;
  Event(NameOf(n) + " joins by " + std::to_string(other));
  ++result_.counts.joins;
  nodes_[n]->cluster().Join(nodes_[n]->now(), {{Network::HostOf(other), Network::kPort}});
  lives_[n].joined = true;
}

void ClusterSimulation::Shift() {
  ++result_.counts.partitions;
  const std::uint64_t kind = prng_.Below(5);
  Event("partition " + std::to_string(kind));
  for (std::size_t a = 0; a < nodes_.size(); ++a) {
    for (std::size_t b = 0; b < nodes_.size(); ++b) network_->Cut(a, b, false);
  }
  if (kind == 0) return;
  const std::size_t one = AnyNode(), other = AnyNode();
  const std::uint64_t half = prng_.Next();
  for (std::size_t a = 0; a < nodes_.size(); ++a) {
    for (std::size_t b = 0; b < nodes_.size(); ++b) {
      const bool apart = (half >> a & 1) != (half >> b & 1);
      if (kind == 1 && apart) network_->Cut(a, b, true);
      if (kind == 2 && (half >> a & 1) && !(half >> b & 1)) network_->Cut(a, b, true);
      if (kind == 3 && a == one) network_->Cut(a, b, true);
      if (kind == 4 && ((a == one && b == other) || (a == other && b == one))) {
        network_->Cut(a, b, true);
      }
    }
  }
}

// A node that is down for good.
void ClusterSimulation::Forget(std::size_t gone) {
  // On a full disk it is forgotten only until the next start.
  if (rates_.disk > 0) return;
  if (gone == 0 || !lives_[gone].joined || lives_[gone].forgotten || !nodes_[gone]->up()) return;
  // On a disk from before it was a member, too.
  if (nodes_[gone]->replica() == nullptr && !nodes_[gone]->cluster().rejoins()) return;
  std::size_t living = 0;
  for (const Life& life : lives_) living += life.forgotten ? 0u : 1u;
  if (living <= 2) return;
  const NodeId id = nodes_[gone]->cluster().node_id();
  const auto state_at = [&](ClusterNode& node) -> std::optional<replication::MemberState> {
    const auto& members = node.cluster().replicator().members();
    const auto found = members.find(id);
    if (found == members.end()) return std::nullopt;
    return found->second.state;
  };
  const auto by = std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& node) {
    const auto number = static_cast<std::size_t>(&node - nodes_.data());
    return number != gone && !lives_[number].forgotten && node->up() &&
           node->replica() != nullptr && state_at(*node) == replication::MemberState::kMember;
  });
  if (by == nodes_.end()) return;
  // On a disk from before it was a member it would stay forgotten, until somebody resets it.
  lives_[gone].image.reset();
  Crash(gone);
  const auto posted = (*by)->cluster().Forget(HexOf(id));
  Tick(static_cast<std::size_t>(by - nodes_.begin()));
  lives_[gone].forgotten = state_at(**by) == replication::MemberState::kForgotten;
  Event(NameOf(gone) + (lives_[gone].forgotten ? " is forgotten" : " is not forgotten"));
  if (!lives_[gone].forgotten) return;
  ++result_.counts.forgets;
  forgotten_.push_back(id);
  lives_[gone].returns = returning_prng_.Chance(0.6);
}

// Whoever forgot a node may have been forgotten itself before it told anybody: somebody notices the
// dead node among the members.
void ClusterSimulation::ForgetAgain() {
  const auto knows = [&](std::size_t n, const NodeId& id, replication::MemberState state) {
    if (lives_[n].forgotten || !nodes_[n]->up()) return false;
    const auto& members = nodes_[n]->cluster().replicator().members();
    const auto found = members.find(id);
    return found != members.end() && found->second.state == state;
  };
  for (const NodeId& id : forgotten_) {
    std::optional<std::size_t> by;
    bool known = false;
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
      known = known || knows(n, id, replication::MemberState::kForgotten);
      if (!by && knows(n, id, replication::MemberState::kMember)) by = n;
    }
    if (known || !by) continue;
    Event(NameOf(*by) + " is told again of a node to forget");
    const auto posted = nodes_[*by]->cluster().Forget(HexOf(id));
    if (!posted) Fail(NameOf(*by) + " does not forget: " + posted.error().text);
  }
}

// A node that only a forgotten one had let in is forgotten by whoever hears of it too late.
void ClusterSimulation::SeeForgotten(std::size_t by) {
  if (lives_[by].forgotten) return;
  const auto& members = nodes_[by]->cluster().replicator().members();
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    Life& life = lives_[n];
    const auto found = members.find(life.node);
    if (n == by || life.forgotten || found == members.end() ||
        found->second.state != replication::MemberState::kForgotten) {
      continue;
    }
    Event(NameOf(n) + " is forgotten by " + NameOf(by) + " with who had let it in");
    life.forgotten = life.returns = true;
    life.image.reset();  // as for Forget
    ++result_.counts.forgets;
    forgotten_.push_back(life.node);
  }
}

// Another machine takes the address of one that is forgotten.
void ClusterSimulation::Replace(std::size_t n) {
  Event(NameOf(n) + " is replaced");
  ++result_.counts.replaced;
  for (Brought& brought : brought_) {
    if (brought.node == n && !brought.done) brought.uncertain = true;  // it is not on that disk
  }
  MakeNode(n);
  Advance(0);
  Start(n);
  if (result_.ok) Join(n);
}

void ClusterSimulation::BreakDisk(std::size_t n) {
  SimDisk& disk = nodes_[n]->disk();
  if (Chance(0.3)) {
    Event("a sync of node " + std::to_string(n) + " will fail");
    disk.FailSync(prng_.Below(5));
    ++result_.counts.disk_failures;
  } else {
    const bool full = Chance(0.6);
    Event("the disk of node " + std::to_string(n) + (full ? " fills up" : " has space"));
    disk.SetCapacity(full ? disk.used_bytes() + prng_.Below(4000) : SimDisk::kNever);
    if (full) ++result_.counts.full_disks;
  }
}

void ClusterSimulation::Break() {
  const std::size_t n = AnyNode();
  const bool failed = nodes_[n]->up() && nodes_[n]->node().state().disk_failed.load();
  if (Chance(rates_.crash * static_cast<double>(nodes_.size())) || (failed && Chance(0.1))) {
    Crash(n);
  }
  if (Chance(rates_.partition)) Shift();
  if (Chance(rates_.partition)) network_->ResetSome(0.5);
  if (Chance(rates_.disk)) BreakDisk(n);
  if (Chance(rates_.forget)) Forget(AnyNode());
  if (!Returns(n) && Chance(0.01)) Replace(n);
  if (Chance(rates_.jump)) {
    lives_[n].skew += prng_.Between(-600'000, 600'000);
    Event("the clock of node " + std::to_string(n) + " jumps");
  }
  const bool in_between =
      nodes_[n]->up() && (lives_[n].forgotten || nodes_[n]->cluster().rejoins());
  if (Chance(0.002) && nodes_[n]->up() && !in_between)
    lives_[n].image = nodes_[n]->disk().TakeImage();
  if (!nodes_[n]->up() && Returns(n) && Chance(0.02)) Start(n);
  if (n != 0 && nodes_[n]->up() && !lives_[n].joined && Chance(0.01)) Join(n);
}

}  // namespace jeton::sim
