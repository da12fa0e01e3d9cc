#include "sim/replica/model.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/hash.h"
#include "base/prng.h"
#include "engine/frame_merge.h"
#include "sim/replica/ledger.h"
#include "sim/replica/model_changes.h"
#include "sim/replica/model_node.h"

namespace jeton::sim {

using engine::Replica;

namespace {

enum Step : unsigned {
  kChange,
  kCut,
  kPull,
  kPersist,
  kFold,
  kFree,
  kCrash,
  kTransfer,
  kSnapshot,
  kFuzzySnapshot,
  kTime,
  kStray,
  kSteps
};

class World {
 public:
  explicit World(const ReplicaRunOptions& options)
      : options_(options),
        prng_(options.seed * 7919 + 1),
        ledger_(ModelCells()),
        wall_(1'700'000'000'000) {
    Draw();
    Begin();
  }

  ReplicaRunResult Run() {
    const auto steps = prng_.Between(20, options_.steps);
    for (std::int64_t i = 0; i < steps && result_.ok; ++i) TakeStep();
    if (result_.ok) Heal();
    return std::move(result_);
  }

 private:
  void Draw();
  void Begin();
  void TakeStep();
  void Change(std::size_t n);
  void Pull(std::size_t n, std::size_t from, bool partly);
  StoredFrame PerhapsMerged(std::size_t from, const std::vector<StoredFrame>& frames,
                            std::size_t first);
  void Stray(std::size_t n, std::size_t from);
  void CheckTwins(std::size_t n);
  void Crash(std::size_t n);
  void Start(std::size_t n);
  void Heal();
  void HealRound();
  bool Quiet();
  void Compare();

  void Fail(const std::string& reason) {
    if (!result_.ok) return;
    result_.ok = false;
    result_.reason = reason;
  }
  void Check(std::size_t n, const char* when);
  void Watch(std::size_t n);
  void CheckCell(std::size_t n, int cell, const Ledger::Counts& known, const char* when);
  void Event(const std::string& text) {
    result_.hash = HashBytes(text, result_.hash);
    if (!options_.trace) return;
    result_.events.push_back(text);
    if (result_.events.size() > 400) result_.events.pop_front();
  }
  ModelNode& At(std::size_t n) { return *nodes_[n]; }
  std::size_t AnyNode() { return static_cast<std::size_t>(prng_.Below(nodes_.size())); }
  OriginId FreshOrigin(std::size_t n);
  NodeId IdOf(std::size_t n) const {
    NodeId id{};
    id[0] = static_cast<std::uint8_t>(n + 1);
    return id;
  }
  void SetClocks() {
    for (std::size_t n = 0; n < nodes_.size(); ++n) At(n).set_now(wall_ + skew_[n]);
  }

