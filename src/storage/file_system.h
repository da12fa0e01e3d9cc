// The seam between storage and the disk: one Directory (the data directory and the folders one
// level below it) and its Files. `PosixDirectory` is the real one, `sim/sim_disk` the simulated
// one; the code above cannot tell them apart.
//
// Paths are relative to the directory, with at most one slash: "IDENTITY", "wal/0000000001.log".
// What is durable when: bytes after File::Sync, sizes too; names (create, rename, remove) only
// after SyncDirectory of the folder that holds them. A failed Sync may have dropped the dirty
// pages: its file must not be written or synced again, only closed (Rebello et al., "Can
// Applications Recover from fsync Failures?", ATC 2020).
//
// Errors: kNoSpace for ENOSPC and EDQUOT, kNotFound for a missing file, kConflict for one that is
// there already, kIo for the rest; the text names the file and the cause.
//
// Threads: different Files may be used by different threads at once; one File by one thread at a
// time, except ReadAt, which any number of threads may call. A Directory may be used by any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace jeton {

class File {
 public:
  virtual ~File() = default;

  // Reads until `size` bytes are there or the file ends; returns how many it read.
  virtual Result<std::size_t> ReadAt(std::uint64_t offset, char* out, std::size_t size) const = 0;
  // Writes all of `bytes`, or fails; after kNoSpace any prefix of them may be in the file.
  virtual Status WriteAt(std::uint64_t offset, std::string_view bytes) = 0;
  // Data and size are durable when it returns well (fdatasync).
  virtual Status Sync() = 0;
  virtual Status Truncate(std::uint64_t size) = 0;
  // The file is at least `size` long afterwards and writes below that cannot run out of space;
  // bytes that were not there before read as zero.
  virtual Status Allocate(std::uint64_t size) = 0;
  virtual Result<std::uint64_t> Size() const = 0;
  // Bytes from here on up to Size() read as zero. What is known without reading them: that may be
  // Size() itself.
  virtual Result<std::uint64_t> DataEnd() const = 0;
  // An exclusive lock that lives as long as this File and dies with the process. False: somebody
  // else has it.
  virtual Result<bool> TryLock() = 0;
};

enum class OpenMode : unsigned char {
  kRead,       // it must exist
  kReadWrite,  // it must exist
  kCreate,     // it must not exist; read and write
  kOpenOrCreate
};

class Directory {
 public:
  virtual ~Directory() = default;

  // For error texts: the path as the operator knows it.
  virtual std::string name() const = 0;
  virtual Result<std::unique_ptr<File>> Open(std::string_view path, OpenMode mode) = 0;
  // Replaces `to` if it is there.
  virtual Status Rename(std::string_view from, std::string_view to) = 0;
  virtual Status Remove(std::string_view path) = 0;
  // No error if the folder is there already. Its own entry is durable after SyncDirectory("").
  virtual Status CreateDirectory(std::string_view path) = 0;
  // Names of the files and folders in `folder` ("" is the data directory itself), sorted by bytes.
  virtual Result<std::vector<std::string>> List(std::string_view folder) = 0;
  virtual Status SyncDirectory(std::string_view folder) = 0;
  virtual Result<std::uint64_t> FreeBytes() = 0;
};

// The whole file; kCorrupt if it is longer than `size_max`.
Result<std::string> ReadWholeFile(Directory& directory, std::string_view path,
                                  std::uint64_t size_max);

// Writes `bytes` to "<path>.tmp", syncs it, renames it to `path`, syncs the folder. After an error
// or a crash the old content or the new one is there, never a mixture; after kIo ask nobody which.
Status ReplaceFile(Directory& directory, std::string_view path, std::string_view bytes);

// "wal" of "wal/1.log", "" of "IDENTITY".
std::string_view FolderOf(std::string_view path);

// The files of a folder that are named <prefix><digits><suffix>, ascending by number. Other names
// are left out; a missing folder has none.
struct NumberedFile {
  std::uint64_t number = 0;
  std::string path;
};
Result<std::vector<NumberedFile>> ListNumbered(Directory& directory, std::string_view folder,
                                               std::string_view prefix, std::string_view suffix);

}  // namespace jeton
