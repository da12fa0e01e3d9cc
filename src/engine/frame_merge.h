// MergeFrames: consecutive frames of one origin become one that says the same, so that what a
// member lacks does not grow with how long it was away, but with how much has changed.
//
// The merged frame is what the origin would have cut had it cut once, at the end of the last one:
// of each cell the last entry, everything else in the order of its sections. Three things keep it
// right for a receiver that has some of the frames already, since it need not begin at a merged
// frame's `from`:
//  - entries are absolute, so that applying one again changes nothing;
//  - of the rest it says at the end of which frame it was said (SharedType::kUpTo), and who is
//    beyond that skips it: a SET that was cancelled and forgotten must not come back;
//  - a frame with a fold is never merged with anything.
// Left out is what a later mutation of the merged frames covers: see frame_merge.cc.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace jeton::engine {

struct MergedFrame {
  std::size_t count = 0;  // how many of the frames are in it, from the first on
  std::string bytes;      // empty if count < 2: then there is nothing to gain
};

// `frames`: whole encodings, each beginning where the one before ends, or before that. Takes as
// many of them as may be merged.
MergedFrame MergeFrames(std::span<const std::string_view> frames);

}  // namespace jeton::engine
