#include "sim/cluster/cluster_simulation.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <numeric>

#include "base/hash.h"
#include "sim/cluster/cluster_node.h"
#include "sim/cluster/network.h"
#include "sim/replica/ledger.h"

namespace jeton::sim {

namespace {

constexpr WallMs kBeforeAnyExpiry = std::numeric_limits<WallMs>::min();
constexpr const char* kNames[] = {"a", "b", "c", "d"};
constexpr MonoNs kHealingMax = 240 * kNsPerSecond;

std::string TextOf(const OriginId& id) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 4; i < 8; ++i) {
    text.push_back(kHex[id[i] >> 4]);
    text.push_back(kHex[id[i] & 15]);
  }
  return text;
}

std::vector<LedgerCell> Cells() {
  std::vector<LedgerCell> cells;
  for (const char* name : kNames) cells.push_back({name});
  return cells;
}

class ClusterSimulation {
 public:
  explicit ClusterSimulation(const ClusterRunOptions& options)
      : options_(options), prng_(options.seed * 104'729 + 3), ledger_(Cells()) {}

  ClusterRunResult Run();

 private:
  struct Life {
    int origin = -1;         // the ledger's number
    Lsn acknowledged = 0;    // of the run
    Lsn to_acknowledge = 0;  // of the request that waits
    std::uint64_t acknowledged_epoch = 0, to_acknowledge_epoch = 0;
    crdt::VersionVector known;
    crdt::VersionVector catching_up;
    bool forgotten = false;
    bool joined = false;
    MonoNs next_tick = 0;
    WallMs skew = 0;
    bool excused = false;  // its disk was set back
    std::optional<SimDisk::Image> image;
    std::size_t image_origins = 0;
  };

  void Draw();
  void Step();
  void Advance(MonoNs by);
  void Serve(std::size_t n);
  bool MayWrite(std::size_t n);
  void Write(std::size_t n);
  void Note(std::size_t n, const std::vector<std::string>& words, const Decimal& before);
  void Start(std::size_t n);
  void Crash(std::size_t n);
  void Break();
  void Shift();
  void Forget();
  void Join(std::size_t n);
  void Heal();
  void Explain();
  bool Converged(std::string& why);
  void Check(std::size_t n, const char* when);
  crdt::VersionVector KnownVector(std::size_t n);
  // It has not joined, or a crash came between that and the file that says so.
  bool KnowsNobody(std::size_t n) {
    return nodes_[n]->cluster().replicator().members().size() <= 1;
  }
  std::optional<Decimal> Shown(std::size_t n, const std::string& name);
  std::size_t AnyNode() { return static_cast<std::size_t>(prng_.Below(nodes_.size())); }
  bool Chance(double p) { return prng_.Chance(p); }

  void Fail(const std::string& reason) {
    if (!result_.ok) return;
    result_.ok = false;
    result_.reason = reason;
  }
  void Event(const std::string& text) {
    result_.hash = HashBytes(text, result_.hash);
    if (!options_.trace) return;
    result_.events.push_back(std::to_string(mono_ / kNsPerMs) + " ms: " + text);
    if (result_.events.size() > 200000) result_.events.pop_front();
  }

  const ClusterRunOptions options_;
  Prng prng_;
  ClusterRunResult result_;
  Ledger ledger_;
  MonoNs mono_ = kNsPerSecond;
  WallMs wall_ = 1'700'000'000'000;
  std::vector<std::unique_ptr<ClusterNode>> nodes_;
  std::vector<node::PeerDriver*> drivers_;
  std::unique_ptr<Network> network_;
  std::vector<Life> lives_;
  double crash_rate_ = 0, partition_rate_ = 0, write_rate_ = 0.3, flush_rate_ = 0.6;
  double power_share_ = 0, back_rate_ = 0, forget_rate_ = 0, snapshot_rate_ = 0, jump_rate_ = 0;
  bool flushes_all_ = false;
  bool healing_ = false;
};

void ClusterSimulation::Draw() {
  const auto swarm = [&](double rate) {
    constexpr double kStrengths[] = {0, 0.3, 1, 2};
    return rate * kStrengths[prng_.Below(4)];
  };
  const auto count = static_cast<std::size_t>(3 + prng_.Below(Chance(0.2) ? 5 : 2));
  crash_rate_ = swarm(0.0015);
  partition_rate_ = swarm(0.003);
  power_share_ = Chance(0.5) ? 0.5 : 0;
  back_rate_ = Chance(0.3) ? 0.3 : 0;
  forget_rate_ = Chance(0.3) ? 0.0004 : 0;
  snapshot_rate_ = swarm(0.002);
  jump_rate_ = swarm(0.001);
  write_rate_ = Chance(0.5) ? 0.4 : 0.1;
  flush_rate_ = Chance(0.3) ? 0.1 : 0.7;
  flushes_all_ = Chance(0.2);
  drivers_.assign(count, nullptr);
  lives_.resize(count);
  network_ = std::make_unique<Network>(drivers_, prng_);
  network_->set_weather({.delay_max = Chance(0.3) ? 300 * kNsPerMs : 5 * kNsPerMs,
                         .corrupts = swarm(0.001),
                         .resets = swarm(0.002)});
  const bool always = Chance(0.6);
  for (std::size_t n = 0; n < count; ++n) {
    lives_[n].skew = Chance(0.5) ? 0 : prng_.Between(-3'600'000, 3'600'000);
    nodes_.push_back(std::make_unique<ClusterNode>(
        ClusterNode::Options{.index = n,
                             .sync_always = always,
                             .seed = prng_.Next(),
                             .bugs = options_.bugs,
                             .say = [this, n](std::string_view line) {
                               Event("node " + std::to_string(n) + " says: " + std::string(line));
                             }}));
  }
}

void ClusterSimulation::Advance(MonoNs by) {
  mono_ += by;
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    nodes_[n]->SetClock(wall_ + mono_ / kNsPerMs + lives_[n].skew, mono_);
  }
}

