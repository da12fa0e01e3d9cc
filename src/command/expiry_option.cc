#include "command/expiry_option.h"

#include <limits>

#include "base/text.h"
#include "command/errors.h"

namespace jeton::command {

ExpiryWord ExpiryWordOf(std::string_view text) {
  if (EqualsIgnoreCase(text, "EX")) return ExpiryWord::kEx;
  if (EqualsIgnoreCase(text, "PX")) return ExpiryWord::kPx;
  if (EqualsIgnoreCase(text, "EXAT")) return ExpiryWord::kExAt;
  if (EqualsIgnoreCase(text, "PXAT")) return ExpiryWord::kPxAt;
  if (EqualsIgnoreCase(text, "PERSIST")) return ExpiryWord::kPersist;
  if (EqualsIgnoreCase(text, "KEEPTTL")) return ExpiryWord::kKeepTtl;
  return ExpiryWord::kNone;
}

bool TakeExpiry(std::span<const std::string_view> args, std::size_t& i, ExpiryOption& option) {
  const ExpiryOption found{.word = ExpiryWordOf(args[i])};
  if (found.word == ExpiryWord::kNone) return false;
  if (option.word != ExpiryWord::kNone && option.word != found.word) return false;
  if (!found.has_time()) {
    option = found;
    return true;
  }
  if (i + 1 == args.size()) return false;
  option = {.word = found.word, .amount = args[++i]};
  return true;
}

Result<WallMs> ExpiryTime(const ExpiryOption& option, WallMs now, std::string_view command) {
  const auto amount = ParseInt64(option.amount);
  if (!amount) return Error{ErrorKind::kInvalid, std::string(kNotAnInteger)};
  WallMs at = *amount;
  if (at <= 0) return InvalidExpireTime(command);
  const bool in_seconds = option.word == ExpiryWord::kEx || option.word == ExpiryWord::kExAt;
  const bool from_now = option.word == ExpiryWord::kEx || option.word == ExpiryWord::kPx;
  if (in_seconds && __builtin_mul_overflow(at, 1000, &at)) return InvalidExpireTime(command);
  if (from_now && __builtin_add_overflow(at, now, &at)) return InvalidExpireTime(command);
  if (at <= 0) return InvalidExpireTime(command);
  return at;
}

Error InvalidExpireTime(std::string_view command) {
  return {ErrorKind::kRange, "ERR invalid expire time in '" + std::string(command) + "' command"};
}

}  // namespace jeton::command
