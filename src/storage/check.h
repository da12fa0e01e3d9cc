// Offline verification of a data directory, for `jeton check DIR`: identity, manifests, every block
// of every snapshot, every record of the log. Changes nothing. Does not look inside records.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "storage/file_system.h"

namespace jeton {

struct CheckReport {
  std::uint64_t files = 0;
  std::uint64_t problems = 0;    // 0: a start would succeed and lose nothing
  std::uint64_t records = 0;     // of the log
  std::uint64_t torn_bytes = 0;  // a start would cut them; not a problem
};

// `on_line` gets one line for each file, "path: finding". Fails only where nothing can be looked
// at.
Result<CheckReport> CheckDirectory(Directory& directory,
                                   const std::function<void(const std::string&)>& on_line);

}  // namespace jeton