std::optional<Decimal> ClusterSimulation::Shown(std::size_t n, const std::string& name) {
  engine::Keyspace& keyspace = nodes_[n]->node().keyspace();
  const auto entry = keyspace.Find(keyspace.MakeKey(name), kBeforeAnyExpiry);
  if (!entry) return std::nullopt;
  return entry->value;
}

crdt::VersionVector ClusterSimulation::KnownVector(std::size_t n) {
  engine::Replica* replica = nodes_[n]->replica();
  if (replica == nullptr) return {};
  crdt::VersionVector known = replica->applied();
  for (const auto& [origin, end] : replica->folded()) known.Advance(origin, end);
  return known;
}

void ClusterSimulation::Check(std::size_t n, const char* when) {
  ClusterNode& node = *nodes_[n];
  if (!result_.ok || !node.up() || node.node().state().loading.load()) return;
  const crdt::VersionVector vector = KnownVector(n);
  Life& life = lives_[n];
  // A node that was set back has said that it holds what it does not: what the others have tidied
  // up because of that it sees in the order in which it comes back.
  if (!vector.Covers(life.catching_up)) return;
  life.catching_up = {};
  if (!vector.Covers(life.known)) {
    return Fail(std::string(when) + ": what node " + std::to_string(n) + " knows went back");
  }
  life.known = vector;
  const Ledger::Counts known = ledger_.Known(vector, life.origin);
  const Ledger::Scope scope{.epoch = node.replica() ? node.replica()->epoch() : 0};
  for (std::size_t cell = 0; cell < ledger_.cells().size(); ++cell) {
    const std::string& name = ledger_.cells()[cell].name;
    const Decimal shown = Shown(n, name).value_or(0);
    const Decimal expected = ledger_.Expected(static_cast<int>(cell), scope, known);
    if (shown == expected) continue;
    if (options_.trace && node.replica()) {
      for (std::size_t other = 0; other < nodes_.size(); ++other) {
        if (!nodes_[other]->up() || nodes_[other]->replica() == nullptr) continue;
        Event(std::to_string(other) + ": " + Shown(other, name).value_or(0).ToString() + " = " +
              nodes_[other]->replica()->Describe({.name = name}));
      }
      for (std::size_t i = 0; i < ledger_.origins(); ++i) {
        const OriginId& id = ledger_.IdOf(i);
        Event(TextOf(id) + (static_cast<int>(i) == life.origin ? " (own)" : "") + " known to " +
              std::to_string(vector.Get(id)) + ", " + std::to_string(known[i]) + " operations" +
              (node.replica()->folded().contains(id) ? ", folded" : ""));
      }
    }
    return Fail(std::string(when) + ": node " + std::to_string(n) + " shows " + shown.ToString() +
                " and not " + expected.ToString() + " as " + name);
  }
}

