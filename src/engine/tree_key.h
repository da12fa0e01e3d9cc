// TreeKey: a key of a tree as it is looked up. The canonical decimal form of an unsigned 64-bit
// integer ("0", "42", no sign, no leading zero) is a number: 8 bytes or less, whatever its text.
// All else is text. Owns nothing: the text must outlive it.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"

namespace jeton::engine {

struct TreeKey {
  std::string_view text;  // empty if it is a number
  std::uint64_t number = 0;
  bool is_number = false;
  std::uint64_t hash = 0;
  // Where PrefetchRecord saw it. It saves a search if it is still there, and is checked.
  const std::uint64_t* hint = nullptr;
};

inline std::optional<std::uint64_t> ParseCanonicalNumber(std::string_view text) {
  if (text.empty() || text.size() > 20 || text[0] < '0' || text[0] > '9') return std::nullopt;
  if (text[0] == '0' && text.size() > 1) return std::nullopt;
  std::uint64_t number = 0;
  if (text.size() < 20) [[likely]] {  // it cannot overflow
    for (const char c : text) {
      const auto digit = static_cast<unsigned char>(c - '0');
      if (digit > 9) return std::nullopt;
      number = number * 10 + digit;
    }
    return number;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

inline TreeKey MakeNumberKey(std::uint64_t number, std::uint64_t seed) {
  const std::string_view bytes(reinterpret_cast<const char*>(&number), sizeof number);
  return {.text = {}, .number = number, .is_number = true, .hash = HashBytes(bytes, seed)};
}

// `text` is not a canonical number. Another seed than numbers', or 8 bytes of text could be chosen
// to collide with one.
inline TreeKey MakeTextKey(std::string_view text, std::uint64_t seed) {
  return {.text = text, .number = 0, .is_number = false, .hash = HashBytes(text, ~seed)};
}

inline TreeKey MakeTreeKey(std::string_view text, std::uint64_t seed) {
  if (const auto number = ParseCanonicalNumber(text)) return MakeNumberKey(*number, seed);
  return MakeTextKey(text, seed);
}

}  // namespace jeton::engine
