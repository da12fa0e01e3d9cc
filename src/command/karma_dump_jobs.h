// KarmaDumpJobs: writes Karma's `.tree` files and loads them. A command asks for a job and waits
// for it as a LongQuery; the work is done in slices by whoever calls Step (the node's upkeep), so
// that no client waits for the disk.
//
// A dump walks the tree in slices between which clients go on changing it: each key is as it was at
// one moment. The file appears under its name only once all of it is on disk. A tree's dumps have
// ever higher numbers of seconds, whatever the clock does, so that the newest is the last one.
//
// A load verifies the file to its end first, and then replaces the tree by one unit of mutations:
// after a crash there is the old tree or the new one. One unit is one record of the log, which
// bounds what a load takes (kLoadMax); it holds the tree's partition for about a microsecond a
// bucket.
//
// Threads: Start and the observers from any; Step from one thread at a time, which must not hold
// the TurnLock (see Step). The files are for exchange: nothing here is part of our own durability.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "command/server_state.h"
#include "engine/unit.h"
#include "protocol/karma_dump.h"
#include "protocol/karma_dump_name.h"
#include "storage/file_system.h"

namespace jeton::command {

struct KarmaDumpFile {
  std::string file;
  KarmaDumpName name;
  // Newest first, then by name.
  friend bool operator<(const KarmaDumpFile& a, const KarmaDumpFile& b) {
    if (a.name.seconds != b.name.seconds) return a.name.seconds > b.name.seconds;
    return a.name.tree < b.name.tree;
  }
};

// The dumps in a directory; other files are not looked at.
Result<std::vector<KarmaDumpFile>> ListKarmaDumps(Directory& directory);

struct KarmaJob {
  enum class Kind : std::uint8_t { kDump, kDumpAll, kLoad, kVerify };
  Kind kind = Kind::kDump;
  std::string name;  // a tree, or for kLoad a file

  // Written before `done`, read after it.
  Status result;
  KarmaDumpStats stats;       // kLoad, kVerify
  std::uint64_t files = 0;    // written, or verified
  std::uint64_t skipped = 0;  // kDumpAll: trees that Karma cannot hold
  std::atomic<bool> done{false};
};

class KarmaDumpJobs {
 public:
  static constexpr std::size_t kJobsMax = 64;
  static constexpr std::uint64_t kLoadMax = 4'000'000;  // keys and buckets of one load
  static constexpr std::size_t kKeysPerSlice = 500;

  using Say = std::function<void(bool warning, std::string_view line)>;
  // All of them outlive this.
  KarmaDumpJobs(ServerState& server, Directory& directory, Say say);
  ~KarmaDumpJobs();

  // kUnavailable if too many wait already.
  Result<std::shared_ptr<KarmaJob>> Start(KarmaJob::Kind kind, std::string name);
  bool running() const { return waiting_.load(std::memory_order_acquire) > 0; }
  // One slice of the first job. True while there is more. Takes the TurnLock shared.
  bool Step(Now now);
  Directory& directory() { return directory_; }

  // For the very first start, before anybody is served: loads the newest dump of each tree, and
  // logs it in several units.
  Status RestoreNewest(WallMs now);

 private:
  struct Dump;  // of one tree, under way

  bool Advance(KarmaJob& job, Now now);
  bool AdvanceDump(KarmaJob& job, const std::string& tree, Now now, Status& result);
  void BeginDumpAll(Now now);
  Status BeginDump(const std::string& tree, Now now);
  Result<bool> WalkSlice(Now now);
  Status FinishDump();
  Result<std::int64_t> NextSeconds(const std::string& tree, Now now);
  Status Load(const std::string& file, KarmaJob& job, Now now);
  Status VerifyAll(KarmaJob& job);
  Status ReplaceTree(const KarmaDumpName& name, File& file, Now now);
  void RemoveLeftovers();

  ServerState& server_;
  Directory& directory_;
  const Say say_;
  engine::Unit unit_;

  std::mutex mutex_;  // of jobs_
  std::deque<std::shared_ptr<KarmaJob>> jobs_;
  std::atomic<std::size_t> waiting_{0};

  // Of the thread that calls Step.
  std::unique_ptr<Dump> dump_;
  std::vector<std::string> trees_;  // of kDumpAll, still to come; the next one last
  bool all_begun_ = false;
};

}  // namespace jeton::command