// ---- clients

void ClusterSimulation::Note(std::size_t n, const std::vector<std::string>& words,
                             const Decimal& before) {
  ClusterNode& node = *nodes_[n];
  engine::Replica* replica = node.replica();
  Life& life = lives_[n];
  if (words[0] == "FLUSHALL") {
    ledger_.Epoch(life.origin, replica->epoch());
    ledger_.Logged(life.origin, node.node().appended_lsn());
    return;
  }
  const int cell = ledger_.Find({words[1]});
  const Ledger::Scope scope{.epoch = replica ? replica->epoch() : 0};
  const Decimal after = Shown(n, words[1]).value_or(0);
  if (words[0] == "INCRBY" || replica == nullptr) {
    // A node alone has no sets: the others learn what it shows.
    ledger_.Add(life.origin, cell, scope, *Decimal::Subtract(after, before));
  } else {
    const crdt::Version version{.clock = replica->clock(), .origin = replica->own()};
    ledger_.Reset(life.origin, cell, scope, ledger_.Known(KnownVector(n), life.origin), version,
                  after);
  }
  ledger_.Logged(life.origin, node.node().appended_lsn());
}

// Whoever is empty may join; two clusters that have something do not merge. So clients wait until a
// node has joined, and joined the one that everybody will be in.
bool ClusterSimulation::MayWrite(std::size_t n) {
  if (n == 0 || !KnowsNobody(n)) return true;
  if (nodes_[n]->replica() == nullptr || !nodes_[0]->up()) return false;
  return nodes_[n]->cluster().cluster() == nodes_[0]->cluster().cluster() &&
         !nodes_[0]->cluster().IsEmpty();
}

void ClusterSimulation::Write(std::size_t n) {
  ClusterNode& node = *nodes_[n];
  if (!node.up() || !node.node().ready() || node.waiting()) return;
  if (!MayWrite(n)) return;
  const std::string name = kNames[prng_.Below(4)];
  std::vector<std::string> words = {"INCRBY", name, std::to_string(prng_.Between(-3, 9))};
  if (Chance(0.1)) words = {"SET", name, std::to_string(10 * prng_.Below(4))};
  if (Chance(0.05)) words = {"DEL", name};
  if (flushes_all_ && node.replica() && Chance(0.01)) words = {"FLUSHALL"};
  const auto was = words.size() > 1 ? Shown(n, words[1]) : std::nullopt;
  if (words[0] == "DEL" && !was) return;
  const std::vector<std::string_view> views(words.begin(), words.end());
  ++result_.counts.requests;
  const std::string reply = node.Request(views);
  const bool refused = !reply.empty() && reply.front() == '-';
  std::string text = std::to_string(n) + ":";
  for (const std::string& word : words) text += " " + word;
  Event(text +
        (refused ? " refused: " + reply : " lsn " + std::to_string(node.node().appended_lsn())));
  if (!refused) Note(n, words, was.value_or(0));
  // What a node alone has acknowledged may be part of the next run's begin.
  lives_[n].to_acknowledge = refused || node.replica() == nullptr ? 0 : node.node().appended_lsn();
  if (node.replica() != nullptr) lives_[n].to_acknowledge_epoch = node.replica()->epoch();
  Check(n, "a request");
}

