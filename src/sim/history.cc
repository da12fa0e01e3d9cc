#include "sim/history.h"

#include <algorithm>

#include "base/assert.h"
#include "base/hash.h"

namespace jeton::sim {
namespace {

std::string Describe(const Cell& cell) {
  std::string text = cell.tree ? Describe(*cell.tree) : cell.value.ToString();
  if (cell.expires_at != 0) text += " until " + std::to_string(cell.expires_at);
  if (cell.precision) text += " precision " + cell.precision->ToString();
  return text;
}

std::string Describe(const State& state, const std::string& name) {
  const auto it = state.find(name);
  return it == state.end() ? "nothing" : Describe(it->second);
}

}  // namespace

std::string Describe(const State& state) {
  std::string text;
  for (const auto& [name, cell] : state) text += name + "=" + Describe(cell) + "; ";
  return text.empty() ? "nothing" : text;
}

std::string Difference(const State& expected, const State& found) {
  State both = expected;
  both.insert(found.begin(), found.end());
  std::string text;
  for (const auto& [name, cell] : both) {
    const std::string wanted = Describe(expected, name);
    const std::string got = Describe(found, name);
    if (wanted == got) continue;
    const auto a = expected.find(name);
    const auto b = found.find(name);
    const bool trees = a != expected.end() && b != found.end() && a->second.tree && b->second.tree;
    text += name + ": ";
    text += trees && a->second.expires_at == b->second.expires_at
                ? Difference(*a->second.tree, *b->second.tree) + "; "
                : got + ", expected " + wanted + "; ";
  }
  return text;
}

const Cell* History::Find(std::string_view name) const {
  const auto it = state_.find(name);
  return it == state_.end() ? nullptr : &it->second;
}

std::uint64_t History::HashOf(std::string_view name, const Cell& cell) {
  std::string bytes(name);
  bytes += '\0';
  cell.value.EncodeTo(bytes);
  bytes += std::to_string(cell.expires_at);
  if (cell.precision) cell.precision->EncodeTo(bytes += 'p');
  if (cell.tree) bytes += 't' + std::to_string(cell.tree->Hash());
  return HashBytes(bytes, 1);
}

std::uint64_t History::Fingerprint(const State& state) {
  std::uint64_t sum = 0;
  for (const auto& [name, cell] : state) sum ^= HashOf(name, cell);
  return sum;
}

void History::Set(std::string_view name, const std::optional<Cell>& cell) {
  const auto it = state_.find(name);
  Change change{.name = std::string(name), .before = {}, .after = cell};
  if (it != state_.end()) {
    change.before = it->second;
    fingerprint_ ^= HashOf(name, it->second);
    state_.erase(it);
  }
  if (cell) {
    fingerprint_ ^= HashOf(name, *cell);
    state_.emplace(name, *cell);
  }
  open_.changes.push_back(std::move(change));
}

void History::CloseStep(MonoNs at) {
  if (open_.changes.empty()) return;
  open_.fingerprint = fingerprint_;
  open_.at = at;
  steps_.push_back(std::move(open_));
  open_ = {};
}

void History::Stamp(Lsn appended) {
  for (; stamped_ < steps_.size(); ++stamped_) steps_[stamped_].lsn = appended;
}

std::size_t History::StepsUpTo(Lsn lsn) const {
  const auto end = std::partition_point(steps_.begin(), steps_.end(),
                                        [&](const Step& step) { return step.lsn <= lsn; });
  return static_cast<std::size_t>(end - steps_.begin());
}

std::size_t History::StepsBefore(MonoNs at) const {
  const auto end = std::partition_point(steps_.begin(), steps_.end(),
                                        [&](const Step& step) { return step.at < at; });
  return static_cast<std::size_t>(end - steps_.begin());
}

std::optional<std::size_t> History::Match(const State& found, std::size_t least) const {
  const std::uint64_t wanted = Fingerprint(found);
  for (std::size_t i = steps_.size() + 1; i-- > least;) {
    const std::uint64_t here = i == 0 ? base_fingerprint_ : steps_[i - 1].fingerprint;
    if (here == wanted && StateAfter(i) == found) return i;
  }
  return std::nullopt;
}

State History::StateAfter(std::size_t steps) const {
  State state = base_;
  for (std::size_t i = 0; i < steps; ++i) {
    for (const Change& change : steps_[i].changes) {
      state.erase(change.name);
      if (change.after) state.emplace(change.name, *change.after);
    }
  }
  return state;
}

void History::CutTo(std::size_t steps) {
  ASSERT(steps <= steps_.size() && open_.changes.empty());
  base_ = StateAfter(steps);
  state_ = base_;
  base_fingerprint_ = fingerprint_ = Fingerprint(base_);
  steps_.clear();
  stamped_ = 0;
}

}  // namespace jeton::sim
