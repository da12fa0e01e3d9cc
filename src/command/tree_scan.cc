#include "command/tree_scan.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.h"
#include "command/tree_access.h"

namespace jeton::command {

namespace {

// More in one step would hold up everybody else.
constexpr std::int64_t kMaxCount = 2000;
constexpr std::int64_t kDefaultCount = 10;

struct ScanWords {
  std::uint64_t cursor = 0;
  std::optional<std::string_view> match;
  std::int64_t count = kDefaultCount;
};

Error Refused(std::string_view text) {
  return {ErrorKind::kInvalid, std::string(text)};
}

Result<ScanWords> Parse(std::span<const std::string_view> words) {
  ScanWords parsed;
  const char* const end = words[0].data() + words[0].size();
  const auto [stop, error] = std::from_chars(words[0].data(), end, parsed.cursor);
  if (error != std::errc() || stop != end) return Refused("ERR invalid cursor");
  for (std::size_t i = 1; i < words.size(); i += 2) {
    if (i + 1 == words.size()) return Refused(kSyntaxError);
    if (EqualsIgnoreCase(words[i], "MATCH")) {
      parsed.match = words[i + 1];
    } else if (EqualsIgnoreCase(words[i], "COUNT")) {
      const Result<std::int64_t> count = ParseInteger(words[i + 1]);
      if (!count) return count.error();
      if (*count < 1) return Refused(kSyntaxError);
      parsed.count = std::min(*count, kMaxCount);
    } else {
      return Refused(kSyntaxError);
    }
  }
  return parsed;
}

}  // namespace

Result<TreeScanStep> ScanTree(Context& ctx, const engine::Key& name,
                              std::span<const std::string_view> words) {
  const Result<ScanWords> parsed = Parse(words);
  if (!parsed) return parsed.error();
  const Result<TreePlace> place = FindTreeToRead(ctx, name);
  if (!place) return place.error();
  TreeScanStep step;
  if (!*place) return step;
  const auto count = static_cast<std::size_t>(parsed->count);
  step.next = place->tree->Scan(parsed->cursor, count, [&](const engine::KeyView& key) {
    KeyTotal item{.key = KeyName::Of(key), .value = key.Total()};
    if (parsed->match && !GlobMatch(*parsed->match, item.key.ToString())) return;
    step.keys.push_back(std::move(item));
  });
  return step;
}

}  // namespace jeton::command