// ---- nodes

void ClusterSimulation::Serve(std::size_t n) {
  ClusterNode& node = *nodes_[n];
  if (!node.up()) return;
  const Now now = node.now();
  if (node.replica() != nullptr) node.replica()->PlantBugs(options_.bugs);
  network_->Deliver(n, now);
  if (mono_ >= lives_[n].next_tick || Chance(0.1)) {
    node.cluster().Tick(now);
    lives_[n].next_tick = node.cluster().NextTick(now);
  }
  network_->CarryOut(n, now);
  if (Chance(flush_rate_)) node.Flush();
  if (Chance(0.05)) node.Upkeep();
  if (Chance(snapshot_rate_)) (void)node.node().StartSnapshot();
  for (int i = 0; i < 40 && node.node().snapshot_wanted(); ++i) (void)node.node().SnapshotStep();
  if (node.Acknowledged()) {
    ++result_.counts.acknowledged;
    lives_[n].acknowledged = std::max(lives_[n].acknowledged, lives_[n].to_acknowledge);
    lives_[n].acknowledged_epoch = lives_[n].to_acknowledge_epoch;
  }
  Check(n, "a turn");
}

void ClusterSimulation::Start(std::size_t n) {
  ClusterNode& node = *nodes_[n];
  Life& life = lives_[n];
  const Status started = node.Start();
  if (!started)
    return Fail("node " + std::to_string(n) + " does not start: " + started.error().text);
  drivers_[n] = &node.cluster();
  const int before = life.origin;
  life.origin = ledger_.AddOrigin(node.origin());
  life.known = {};
  life.next_tick = 0;
  Event("node " + std::to_string(n) + " starts as " + TextOf(node.origin()) +
        (node.replica() == nullptr
             ? ", alone"
             : ", one of " + std::to_string(node.replica()->members().size())));
  if (before >= 0 && node.replica() != nullptr) {
    const OriginId& old = ledger_.IdOf(static_cast<std::size_t>(before));
    // What a FLUSHALL somewhere else has swept away is in no frame.
    const bool flushed = node.replica()->epoch() > life.acknowledged_epoch;
    if (!life.excused && !flushed && KnownVector(n).Get(old) < life.acknowledged) {
      Fail("node " + std::to_string(n) + " has lost what it had acknowledged: LSN " +
           std::to_string(life.acknowledged) + ", there is " +
           std::to_string(KnownVector(n).Get(old)));
    }
  } else if (before >= 0) {
    // A run of a node alone is known to nobody else; its values are those of the next run.
    for (std::size_t cell = 0; cell < ledger_.cells().size(); ++cell) {
      const auto shown = Shown(n, ledger_.cells()[cell].name);
      if (shown) ledger_.Add(life.origin, static_cast<int>(cell), {}, *shown);
    }
    ledger_.Logged(life.origin, 1);
  }
  life.acknowledged = life.to_acknowledge = 0;
  life.excused = false;
  if (life.joined && KnowsNobody(n)) Join(n);
  Check(n, "a start");
}

