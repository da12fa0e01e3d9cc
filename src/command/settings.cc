#include "command/settings.h"

#include <algorithm>

#include "base/text.h"
#include "command/settings_table.h"

namespace jeton::command {

namespace {

constexpr int kMaxIncludeDepth = 8;
constexpr std::size_t kMaxShownBytes = 128;

const SettingEntry& At(int index) {
  return SettingTable()[static_cast<std::size_t>(index)];
}

Error Invalid(std::string text) {
  return {.kind = ErrorKind::kInvalid, .text = std::move(text)};
}

Error Unknown(std::string_view name) {
  std::string text = "unknown setting '" + std::string(name.substr(0, kMaxShownBytes)) + "'";
  if (const std::string_view nearest = NearestSetting(name); !nearest.empty()) {
    text += "; is '" + std::string(nearest) + "' meant?";
  }
  return Invalid(std::move(text));
}

Error BadValue(const SettingEntry& entry, std::string_view value) {
  return Invalid(std::string(entry.name) + ": '" + std::string(value.substr(0, kMaxShownBytes)) +
                 "' is not " + entry.expected);
}

Error Prefixed(const std::string& where, const Error& error) {
  return {.kind = error.kind, .text = where + error.text};
}

// The settings of their own that an entry stands for.
std::vector<int> Targets(int index) {
  if (At(index).alias_of.empty()) return {index};
  std::vector<int> targets;
  for (const std::string_view name : At(index).alias_of) targets.push_back(FindSetting(name));
  return targets;
}

bool IsCommentOrBlank(std::string_view line) {
  const std::size_t start = line.find_first_not_of(" \t\r");
  return start == std::string_view::npos || line[start] == '#';
}

template <typename Visit>
void ForEachLine(std::string_view text, const Visit& visit) {
  int number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    visit(++number, line);
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

// The value of a line's words: one word, or all of them where the setting takes several.
Result<std::string> ValueOf(const SettingEntry& entry, std::span<const std::string> words) {
  if (words.size() == 1)
    return Invalid(std::string(entry.name) + " needs a value: " + entry.expected);
  if (words.size() == 2) return words[1];
  if (!entry.several_words) {
    return Invalid(std::string(entry.name) + " takes one value, not " +
                   std::to_string(words.size() - 1) + " (quote it if it has blanks)");
  }
  std::string value;
  for (const std::string& word : words.subspan(1)) value += (value.empty() ? "" : " ") + word;
  return value;
}

std::string QuotedIfNeeded(const std::string& value) {
  const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\' && c != '#';
  });
  return plain ? value : QuoteForLog(value);
}

std::string LineOf(const SettingEntry& entry, const Values& values) {
  const std::string value = entry.print(values);
  const bool as_words = entry.several_words && !value.empty();
  return std::string(entry.name) + " " + (as_words ? value : QuotedIfNeeded(value));
}

// Resolves an include's path against the file that names it.
std::string Resolve(const std::string& path, const std::string& including) {
  const std::size_t slash = including.rfind('/');
  if (path.starts_with('/') || slash == std::string::npos) return path;
  return including.substr(0, slash + 1) + path;
}

}  // namespace

Settings::Settings() : fsync_(values_.fsync), sources_(SettingTable().size(), Source::kDefault) {}

Status Settings::Set(std::string_view name, std::string_view value, Source source) {
  const int index = FindSetting(name);
  if (index < 0) return Unknown(name);
  // A weaker source that comes late is checked all the same, but does not count.
  Values changed = values_;
  if (!At(index).parse(changed, value)) return BadValue(At(index), value);
  for (const int target : Targets(index)) {
    Source& known = sources_[static_cast<std::size_t>(target)];
    if (source < known) continue;
    known = source;
    (void)At(target).parse(values_, At(target).print(changed));
  }
  fsync_.store(values_.fsync, std::memory_order_relaxed);
  return {};
}

Status Settings::LoadText(std::string_view text, const std::string& path,
                          const FileReader& read_file) {
  // `save` lines of one file add up, as in Redis; the first one replaces the default.
  struct Loader {
    Settings& settings;
    const FileReader& read_file;
    std::string save;

    Status Load(std::string_view file_text, const std::string& file, int depth) {
      Status status;
      ForEachLine(file_text, [&](int number, std::string_view line) {
        if (!status.ok() || IsCommentOrBlank(line)) return;
        const std::string where = file + ":" + std::to_string(number) + ": ";
        const Status result = Line(line, where, file, depth);
        if (!result.ok()) status = result;
      });
      return status;
    }

    Status Line(std::string_view line, const std::string& where, const std::string& file,
                int depth) {
      std::vector<std::string> words;
      if (!SplitWords(line, words) || words.empty()) {
        return Invalid(where + "unbalanced quotes");
      }
      if (EqualsIgnoreCase(words[0], "include")) return Include(words, where, file, depth);
      const int index = FindSetting(words[0]);
      if (index < 0) return Prefixed(where, Unknown(words[0]));
      auto value = ValueOf(At(index), words);
      if (!value.ok()) return Prefixed(where, value.error());
      if (At(index).name == "save") {
        save = value->empty() ? "" : save + (save.empty() ? "" : " ") + *value;
        value = save;
      }
      const Status status = settings.Set(words[0], *value, Source::kFile);
      return status.ok() ? status : Status(Prefixed(where, status.error()));
    }

    Status Include(const std::vector<std::string>& words, const std::string& where,
                   const std::string& file, int depth) {
      if (words.size() != 2) return Invalid(where + "include takes one file");
      if (depth == kMaxIncludeDepth) {
        return Invalid(where + "include: files include one another more than " +
                       std::to_string(kMaxIncludeDepth) + " deep");
      }
      const std::string included = Resolve(words[1], file);
      if (!read_file) return Invalid(where + "include is not possible here");
      const auto content = read_file(included);
      if (!content.ok()) return Prefixed(where, content.error());
      return Load(*content, included, depth + 1);
    }
  };
  return Loader{.settings = *this, .read_file = read_file, .save = {}}.Load(text, path, 0);
}

