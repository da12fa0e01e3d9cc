// The real disk: pread, pwrite, fdatasync, fallocate, OFD locks. Linux.
#pragma once

#include <memory>
#include <string>

#include "storage/file_system.h"

namespace jeton {

// Opens the directory at `path`; creates it (its parent must exist, mode 0750) if `create`.
Result<std::unique_ptr<Directory>> OpenPosixDirectory(const std::string& path, bool create);

}  // namespace jeton
