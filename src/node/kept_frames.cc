#include "node/kept_frames.h"

#include <algorithm>

namespace jeton::node {

namespace {

auto EndsAfter(const std::deque<KeptFrames::Frame>& frames, Lsn lsn) {
  return std::upper_bound(frames.begin(), frames.end(), lsn,
                          [](Lsn at, const KeptFrames::Frame& frame) { return at < frame.to; });
}

}  // namespace

void KeptFrames::Add(const OriginId& origin, Frame frame) {
  std::deque<Frame>& frames = origins_[origin];
  if (!frames.empty() && frame.to <= frames.back().to) return;
  if (!frames.empty() && frame.from > frames.back().to) {
    for (const Frame& old : frames) bytes_ -= old.bytes->size();
    frames.clear();
  }
  bytes_ += frame.bytes->size();
  frames.push_back(std::move(frame));
}

std::vector<KeptFrames::Frame> KeptFrames::Run(const OriginId& origin, Lsn after, Lsn end,
                                               std::size_t bytes_max) const {
  std::vector<Frame> run;
  const auto found = origins_.find(origin);
  if (found == origins_.end()) return run;
  std::size_t bytes = 0;
  for (auto next = EndsAfter(found->second, after); next != found->second.end(); ++next) {
    if (next->to > end || (run.empty() && next->from > after)) break;
    bytes += next->bytes->size();
    if (!run.empty() && bytes > bytes_max) break;
    run.push_back(*next);
  }
  return run;
}

void KeptFrames::Replace(const OriginId& origin, Frame merged) {
  const auto found = origins_.find(origin);
  if (found == origins_.end()) return;
  std::deque<Frame>& frames = found->second;
  const auto first = std::find_if(frames.begin(), frames.end(),
                                  [&](const Frame& frame) { return frame.from == merged.from; });
  const auto last =
      std::find_if(first, frames.end(), [&](const Frame& frame) { return frame.to == merged.to; });
  if (last == frames.end()) return;
  for (auto next = first; next != std::next(last); ++next) bytes_ -= next->bytes->size();
  bytes_ += merged.bytes->size();
  const auto place = frames.erase(first, std::next(last));
  frames.insert(place, std::move(merged));
}

void KeptFrames::Drop(const OriginId& origin, Lsn lsn) {
  const auto found = origins_.find(origin);
  if (found == origins_.end()) return;
  std::deque<Frame>& frames = found->second;
  while (!frames.empty() && frames.front().to <= lsn) {
    bytes_ -= frames.front().bytes->size();
    frames.pop_front();
  }
  if (frames.empty()) origins_.erase(found);
}

}  // namespace jeton::node