void ClusterSimulation::Crash(std::size_t n) {
  ClusterNode& node = *nodes_[n];
  if (!node.up()) return;
  const bool power = Chance(power_share_);
  Life& life = lives_[n];
  // Without a sync before replies a power loss may take some.
  if (power && !node.node().sync_before_reply()) life.excused = true;
  ++result_.counts.crashes;
  Event("node " + std::to_string(n) + (power ? " loses its power" : " dies"));
  drivers_[n] = nullptr;
  network_->Died(n, mono_);
  node.Crash(power);
  if (life.image && Chance(back_rate_) && n != 0) {
    Event("node " + std::to_string(n) + " gets an older disk");
    node.SetBack(*life.image);
    life.excused = true;
    ++result_.counts.rollbacks;
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
  Event("node " + std::to_string(n) + " joins by " + std::to_string(other));
  ++result_.counts.joins;
  nodes_[n]->cluster().Join(nodes_[n]->now(), {{Network::HostOf(other), Network::kPort}});
  lives_[n].joined = true;
}

// ---- what breaks

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
void ClusterSimulation::Forget() {
  const std::size_t gone = AnyNode();
  if (gone == 0 || !lives_[gone].joined || lives_[gone].forgotten) return;
  std::size_t living = 0;
  for (const Life& life : lives_) living += life.forgotten ? 0u : 1u;
  if (living <= 2) return;
  const auto by = std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& node) {
    return node.get() != nodes_[gone].get() && node->up() && node->replica() != nullptr;
  });
  if (by == nodes_.end() || !nodes_[gone]->up()) return;
  const NodeId id = nodes_[gone]->cluster().node_id();
  std::string hex;
  constexpr char kHex[] = "0123456789abcdef";
  for (const std::uint8_t byte : id) {
    hex.push_back(kHex[byte >> 4]);
    hex.push_back(kHex[byte & 15]);
  }
  Crash(gone);
  const Status posted = (*by)->cluster().Forget(hex);
  Event("node " + std::to_string(gone) + " is forgotten" + (posted ? "" : ": refused"));
  if (!posted) return;
  lives_[gone].forgotten = true;
  ++result_.counts.forgets;
}

void ClusterSimulation::Break() {
  const std::size_t n = AnyNode();
  if (Chance(crash_rate_ * static_cast<double>(nodes_.size()))) Crash(n);
  if (Chance(partition_rate_)) Shift();
  if (Chance(partition_rate_)) network_->ResetSome(0.5);
  if (Chance(forget_rate_)) Forget();
  if (Chance(jump_rate_)) {
    lives_[n].skew += prng_.Between(-600'000, 600'000);
    Event("the clock of node " + std::to_string(n) + " jumps");
  }
  if (Chance(0.002) && nodes_[n]->up()) lives_[n].image = nodes_[n]->disk().TakeImage();
  if (!nodes_[n]->up() && !lives_[n].forgotten && Chance(0.02)) Start(n);
  if (n != 0 && nodes_[n]->up() && !lives_[n].joined && Chance(0.01)) Join(n);
}

void ClusterSimulation::Step() {
  Advance(prng_.Between(1, 10) * kNsPerMs);
  for (std::size_t n = 0; n < nodes_.size() && result_.ok; ++n) {
    if (Chance(0.85)) Serve(n);
    if (!healing_ && Chance(write_rate_)) Write(n);
  }
  if (!healing_ && result_.ok) Break();
}

// ---- healing

// What each node knows of the origins that not all know equally, and has frames of.
void ClusterSimulation::Explain() {
  if (!options_.trace) return;
  for (std::size_t i = 0; i < ledger_.origins(); ++i) {
    const OriginId& id = ledger_.IdOf(i);
    std::string text = TextOf(id);
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
      if (!nodes_[n]->up() || nodes_[n]->replica() == nullptr) continue;
      const engine::Replica& replica = *nodes_[n]->replica();
      const bool folded = replica.folded().contains(id);
      const Lsn known = KnownVector(n).Get(id);
      text += " | " + std::to_string(n) + ": " + std::to_string(known) + (folded ? " folded" : "");
      const auto closed = replica.closed().find(id);
      if (closed != replica.closed().end()) text += " closed by " + TextOf(closed->second.by);
      for (const std::string& record : nodes_[n]->cluster().FrameRecords()) {
        ByteReader in(std::string_view(record).substr(1));
        const crdt::Frame frame = crdt::DecodeFrame(in);
        if (frame.origin != id) continue;
        text += " (" + std::to_string(frame.from) + "," + std::to_string(frame.to) + "]";
      }
    }
    Event(text);
  }
}

