#include "sim/replica/model_changes.h"

#include <algorithm>
#include <numeric>

#include "engine/tree.h"

namespace jeton::sim {

using engine::Key;
using engine::Keyspace;
using engine::Kind;
using engine::Tree;

namespace {

constexpr const char* kCounters[] = {"a", "b", "c", "both"};
constexpr const char* kTrees[] = {"t", "u", "both"};
constexpr const char* kKeys[] = {"k", "7"};
constexpr Bucket kBuckets = 4;

std::optional<engine::Entry> Raw(ModelNode& node, const std::string& name) {
  Keyspace& keyspace = node.keyspace();
  return keyspace.Find(keyspace.MakeKey(name), engine::kBeforeAnyExpiry);
}

Tree* RawTree(ModelNode& node, const std::string& name) {
  return node.keyspace().FindTree(node.keyspace().MakeKey(name), engine::kBeforeAnyExpiry);
}

// One change. The members are what most of them need.
class Changer {
 public:
  Changer(ChangeContext& context, std::string name)
      : context_(context),
        node_(context.node),
        name_(std::move(name)),
        key_(node_.keyspace().MakeKey(name_)) {}

  std::string Add();
  std::string Set();
  std::string Drop(bool expired);
  std::string Expire();
  std::string Precision();
  std::string HideZero();
  std::string Flush();
  std::string TreeAdd();
  std::string TreeSet();
  std::string TreeClear();
  std::string TreeTrim();
  std::string TreeReset();
  std::string TreeAlter();

 private:
  std::uint64_t Draw(std::uint64_t bound) { return context_.prng.Below(bound); }
  Decimal DrawDelta() {
    constexpr std::int64_t kDeltas[] = {1, 1, 2, 5, -1, -3};
    if (context_.prng.Chance(0.1)) return *Decimal::Parse("0.5");
    return kDeltas[Draw(6)];
  }
  int Cell(bool in_tree, const std::string& key, Bucket bucket) const {
    return context_.ledger.Find({name_, in_tree, key, bucket});
  }
  Ledger::Scope Scope(bool in_tree) const { return ScopeOf(node_, {name_, in_tree, {}, 0}); }
  Ledger::Counts Observed() const {
    return context_.ledger.Known(node_.KnownVector(), context_.origin);
  }
  crdt::Version Version() const {
    return {.clock = node_.replica().clock(), .origin = node_.replica().own()};
  }
  void NoteReset(int cell, const Ledger::Scope& scope, const Decimal& value) {
    context_.ledger.Reset(context_.origin, cell, scope, Observed(), Version(), value);
  }
  bool IsTree() const {
    const auto raw = Raw(node_, name_);
    return raw && raw->kind == Kind::kTree;
  }
  // Drops what has expired, as whoever uses the name does.
  void Expired() {
    if (node_.keyspace().IsExpired(key_, node_.now())) Drop(true);
  }
  void CheckNewcomer(bool was_there) {
    const auto raw = Raw(node_, name_);
    if (!was_there && raw && raw->expires_at != 0) {
      context_.trouble = name_ + " inherits the expiry of one that is gone";
    }
  }
  Tree* TreeOrNew();

