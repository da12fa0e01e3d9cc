#include "server/transfer_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "server/process.h"

namespace jeton::server {
namespace {

constexpr std::size_t kBarCells = 24;

std::string Short(double number) {
  if (number < 10'000) return fmt::format("{:.0f}", number);
  if (number < 1e6) return fmt::format("{:.1f}k", number / 1e3);
  if (number < 1e9) return fmt::format("{:.1f}M", number / 1e6);
  return fmt::format("{:.1f}G", number / 1e9);
}

}  // namespace

std::string ProgressLine(const ProgressState& state) {
  const auto done = static_cast<double>(state.done);
  const std::string rate = Short(state.seconds > 0 ? done / state.seconds : 0) + "/s";
  if (!state.total || *state.total == 0) {
    return fmt::format("{}  {} {}  {}", state.label, Short(done), state.unit, rate);
  }
  // A tree may grow while it is exported.
  const auto total = static_cast<double>(*state.total);
  const double part = std::min(1.0, done / total);
  std::string bar(static_cast<std::size_t>(part * kBarCells), '=');
  if (bar.size() < kBarCells) bar += '>';
  bar.resize(kBarCells, ' ');
  return fmt::format("{} [{}] {:3.0f}%  {} of {} {}  {}", state.label, bar, part * 100, Short(done),
                     Short(total), state.unit, rate);
}

Progress::Progress(std::string_view label, std::string_view unit,
                   std::optional<std::uint64_t> total, bool wanted)
    : terminal_(wanted && isatty(STDERR_FILENO) != 0), start_(terminal_ ? MonotonicNow() : 0) {
  state_ = {.label = label, .unit = unit, .done = 0, .total = total, .seconds = 0};
}

Progress::~Progress() {
  if (drawn_ != 0) fmt::print(stderr, "\r\x1b[K");
}

void Progress::Update(std::uint64_t done) {
  if (!terminal_) return;
  const MonoNs now = MonotonicNow();
  if (now - std::max(drawn_, start_) < kInterval) return;
  drawn_ = now;
  state_.done = done;
  state_.seconds = static_cast<double>(now - start_) / static_cast<double>(kNsPerSecond);
  // To the end of the line the old text goes, so that a shorter one leaves nothing behind.
  fmt::print(stderr, "\r{}\x1b[K", ProgressLine(state_));
  std::fflush(stderr);
}

}  // namespace jeton::server
