// OriginTable: small numbers for origins, for use in memory only: bytes that leave the process name
// origins by their ids.
//
// Threads may add at the same time (a state is loaded by several); the rest is for one.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "base/assert.h"
#include "base/ids.h"
#include "base/lock.h"

namespace jeton::crdt {

using OriginIndex = std::uint16_t;

class OriginTable {
 public:
  static constexpr std::size_t kMax = 65535;

  // Empty if the table is full.
  std::optional<OriginIndex> Add(const OriginId& id) {
    const std::lock_guard guard(adding_);
    const auto found = indexes_.find(id);
    if (found != indexes_.end()) return found->second;
    if (ids_.size() >= kMax) return std::nullopt;
    const auto index = static_cast<OriginIndex>(ids_.size());
    ids_.push_back(id);
    indexes_.emplace(id, index);
    return index;
  }
  std::optional<OriginIndex> Find(const OriginId& id) const {
    const auto found = indexes_.find(id);
    if (found == indexes_.end()) return std::nullopt;
    return found->second;
  }
  const OriginId& IdOf(OriginIndex index) const {
    ASSERT(index < ids_.size());
    return ids_[index];
  }
  std::size_t size() const { return ids_.size(); }

 private:
  SpinLock adding_;
  std::vector<OriginId> ids_;
  OriginMap<OriginIndex> indexes_;
};

}  // namespace jeton::crdt
