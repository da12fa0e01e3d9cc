#include "storage/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace jeton {

namespace {

ErrorKind KindOf(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      return ErrorKind::kNoSpace;
    case ENOENT:
      return ErrorKind::kNotFound;
    case EEXIST:
      return ErrorKind::kConflict;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorKind::kDenied;
    default:
      return ErrorKind::kIo;
  }
}

Error SystemError(const std::string& path, const char* action, int code) {
  return {KindOf(code), path + ": cannot " + action + ": " + std::strerror(code)};
}

// Repeats a call that a signal interrupted.
template <typename Call>
auto Retry(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixFile() override { ::close(fd_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Result<std::size_t> ReadAt(std::uint64_t offset, char* out, std::size_t size) const override {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t got = Retry(
          [&] { return ::pread(fd_, out + done, size - done, static_cast<off_t>(offset + done)); });
      if (got < 0) return SystemError(path_, "read", errno);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Status WriteAt(std::uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t put = Retry(
          [&] { return ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
      if (put < 0) return SystemError(path_, "write", errno);
      // A short write says that the next one will name the reason; zero would say so for ever.
      if (put == 0) return SystemError(path_, "write", ENOSPC);
      bytes.remove_prefix(static_cast<std::size_t>(put));
      offset += static_cast<std::uint64_t>(put);
    }
    return {};
  }

  Status Sync() override {
    // Not repeated on EINTR either: whether pages were lost by then is unknown.
    if (::fdatasync(fd_) != 0) return SystemError(path_, "sync", errno);
    return {};
  }

  Status Truncate(std::uint64_t size) override {
    if (Retry([&] { return ::ftruncate(fd_, static_cast<off_t>(size)); }) != 0) {
      return SystemError(path_, "truncate", errno);
    }
    return {};
  }

  Status Allocate(std::uint64_t size) override {
    // It falls back to writing where the file system has no fallocate.
    int code = ::posix_fallocate(fd_, 0, static_cast<off_t>(size));
    while (code == EINTR) code = ::posix_fallocate(fd_, 0, static_cast<off_t>(size));
    if (code != 0) return SystemError(path_, "allocate", code);
    return {};
  }

  Result<std::uint64_t> Size() const override {
    struct stat info = {};
    if (::fstat(fd_, &info) != 0) return SystemError(path_, "stat", errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

  Result<std::uint64_t> DataEnd() const override {
    const auto size = Size();
    if (!size) return size;
    const auto seek = [&](off_t from, int whence) {
      return Retry([&] { return ::lseek(fd_, from, whence); });
    };
    off_t end = 0;
    while (end < static_cast<off_t>(*size)) {
      const off_t data = seek(end, SEEK_DATA);
      if (data < 0) return errno == ENXIO ? Result(static_cast<std::uint64_t>(end)) : size;
      end = seek(data, SEEK_HOLE);
      if (end < 0) return size;  // a file system without holes
    }
    return size;
  }

  Result<bool> TryLock() override {
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (Retry([&] { return ::fcntl(fd_, F_OFD_SETLK, &lock); }) == 0) return true;
    if (errno == EAGAIN || errno == EACCES) return false;
    return SystemError(path_, "lock", errno);
  }

 private:
  const int fd_;
  const std::string path_;
};

class PosixDirectory final : public Directory {
 public:
  PosixDirectory(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixDirectory() override { ::close(fd_); }
  PosixDirectory(const PosixDirectory&) = delete;
  PosixDirectory& operator=(const PosixDirectory&) = delete;

  std::string name() const override { return path_; }

  Result<std::unique_ptr<File>> Open(std::string_view path, OpenMode mode) override {
    const std::string relative(path);
    const int fd =
        Retry([&] { return ::openat(fd_, relative.c_str(), Flags(mode) | O_CLOEXEC, 0640); });
    if (fd < 0) return SystemError(Full(path), "open", errno);
    return std::unique_ptr<File>(std::make_unique<PosixFile>(fd, Full(path)));
  }

  Status Rename(std::string_view from, std::string_view to) override {
    if (::renameat(fd_, std::string(from).c_str(), fd_, std::string(to).c_str()) != 0) {
      return SystemError(Full(from), "rename", errno);
    }
    return {};
  }

  Status Remove(std::string_view path) override {
    if (::unlinkat(fd_, std::string(path).c_str(), 0) != 0) {
      return SystemError(Full(path), "remove", errno);
    }
    return {};
  }

  Status CreateDirectory(std::string_view path) override {
    if (::mkdirat(fd_, std::string(path).c_str(), 0750) != 0 && errno != EEXIST) {
      return SystemError(Full(path), "create", errno);
    }
    return {};
  }

  Result<std::vector<std::string>> List(std::string_view folder) override {
    const int fd = OpenFolder(folder);
    if (fd < 0) return SystemError(Full(folder), "list", errno);
    DIR* stream = ::fdopendir(fd);
    if (stream == nullptr) {
      const int code = errno;
      ::close(fd);
      return SystemError(Full(folder), "list", code);
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string_view entry_name = entry->d_name;
      if (entry_name != "." && entry_name != "..") names.emplace_back(entry_name);
      errno = 0;
    }
    const int code = errno;
    ::closedir(stream);
    if (code != 0) return SystemError(Full(folder), "list", code);
    std::sort(names.begin(), names.end());
    return names;
  }

  Status SyncDirectory(std::string_view folder) override {
    const int fd = OpenFolder(folder);
    if (fd < 0) return SystemError(Full(folder), "open", errno);
    const int result = ::fsync(fd);
    const int code = errno;
    ::close(fd);
    if (result != 0) return SystemError(Full(folder), "sync", code);
    return {};
  }

  Result<std::uint64_t> FreeBytes() override {
    struct statvfs info = {};
    if (::fstatvfs(fd_, &info) != 0) return SystemError(path_, "stat", errno);
    return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  }

 private:
  static int Flags(OpenMode mode) {
    switch (mode) {
      case OpenMode::kRead:
        return O_RDONLY;
      case OpenMode::kReadWrite:
        return O_RDWR;
      case OpenMode::kCreate:
        return O_RDWR | O_CREAT | O_EXCL;
      case OpenMode::kOpenOrCreate:
        return O_RDWR | O_CREAT;
    }
    return O_RDONLY;
  }

  int OpenFolder(std::string_view folder) const {
    const std::string relative = folder.empty() ? "." : std::string(folder);
    return Retry(
        [&] { return ::openat(fd_, relative.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  }

  std::string Full(std::string_view path) const {
    return path.empty() ? path_ : path_ + "/" + std::string(path);
  }

  const int fd_;
  const std::string path_;
};

}  // namespace

Result<std::unique_ptr<Directory>> OpenPosixDirectory(const std::string& path, bool create) {
  if (create && ::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) {
    return SystemError(path, "create", errno);
  }
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError(path, "open", errno);
  return std::unique_ptr<Directory>(std::make_unique<PosixDirectory>(fd, path));
}

}  // namespace jeton
