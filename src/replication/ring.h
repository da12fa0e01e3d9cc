// Ring: the recent frames of all origins, in memory, shared by all peers. Bounded in bytes: the
// frame that was added first goes first, whoever its origin is.
//
// Of one origin the frames are contiguous, so that what comes after any LSN in it can be had
// without a hole. A frame that does not follow on the last one empties the origin's part.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/ids.h"
#include "base/time.h"

namespace jeton::replication {

class Ring {
 public:
  struct Entry {
    Lsn from = 0;
    Lsn to = 0;
    std::shared_ptr<const std::string> bytes;
    MonoNs added = 0;
    std::uint64_t number = 0;        // of all frames ever added
    std::uint64_t bytes_before = 0;  // of this origin, ever
  };

  // False if nothing new is in it (to <= the last one's).
  bool Add(const OriginId& origin, Lsn from, Lsn to, std::shared_ptr<const std::string> bytes,
           MonoNs now);
  // The frame with from <= after < to, or null.
  const Entry* Find(const OriginId& origin, Lsn after) const;
  // Drops the oldest until no more than `bytes_max` are left; the newest frame stays.
  void Shrink(std::size_t bytes_max);
  // Drops the oldest as long as more than `bytes_kept` are left and `everybody_has` says so of it.
  void Trim(std::size_t bytes_kept, const std::function<bool(const OriginId&, Lsn)>& everybody_has);
  void Clear();

  struct Pending {
    std::uint64_t frames = 0;
    std::uint64_t bytes = 0;
    MonoNs oldest = 0;  // when the oldest of them was added; 0: none
  };
  // Of one origin, the frames with to > after.
  Pending After(const OriginId& origin, Lsn after) const;

  std::size_t bytes() const { return bytes_; }
  std::size_t frames() const { return frames_; }
  const OriginMap<std::deque<Entry>>& origins() const { return origins_; }

 private:
  struct Place {
    OriginId origin;
    std::uint64_t number;
  };
  // Places whose frame is gone already are skipped.
  void DropStalePlaces();
  void DropOldest();

  OriginMap<std::deque<Entry>> origins_;
  std::deque<Place> order_;
  std::uint64_t next_number_ = 1;
  std::size_t bytes_ = 0;
  std::size_t frames_ = 0;
};

}  // namespace jeton::replication
