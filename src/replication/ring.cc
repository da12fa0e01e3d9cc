#include "replication/ring.h"

#include <algorithm>

#include "base/assert.h"

namespace jeton::replication {

bool Ring::Add(const OriginId& origin, Lsn from, Lsn to, std::shared_ptr<const std::string> bytes,
               MonoNs now) {
  std::deque<Entry>& entries = origins_[origin];
  if (!entries.empty() && to <= entries.back().to) return false;
  if (!entries.empty() && from > entries.back().to) {
    for (const Entry& entry : entries) bytes_ -= entry.bytes->size();
    frames_ -= entries.size();
    entries.clear();
  }
  const std::uint64_t before =
      entries.empty() ? 0 : entries.back().bytes_before + entries.back().bytes->size();
  bytes_ += bytes->size();
  ++frames_;
  order_.push_back({origin, next_number_});
  entries.push_back({.from = from,
                     .to = to,
                     .bytes = std::move(bytes),
                     .added = now,
                     .number = next_number_++,
                     .bytes_before = before});
  return true;
}

const Ring::Entry* Ring::Find(const OriginId& origin, Lsn after) const {
  const auto found = origins_.find(origin);
  if (found == origins_.end()) return nullptr;
  const std::deque<Entry>& entries = found->second;
  const auto entry = std::upper_bound(entries.begin(), entries.end(), after,
                                      [](Lsn lsn, const Entry& e) { return lsn < e.to; });
  if (entry == entries.end() || entry->from > after) return nullptr;
  return &*entry;
}

void Ring::DropStalePlaces() {
  while (!order_.empty()) {
    const auto found = origins_.find(order_.front().origin);
    const bool there = found != origins_.end() && !found->second.empty() &&
                       found->second.front().number == order_.front().number;
    if (there) return;
    order_.pop_front();
  }
}

void Ring::DropOldest() {
  const auto found = origins_.find(order_.front().origin);
  ASSERT(found != origins_.end() && !found->second.empty());
  bytes_ -= found->second.front().bytes->size();
  --frames_;
  found->second.pop_front();
  if (found->second.empty()) origins_.erase(found);
  order_.pop_front();
}

void Ring::Shrink(std::size_t bytes_max) {
  while (bytes_ > bytes_max && frames_ > 1) {
    DropStalePlaces();
    DropOldest();
  }
}

void Ring::Trim(std::size_t bytes_kept,
                const std::function<bool(const OriginId&, Lsn)>& everybody_has) {
  while (bytes_ > bytes_kept && frames_ > 0) {
    DropStalePlaces();
    const OriginId& origin = order_.front().origin;
    if (!everybody_has(origin, origins_[origin].front().to)) return;
    DropOldest();
  }
}

void Ring::Clear() {
  *this = Ring();
}

Ring::Pending Ring::After(const OriginId& origin, Lsn after) const {
  const auto found = origins_.find(origin);
  if (found == origins_.end() || found->second.empty()) return {};
  const std::deque<Entry>& entries = found->second;
  const auto first = std::upper_bound(entries.begin(), entries.end(), after,
                                      [](Lsn lsn, const Entry& e) { return lsn < e.to; });
  if (first == entries.end()) return {};
  const Entry& last = entries.back();
  return {.frames = static_cast<std::uint64_t>(entries.end() - first),
          .bytes = last.bytes_before + last.bytes->size() - first->bytes_before,
          .oldest = first->added};
}

}  // namespace jeton::replication
