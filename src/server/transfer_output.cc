#include "server/transfer_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace jeton::server {

Result<OutputFile> OutputFile::Open(const std::string& path) {
  if (path.empty()) return OutputFile(dup(STDOUT_FILENO), "standard output", "");
  struct stat facts {};
  const bool special = stat(path.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode);
  const std::string temporary = special ? "" : path + ".part";
  const std::string& opened = special ? path : temporary;
  OutputFile file(open(opened.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), path,
                  temporary);
  if (file.fd_.fd() < 0) {
    const Error failed = file.Failed();
    file.temporary_.clear();
    return failed;
  }
  return file;
}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Status OutputFile::Flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t size = write(fd_.fd(), rest.data(), rest.size());
    if (size < 0 && errno != EINTR) return Failed();
    if (size > 0) rest.remove_prefix(static_cast<std::size_t>(size));
  }
  buffer_.clear();
  return {};
}

Status OutputFile::Finish() {
  if (Status flushed = Flush(); !flushed) return flushed;
  if (temporary_.empty()) return {};
  if (fsync(fd_.fd()) != 0) return Failed();
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) return Failed();
  temporary_.clear();
  return {};
}

Error OutputFile::Failed() const {
  return {ErrorKind::kIo, fmt::format("{}: {}", path_, std::strerror(errno))};
}

}  // namespace jeton::server
