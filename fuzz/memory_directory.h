// A directory with one file in memory, read only: what the readers of stored bytes need, and no
// more.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/file_system.h"

namespace jeton {

class MemoryDirectory final : public Directory {
 public:
  MemoryDirectory(std::string path, std::string content) {
    files_.emplace(std::move(path), std::move(content));
  }

  std::string name() const override { return "memory"; }
  Result<std::unique_ptr<File>> Open(std::string_view path, OpenMode) override {
    const auto it = files_.find(path);
    if (it == files_.end()) return Error{ErrorKind::kNotFound, std::string(path)};
    return std::unique_ptr<File>(std::make_unique<MemoryFile>(it->second));
  }
  Result<std::vector<std::string>> List(std::string_view folder) override {
    std::vector<std::string> names;
    for (const auto& [path, content] : files_) {
      if (FolderOf(path) != folder) continue;
      names.push_back(folder.empty() ? path : path.substr(folder.size() + 1));
    }
    return names;
  }
  Status Rename(std::string_view, std::string_view) override { return ReadOnly(); }
  Status Remove(std::string_view) override { return ReadOnly(); }
  Status CreateDirectory(std::string_view) override { return ReadOnly(); }
  Status SyncDirectory(std::string_view) override { return ReadOnly(); }
  Result<std::uint64_t> FreeBytes() override { return std::uint64_t{0}; }

 private:
  class MemoryFile final : public File {
   public:
    explicit MemoryFile(const std::string& content) : content_(content) {}
    Result<std::size_t> ReadAt(std::uint64_t offset, char* out, std::size_t size) const override {
      if (offset >= content_.size()) return std::size_t{0};
      return content_.copy(out, size, offset);
    }
    Status WriteAt(std::uint64_t, std::string_view) override { return ReadOnly(); }
    Status Sync() override { return ReadOnly(); }
    Status Truncate(std::uint64_t) override { return ReadOnly(); }
    Status Allocate(std::uint64_t) override { return ReadOnly(); }
    Result<std::uint64_t> Size() const override { return content_.size(); }
    Result<std::uint64_t> DataEnd() const override { return content_.size(); }
    Result<bool> TryLock() override { return true; }

   private:
    const std::string& content_;  // of the directory, which outlives its files
  };

  static Error ReadOnly() { return {ErrorKind::kDenied, "read only"}; }

  std::map<std::string, std::string, std::less<>> files_;
};

}  // namespace jeton
