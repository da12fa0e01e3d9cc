#include "sim/lying_disk.h"

#include <string>
#include <utility>

namespace jeton::sim {
namespace {

constexpr int kLostWriteEvery = 12;

struct Lie {
  Canary canary = Canary::kNone;
  int writes = 0;
};

class LyingFile final : public File {
 public:
  LyingFile(std::unique_ptr<File> inner, std::string_view path, std::shared_ptr<Lie> lie)
      : inner_(std::move(inner)), folder_(FolderOf(path)), lie_(std::move(lie)) {}

  Result<std::size_t> ReadAt(std::uint64_t offset, char* out, std::size_t size) const override {
    return inner_->ReadAt(offset, out, size);
  }
  Status WriteAt(std::uint64_t offset, std::string_view bytes) override {
    if (Lies(Canary::kWriteLost, "wal") && ++lie_->writes % kLostWriteEvery == 0) return {};
    Status status = inner_->WriteAt(offset, bytes);
    return Lies(Canary::kNoSpaceHidden, "wal") ? HideNoSpace(std::move(status)) : status;
  }
  Status Sync() override {
    if (Lies(Canary::kSyncLies, "wal") || Lies(Canary::kSnapshotUnsynced, "snap")) return {};
    Status status = inner_->Sync();
    return Lies(Canary::kSyncErrorHidden, "wal") ? Status() : status;
  }
  Status Truncate(std::uint64_t size) override { return inner_->Truncate(size); }
  Status Allocate(std::uint64_t size) override {
    Status status = inner_->Allocate(size);
    return Lies(Canary::kNoSpaceHidden, "wal") ? HideNoSpace(std::move(status)) : status;
  }
  Result<std::uint64_t> Size() const override { return inner_->Size(); }
  Result<std::uint64_t> DataEnd() const override { return inner_->DataEnd(); }
  Result<bool> TryLock() override { return inner_->TryLock(); }

 private:
  bool Lies(Canary canary, std::string_view folder) const {
    return lie_->canary == canary && folder_ == folder;
  }
  static Status HideNoSpace(Status status) {
    if (!status && status.error().kind == ErrorKind::kNoSpace) return {};
    return status;
  }

  std::unique_ptr<File> inner_;
  std::string folder_;
  std::shared_ptr<Lie> lie_;
};

class LyingDirectory final : public Directory {
 public:
  LyingDirectory(std::unique_ptr<Directory> inner, Canary canary)
      : inner_(std::move(inner)), lie_(std::make_shared<Lie>(Lie{.canary = canary})) {}

  std::string name() const override { return inner_->name(); }
  Result<std::unique_ptr<File>> Open(std::string_view path, OpenMode mode) override {
    auto file = inner_->Open(path, mode);
    if (!file) return file;
    return std::unique_ptr<File>(std::make_unique<LyingFile>(std::move(file).value(), path, lie_));
  }
  Status Rename(std::string_view from, std::string_view to) override {
    if (lie_->canary == Canary::kRenameLost) return {};
    return inner_->Rename(from, to);
  }
  Status Remove(std::string_view path) override { return inner_->Remove(path); }
  Status CreateDirectory(std::string_view path) override { return inner_->CreateDirectory(path); }
  Result<std::vector<std::string>> List(std::string_view folder) override {
    return inner_->List(folder);
  }
  Status SyncDirectory(std::string_view folder) override {
    if (lie_->canary == Canary::kDirectorySyncLies) return {};
    return inner_->SyncDirectory(folder);
  }
  Result<std::uint64_t> FreeBytes() override { return inner_->FreeBytes(); }

 private:
  std::unique_ptr<Directory> inner_;
  std::shared_ptr<Lie> lie_;
};

}  // namespace

std::unique_ptr<Directory> MakeLyingDirectory(std::unique_ptr<Directory> inner, Canary canary) {
  return std::make_unique<LyingDirectory>(std::move(inner), canary);
}

}  // namespace jeton::sim
