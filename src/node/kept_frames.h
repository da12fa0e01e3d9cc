// KeptFrames: the frames that some member may still lack, in memory; those that the ring of the
// Replicator has no room for, too. They go into snapshots, and to peers that have been away.
//
// Of one origin they are in order, each beginning at or before the end of the one before: a gap
// empties the origin's part, since nobody could take what is behind it.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"

namespace jeton::node {

class KeptFrames {
 public:
  using Bytes = std::shared_ptr<const std::string>;
  struct Frame {
    Lsn from = 0;
    Lsn to = 0;
    Bytes bytes;
  };
  using Origins = OriginMap<std::deque<Frame>>;

  // Nothing happens if all of it is there.
  void Add(const OriginId& origin, Frame frame);
  // The frame with from <= after < to, and those that follow on it, as far as they end at or before
  // `end` and are no more than `bytes_max` together; the first one may be more alone.
  std::vector<Frame> Run(const OriginId& origin, Lsn after, Lsn end, std::size_t bytes_max) const;
  // Puts `merged` where the frames are that it was made of, if they are all there.
  void Replace(const OriginId& origin, Frame merged);
  // Drops the frames of that origin that end at or before `lsn`.
  void Drop(const OriginId& origin, Lsn lsn);
  void Clear() { *this = KeptFrames(); }

  const Origins& origins() const { return origins_; }
  std::size_t bytes() const { return bytes_; }

 private:
  Origins origins_;
  std::size_t bytes_ = 0;
};

}  // namespace jeton::node
