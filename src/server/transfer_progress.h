// Progress: a line on standard error while it is a terminal, nothing otherwise.
//
//   Importing [=========>          ]  47%  12.1M of 25.7M bytes  3.4M/s
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace jeton::server {

struct ProgressState {
  std::string_view label;
  std::string_view unit;  // "bytes"
  std::uint64_t done = 0;
  std::optional<std::uint64_t> total;  // empty: unknown, and no bar
  double seconds = 0;                  // since the start
};

// Pure.
std::string ProgressLine(const ProgressState& state);

class Progress {
 public:
  static constexpr MonoNs kInterval = 100 * kNsPerMs;  // between two drawings

  // The texts must outlive it. Not `wanted`: nothing is shown, because the terminal shows the data.
  Progress(std::string_view label, std::string_view unit, std::optional<std::uint64_t> total,
           bool wanted = true);
  // Takes the line away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Cheap; draws now and then.
  void Update(std::uint64_t done);

 private:
  const bool terminal_;
  const MonoNs start_;
  MonoNs drawn_ = 0;
  ProgressState state_;
};

}  // namespace jeton::server
