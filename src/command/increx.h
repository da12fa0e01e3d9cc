// INCREX: an increment with bounds and expiry in one step (Redis 8.8), the heart of rate limiters
// and stock counts.
//
//   INCREX key [BYINT n | BYFLOAT n] [LBOUND n] [UBOUND n] [SATURATE]
//          [EX s | PX ms | EXAT t | PXAT ms | PERSIST] [ENX]
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/decimal.h"
#include "base/result.h"
#include "command/expiry_option.h"

namespace jeton::command {

class CommandTable;

struct Bounds {
  Decimal lower;
  Decimal upper;
};

// An increment of `old`, kept within `bounds`.
struct BoundedSum {
  Decimal value;
  Decimal applied;
  bool refused = false;  // it would have left the bounds, and was not to be cut: nothing changes
};

// Empty if the change itself is more than a Decimal holds (from one end of the range to the other).
std::optional<BoundedSum> AddWithin(const Decimal& old, const Decimal& by, const Bounds& bounds,
                                    bool saturate);

struct IncrexOptions {
  bool by_float = false;
  Decimal by = 1;
  Bounds bounds = {};
  bool saturate = false;
  bool only_if_no_expiry = false;  // ENX
  ExpiryOption expiry = {};
};

// `args` without the command and the key. `integers`: the limits of BYINT are those of an int64.
Result<IncrexOptions> ParseIncrex(std::span<const std::string_view> args, bool integers);

void AddIncrexCommand(CommandTable& table);

}  // namespace jeton::command
