// Replica: what is told late, and what is predicted of others. See engine/lazy.h for when and how.
#include <algorithm>
#include <limits>
#include <mutex>

#include "engine/frame_body.h"
#include "engine/replica_internal.h"

namespace jeton::engine {

namespace {

constexpr Lsn kEverything = std::numeric_limits<Lsn>::max();
constexpr MonoNs kLookInterval = 100 * kNsPerMs;  // at all that waits

}  // namespace

// ---- the two origins of a run

void Replica::BeginOwn(const OriginId& own) {
  own_ = *origins_.Add(own);
  lazy_ = *origins_.Add(LazyOf(own));
  known_.Set(own_, kEverything);
  known_.Set(lazy_, kEverything);
  lazy_used_.store(applied_.Get(lazy()) > 0, std::memory_order_relaxed);
}

// Who copies the state here is told in this way whose it is: there may never be another frame of
// it.
void Replica::AdvanceOwn(const OriginId& origin, Lsn to) {
  applied_.Advance(origin, to);
  if (to > 0) writers_[origin] = options_.node;
}

// Of a run that never had one it is the run itself.
crdt::OriginIndex Replica::LazyOfIndex(crdt::OriginIndex run) const {
  return origins_.Find(LazyOf(origins_.IdOf(run))).value_or(run);
}

void Replica::AddOwnTo(crdt::VersionVector& row, Lsn durable) const {
  row.Advance(own(), durable);
  if (lazy_used_.load(std::memory_order_relaxed)) row.Advance(lazy(), durable);
}

// ---- own changes

void Replica::SetPrediction(const Decimal& default_precision, std::int64_t history) {
  history_.store(history, std::memory_order_relaxed);
  const std::lock_guard guard(control_lock_);
  default_precision_ = default_precision;
  default_is_lazy_.store(!default_precision.IsZero(), std::memory_order_relaxed);
}

Decimal Replica::PrecisionOf(const Key& key) const {
  const bool by_default = default_is_lazy_.load(std::memory_order_relaxed);
  if (!by_default && !keyspace_.has_precisions()) return 0;
  const auto entry = keyspace_.Find(key, kBeforeAnyExpiry);
  if (entry && entry->kind == Kind::kCounter && entry->precision) return *entry->precision;
  if (!by_default) return 0;
  const std::lock_guard guard(control_lock_);
  return default_precision_;
}

LazyCell& Replica::MakeLazy(const Key& key, const Decimal& sum) {
  auto& cells = At(key).lazy;
  const auto found = cells.find(key.name);
  if (found != cells.end()) return found->second;
  lazy_cells_.fetch_add(1, std::memory_order_relaxed);
  return cells.emplace(std::string(key.name), LazyCell(sum, mono_now_.load())).first->second;
}

void Replica::AddLazy(const Key& key, const Decimal& precision, const Decimal& delta,
                      std::string& log) {
  SharedCell& shared = MakeCounter(key);
  const auto old = shared.cell.FindEntry(lazy_);
  LazyCell& lazy = MakeLazy(key, old ? old->sum : Decimal(0));
  const crdt::Entry entry = AddTo(lazy_, At(key), shared, delta);
  SharedWriter(origins_, false)
      .WriteEntry({.name = key.name}, epoch_, false, entry.birth, entry.sum, log, true, 0, delta);
  lazy_used_.store(true, std::memory_order_relaxed);
  const MonoNs now = mono_now_.load(std::memory_order_relaxed);
  if (!lazy.dirty()) dirty_lazy_.fetch_add(1, std::memory_order_relaxed);
  lazy.Change(entry.sum, precision, now);
  if (lazy.IsDue(now)) lazy_due_.store(true, std::memory_order_relaxed);
}

// Its entry was freed, or comes from a log that is replayed.
void Replica::MarkDirtyLazy(const Key& key) {
  const SharedCell* shared = FindCounter(key);
  const auto entry = shared != nullptr ? shared->cell.FindEntry(lazy_) : std::nullopt;
  LazyCell& lazy = MakeLazy(key, entry ? entry->sum : Decimal(0));
  if (!lazy.dirty()) dirty_lazy_.fetch_add(1, std::memory_order_relaxed);
  lazy.Touch(mono_now_.load());
}

void Replica::ClearLazyDirty() {
  dirty_lazy_.store(0, std::memory_order_relaxed);
  lazy_due_.store(false, std::memory_order_relaxed);
}

bool Replica::TickPartition(Keyspace::PartitionId id, MonoNs now) {
  const std::lock_guard guard(keyspace_.LockOf(id));
  auto& cells = partitions_[id]->lazy;
  const std::int64_t history = history_.load(std::memory_order_relaxed);
  bool due = false;
  for (auto next = cells.begin(); next != cells.end();) {
    LazyCell& cell = next->second;
    cell.Sample(now, history);
    if (cell.IsAtRest(now)) {
      next = cells.erase(next);
      lazy_cells_.fetch_sub(1, std::memory_order_relaxed);
      continue;
    }
    if (cell.IsDue(now)) {
      due = true;
      if (!cell.dirty()) dirty_lazy_.fetch_add(1, std::memory_order_relaxed);
      cell.Touch(now);
    }
    ++next;
  }
  return due;
}

void Replica::TickLazy(MonoNs now) {
  mono_now_.store(now, std::memory_order_relaxed);
  if (lazy_cells_.load(std::memory_order_relaxed) == 0 || now - looked_at_lazy_ < kLookInterval) {
    return;
  }
  looked_at_lazy_ = now;
  bool due = false;
  for (Keyspace::PartitionId id = 0; id < Keyspace::kPartitions; ++id) {
    due = TickPartition(id, now) || due;
  }
  if (due) lazy_due_.store(true, std::memory_order_relaxed);
}

std::optional<std::string> Replica::CutLazy(Lsn to) {
  const Lsn from = applied_.Get(lazy());
  if (to <= from || dirty_lazy() == 0) return std::nullopt;
  const MonoNs now = mono_now_.load();
  SharedWriter writer(origins_, true);
  std::string entries;
  std::size_t left = 0;
  for (auto& partition : partitions_) {
    for (auto& [name, lazy] : partition->lazy) {
      if (!lazy.dirty()) continue;
      if (entries.size() >= kCutBytes) {
        ++left;
        continue;
      }
      const CellName cell{.name = name};
      const SharedCell* shared = CellOf(cell, false);
      const auto entry = shared != nullptr ? shared->cell.FindEntry(lazy_) : std::nullopt;
      const bool gone = !entry;
      writer.WriteEntry(cell, epoch_, gone, gone ? 0 : entry->birth, gone ? 0 : entry->sum, entries,
                        false, gone ? 0 : static_cast<float>(lazy.rate()));
      lazy.Sent(now);
    }
  }
  ClearLazyDirty();
  dirty_lazy_.store(left, std::memory_order_relaxed);
  // As Cut does it: the last of the frames says all that the others have told in part.
  if (left > 0) to = from + 1;
  std::string body;
  PutHead({.node = options_.node, .partial = left > 0, .epoch = epoch_, .dictionary = {}}, body);
  body += entries;
  AdvanceOwn(lazy(), to);
  return crdt::EncodeFrame(
      {.origin = lazy(), .from = from, .to = to, .clock = clock(), .row = {}, .body = body});
}

// ---- what others said

// How far off a reader was who went on with the last rate is known when the next sum comes.
void Replica::NoteHeard(const Key& key, crdt::OriginIndex origin, const SharedMutation& mutation) {
  auto& heard = At(key).heard;
  const MonoNs now = mono_now_.load(std::memory_order_relaxed);
  auto found = heard.find(key.name);
  if ((found == heard.end() && mutation.rate == 0) || now == 0 || origin == lazy_) return;
  if (found == heard.end()) found = heard.emplace(std::string(key.name), 0).first;
  auto& rates = found->second;
  const auto known = std::find_if(rates.begin(), rates.end(),
                                  [&](const HeardRate& rate) { return rate.origin == origin; });
  if (known != rates.end()) {
    if (!mutation.gone) {
      const double error = std::abs(known->PredictedSum(now) - mutation.sum.ToDouble());
      predictions_.Count(error, PrecisionOf(key).ToDouble());
    }
    rates.erase(known);
  }
  if (mutation.rate != 0) {
    rates.push_back({.origin = origin, .rate = mutation.rate, .at = now, .sum = mutation.sum});
  }
  if (rates.empty()) heard.erase(found);
}

// After a SET nobody knows what of the growth is still to come.
void Replica::ForgetHeard(const CellName& cell) {
  if (cell.in_tree) return;
  auto& heard = At(keyspace_.MakeKey(cell.name)).heard;
  const auto found = heard.find(cell.name);
  if (found != heard.end()) heard.erase(found);
}

double Replica::Predict(const Key& key, const std::vector<OriginId>& live, MonoNs now) const {
  const auto& heard = At(key).heard;
  const auto found = heard.find(key.name);
  if (found == heard.end()) return 0;
  double grown = 0;
  for (const HeardRate& rate : found->second) {
    if (!std::binary_search(live.begin(), live.end(), origins_.IdOf(rate.origin))) continue;
    grown += GrownSince(rate.rate, rate.at, now);
  }
  return grown;
}

double Replica::PredictAll(const Key& key) const {
  std::vector<OriginId> all;
  for (const auto& [origin, lsn] : applied_) all.push_back(origin);
  return Predict(key, all, mono_now_.load());
}

}  // namespace jeton::engine