bool ClusterSimulation::Converged(std::string& why) {
  std::size_t first = nodes_.size();
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    if (lives_[n].forgotten) continue;
    const std::string who = "node " + std::to_string(n);
    engine::Replica* replica = nodes_[n]->replica();
    if (replica == nullptr || nodes_[n]->node().state().loading.load()) {
      why = who + (replica == nullptr ? " is alone" : " is loading");
      return false;
    }
    if (replica->HasUncut()) return why = who + " has changes that are in no frame", false;
    // A closer that its own node does not know any more, on an older disk, folds nothing.
    if (!replica->closed().empty() && result_.counts.rollbacks == 0) {
      why = who + " has something to fold:";
      for (const auto& [origin, closing] : replica->closed()) {
        why += " " + TextOf(origin) + " known to " +
               std::to_string(replica->applied().Get(origin)) + " by " + TextOf(closing.by) +
               " at " + std::to_string(closing.at) +
               (closing.by == replica->own() ? " (itself)" : "") +
               (replica->folded().contains(closing.by) ? " (folded)" : "");
        for (const NodeId& member : replica->members()) {
          const auto row = replica->rows().find(member);
          if (row == replica->rows().end()) {
            why += ", no row";
            continue;
          }
          why += ", " + std::to_string(row->second.Get(origin)) + "/" +
                 std::to_string(row->second.Get(closing.by));
        }
        why += ";";
      }
      return false;
    }
    if (first == nodes_.size()) {
      first = n;
      continue;
    }
    if (!(KnownVector(n) == KnownVector(first))) return why = who + " knows less or more", false;
  }
  return true;
}

void ClusterSimulation::Heal() {
  Event("heal");
  healing_ = true;
  network_->HealAll();
  network_->set_weather({});
  flush_rate_ = 0.9;
  for (std::size_t n = 0; n < nodes_.size() && result_.ok; ++n) {
    if (lives_[n].forgotten) continue;
    if (!nodes_[n]->up()) Start(n);
    if (n != 0 && KnowsNobody(n)) Join(n);
  }
  const MonoNs began = mono_;
  std::string why;
  MonoNs next_look = began;
  while (result_.ok) {
    if (mono_ >= next_look) {
      if (Converged(why)) break;
      next_look = mono_ + kNsPerSecond;
    }
    if (mono_ - began > kHealingMax) {
      Explain();
      return Fail("after healing " + why);
    }
    Step();
  }
  if (!result_.ok) return;
  result_.counts.healing_seconds = static_cast<double>(mono_ - began) / kNsPerSecond;
  engine::Replica* first = nodes_[0]->replica();
  result_.counts.folded = first->folded().size();
  for (std::size_t n = 1; n < nodes_.size(); ++n) {
    if (lives_[n].forgotten) continue;
    if (nodes_[n]->replica()->DigestAll() != first->DigestAll()) {
      return Fail("node 0 and node " + std::to_string(n) + " have different digests");
    }
    for (const char* name : kNames) {
      if (Shown(0, name).value_or(0) != Shown(n, name).value_or(0)) {
        return Fail("node 0 and node " + std::to_string(n) + " differ in " + name);
      }
    }
  }
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
  for (int i = 0; i < options_.steps && result_.ok; ++i) Step();
  if (result_.ok) Heal();
  result_.counts.pieces = network_->pieces();
  result_.counts.bytes = network_->bytes();
  result_.counts.virtual_seconds = static_cast<double>(mono_) / kNsPerSecond;
  return std::move(result_);
}

}  // namespace

ClusterRunResult RunClusterSeed(const ClusterRunOptions& options) {
  return ClusterSimulation(options).Run();
}

}  // namespace jeton::sim
