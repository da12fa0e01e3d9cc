#include "command/tree_query.h"

#include <algorithm>
#include <mutex>

#include "command/dispatcher.h"
#include "command/tree_access.h"

namespace jeton::command {

namespace {
// The lock of the partition is held for this many keys at a time.
constexpr std::size_t kKeysPerLock = 128;
// Moves of a heap's elements per slice, and clearings, which also make log records.
constexpr std::size_t kSortedPerSlice = 500;
constexpr std::size_t kClearedPerSlice = 200;
}  // namespace

KeyName KeyName::Of(const engine::KeyView& key) {
  if (key.is_number()) return {.number = key.number()};
  return {.is_text = true, .text = std::string(key.text())};
}

// ---- TreeQuery

TreeQuery::TreeQuery(const engine::Tree& tree) : name_(tree.name()), settings_(tree.settings()) {}

engine::Tree* TreeQuery::Find(const Context& ctx) const {
  engine::Tree* tree = ctx.keyspace.FindTree(ctx.keyspace.MakeKey(name_), ctx.now.wall_ms);
  // Buckets of another width or zone mean something else.
  if (tree == nullptr || tree->settings() != settings_) return nullptr;
  return tree;
}

void TreeQuery::ReplyGone(Context& ctx) const {
  ctx.reply.Error("ERR tree '" + name_.substr(0, 128) + "' was dropped before all of it was seen",
                  ErrorKind::kNotFound);
}

// ---- TreeWalk

bool TreeWalk::Step(Context& ctx) {
  if (walked_) return Finish(ctx);
  bool gone = false;
  walked_ = WalkSlice(ctx, gone);
  if (gone) {
    ReplyGone(ctx);
    return true;
  }
  // What is left of a small tree is small.
  return walked_ && Finish(ctx);
}

bool TreeWalk::WalkSlice(Context& ctx, bool& gone) {
  const engine::Key key = ctx.keyspace.MakeKey(name());
  SpinLock& lock = ctx.keyspace.LockOf(engine::Keyspace::PartitionOf(key));
  std::size_t cost = 0;
  do {
    std::lock_guard guard(lock);
    const engine::Tree* tree = Find(ctx);
    if (tree == nullptr) {
      gone = true;
      return true;
    }
    cursor_ = tree->Scan(cursor_, kKeysPerLock,
                         [&](const engine::KeyView& view) { cost += kKeyCost + Visit(view); });
    cost += kKeyCost;  // a step that finds nothing is not free
  } while (cursor_ != 0 && cost < kSliceCost);
  return cursor_ == 0;
}

// ---- SelectKeys

SelectKeys::SelectKeys(const engine::Tree& tree, const Wanted& wanted)
    : TreeWalk(tree), wanted_(wanted) {
  // Room for all at once: to move a million of them later would take too long.
  heap_.reserve(std::min<std::size_t>(wanted.count + wanted.skip, tree.keys() + 1));
}

bool SelectKeys::Precedes(const KeyTotal& a, const KeyTotal& b) const {
  if (wanted_.order == Order::kByValue && a.value != b.value) return a.value > b.value;
  return a.key < b.key;
}

std::size_t SelectKeys::Visit(const engine::KeyView& key) {
  const bool all = wanted_.range == engine::Tree::kAll;
  const Decimal value = all ? key.Total() : key.SumOf(wanted_.range);
  const std::size_t cost = all ? 0 : key.buckets();
  if (value.IsZero() && wanted_.leave_out_zeros) return cost;
  ++matched_;
  const bool full = heap_.size() == wanted_.count + wanted_.skip;
  if (full && wanted_.order == Order::kByValue && value < heap_.front().value) return cost;
  Keep({.key = KeyName::Of(key), .value = value});
  return cost + kKeyCost;
}

void SelectKeys::Keep(KeyTotal item) {
  const auto precedes = [this](const KeyTotal& a, const KeyTotal& b) { return Precedes(a, b); };
  if (heap_.size() == wanted_.count + wanted_.skip) {
    if (!Precedes(item, heap_.front())) return;
    std::pop_heap(heap_.begin(), heap_.end(), precedes);
    heap_.back() = std::move(item);
  } else {
    heap_.push_back(std::move(item));
  }
  std::push_heap(heap_.begin(), heap_.end(), precedes);
}

bool SelectKeys::Finish(Context& ctx) {
  const auto precedes = [this](const KeyTotal& a, const KeyTotal& b) { return Precedes(a, b); };
  for (std::size_t n = 0; n < kSortedPerSlice && sorted_ < heap_.size(); ++n, ++sorted_) {
    std::pop_heap(heap_.begin(), heap_.end() - static_cast<std::ptrdiff_t>(sorted_), precedes);
  }
  if (sorted_ < heap_.size()) return false;
  heap_.erase(heap_.begin(),
              heap_.begin() + static_cast<std::ptrdiff_t>(std::min(wanted_.skip, heap_.size())));
  ReplyItems(ctx, heap_, matched_);
  return true;
}

// ---- ListKeys

bool ListKeys::Finish(Context& ctx) {
  // Pushes and monitored commands may come between two slices of this connection's output, and a
  // reply that nobody wants is cut off from its begin. JSON keeps the state of its Reply.
  const Session& session = ctx.session;
  const bool json = ctx.reply.IsJson();
  const bool direct = json || (!session.monitor && session.subscriptions.empty() &&
                               session.reply_mode == ReplyMode::kOn);
  Reply collected(text_, ctx.reply.format());
  Reply& reply = direct ? ctx.reply : collected;
  if (!begun_) Begin(reply, items_.size());
  begun_ = true;
  for (std::size_t n = 0; (n < kItemsPerSlice || json) && !items_.empty(); ++n) {
    // From the end, so that their memory goes back bit by bit: freed from the begin, most of it
    // would be handed to the system in one long call at the last.
    Say(reply, items_.back());
    items_.pop_back();
  }
  if (!items_.empty()) return false;
  if (!direct) ctx.reply.Raw(text_);
  return true;
}

// ---- ClearTree

ClearTree::ClearTree(const engine::Tree& tree, const BucketRange& range)
    : TreeQuery(tree), range_(range) {}

bool ClearTree::Step(Context& ctx) {
  const engine::Key key = ctx.keyspace.MakeKey(name());
  std::lock_guard guard(ctx.keyspace.LockOf(engine::Keyspace::PartitionOf(key)));
  engine::Tree* tree = Find(ctx);
  if (tree == nullptr) {
    ReplyGone(ctx);
    return true;
  }
  cursor_ = ctx.unit.ClearSlice(key, *tree, cursor_, kClearedPerSlice, range_, buckets_);
  ctx.dispatcher.LogSlice();
  if (cursor_ != 0) return false;
  ReplyCleared(ctx, buckets_);
  return true;
}

void ClearTree::ReplyCleared(Context& ctx, std::uint64_t buckets) {
  ctx.reply.Integer(static_cast<std::int64_t>(buckets));
}

}  // namespace jeton::command
