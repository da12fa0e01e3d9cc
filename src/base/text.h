// Small pure helpers for text: strict integers, ASCII case, Redis' glob patterns, quoting, sizes.
// All of them take any bytes. Thread-safe.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jeton {

// As strict as Redis' string2ll: an optional '-', then digits without a leading zero. No plus, no
// blanks, no "-0", nothing beyond 64 bits.
std::optional<std::int64_t> ParseInt64(std::string_view text);

// Whether `text` stands at `other`, where as many bytes must be. Names of 8 to 32 bytes, nearly
// all, take no call: two pieces of 8 or of 16 bytes, which overlap.
[[gnu::always_inline]] inline bool SameBytes(std::string_view text, const void* other) {
  const char* a = text.data();
  const auto* b = static_cast<const char*>(other);
  const std::size_t size = text.size();
  if (size < 8 || size > 32) return std::memcmp(a, b, size) == 0;
  const auto differ = [&]<typename Piece>(Piece, std::size_t at) {
    Piece x;
    Piece y;
    std::memcpy(&x, a + at, sizeof x);
    std::memcpy(&y, b + at, sizeof y);
    return x ^ y;
  };
  using Half = std::uint64_t;
  using Whole = unsigned __int128;
  if (size < 16) return (differ(Half{}, 0) | differ(Half{}, size - 8)) == 0;
  return (differ(Whole{}, 0) | differ(Whole{}, size - 16)) == 0;
}

// ASCII letters only; other bytes are compared as they are, whatever the locale.
constexpr char ToLower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
std::string ToLower(std::string_view text);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

enum class GlobCase { kSensitive, kIgnore };

// Redis' glob (stringmatchlen): `*`, `?`, `[abc]`, `[a-z]`, `[^a]`, and `\` before a literal. A
// class that is not closed ends with the pattern. At most |pattern| * |text| steps: only the last
// star is ever tried again, because what an earlier one could still match, the last one can match
// too.
bool GlobMatch(std::string_view pattern, std::string_view text,
               GlobCase letters = GlobCase::kSensitive);

// In double quotes, with \n \r \t \a \b \\ \" and \xhh for what is not printable ASCII (as Redis'
// MONITOR and SLOWLOG show arguments).
std::string QuoteForLog(std::string_view bytes);

// The memory units of redis.conf, in any case: 10, 10b, 10k = 10000, 10kb = 10240, m, mb, g, gb.
Result<std::uint64_t> ParseByteSize(std::string_view text);

}  // namespace jeton
