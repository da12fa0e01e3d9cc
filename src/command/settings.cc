#include "command/settings.h"

namespace jeton::command {

Settings::Settings() = default;
Status Settings::Set(std::string_view, std::string_view, Source) { return {}; }

}  // namespace jeton::command
