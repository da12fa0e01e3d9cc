// The error texts that several command families share, word for word as clients match on them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace jeton::command {

inline constexpr std::string_view kSyntaxError = "ERR syntax error";
inline constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";
inline constexpr std::string_view kNotAFloat = "ERR value is not a valid float";
inline constexpr std::string_view kWrongType =
    "WRONGTYPE Operation against a key holding the wrong kind of value";
inline constexpr std::string_view kOutOfRange = "ERR Counter value out of allowed range";
inline constexpr std::string_view kWouldOverflow = "ERR increment or decrement would overflow";

// "ERR wrong number of arguments for 'x' command".
inline std::string WrongArguments(std::string_view command) {
  return "ERR wrong number of arguments for '" + std::string(command) + "' command";
}

}  // namespace jeton::command
