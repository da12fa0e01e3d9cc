// The names of Karma's dumps, `<unix seconds>_<tree>.tree`, and which trees can have one
// (docs/formats/karma-dump.md). Pure. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/calendar_text.h"
#include "base/result.h"

namespace jeton {

// The tree is all that follows the first underscore.
struct KarmaDumpName {
  std::int64_t seconds = 0;  // >= 0
  std::string tree;          // not empty
  friend bool operator==(const KarmaDumpName&, const KarmaDumpName&) = default;
};

// A name as Karma writes it, without a folder; the error names it and says what would be right.
Result<KarmaDumpName> ParseKarmaDumpName(std::string_view file);
// kInvalid if no file can have the tree's name: empty, with a '/' or NUL, too long.
Result<std::string> FormatKarmaDumpName(const KarmaDumpName& name);
// kInvalid, with the tree's name, if Karma can have no such tree: a name for which there is no file
// name, or buckets that are no days.
Status CheckKarmaTree(std::string_view tree, Width width);

}  // namespace jeton
