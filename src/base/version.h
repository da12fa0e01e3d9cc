// The version of Jeton, as told to clients and on the command line.
#pragma once

#include <string_view>

namespace jeton {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace jeton