  const ReplicaRunOptions options_;
  Prng prng_;
  ReplicaRunResult result_;
  Ledger ledger_;
  std::vector<std::unique_ptr<ModelNode>> nodes_;
  std::vector<int> own_;  // the ledger's number of each node's origin
  std::vector<WallMs> skew_;
  WallMs wall_;
  bool still_ = false;   // the clocks stand
  bool merges_ = false;  // frames are merged on their way
  std::uint64_t fresh_ = 0;
  std::vector<double> weights_;
  ChangeWeights changes_;
};

void World::Draw() {
  const double strengths[] = {0, 0.3, 1, 1, 2};
  const auto swarm = [&](double weight) { return weight * strengths[prng_.Below(5)]; };
  weights_.assign(kSteps, 0);
  weights_[kChange] = 12;
  weights_[kCut] = 5;
  weights_[kPull] = 9;
  weights_[kPersist] = 2;
  weights_[kFold] = swarm(2);
  weights_[kFree] = swarm(2);
  weights_[kCrash] = swarm(0.9);
  weights_[kTransfer] = swarm(0.4);
  weights_[kSnapshot] = swarm(0.3);
  weights_[kFuzzySnapshot] = swarm(0.6);
  weights_[kTime] = swarm(1);
  weights_[kStray] = swarm(0.5);
  changes_ = DrawChangeWeights(prng_);
  still_ = prng_.Chance(0.3);
  merges_ = prng_.Chance(0.5) && options_.merges;
}

OriginId World::FreshOrigin(std::size_t n) {
  OriginId id{};
  ++fresh_;
  for (int i = 0; i < 6; ++i)
    id[5 - static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(fresh_ >> (8 * i));
  id[6] = static_cast<std::uint8_t>(n);
  own_[n] = ledger_.AddOrigin(id);
  return id;
}

void World::Begin() {
  const std::size_t sizes[] = {2, 3, 3, 4};
  const std::size_t count = sizes[prng_.Below(4)];
  const bool early = prng_.Chance(0.4);
  const bool merges = prng_.Chance(0.6);
  const Decimal precision = prng_.Chance(0.3) ? 2 : 0;
  own_.resize(count);
  std::vector<NodeId> members;
  for (std::size_t n = 0; n < count; ++n) {
    members.push_back(IdOf(n));
    skew_.push_back(prng_.Chance(0.5) ? 0 : prng_.Between(-5000, 5000));
    nodes_.push_back(
        std::make_unique<ModelNode>(ModelNode::Options{.id = IdOf(n),
                                                       .hash_seed = options_.seed + n,
                                                       .bugs = options_.bugs,
                                                       .publishes_early = early,
                                                       .merges_units = merges,
                                                       .default_precision = precision}));
  }
  SetClocks();
  const OriginId home = FreshOrigin(0);
  Lsn alone = 0;
  if (prng_.Chance(0.6)) {
    ChangeContext context{At(0), ledger_, own_[0], prng_};
    alone = 1 + prng_.Below(9);
    MakeAloneContents(context);
    ledger_.Logged(own_[0], 1);
    At(0).unit().Clear();
  }
  At(0).BeginAlone(home, alone, members);
  for (std::size_t n = 1; n < count; ++n) {
    At(n).BeginAlone(FreshOrigin(n), 0, members);
    if (alone > 0 && !At(n).TakeState(At(0))) Fail("an empty node does not take the state");
    Check(n, "joined");
  }
}

void World::Check(std::size_t n, const char* when) {
  if (!result_.ok) return;
  ++result_.counts.checks;
  if (!options_.watch.empty()) Watch(n);
  const Ledger::Counts known = ledger_.Known(At(n).KnownVector(), own_[n]);
  if (At(n).replica().epoch() < ledger_.EpochOf(known)) return Fail("an epoch behind");
  for (std::size_t cell = 0; cell < ledger_.cells().size() && result_.ok; ++cell) {
    CheckCell(n, static_cast<int>(cell), known, when);
  }
}

std::string TextOf(const LedgerCell& cell) {
  return cell.name + (cell.in_tree ? "/" + cell.key + "@" + std::to_string(cell.bucket) : "");
}

void World::Watch(std::size_t n) {
  for (const LedgerCell& cell : ledger_.cells()) {
    if (TextOf(cell) != options_.watch) continue;
    const auto shown = ShownValue(At(n), cell);
    const auto scope = ScopeOf(At(n), cell);
    const std::string state = At(n).replica().Describe({.name = cell.name,
                                                        .in_tree = cell.in_tree,
                                                        .key = cell.key,
                                                        .bucket = cell.bucket,
                                                        .tree_epoch = scope.tree_epoch});
    Event("    " + std::to_string(n) + " shows " + (shown ? shown->ToString() : "-") +
          " tree epoch " + std::to_string(scope.tree_epoch) + ": " + state);
  }
}

void World::CheckCell(std::size_t n, int cell, const Ledger::Counts& known, const char* when) {
  const LedgerCell& where = ledger_.cells()[static_cast<std::size_t>(cell)];
  const auto shown = ShownValue(At(n), where);
  if (!shown) return;
  const Ledger::Scope scope = ScopeOf(At(n), where);
  if (where.in_tree && scope.tree_epoch < ledger_.TreeEpochOf(where.name, scope.epoch, known)) {
    return Fail("the epoch of " + where.name + " is behind");
  }
  const Decimal expected = ledger_.Expected(cell, scope, known);
  if (*shown == expected) return;
  Fail(std::string(when) + ": node " + std::to_string(n) + " shows " + shown->ToString() +
       " and not " + expected.ToString() + " as " + TextOf(where));
}

void World::TakeStep() {
  const double total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  double drawn = total * static_cast<double>(prng_.Below(1u << 30)) / (1u << 30);
  unsigned step = 0;
  while (step + 1 < kSteps && drawn >= weights_[step]) drawn -= weights_[step++];
  const std::size_t n = AnyNode();
  std::size_t other = AnyNode();
  if (other == n) other = (n + 1) % nodes_.size();
  if (!still_ && prng_.Chance(0.2)) wall_ += prng_.Between(0, 500);
  SetClocks();
  ModelNode& node = At(n);
  if (!node.up()) {
    if (prng_.Chance(0.3)) Start(n);
    return;
  }
  switch (step) {
    case kChange:
      return Change(n);
    case kCut:
      Event("cut " + std::to_string(n));
      if (prng_.Chance(0.4)) {
        node.CutLazy();
      } else {
        node.Cut(prng_.Chance(0.3));
      }
      break;
    case kPersist:
      Event("persist " + std::to_string(n));
      node.Persist();
      break;
    case kPull:
      if (!At(other).up()) return;
      Pull(n, other, prng_.Chance(0.7));
      if (result_.ok && prng_.Chance(0.5)) node.Persist();
      break;
    case kFold:
      Event("fold " + std::to_string(n));
      node.Fold(1 + prng_.Below(3));
      break;
    case kFree:
      Event("free " + std::to_string(n));
      node.Free();
      break;
    case kCrash:
      Crash(n);
      if (prng_.Chance(0.5)) Start(n);
      return;
    case kTransfer:
      if (!At(other).up()) return;
      if (!node.TakeState(At(other))) return;
      ++result_.counts.transfers;
      Event("state from " + std::to_string(other) + " to " + std::to_string(n));
      break;
    case kSnapshot:
      if (node.InFuzzySnapshot()) return;
      Event("snapshot " + std::to_string(n));
      node.Snapshot();
      break;
    case kFuzzySnapshot:
      Event("fuzzy snapshot " + std::to_string(n));
      node.InFuzzySnapshot() ? node.EndFuzzySnapshot() : node.BeginFuzzySnapshot();
      break;
    case kTime:
      wall_ += prng_.Between(100, 20'000);
      SetClocks();
      break;
    default:
      if (!At(other).up()) return;
      Stray(n, other);
      break;
  }
  if (node.up()) Check(n, "step");
  if (node.up() && result_.ok) CheckTwins(n);
}

// Exact prefixes: equal vectors mean equal states, at any moment.
void World::CheckTwins(std::size_t n) {
  if (At(n).HasUncut()) return;
  for (std::size_t other = 0; other < nodes_.size(); ++other) {
    if (other == n || !At(other).up() || At(other).HasUncut()) continue;
    if (!(At(n).KnownVector() == At(other).KnownVector())) continue;
    ++result_.counts.checks;
    if (At(n).replica().DigestAll() != At(other).replica().DigestAll()) {
      return Fail("node " + std::to_string(n) + " and node " + std::to_string(other) +
                  " know the same and have different digests");
    }
  }
}

void World::Change(std::size_t n) {
  ChangeContext context{At(n), ledger_, own_[n], prng_};
  const std::size_t ops = prng_.Chance(0.2) ? 1 + prng_.Below(4) : 1;
  std::string text;
  for (std::size_t i = 0; i < ops; ++i) {
    const std::string what = ChangeSomething(context, changes_);
    text += " " + what;
    if (!context.trouble.empty())
      return Fail("node " + std::to_string(n) + what + ": " + context.trouble);
  }
  ledger_.Logged(own_[n], At(n).Commit());
  Event(std::to_string(n) + ":" + text + " lsn " + std::to_string(At(n).lsn()));
  ++result_.counts.changes;
  Check(n, "change");
}

// That frame, or one made of it, some before and some after, as a peer may send them.
StoredFrame World::PerhapsMerged(std::size_t from, const std::vector<StoredFrame>& frames,
                                 std::size_t first) {
  if (!merges_ || prng_.Chance(0.3)) return frames[first];
  std::size_t begin = first;
  for (auto back = prng_.Below(4); back > 0 && begin > 0 && prng_.Chance(0.7); --back) {
    if (frames[begin - 1].to < frames[begin].from || frames[begin - 1].to > frames[begin].to) break;
    --begin;
  }
  std::vector<std::string_view> run;
  for (std::size_t i = begin; i < frames.size() && run.size() < 8; ++i) {
    if (!At(from).IsPublished(frames[i]) || (i > first && prng_.Chance(0.2))) break;
    run.push_back(*frames[i].bytes);
  }
  engine::MergedFrame merged = engine::MergeFrames(run);
  if (begin + merged.count <= first || merged.count < 2) return frames[first];
  ++result_.counts.merged;
  return {.from = frames[begin].from,
          .to = frames[begin + merged.count - 1].to,
          .bytes = std::make_shared<const std::string>(std::move(merged.bytes))};
}

// Everything that `from` has and `n` has not; partly: any origins, any prefix of what is missing.
void World::Pull(std::size_t n, std::size_t from, bool partly) {
  std::vector<OriginId> origins;
  for (const auto& [origin, frames] : At(from).frames()) {
    if (!At(n).replica().IsOwn(origin)) origins.push_back(origin);
  }
  std::size_t limit = std::numeric_limits<std::size_t>::max();
  if (partly && !origins.empty()) {
    for (std::size_t i = origins.size(); i > 1; --i) {
      std::swap(origins[i - 1], origins[prng_.Below(i)]);
    }
    origins.resize(1 + prng_.Below(origins.size()));
    limit = 1 + prng_.Below(3);
  }
  for (const OriginId& origin : origins) {
    std::size_t taken = 0;
    if (At(n).replica().folded().contains(origin)) continue;
    const std::vector<StoredFrame> frames = At(from).frames()[origin];
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const Lsn known = At(n).replica().applied().Get(origin);
      const bool fits = frames[i].from <= known && frames[i].to > known;
      if (!fits || !At(from).IsPublished(frames[i])) continue;
      const StoredFrame frame = PerhapsMerged(from, frames, i);
      Event(std::to_string(n) + " takes " + std::to_string(origin[5]) + " (" +
            std::to_string(frame.from) + "," + std::to_string(frame.to) + "] from " +
            std::to_string(from));
      if (At(n).Receive(frame) != Replica::Outcome::kApplied) return Fail("a frame is not applied");
      ++result_.counts.frames;
      Check(n, "frame");
      if (!result_.ok) return;
      if (At(n).replica().folded().contains(origin) || ++taken >= limit) break;
    }
  }
}

// A frame that is known, or does not follow: nothing may come of it.
void World::Stray(std::size_t n, std::size_t from) {
  auto& all = At(from).frames();
  if (all.empty()) return;
  const auto& [origin, frames] =
      *std::next(all.begin(), static_cast<std::ptrdiff_t>(prng_.Below(all.size())));
  if (At(n).replica().IsOwn(origin) || frames.empty()) return;
  const StoredFrame frame = frames[prng_.Below(frames.size())];
  if (!At(from).IsPublished(frame)) return;
  const Lsn known = At(n).replica().applied().Get(origin);
  const bool folded = At(n).replica().folded().contains(origin);
  const auto outcome = At(n).Receive(frame);
  const bool fits = !folded && frame.from <= known && frame.to > known;
  if ((outcome == Replica::Outcome::kApplied) != fits) Fail("a stray frame is not seen as such");
}

void World::Crash(std::size_t n) {
  const std::size_t unsure = At(n).UnsureRecords();
  const std::size_t kept = prng_.Chance(0.5) ? unsure : prng_.Below(unsure + 1);
  Event("crash " + std::to_string(n) + " loses " + std::to_string(unsure - kept));
  At(n).Crash(kept);
  ++result_.counts.crashes;
  result_.counts.lost_records += unsure - kept;
}

void World::Start(std::size_t n) {
  const int before = own_[n];
  const OriginId own = FreshOrigin(n);
  if (options_.bugs.reuse_origin) own_[n] = before;
  Event("start " + std::to_string(n) + " as " + std::to_string(own[5]));
  if (std::string why = At(n).Start(own); !why.empty()) return Fail("start: " + why);
  Check(n, "start");
}

void World::HealRound() {
  SetClocks();
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    At(n).Cut(true);
    At(n).CutLazy();
    At(n).Persist();
  }
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    for (std::size_t from = 0; from < nodes_.size() && result_.ok; ++from) {
      if (from != n) Pull(n, from, false);
    }
    At(n).Persist();
  }
}

bool World::Quiet() {
  return std::all_of(nodes_.begin(), nodes_.end(), [](const auto& node) {
    return node->replica().closed().empty() && !node->HasUncut();
  });
}

void World::Heal() {
  Event("heal");
  for (std::size_t n = 0; n < nodes_.size() && result_.ok; ++n) {
    if (!At(n).up()) Start(n);
  }
  const bool reuses = options_.bugs.reuse_origin;
  for (int round = 0; round < 60 && result_.ok; ++round) {
    HealRound();
    for (std::size_t n = 0; n < nodes_.size() && result_.ok; ++n) {
      if (weights_[kFold] > 0) At(n).Fold(1 + prng_.Below(64));
      Check(n, "heal fold");
      if (weights_[kFree] > 0) At(n).Free();
      Check(n, "heal free");
      if (round < 6 && prng_.Chance(0.4) && result_.ok) Change(n);
      if (At(n).InFuzzySnapshot()) At(n).EndFuzzySnapshot();
    }
    if (round > 10 && (Quiet() || weights_[kFold] == 0)) break;
  }
  for (int i = 0; i < 4 && result_.ok; ++i) HealRound();
  if (!result_.ok) return;
  if (weights_[kFold] > 0 && !reuses && !Quiet()) return Fail("folds are not finished");
  for (std::size_t n = 0; n < nodes_.size(); ++n)
    result_.counts.folded += At(n).replica().folded().size();
  Compare();
}

void World::Compare() {
  for (std::size_t n = 1; n < nodes_.size(); ++n) {
    const std::string who = "node 0 and node " + std::to_string(n);
    auto ours = At(0).KnownVector(), theirs = At(n).KnownVector();
    if (!(ours == theirs)) return Fail(who + " know different things");
    if (At(0).replica().DigestAll() != At(n).replica().DigestAll()) {
      for (const LedgerCell& cell : ledger_.cells()) {
        if (!options_.trace) break;
        const engine::CellName name{
            .name = cell.name,
            .in_tree = cell.in_tree,
            .key = cell.key,
            .bucket = cell.bucket,
            .tree_epoch = cell.in_tree ? ScopeOf(At(0), cell).tree_epoch : 0};
        const std::string a = At(0).replica().Describe(name), b = At(n).replica().Describe(name);
        if (a.substr(0, a.find('|')) != b.substr(0, b.find('|')))
          Event(cell.name + "/" + cell.key + ": " + a + " | " + b);
      }
      return Fail(who + " have different digests");
    }
    for (const LedgerCell& cell : ledger_.cells()) {
      const auto a = ShownValue(At(0), cell), b = ShownValue(At(n), cell);
      if (a != b) return Fail(who + " differ in " + cell.name);
    }
    if (const std::string name = DifferentAttributes(At(0), At(n)); !name.empty()) {
      return Fail(who + " differ in the expiry, precision or kind of " + name);
    }
  }
  for (std::size_t n = 0; n < nodes_.size(); ++n) Check(n, "end");
}

}  // namespace

ReplicaRunResult RunReplicaSeed(const ReplicaRunOptions& options) {
  return World(options).Run();
}

}  // namespace jeton::sim
