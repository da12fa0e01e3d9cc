// The expiry words that SET, GETEX and INCREX share: EX, PX, EXAT, PXAT, PERSIST, KEEPTTL. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace jeton::command {

enum class ExpiryWord : std::uint8_t { kNone, kEx, kPx, kExAt, kPxAt, kPersist, kKeepTtl };

struct ExpiryOption {
  ExpiryWord word = ExpiryWord::kNone;
  std::string_view amount = {};  // as given, not looked at yet

  bool has_time() const {
    return word == ExpiryWord::kEx || word == ExpiryWord::kPx || word == ExpiryWord::kExAt ||
           word == ExpiryWord::kPxAt;
  }
};

// The word at `text` in any case; kNone if it is not one.
ExpiryWord ExpiryWordOf(std::string_view text);

// If args[i] is an expiry word: takes it, and its amount, into `option`, leaves `i` on the last one
// taken and returns true. False, and nothing changed, if it is no such word, its amount is missing,
// or it disagrees with the word in `option`. The same word twice is fine and the later one counts,
// as in Redis.
bool TakeExpiry(std::span<const std::string_view> args, std::size_t& i, ExpiryOption& option);

// The time that `option` (which has_time()) means for a request at `now`: more than 0; perhaps in
// the past for EXAT and PXAT. Errors are Redis': no integer, or "invalid expire time in 'set'
// command".
Result<WallMs> ExpiryTime(const ExpiryOption& option, WallMs now, std::string_view command);

// "ERR invalid expire time in 'set' command".
Error InvalidExpireTime(std::string_view command);

}  // namespace jeton::command
