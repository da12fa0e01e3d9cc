#include "protocol/karma_dump_name.h"

#include "base/assert.h"
#include "base/text.h"

namespace jeton {
namespace {

constexpr std::size_t kFileNameBytesMax = 255;
constexpr std::string_view kFileSuffix = ".tree";

std::string Tree(std::string_view name) {
  return "tree " + QuoteForLog(name);
}

}  // namespace

Result<KarmaDumpName> ParseKarmaDumpName(std::string_view file) {
  const std::size_t underscore = file.find('_');
  if (file.ends_with(kFileSuffix) && underscore != file.npos) {
    const auto seconds = ParseInt64(file.substr(0, underscore));
    const std::string_view rest = file.substr(underscore + 1);
    if (seconds && *seconds >= 0 && rest.size() > kFileSuffix.size()) {
      KarmaDumpName name{.seconds = *seconds,
                         .tree = std::string(rest.substr(0, rest.size() - kFileSuffix.size()))};
      if (FormatKarmaDumpName(name).ok()) return name;
    }
  }
  return Error{ErrorKind::kInvalid, "file name " + QuoteForLog(file) +
                                        " is not that of a Karma dump, as "
                                        "1688496993_articles.tree, without a folder"};
}

Result<std::string> FormatKarmaDumpName(const KarmaDumpName& name) {
  ASSERT(name.seconds >= 0);
  const auto refuse = [&](const char* why) {
    return Error{ErrorKind::kInvalid, Tree(name.tree) + " cannot be the name of a file: " + why};
  };
  if (name.tree.empty()) return refuse("it is empty");
  if (name.tree.find('/') != name.tree.npos) return refuse("it has a '/'");
  if (name.tree.find('\0') != name.tree.npos) return refuse("it has a NUL");
  std::string file = std::to_string(name.seconds) + '_' + name.tree + std::string(kFileSuffix);
  if (file.size() > kFileNameBytesMax) return refuse("with the time it has more than 255 bytes");
  return file;
}

Status CheckKarmaTree(std::string_view tree, Width width) {
  if (width != Width::kDay) {
    return Error{ErrorKind::kInvalid, Tree(tree) + " has a bucket for every " +
                                          std::string(WidthName(width)) +
                                          ", but Karma's trees have one for every day"};
  }
  constexpr std::int64_t kTenDigits = 9'999'999'999;  // the time of a dump, until the year 2286
  const auto file = FormatKarmaDumpName({.seconds = kTenDigits, .tree = std::string(tree)});
  return file.ok() ? Status() : Status(file.error());
}

}  // namespace jeton