  ChangeContext& context_;
  ModelNode& node_;
  std::string name_;
  Key key_;
};

std::string Changer::Add() {
  Expired();
  if (IsTree()) return "-";
  const auto raw = Raw(node_, name_);
  const Decimal old = raw ? raw->value : Decimal(0);
  const Decimal delta = DrawDelta();
  const Ledger::Scope scope = Scope(false);
  const auto place = node_.keyspace().FindInteger(key_, node_.now());
  const auto sum = Decimal::Add(old, delta);
  const bool lazy = !node_.replica().PrecisionOf(key_).IsZero();
  if (place && delta.IsInt64() && sum->IsInt64() && context_.prng.Chance(0.5)) {
    node_.unit().PutInteger(key_, place, sum->Int64(), delta.Int64());
  } else {
    node_.unit().Add(key_, *sum, delta);
  }
  const int origin = lazy ? Ledger::LazyPart(context_.origin) : context_.origin;
  context_.ledger.Add(origin, Cell(false, {}, 0), scope, delta);
  CheckNewcomer(raw.has_value());
  return (lazy ? "add lazily " : "add ") + name_ + " " + delta.ToString();
}

std::string Changer::Set() {
  Expired();
  if (IsTree()) return "-";
  const auto raw = Raw(node_, name_);
  const Decimal value = Draw(3) == 0 ? 0 : static_cast<std::int64_t>(10 * Draw(4));
  const Ledger::Scope scope = Scope(false);
  const Ledger::Counts observed = Observed();
  node_.unit().Put(key_, value, 0);
  context_.ledger.Reset(context_.origin, Cell(false, {}, 0), scope, observed, Version(), value);
  CheckNewcomer(raw.has_value());
  return "set " + name_ + " " + value.ToString();
}

std::string Changer::Drop(bool expired) {
  const auto raw = Raw(node_, name_);
  if (!raw) return "-";
  const bool is_tree = raw->kind == Kind::kTree;
  const Ledger::Scope scope = Scope(is_tree);
  const Ledger::Counts observed = Observed();
  node_.unit().Drop(key_);
  if (is_tree) {
    context_.ledger.TreeEpoch(context_.origin, name_, Scope(true));
  } else {
    context_.ledger.Reset(context_.origin, Cell(false, {}, 0), scope, observed, Version(), 0);
  }
  return (expired ? "expired " : "drop ") + name_;
}

std::string Changer::Expire() {
  Expired();
  if (!Raw(node_, name_)) return "-";
  const WallMs at = Draw(4) == 0 ? 0 : node_.now() + 1 + static_cast<WallMs>(Draw(20'000));
  node_.unit().Expire(key_, at);
  return "expire " + name_ + " " + std::to_string(at);
}

std::string Changer::Precision() {
  Expired();
  const auto raw = Raw(node_, name_);
  if (!raw || raw->kind == Kind::kTree) return "-";
  node_.unit().SetPrecision(key_, static_cast<std::int64_t>(Draw(4)) - 1);
  return "precision " + name_;
}

std::string Changer::HideZero() {
  const auto raw = Raw(node_, name_);
  if (!raw || raw->kind != Kind::kCounter || !raw->value.IsZero()) return "-";
  if (raw->expires_at != 0 || raw->precision) return "-";
  node_.unit().DropIdleZero(key_);
  return "hide " + name_;
}

std::string Changer::Flush() {
  node_.unit().Flush();
  context_.ledger.Epoch(context_.origin, node_.replica().epoch());
  return "flush";
}

Tree* Changer::TreeOrNew() {
  Expired();
  const auto raw = Raw(node_, name_);
  if (raw && raw->kind != Kind::kTree) return nullptr;
  if (!raw) {
    node_.unit().CreateTree(key_, {.retain = static_cast<std::uint32_t>(Draw(3))});
    CheckNewcomer(false);
  }
  return RawTree(node_, name_);
}

std::string Changer::TreeAdd() {
  Tree* tree = TreeOrNew();
  const auto bucket = static_cast<Bucket>(Draw(kBuckets));
  if (tree == nullptr || !tree->CheckWritable(bucket)) return "-";
  const std::string key = kKeys[Draw(2)];
  const Decimal delta = DrawDelta();
  const Ledger::Scope scope = Scope(true);
  node_.unit().AddToBucket(key_, *tree, tree->MakeKey(key), bucket, delta);
  context_.ledger.Add(context_.origin, Cell(true, key, bucket), scope, delta);
  return "add " + name_ + "/" + key + "@" + std::to_string(bucket) + " " + delta.ToString();
}

std::string Changer::TreeSet() {
  Tree* tree = TreeOrNew();
  const auto bucket = static_cast<Bucket>(Draw(kBuckets));
  if (tree == nullptr || !tree->CheckWritable(bucket)) return "-";
  const std::string key = kKeys[Draw(2)];
  const Decimal value = static_cast<std::int64_t>(10 * Draw(4));
  const Ledger::Scope scope = Scope(true);
  const Ledger::Counts observed = Observed();
  node_.unit().SetBucket(key_, *tree, tree->MakeKey(key), bucket, value);
  context_.ledger.Reset(context_.origin, Cell(true, key, bucket), scope, observed, Version(),
                        value);
  return "set " + name_ + "/" + key + "@" + std::to_string(bucket) + " " + value.ToString();
}

std::string Changer::TreeClear() {
  Tree* tree = node_.keyspace().FindTree(key_, node_.now());
  if (tree == nullptr) return "-";
  const std::string key = kKeys[Draw(2)];
  const auto first = static_cast<Bucket>(Draw(kBuckets));
  const bool all = context_.prng.Chance(0.3);
  const BucketRange range = all ? Tree::kAll : BucketRange{first, first + 1};
  std::vector<Bucket> buckets;
  if (const auto view = tree->Find(tree->MakeKey(key))) {
    view->ForEach(range, [&](Bucket bucket, const Decimal&) { buckets.push_back(bucket); });
  }
  const Ledger::Scope scope = Scope(true);
  const Ledger::Counts observed = Observed();
  all ? static_cast<void>(node_.unit().ResetKey(key_, *tree, tree->MakeKey(key)))
      : static_cast<void>(node_.unit().ClearBuckets(key_, *tree, tree->MakeKey(key), range));
  // Each bucket had a version of its own, one after another.
  crdt::Version version = Version();
  version.clock -= buckets.size();
  for (const Bucket bucket : buckets) {
    ++version.clock;
    context_.ledger.Reset(context_.origin, Cell(true, key, bucket), scope, observed, version, 0);
  }
  return "clear " + name_ + "/" + key;
}

std::string Changer::TreeTrim() {
  Tree* tree = node_.keyspace().FindTree(key_, node_.now());
  if (tree == nullptr) return "-";
  const auto first = static_cast<Bucket>(1 + Draw(kBuckets - 1));
  node_.unit().TrimTree(key_, *tree, first);
  return "trim " + name_ + " " + std::to_string(first);
}

std::string Changer::TreeReset() {
  Tree* tree = node_.keyspace().FindTree(key_, node_.now());
  if (tree == nullptr || tree->keys() == 0) return "-";
  node_.unit().ResetTree(key_, *tree);
  context_.ledger.TreeEpoch(context_.origin, name_, Scope(true));
  return "reset " + name_;
}

std::string Changer::TreeAlter() {
  Tree* tree = node_.keyspace().FindTree(key_, node_.now());
  if (tree == nullptr) return "-";
  node_.unit().CreateTree(key_, {.retain = static_cast<std::uint32_t>(Draw(9))});
  return "alter " + name_;
}

template <std::size_t N>
std::string Any(Prng& prng, const char* const (&names)[N]) {
  return names[prng.Below(N)];
}

}  // namespace

ChangeWeights DrawChangeWeights(Prng& prng) {
  ChangeWeights weights = {8, 1.0, .5, .4, .2, .5, .5, .05, 5, .5, .5, .3, .1, .15, .1};
  const double strengths[] = {0, 0.3, 1, 1, 2};
  for (std::size_t i = 1; i < weights.size(); ++i) weights[i] *= strengths[prng.Below(5)];
  return weights;
}

std::vector<LedgerCell> ModelCells() {
  std::vector<LedgerCell> cells;
  for (const char* name : kCounters) cells.push_back({name});
  for (const char* name : kTrees) {
    for (const char* key : kKeys) {
      for (Bucket bucket = 0; bucket < kBuckets; ++bucket)
        cells.push_back({name, true, key, bucket});
    }
  }
  return cells;
}

void MakeAloneContents(ChangeContext& context) {
  ModelNode& node = context.node;
  Prng& prng = context.prng;
  for (const char* name : kCounters) {
    if (!prng.Chance(0.6)) continue;
    const Decimal value = prng.Between(-3, 20);
    node.unit().Put(node.keyspace().MakeKey(name), value, 0);
    context.ledger.Add(context.origin, context.ledger.Find({name}), {}, value);
    if (prng.Chance(0.2)) {
      node.unit().Expire(node.keyspace().MakeKey(name), node.now() + prng.Between(1, 20'000));
    }
  }
  if (!prng.Chance(0.7)) return;
  const Key key = node.keyspace().MakeKey("t");
  node.unit().CreateTree(key, {});
  Tree* tree = node.keyspace().FindTree(key, node.now());
  for (Bucket bucket = 0; bucket < kBuckets; ++bucket) {
    if (!prng.Chance(0.5)) continue;
    node.unit().AddToBucket(key, *tree, tree->MakeKey("k"), bucket, 4);
    context.ledger.Add(context.origin, context.ledger.Find({"t", true, "k", bucket}), {}, 4);
  }
  if (prng.Chance(0.2)) node.unit().TrimTree(key, *tree, 1);
}

std::string ChangeSomething(ChangeContext& context, const ChangeWeights& weights) {
  Prng& prng = context.prng;
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double drawn = total * static_cast<double>(prng.Below(1u << 30)) / (1u << 30);
  unsigned kind = 0;
  while (kind + 1 < weights.size() && drawn >= weights[kind]) drawn -= weights[kind++];
  switch (static_cast<Change>(kind)) {
    case Change::kAdd:
      return Changer(context, Any(prng, kCounters)).Add();
    case Change::kSet:
      return Changer(context, Any(prng, kCounters)).Set();
    case Change::kDrop:
      return Changer(context, Any(prng, kCounters)).Drop(false);
    case Change::kExpire:
      return Changer(context, prng.Chance(0.7) ? Any(prng, kCounters) : Any(prng, kTrees)).Expire();
    case Change::kPrecision:
      return Changer(context, Any(prng, kCounters)).Precision();
    case Change::kSweep: {
      std::string text;
      for (const char* name : {"a", "b", "c", "both", "t", "u"}) {
        const Key key = context.node.keyspace().MakeKey(name);
        if (!context.node.keyspace().IsExpired(key, context.node.now())) continue;
        text += " " + Changer(context, name).Drop(true);
      }
      return text.empty() ? "-" : text;
    }
    case Change::kHideZeros:
      return Changer(context, Any(prng, kCounters)).HideZero();
    case Change::kFlush:
      return Changer(context, "").Flush();
    case Change::kTreeAdd:
      return Changer(context, Any(prng, kTrees)).TreeAdd();
    case Change::kTreeSet:
      return Changer(context, Any(prng, kTrees)).TreeSet();
    case Change::kTreeClear:
      return Changer(context, Any(prng, kTrees)).TreeClear();
    case Change::kTreeTrim:
      return Changer(context, Any(prng, kTrees)).TreeTrim();
    case Change::kTreeReset:
      return Changer(context, Any(prng, kTrees)).TreeReset();
    case Change::kTreeAlter:
      return Changer(context, Any(prng, kTrees)).TreeAlter();
    default:
      return Changer(context, Any(prng, kTrees)).Drop(false);
  }
}

std::optional<Decimal> ShownValue(ModelNode& node, const LedgerCell& cell) {
  const auto raw = Raw(node, cell.name);
  const bool is_tree = raw && raw->kind == Kind::kTree;
  if (!cell.in_tree) {
    if (is_tree) return std::nullopt;
    return raw ? raw->value : Decimal(0);
  }
  const Tree* tree = RawTree(node, cell.name);
  if (tree == nullptr) return std::nullopt;
  return tree->Get(tree->MakeKey(cell.key), cell.bucket);
}

Ledger::Scope ScopeOf(ModelNode& node, const LedgerCell& cell) {
  Ledger::Scope scope{.epoch = node.replica().epoch()};
  if (!cell.in_tree) return scope;
  const auto facts = node.replica().FactsOf(node.keyspace().MakeKey(cell.name));
  scope.tree_epoch = facts.epoch;
  scope.watermark = facts.watermark;
  return scope;
}

std::string DifferentAttributes(ModelNode& a, ModelNode& b) {
  for (const std::string name : {"a", "b", "c", "both", "t", "u"}) {
    const auto ours = Raw(a, name), theirs = Raw(b, name);
    const auto shows = [](const auto& raw) {
      return raw && (raw->kind == Kind::kTree || !raw->value.IsZero());
    };
    if (shows(ours) != shows(theirs)) return name;
    if (!ours || !theirs) continue;
    if (ours->kind != theirs->kind || ours->expires_at != theirs->expires_at) return name;
    if (ours->precision != theirs->precision) return name;
    const Tree* x = RawTree(a, name);
    const Tree* y = RawTree(b, name);
    if (x == nullptr || y == nullptr) continue;
    if (!(x->settings() == y->settings()) || x->watermark() != y->watermark()) return name;
  }
  return {};
}

}  // namespace jeton::sim
