// A disk that fails on purpose, behind the seam of storage/file_system.h. Deterministic: what it
// does depends on the calls and on the Prng it is given, nothing else. No threads.
//
// Model. A file has a durable image and an ordered list of writes and size changes that no Sync has
// covered. A folder has durable entries and an ordered list of creates, renames and removes that no
// SyncDirectory has covered. Reads see everything; a crash keeps
//  * of the unsynced writes of each file any subset of their 512-byte sectors (and tears one sector
//    in the middle, now and then),
//  * of the unsynced entries of each folder a prefix (as journalling file systems do).
// File handles from before a crash fail with kIo afterwards: their process is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "storage/file_system.h"

namespace jeton {

// One call at the seam, for SetOperationHook.
enum class DiskOperation : unsigned char {
  kOpen,
  kCreate,
  kRead,
  kWrite,
  kSync,
  kTruncate,
  kAllocate,
  kRename,
  kRemove,
  kCreateDirectory,
  kList,
  kSyncDirectory
};

class SimDisk {
 public:
  static constexpr std::uint64_t kSectorSize = 512;
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  SimDisk();
  ~SimDisk();
  SimDisk(const SimDisk&) = delete;

  // The view of one process. Use a new one after each Crash.
  std::unique_ptr<Directory> Mount(std::string name = "sim");

  // Power loss or, with `keep_everything`, the death of the process only.
  void Crash(Prng& prng, bool keep_everything = false);

  // Faults at run time. `in` counts from now: 0 fails the next one; kNever turns it off.
  void FailSync(std::uint64_t in);        // kIo, and the file's dirty pages are lost
  void FailRead(std::uint64_t in);        // kIo
  void FailWrite(std::uint64_t in);       // kIo, nothing is written
  void ShortWrite(std::uint64_t in);      // half is written, then kNoSpace
  void SetCapacity(std::uint64_t bytes);  // total size of all files; kNever: unlimited
  // The n-th mutating operation from now (write, sync, truncate, allocate, rename, remove, create,
  // directory sync) and all that follow fail with kIo: the process is as good as dead. Then Crash.
  void DieAt(std::uint64_t in);
  bool died() const;
  std::uint64_t operations() const;  // mutating ones, so far
  std::uint64_t used_bytes() const;

  // Called before every operation; for latency and tracing.
  void SetOperationHook(std::function<void(DiskOperation, std::string_view path)> hook);

  // At rest: on the image that readers see, and durable at once. False if there is no such byte.
  bool FlipBit(std::string_view path, std::uint64_t offset, int bit);
  bool ZeroSector(std::string_view path, std::uint64_t sector);
  bool RemoveFile(std::string_view path);
  void WriteAtRest(std::string_view path, std::string_view content);
  std::optional<std::string> Content(std::string_view path) const;
  std::vector<std::string> Paths() const;  // of all files, sorted

  // The durable image: keep it, go back to it, or give it to another disk.
  using Image = std::map<std::string, std::string>;
  Image TakeImage() const;  // what readers see now, as if all were synced
  void Restore(const Image& image);
  void Wipe() { Restore({}); }

 private:
  friend class SimFile;
  friend class SimDirectory;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace jeton
