#include "command/diagnosis_log.h"

#include <algorithm>

namespace jeton::command {

namespace {

std::string CutArgument(std::string_view argument) {
  if (argument.size() <= SlowLog::kMaxArgumentBytes) return std::string(argument);
  const std::size_t rest = argument.size() - SlowLog::kMaxArgumentBytes;
  return std::string(argument.substr(0, SlowLog::kMaxArgumentBytes)) + "... (" +
         std::to_string(rest) + " more bytes)";
}

}  // namespace

void SlowLog::Add(SlowEntry entry, std::span<const std::string_view> arguments,
                  std::size_t max_entries) {
  const bool cut = arguments.size() > kMaxArguments;
  const std::size_t shown = cut ? kMaxArguments - 1 : arguments.size();
  for (std::size_t i = 0; i < shown; ++i) entry.arguments.push_back(CutArgument(arguments[i]));
  if (cut) {
    entry.arguments.push_back("... (" + std::to_string(arguments.size() - shown) +
                              " more arguments)");
  }
  std::lock_guard guard(mutex_);
  entry.id = next_id_++;
  entries_.push_front(std::move(entry));
  if (entries_.size() > max_entries) entries_.resize(max_entries);
}

std::vector<SlowEntry> SlowLog::Newest(std::size_t count) const {
  std::lock_guard guard(mutex_);
  count = std::min(count, entries_.size());
  return {entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(count)};
}

std::size_t SlowLog::size() const {
  std::lock_guard guard(mutex_);
  return entries_.size();
}

void SlowLog::Clear() {
  std::lock_guard guard(mutex_);
  entries_.clear();
}

void LatencyLog::Add(std::string_view name, WallMs at_ms, std::int64_t milliseconds) {
  std::lock_guard guard(mutex_);
  auto found = events_.find(name);
  if (found == events_.end()) {
    if (events_.size() >= kMaxEvents) return;
    found = events_.emplace(std::string(name), Event{}).first;
  }
  Event& event = found->second;
  event.max_ms = std::max(event.max_ms, milliseconds);
  const std::int64_t second = at_ms / 1000;
  if (!event.samples.empty() && event.samples.back().at_seconds == second) {
    LatencySample& last = event.samples.back();
    last.milliseconds = std::max(last.milliseconds, milliseconds);
    return;
  }
  if (event.samples.size() == kMaxSamples) event.samples.erase(event.samples.begin());
  event.samples.push_back({.at_seconds = second, .milliseconds = milliseconds});
}

std::map<std::string, LatencyLog::Event, std::less<>> LatencyLog::events() const {
  std::lock_guard guard(mutex_);
  return events_;
}

std::size_t LatencyLog::Reset(std::span<const std::string_view> names) {
  std::lock_guard guard(mutex_);
  if (names.empty()) {
    const std::size_t count = events_.size();
    events_.clear();
    return count;
  }
  std::size_t count = 0;
  for (const std::string_view name : names) {
    const auto found = events_.find(name);
    if (found == events_.end()) continue;
    events_.erase(found);
    ++count;
  }
  return count;
}

}  // namespace jeton::command
