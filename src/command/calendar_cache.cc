#include "command/calendar_cache.h"

#include "base/hash.h"

namespace jeton::command {

std::size_t CalendarCache::HeadOf(std::string_view zone) {
  return HashBytes(zone, 0) % kHeads;
}

Result<const Calendar*> CalendarCache::Find(Width width, std::string_view zone) {
  std::atomic<const Node*>& head = heads_[static_cast<std::size_t>(width)][HeadOf(zone)];
  const Node* first = head.load(std::memory_order_acquire);
  for (const Node* node = first; node != nullptr; node = node->next) {
    if (node->zone == zone) return &node->calendar;
  }
  Result<Calendar> calendar = Calendar::Make(width, zone, zones_);
  if (!calendar.ok()) return calendar.error();
  std::lock_guard guard(mutex_);
  // Another thread may have added it meanwhile: one more of the same does no harm.
  auto node = std::make_unique<Node>(Node{.zone = std::string(zone),
                                          .calendar = *std::move(calendar),
                                          .next = head.load(std::memory_order_relaxed)});
  const Calendar* added = &node->calendar;
  head.store(node.get(), std::memory_order_release);
  nodes_.push_back(std::move(node));
  return added;
}

}  // namespace jeton::command
