// VersionVector: for each origin, up to which LSN its log is known here. "Known" means all of it up
// to there and nothing beyond (an exact prefix), which is what makes two vectors comparable.
//
// An origin that is not in it stands at 0. Values only grow. Small: one entry per living origin and
// per closed one that is not folded yet.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"

namespace jeton::crdt {

// More origins than any cluster has; a decoder refuses beyond.
constexpr std::size_t kOriginsPerVectorMax = 65536;

class VersionVector {
 public:
  using Map = OriginMap<Lsn>;

  Lsn Get(const OriginId& origin) const {
    const auto found = map_.find(origin);
    return found == map_.end() ? 0 : found->second;
  }
  // Never back: the greater of the two stays.
  void Advance(const OriginId& origin, Lsn lsn) {
    if (lsn == 0) return;
    Lsn& known = map_[origin];
    if (lsn > known) known = lsn;
  }
  void Join(const VersionVector& other) {
    for (const auto& [origin, lsn] : other.map_) Advance(origin, lsn);
  }
  void Remove(const OriginId& origin) { map_.erase(origin); }

  // Whether everything that `other` knows is known here.
  bool Covers(const VersionVector& other) const {
    for (const auto& [origin, lsn] : other.map_) {
      if (Get(origin) < lsn) return false;
    }
    return true;
  }

  bool empty() const { return map_.empty(); }
  std::size_t size() const { return map_.size(); }
  Map::const_iterator begin() const { return map_.begin(); }
  Map::const_iterator end() const { return map_.end(); }
  friend bool operator==(const VersionVector&, const VersionVector&) = default;

  void EncodeTo(std::string& out) const;
  // Fails the reader on anything that EncodeTo cannot have written.
  static VersionVector Decode(ByteReader& in);

 private:
  Map map_;
};

void PutOrigin(std::string& out, const OriginId& origin);
OriginId GetOrigin(ByteReader& in);

}  // namespace jeton::crdt
