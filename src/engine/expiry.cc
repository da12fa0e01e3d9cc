#include "engine/expiry.h"

#include <algorithm>
#include <functional>

namespace jeton::engine {

void ExpiryIndex::Changed(std::uint64_t hash, WallMs before, WallMs after) {
  if (before == 0 && after != 0) ++live_;
  if (before != 0 && after == 0) --live_;
  if (after == 0 || after == before) return;
  Push({after, hash});
  for (int i = 0; i < kChecksPerPush && heap_.size() > 2 * live_ + kTolerated; ++i) CheckOne();
}

void ExpiryIndex::Collect(WallMs now, std::size_t max, std::vector<std::string>& names) {
  std::vector<Entry> again;
  const std::size_t wanted = names.size() + max;
  for (std::size_t left = 4 * max + 16; left > 0 && !heap_.empty() && names.size() < wanted;
       --left) {
    const Entry entry = heap_.front();
    if (entry.at > now) break;
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    // The same time set twice makes two equal entries; they come out one after the other.
    if (IsStale(entry) || (!again.empty() && again.back() == entry)) continue;
    again.push_back(entry);
    for (const Record* record : found_) {
      if (record->expires_at() == entry.at) names.emplace_back(record->name());
    }
  }
  for (const Entry& entry : again) Push(entry);
}

void ExpiryIndex::Clear() {
  heap_ = {};
  next_check_ = 0;
  live_ = 0;
}

void ExpiryIndex::Push(Entry entry) {
  heap_.push_back(entry);
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
}

void ExpiryIndex::CheckOne() {
  if (heap_.empty()) return;
  if (next_check_ >= heap_.size()) next_check_ = 0;
  if (IsStale(heap_[next_check_])) {
    RemoveAt(next_check_);
  } else {
    ++next_check_;
  }
}

bool ExpiryIndex::IsStale(const Entry& entry) {
  found_.clear();
  table_.FindAll(entry.hash, found_);
  return std::none_of(found_.begin(), found_.end(),
                      [&](const Record* record) { return record->expires_at() == entry.at; });
}

void ExpiryIndex::RemoveAt(std::size_t index) {
  const Entry last = heap_.back();
  heap_.pop_back();
  if (index == heap_.size()) return;
  // The last entry takes its place, then moves to where it belongs, up or down.
  std::size_t at = index;
  while (at > 0 && heap_[(at - 1) / 2] > last) {
    heap_[at] = heap_[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  for (std::size_t child; (child = 2 * at + 1) < heap_.size(); at = child) {
    if (child + 1 < heap_.size() && heap_[child] > heap_[child + 1]) ++child;
    if (!(last > heap_[child])) break;
    heap_[at] = heap_[child];
  }
  heap_[at] = last;
}

}  // namespace jeton::engine
