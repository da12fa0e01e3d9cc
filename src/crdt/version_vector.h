// VersionVector: for each origin, up to which LSN its log is known here. "Known" means all of it up
// to there and nothing beyond (an exact prefix), which is what makes two vectors comparable.
//
// An origin that is not in it stands at 0. Values only grow. Small: one entry per living origin and
// per closed one that is not folded yet; so it is an array in the order of the ids, which is
// copied, compared and decoded with every frame.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"

namespace jeton::crdt {

// More origins than any cluster has; a decoder refuses beyond.
constexpr std::size_t kOriginsPerVectorMax = 65536;

class VersionVector {
 public:
  using Item = std::pair<OriginId, Lsn>;
  using Items = std::vector<Item>;

  Lsn Get(const OriginId& origin) const {
    const std::size_t place = PlaceOf(origin);
    return Holds(place, origin) ? items_[place].second : 0;
  }
  // Never back: the greater of the two stays.
  void Advance(const OriginId& origin, Lsn lsn) {
    if (lsn == 0) return;
    const std::size_t place = PlaceOf(origin);
    if (!Holds(place, origin)) {
      items_.emplace(At(place), origin, lsn);
    } else if (lsn > items_[place].second) {
      items_[place].second = lsn;
    }
  }
  void Join(const VersionVector& other) {
    for (const auto& [origin, lsn] : other.items_) Advance(origin, lsn);
  }
  void Remove(const OriginId& origin) {
    const std::size_t place = PlaceOf(origin);
    if (Holds(place, origin)) items_.erase(At(place));
  }

  // Whether everything that `other` knows is known here.
  bool Covers(const VersionVector& other) const {
    for (const auto& [origin, lsn] : other.items_) {
      if (Get(origin) < lsn) return false;
    }
    return true;
  }

  bool empty() const { return items_.empty(); }
  std::size_t size() const { return items_.size(); }
  Items::const_iterator begin() const { return items_.begin(); }
  Items::const_iterator end() const { return items_.end(); }
  friend bool operator==(const VersionVector&, const VersionVector&) = default;

  void EncodeTo(std::string& out) const;
  // Fails the reader on anything that EncodeTo cannot have written.
  static VersionVector Decode(ByteReader& in);

 private:
  // Of the first item that is not before `origin`.
  std::size_t PlaceOf(const OriginId& origin) const {
    const auto at = std::lower_bound(
        items_.begin(), items_.end(), origin,
        [](const Item& item, const OriginId& sought) { return OriginLess()(item.first, sought); });
    return static_cast<std::size_t>(at - items_.begin());
  }
  bool Holds(std::size_t place, const OriginId& origin) const {
    return place < items_.size() && items_[place].first == origin;
  }
  Items::const_iterator At(std::size_t place) const {
    return items_.begin() + static_cast<std::ptrdiff_t>(place);
  }

  Items items_;
};

void PutOrigin(std::string& out, const OriginId& origin);
OriginId GetOrigin(ByteReader& in);

}  // namespace jeton::crdt
