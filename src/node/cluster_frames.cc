// Cluster: the frames that some member lacks. They are never more than a few times as many bytes as
// the ring may hold: beyond that, consecutive ones of an origin are merged, so that what is kept
// for a member that is away grows with what has changed, not with how often or for how long.
#include <algorithm>
#include <limits>
#include <mutex>
#include <shared_mutex>

#include "engine/frame_merge.h"
#include "node/cluster.h"
#include "node/node.h"

namespace jeton::node {

namespace {

constexpr std::size_t kMergeBytesMax = 4u << 20;  // in one go, and so in one frame
constexpr std::size_t kServeBytesMax = 1u << 20;  // merged for a peer that is far behind
constexpr std::size_t kServedMax = 4;             // of those, in case they are asked for again
constexpr std::size_t kHardCapFactor = 4;

std::vector<std::string_view> ViewsOf(const std::vector<KeptFrames::Frame>& run) {
  std::vector<std::string_view> views;
  for (const auto& frame : run) views.push_back(*frame.bytes);
  return views;
}

}  // namespace

void Cluster::Keep(Bytes bytes) {
  ByteReader in(*bytes);
  const crdt::Frame frame = crdt::DecodeFrame(in);
  const std::lock_guard guard(frames_mutex_);
  kept_.Add(frame.origin, {frame.from, frame.to, std::move(bytes)});
}

// Up to where every member has that origin durably. Exclusive, or on the peer loop with the
// TurnLock shared.
Lsn Cluster::EverybodyHas(const OriginId& origin) const {
  const auto& members = replica_->members();
  if (replica_->folded().contains(origin)) return std::numeric_limits<Lsn>::max();
  if (members.empty()) return 0;  // not known yet
  Lsn least = std::numeric_limits<Lsn>::max();
  for (const NodeId& member : members) {
    if (member == replica_->node()) continue;
    const auto row = replica_->rows().find(member);
    least = std::min(least, row == replica_->rows().end() ? 0 : row->second.Get(origin));
  }
  return least;
}

Lsn Cluster::SomebodyElseHas(const OriginId& origin) const {
  Lsn most = 0;
  for (const NodeId& member : replica_->members()) {
    const auto row = replica_->rows().find(member);
    if (member == replica_->node() || row == replica_->rows().end()) continue;
    most = std::max(most, row->second.Get(origin));
  }
  return most;
}

// Whoever has told no row is new and takes a state itself. Exclusive.
std::deque<Cluster::Bytes> Cluster::LackedByOthersThan(const NodeId& receiver) const {
  std::deque<Bytes> lacked;
  const std::lock_guard guard(frames_mutex_);
  for (const auto& [origin, frames] : kept_.origins()) {
    if (replica_->folded().contains(origin)) continue;
    Lsn least = std::numeric_limits<Lsn>::max();
    for (const NodeId& member : replica_->members()) {
      const auto row = replica_->rows().find(member);
      if (member == replica_->node() || member == receiver || row == replica_->rows().end()) {
        continue;
      }
      least = std::min(least, row->second.Get(origin));
    }
    for (const auto& frame : frames) {
      if (frame.to > least) lacked.push_back(frame.bytes);
    }
  }
  return lacked;
}

void Cluster::StageKept(std::string_view bytes) {
  if (staged_bytes_ + bytes.size() > kHardCapFactor * settings_.ring_bytes_max) return;
  staged_bytes_ += bytes.size();
  staged_.push_back(std::make_shared<const std::string>(bytes));
}

// Drops the frames that end at or before what `lsn_of` says of their origin.
void Cluster::DropKept(Lsn (Cluster::*lsn_of)(const OriginId&) const) {
  const std::shared_lock turn(node_.state().turn_lock);
  const std::lock_guard guard(frames_mutex_);
  served_.clear();
  std::vector<OriginId> origins;
  for (const auto& [origin, frames] : kept_.origins()) origins.push_back(origin);
  for (const OriginId& origin : origins) kept_.Drop(origin, (this->*lsn_of)(origin));
}

// Merges one run of frames. False when the walk over all of them is at its end.
bool Cluster::MergeSome() {
  std::vector<KeptFrames::Frame> run;
  OriginId origin{};
  {
    const std::lock_guard guard(frames_mutex_);
    auto next = kept_.origins().lower_bound(merge_origin_);
    while (run.size() < 2) {
      if (next == kept_.origins().end()) return false;
      origin = next->first;
      if (origin != merge_origin_) merge_after_ = next->second.front().from;
      merge_origin_ = origin;
      // Nobody may have what is not published.
      run = kept_.Run(origin, merge_after_, applied_.Get(origin), kMergeBytesMax);
      if (run.empty()) {
        ++next;
      } else if (run.size() == 1) {
        merge_after_ = run.front().to;
      }
    }
  }
  engine::MergedFrame merged = engine::MergeFrames(ViewsOf(run));
  // A frame that ends a run with a fold may be the first of the next one.
  merge_after_ = run[std::max<std::size_t>(merged.count, 1) - 1].to;
  if (merged.count < 2) return true;
  const std::lock_guard guard(frames_mutex_);
  kept_.Replace(origin, {run.front().from, merge_after_,
                         std::make_shared<const std::string>(std::move(merged.bytes))});
  return true;
}

void Cluster::ShrinkKept() {
  if (!replica_ || receiving_) return;
  const auto kept_bytes = [&] {
    const std::lock_guard guard(frames_mutex_);
    return kept_.bytes();
  };
  const std::size_t cap = settings_.ring_bytes_max;
  if (!merging_) {
    if (kept_bytes() <= std::max(cap, merge_at_)) return;
    DropKept(&Cluster::EverybodyHas);
    if (kept_bytes() <= cap) {
      merge_at_ = 0;
      frames_alarm_.clear();
      return;
    }
    merging_ = true;
    merge_origin_ = {};
    merge_after_ = 0;
  }
  if (MergeSome()) return;
  merging_ = false;
  const std::size_t hard_cap = kHardCapFactor * cap;
  if (kept_bytes() > hard_cap) {
    DropKept(&Cluster::SomebodyElseHas);
    if (frames_alarm_.empty()) {
      frames_alarm_ = "the changes that some node lacks take " + std::to_string(kept_bytes()) +
                      " bytes even merged, more than " + std::to_string(kHardCapFactor) +
                      " times cluster-ring-size; reconnect the node, forget it, or raise the limit";
      node_.Say(LogLevel::kWarning, "Alarm: " + frames_alarm_);
    }
  } else {
    frames_alarm_.clear();
  }
  merge_at_ = kept_bytes() + std::max(kept_bytes(), cap) / 4;
}

std::shared_ptr<const std::string> Cluster::OldFrame(const OriginId& origin, Lsn after) {
  std::vector<KeptFrames::Frame> run;
  {
    const std::lock_guard guard(frames_mutex_);
    run = kept_.Run(origin, after, applied_.Get(origin), kServeBytesMax);
  }
  if (run.empty()) return nullptr;
  if (run.size() == 1) return run.front().bytes;
  // Whose link was lost while that was merged asks for the same again.
  const Lsn from = run.front().from;
  if (const auto found = served_.find(origin); found != served_.end()) {
    const KeptFrames::Frame& frame = found->second;
    if (frame.from == from && frame.to > after && frame.to <= run.back().to) return frame.bytes;
  }
  engine::MergedFrame merged = engine::MergeFrames(ViewsOf(run));
  if (merged.count < 2) return run.front().bytes;
  auto bytes = std::make_shared<const std::string>(std::move(merged.bytes));
  if (served_.size() >= kServedMax) served_.clear();
  served_[origin] = {from, run[merged.count - 1].to, bytes};
  return bytes;
}

// The TurnLock is held exclusively.
std::vector<std::string> Cluster::FrameRecords() const {
  std::vector<std::string> records;
  if (!replica_) return records;
  if (!injected_.empty()) records.push_back(InjectedRecord());
  const std::lock_guard guard(frames_mutex_);
  for (const auto& [origin, frames] : kept_.origins()) {
    const Lsn known = EverybodyHas(origin);
    for (const auto& frame : frames) {
      if (frame.to > known) records.push_back(kFrameRecord + *frame.bytes);
    }
  }
  return records;
}

}  // namespace jeton::node