Status Settings::LoadEnvironment(std::span<const std::string> environment) {
  constexpr std::string_view kPrefix = "JETON_";
  for (const std::string& pair : environment) {
    const std::size_t equals = pair.find('=');
    if (!pair.starts_with(kPrefix) || equals == std::string::npos) continue;
    const std::string variable = pair.substr(0, equals);
    std::string name = ToLower(std::string_view(variable).substr(kPrefix.size()));
    std::replace(name.begin(), name.end(), '_', '-');
    const Status status =
        Set(name, std::string_view(pair).substr(equals + 1), Source::kEnvironment);
    if (!status.ok()) return Prefixed("environment variable " + variable + ": ", status.error());
  }
  return {};
}

Status Settings::ConfigSet(std::span<const std::pair<std::string_view, std::string_view>> pairs) {
  Values changed = values_;
  std::vector<int> targets;
  for (const auto& [name, value] : pairs) {
    const std::string shown(name.substr(0, kMaxShownBytes));
    const int index = FindSetting(name);
    if (index < 0) {
      return Invalid("ERR Unknown option or number of arguments for CONFIG SET - '" + shown + "'");
    }
    const std::string failed =
        "ERR CONFIG SET failed (possibly related to argument '" + shown + "') - ";
    if (!At(index).at_run_time) return Invalid(failed + "can't set immutable config");
    for (const int target : Targets(index)) {
      if (std::find(targets.begin(), targets.end(), target) != targets.end()) {
        return Invalid(failed + "duplicate parameter");
      }
      targets.push_back(target);
    }
    if (!At(index).parse(changed, value)) return Invalid(failed + At(index).redis_reason);
  }
  values_ = std::move(changed);
  fsync_.store(values_.fsync, std::memory_order_relaxed);
  std::vector<std::string_view> names;
  for (const int target : targets) {
    sources_[static_cast<std::size_t>(target)] = Source::kConfigSet;
    names.push_back(At(target).name);
  }
  if (on_change) on_change(names);
  return {};
}

std::vector<std::pair<std::string, std::string>> Settings::Get(
    std::span<const std::string_view> globs) const {
  std::vector<std::pair<std::string, std::string>> found;
  for (const SettingEntry& entry : SettingTable()) {
    const bool wanted = std::any_of(globs.begin(), globs.end(), [&](std::string_view glob) {
      return GlobMatch(glob, entry.name, GlobCase::kIgnore);
    });
    if (!wanted) continue;
    std::string value = entry.print(values_);
    if (entry.secret && !value.empty()) value = "(hidden)";
    found.emplace_back(entry.name, std::move(value));
  }
  return found;
}

std::string Settings::RewriteText(std::string_view old_text) const {
  std::string text;
  std::vector<bool> written(SettingTable().size(), false);
  ForEachLine(old_text, [&](int, std::string_view line) {
    std::vector<std::string> words;
    const bool setting = !IsCommentOrBlank(line) && SplitWords(line, words) && !words.empty() &&
                         FindSetting(words[0]) >= 0;
    if (!setting) {
      text.append(line).append("\n");
      return;
    }
    const int index = FindSetting(words[0]);
    const std::vector<int> targets = Targets(index);
    const bool again = std::all_of(targets.begin(), targets.end(), [&](int target) {
      return written[static_cast<std::size_t>(target)];
    });
    if (again) return;  // one line says it all
    for (const int target : targets) written[static_cast<std::size_t>(target)] = true;
    // A line that says the present value already keeps its form ("64mb").
    const auto value = ValueOf(At(index), words);
    Values as_written;
    const bool same = value.ok() && At(index).parse(as_written, *value) &&
                      At(index).print(as_written) == At(index).print(values_);
    text.append(same ? std::string(line) : LineOf(At(index), values_)).append("\n");
  });

  const Values defaults;
  bool first = true;
  for (std::size_t i = 0; i < SettingTable().size(); ++i) {
    const SettingEntry& entry = SettingTable()[i];
    if (written[i] || !entry.alias_of.empty()) continue;
    if (entry.print(values_) == entry.print(defaults)) continue;
    if (first) text += "# Generated by CONFIG REWRITE\n";
    first = false;
    text += LineOf(entry, values_) + "\n";
  }
  return text;
}

std::vector<Settings::Description> Settings::Describe() {
  std::vector<Description> descriptions;
  const Values defaults;
  for (const SettingEntry& entry : SettingTable()) {
    descriptions.push_back({.name = std::string(entry.name),
                            .kind = entry.kind,
                            .default_value = entry.print(defaults),
                            .at_run_time = entry.at_run_time,
                            .summary = std::string(entry.summary)});
  }
  return descriptions;
}

}  // namespace jeton::command
