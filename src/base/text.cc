#include "base/text.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace jeton {
namespace {

// One element of a pattern: how much of the pattern it takes, and whether it matches the byte.
struct GlobStep {
  std::size_t size;
  bool matches;
};

unsigned char Fold(char c, GlobCase letters) {
  return static_cast<unsigned char>(letters == GlobCase::kIgnore ? ToLower(c) : c);
}

// `pattern` begins with '['.
GlobStep MatchClass(std::string_view pattern, unsigned char byte, GlobCase letters) {
  std::size_t i = 1;
  const bool negated = i < pattern.size() && pattern[i] == '^';
  if (negated) ++i;
  bool found = false;
  while (i < pattern.size() && pattern[i] != ']') {
    const std::size_t left = pattern.size() - i;
    if (pattern[i] == '\\' && left >= 2) {
      found |= Fold(pattern[i + 1], letters) == byte;
      i += 2;
    } else if (left >= 3 && pattern[i + 1] == '-') {
      const auto [low, high] =
          std::minmax({Fold(pattern[i], letters), Fold(pattern[i + 2], letters)});
      found |= byte >= low && byte <= high;
      i += 3;
    } else {
      found |= Fold(pattern[i], letters) == byte;
      ++i;
    }
  }
  const std::size_t size = std::min(i + 1, pattern.size());
  return {size, found != negated};
}

// `pattern` is not empty and does not begin with '*'.
GlobStep MatchOne(std::string_view pattern, char c, GlobCase letters) {
  const unsigned char byte = Fold(c, letters);
  if (pattern[0] == '?') return {1, true};
  if (pattern[0] == '[') return MatchClass(pattern, byte, letters);
  if (pattern[0] == '\\' && pattern.size() >= 2) return {2, Fold(pattern[1], letters) == byte};
  return {1, Fold(pattern[0], letters) == byte};
}

constexpr char kHexDigits[] = "0123456789abcdef";

void AppendQuoted(std::string& out, char c) {
  static constexpr std::string_view kPlain = "\\\"\n\r\t\a\b";
  static constexpr std::string_view kEscaped = "\\\"nrtab";
  const std::size_t special = kPlain.find(c);
  if (special != std::string_view::npos) {
    out += '\\';
    out += kEscaped[special];
  } else if (c >= ' ' && c <= '~') {
    out += c;
  } else {
    const auto byte = static_cast<unsigned char>(c);
    out += "\\x";
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
  }
}

std::optional<std::uint64_t> UnitFactor(std::string_view unit) {
  struct Unit {
    std::string_view name;
    std::uint64_t factor;
  };
  static constexpr std::array<Unit, 8> kUnits = {{{"", 1},
                                                  {"b", 1},
                                                  {"k", 1000},
                                                  {"kb", 1024},
                                                  {"m", 1000 * 1000},
                                                  {"mb", 1024 * 1024},
                                                  {"g", 1000 * 1000 * 1000},
                                                  {"gb", 1024 * 1024 * 1024}}};
  for (const Unit& known : kUnits) {
    if (EqualsIgnoreCase(known.name, unit)) return known.factor;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::int64_t> ParseInt64(std::string_view text) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || digits[0] < '0' || digits[0] > '9') return std::nullopt;
  if (digits[0] == '0' && text.size() > 1) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string ToLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = ToLower(c);
  return lower;
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return ToLower(x) == ToLower(y); });
}

bool GlobMatch(std::string_view pattern, std::string_view text, GlobCase letters) {
  std::optional<std::string_view> after_star;  // the pattern behind the last star
  std::string_view star_text;                  // what is left of the text if that star ends here
  while (!text.empty()) {
    if (!pattern.empty() && pattern[0] == '*') {
      pattern.remove_prefix(1);
      if (pattern.empty()) return true;
      after_star = pattern;
      star_text = text;
      continue;
    }
    const GlobStep step =
        pattern.empty() ? GlobStep{0, false} : MatchOne(pattern, text[0], letters);
    if (step.matches) {
      pattern.remove_prefix(step.size);
      text.remove_prefix(1);
      continue;
    }
    if (!after_star) return false;
    star_text.remove_prefix(1);
    text = star_text;
    pattern = *after_star;
  }
  return pattern.find_first_not_of('*') == std::string_view::npos;
}

std::string QuoteForLog(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes) AppendQuoted(out, c);
  out += '"';
  return out;
}

Result<std::uint64_t> ParseByteSize(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto used = static_cast<std::size_t>(end - text.data());
  const auto factor = UnitFactor(text.substr(used));
  std::uint64_t size = 0;
  if (error != std::errc() || !factor || __builtin_mul_overflow(number, *factor, &size)) {
    return Error{ErrorKind::kInvalid, QuoteForLog(text) +
                                          " is not a size: want a number of bytes "
                                          "with b, k, kb, m, mb, g or gb, as in 64kb or 1gb"};
  }
  return size;
}

}  // namespace jeton
