#include "storage/file_system.h"

#include <algorithm>
#include <charconv>

namespace jeton {

namespace {

std::string JoinPath(std::string_view folder, std::string_view name) {
  std::string path(folder);
  if (!path.empty()) path += '/';
  return path.append(name);
}

}  // namespace

std::string_view FolderOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

Result<std::string> ReadWholeFile(Directory& directory, std::string_view path,
                                  std::uint64_t size_max) {
  auto file = directory.Open(path, OpenMode::kRead);
  if (!file) return file.error();
  const auto size = (*file)->Size();
  if (!size) return size.error();
  if (*size > size_max) {
    return Error{ErrorKind::kCorrupt, std::string(path) + ": " + std::to_string(*size) +
                                          " bytes long, at most " + std::to_string(size_max) +
                                          " can be right"};
  }
  std::string bytes(*size, '\0');
  const auto got = (*file)->ReadAt(0, bytes.data(), bytes.size());
  if (!got) return got.error();
  bytes.resize(*got);
  return bytes;
}

Status ReplaceFile(Directory& directory, std::string_view path, std::string_view bytes) {
  const std::string temp = std::string(path) + ".tmp";
  {
    auto file = directory.Open(temp, OpenMode::kOpenOrCreate);
    if (!file) return file.error();
    if (Status status = (*file)->Truncate(0); !status) return status;
    if (Status status = (*file)->WriteAt(0, bytes); !status) return status;
    if (Status status = (*file)->Sync(); !status) return status;
  }
  if (Status status = directory.Rename(temp, path); !status) return status;
  return directory.SyncDirectory(FolderOf(path));
}

Result<std::vector<NumberedFile>> ListNumbered(Directory& directory, std::string_view folder,
                                               std::string_view prefix, std::string_view suffix) {
  std::vector<NumberedFile> files;
  const auto names = directory.List(folder);
  if (!names) {
    if (names.error().kind == ErrorKind::kNotFound) return files;
    return names.error();
  }
  for (std::string_view name : *names) {
    if (name.size() <= prefix.size() + suffix.size()) continue;
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
    const std::string_view digits =
        name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
    std::uint64_t number = 0;
    const auto [end, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (problem != std::errc{} || end != digits.data() + digits.size()) continue;
    files.push_back({number, JoinPath(folder, name)});
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  return files;
}

}  // namespace jeton
