#include "command/karma_dump_jobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <shared_mutex>

#include "command/errors.h"

namespace jeton::command {
namespace {

constexpr std::string_view kScratchFile = "karma-dump.scratch";
constexpr std::string_view kTemporaryFile = "karma-dump.tmp";
// What one unit of a restore may hold: far below a record of the log.
constexpr std::size_t kRestoreUnitBytes = 4u << 20;

class FileScratch final : public KarmaScratch {
 public:
  explicit FileScratch(std::unique_ptr<File> file) : file_(std::move(file)) {}
  Status WriteAt(std::uint64_t offset, std::string_view bytes) override {
    return file_->WriteAt(offset, bytes);
  }
  Result<std::size_t> ReadAt(std::uint64_t offset, char* out, std::size_t size) const override {
    return file_->ReadAt(offset, out, size);
  }

 private:
  std::unique_ptr<File> file_;
};

KarmaDumpSource SourceOf(const File& file) {
  return [&file](std::uint64_t offset, char* out, std::size_t size) {
    return file.ReadAt(offset, out, size);
  };
}

Result<std::unique_ptr<File>> CreateFresh(Directory& directory, std::string_view path) {
  if (Status removed = directory.Remove(path);
      !removed && removed.error().kind != ErrorKind::kNotFound) {
    return removed.error();
  }
  return directory.Open(path, OpenMode::kCreate);
}

struct DumpedKey {
  std::string key;
  std::vector<KarmaBucket> buckets;
};

}  // namespace

Result<std::vector<KarmaDumpFile>> ListKarmaDumps(Directory& directory) {
  auto names = directory.List("");
  if (!names) return names.error();
  std::vector<KarmaDumpFile> files;
  for (const std::string& name : *names) {
    if (auto parsed = ParseKarmaDumpName(name)) files.push_back({name, std::move(parsed).value()});
  }
  std::sort(files.begin(), files.end());
  return files;
}

struct KarmaDumpJobs::Dump {
  std::string tree;
  std::string file;
  FileScratch scratch;
  KarmaDumpWriter writer;
  std::uint64_t cursor = 0;
  std::vector<DumpedKey> keys;  // of one slice

  Dump(std::string tree_in, std::string file_in, std::unique_ptr<File> scratch_in)
      : tree(std::move(tree_in)),
        file(std::move(file_in)),
        scratch(std::move(scratch_in)),
        writer(scratch) {}
};

KarmaDumpJobs::KarmaDumpJobs(ServerState& server, Directory& directory, Say say)
    : server_(server),
      directory_(directory),
      say_(std::move(say)),
      unit_(server.keyspace, server.watches) {}

KarmaDumpJobs::~KarmaDumpJobs() = default;

Result<std::shared_ptr<KarmaJob>> KarmaDumpJobs::Start(KarmaJob::Kind kind, std::string name) {
  std::lock_guard guard(mutex_);
  if (jobs_.size() >= kJobsMax) {
    return Error{ErrorKind::kUnavailable, fmt::format("ERR {} dumps wait already", jobs_.size())};
  }
  auto job = std::make_shared<KarmaJob>();
  job->kind = kind;
  job->name = std::move(name);
  jobs_.push_back(job);
  waiting_.store(jobs_.size(), std::memory_order_release);
  return job;
}

bool KarmaDumpJobs::Step(Now now) {
  std::shared_ptr<KarmaJob> job;
  {
    std::lock_guard guard(mutex_);
    if (jobs_.empty()) return false;
    job = jobs_.front();
  }
  if (Advance(*job, now)) return true;
  RemoveLeftovers();
  if (!job->result) {
    say_(true, fmt::format("Karma dump '{}': {}", job->name, job->result.error().text));
  }
  std::lock_guard guard(mutex_);
  jobs_.pop_front();
  waiting_.store(jobs_.size(), std::memory_order_release);
  job->done.store(true, std::memory_order_release);
  server_.host.WakeWorkers();
  return !jobs_.empty();
}

// One step of the job; false when it has ended.
bool KarmaDumpJobs::Advance(KarmaJob& job, Now now) {
  switch (job.kind) {
    case KarmaJob::Kind::kDump:
      return AdvanceDump(job, job.name, now, job.result);
    case KarmaJob::Kind::kLoad:
      job.result = Load(job.name, job, now);
      return false;
    case KarmaJob::Kind::kVerify:
      job.result = VerifyAll(job);
      return false;
    case KarmaJob::Kind::kDumpAll:
      break;
  }
  if (!all_begun_) BeginDumpAll(now);
  if (trees_.empty()) {
    all_begun_ = false;
    return false;
  }
  Status result;
  if (AdvanceDump(job, trees_.back(), now, result)) return true;
  // A tree that Karma cannot hold, or that is gone by now, is no reason not to write the others.
  if (!result && result.error().kind != ErrorKind::kNotFound) {
    if (result.error().kind == ErrorKind::kInvalid) {
      ++job.skipped;
      say_(true, fmt::format("No Karma dump of '{}': {}", trees_.back(), result.error().text));
    } else if (job.result) {
      job.result = result;
    }
  }
  trees_.pop_back();
  return true;
}

void KarmaDumpJobs::BeginDumpAll(Now now) {
  std::shared_lock turn(server_.turn_lock);
  trees_ = server_.keyspace.TreeNames(now.wall_ms);
  std::sort(trees_.rbegin(), trees_.rend());
  all_begun_ = true;
}

bool KarmaDumpJobs::AdvanceDump(KarmaJob& job, const std::string& tree, Now now, Status& result) {
  if (dump_ == nullptr) {
    result = BeginDump(tree, now);
    if (result) return true;
  } else {
    const auto more = WalkSlice(now);
    if (more && *more) return true;
    result = more ? FinishDump() : Status(more.error());
    if (result) ++job.files;
  }
  dump_.reset();
  return false;
}

Status KarmaDumpJobs::BeginDump(const std::string& tree, Now now) {
  {
    std::shared_lock turn(server_.turn_lock);
    const engine::Key key = server_.keyspace.MakeKey(tree);
    std::lock_guard guard(server_.keyspace.LockOf(engine::Keyspace::PartitionOf(key)));
    const engine::Tree* found = server_.keyspace.FindTree(key, now.wall_ms);
    if (found == nullptr) {
      return Error{ErrorKind::kNotFound, fmt::format("ERR Tree \"{}\" not found", tree)};
    }
    if (Status fits = CheckKarmaTree(tree, found->settings().width); !fits) return fits;
  }
  const auto seconds = NextSeconds(tree, now);
  if (!seconds) return seconds.error();
  auto file = FormatKarmaDumpName({.seconds = *seconds, .tree = tree});
  if (!file) return file.error();
  auto scratch = CreateFresh(directory_, kScratchFile);
  if (!scratch) return scratch.error();
  dump_ = std::make_unique<Dump>(tree, std::move(file).value(), std::move(scratch).value());
  return {};
}

Result<std::int64_t> KarmaDumpJobs::NextSeconds(const std::string& tree, Now now) {
  const auto files = ListKarmaDumps(directory_);
  if (!files) return files.error();
  std::int64_t seconds = now.wall_ms / 1000;
  for (const KarmaDumpFile& file : *files) {
    if (file.name.tree == tree) seconds = std::max(seconds, file.name.seconds + 1);
  }
  return seconds;
}

// True while there are keys.
Result<bool> KarmaDumpJobs::WalkSlice(Now now) {
  dump_->keys.clear();
  {
    std::shared_lock turn(server_.turn_lock);
    const engine::Key key = server_.keyspace.MakeKey(dump_->tree);
    std::lock_guard guard(server_.keyspace.LockOf(engine::Keyspace::PartitionOf(key)));
    const engine::Tree* tree = server_.keyspace.FindTree(key, now.wall_ms);
    if (tree == nullptr || tree->settings().width != Width::kDay) {
      return Error{ErrorKind::kNotFound,
                   fmt::format("ERR Tree \"{}\" was dropped while it was dumped", dump_->tree)};
    }
    dump_->cursor = tree->Scan(dump_->cursor, kKeysPerSlice, [&](const engine::KeyView& view) {
      DumpedKey& dumped = dump_->keys.emplace_back();
      view.AppendTo(dumped.key);
      view.ForEach([&](Bucket bucket, const Decimal& value) {
        // A bucket of 0 says nothing, and Karma 1.0 takes it for damage.
        if (!value.IsZero()) dumped.buckets.push_back({.day = bucket, .value = value});
      });
    });
  }
  for (const DumpedKey& dumped : dump_->keys) {
    if (Status added = dump_->writer.Add(dumped.key, dumped.buckets); !added) {
      Error error = added.error();
      if (error.kind == ErrorKind::kInvalid) {
        error.text = fmt::format("ERR Tree \"{}\": {}", dump_->tree, error.text);
      }
      return error;
    }
  }
  return dump_->cursor != 0;
}

Status KarmaDumpJobs::FinishDump() {
  auto file = CreateFresh(directory_, kTemporaryFile);
  if (!file) return file.error();
  std::uint64_t offset = 0;
  Status written = dump_->writer.Finish([&](std::string_view bytes) {
    Status status = (*file)->WriteAt(offset, bytes);
    offset += bytes.size();
    return status;
  });
  if (!written) return written;
  if (Status synced = (*file)->Sync(); !synced) return synced;
  if (Status renamed = directory_.Rename(kTemporaryFile, dump_->file); !renamed) return renamed;
  if (Status synced = directory_.SyncDirectory(""); !synced) return synced;
  say_(false,
       fmt::format("Tree \"{}\" is dumped to {} ({} bytes)", dump_->tree, dump_->file, offset));
  return {};
}

// What a dump has put aside, and what a failed or interrupted one has left. They may not be there.
void KarmaDumpJobs::RemoveLeftovers() {
  (void)directory_.Remove(kScratchFile);
  (void)directory_.Remove(kTemporaryFile);
}

// ---- loading

Status KarmaDumpJobs::Load(const std::string& file, KarmaJob& job, Now now) {
  const auto name = ParseKarmaDumpName(file);
  if (!name) return name.error();
  auto opened = directory_.Open(file, OpenMode::kRead);
  if (!opened) {
    if (opened.error().kind != ErrorKind::kNotFound) return opened.error();
    return Error{ErrorKind::kNotFound, fmt::format("ERR Dump \"{}\" not found", name->tree)};
  }
  auto stats = VerifyKarmaDump(SourceOf(**opened));
  if (!stats) return Error{stats.error().kind, fmt::format("ERR {}: {}", file, stats.error().text)};
  job.stats = *stats;
  if (stats->keys + stats->buckets > kLoadMax) {
    return Error{
        ErrorKind::kInvalid,
        fmt::format("ERR {} has {} keys and {} buckets, more than the {} that one load takes: "
                    "stop the server and restore it into an empty directory, or import it",
                    file, stats->keys, stats->buckets, kLoadMax)};
  }
  return ReplaceTree(*name, **opened, now);
}

Status KarmaDumpJobs::ReplaceTree(const KarmaDumpName& name, File& file, Now now) {
  std::vector<KarmaDumpItem> items;
  KarmaDumpReader reader(SourceOf(file));
  KarmaDumpItem item;
  for (;;) {
    const auto more = reader.Next(item);
    if (!more) return more.error();
    if (!*more) break;
    if (item.kind == KarmaDumpItem::Kind::kBucket) items.push_back(item);
  }
  std::shared_lock turn(server_.turn_lock);
  if (server_.disk_full.load() || server_.disk_failed.load()) {
    return Error{ErrorKind::kNoSpace, "NOSPACE the disk takes no writes at the moment"};
  }
  const engine::Key key = server_.keyspace.MakeKey(name.tree);
  std::lock_guard guard(server_.keyspace.LockOf(engine::Keyspace::PartitionOf(key)));
  const auto entry = server_.keyspace.Find(key, now.wall_ms);
  if (entry && entry->kind != engine::Kind::kTree) {
    return Error{ErrorKind::kWrongType, std::string(kWrongType)};
  }
  engine::Tree* tree = server_.keyspace.FindTree(key, now.wall_ms);
  if (tree != nullptr) {
    if (Status fits = CheckKarmaTree(name.tree, tree->settings().width); !fits) return fits;
  }
  unit_.Clear();
  unit_.set_now(now.wall_ms);
  if (tree == nullptr) {
    if (server_.keyspace.IsExpired(key, now.wall_ms)) unit_.Drop(key);
    unit_.CreateTree(key, {});
    tree = server_.keyspace.FindTree(key, now.wall_ms);
  } else {
    unit_.ResetTree(key, *tree);
  }
  for (const KarmaDumpItem& bucket : items) {
    unit_.SetBucket(key, *tree, tree->MakeKey(std::to_string(bucket.key)), bucket.bucket.day,
                    bucket.bucket.value);
  }
  server_.log.Append(unit_.bytes());
  server_.changes_since_save.fetch_add(unit_.changes(), std::memory_order_relaxed);
  unit_.Clear();
  return {};
}

Status KarmaDumpJobs::VerifyAll(KarmaJob& job) {
  const auto files = ListKarmaDumps(directory_);
  if (!files) return files.error();
  for (const KarmaDumpFile& dump : *files) {
    auto file = directory_.Open(dump.file, OpenMode::kRead);
    if (!file) return file.error();
    const auto stats = VerifyKarmaDump(SourceOf(**file));
    if (!stats) {
      return Error{stats.error().kind, fmt::format("ERR {}: {}", dump.file, stats.error().text)};
    }
    ++job.files;
    job.stats.keys += stats->keys;
    job.stats.buckets += stats->buckets;
  }
  return {};
}

Status KarmaDumpJobs::RestoreNewest(WallMs now) {
  const auto files = ListKarmaDumps(directory_);
  if (!files) return files.error();
  std::map<std::string, const KarmaDumpFile*> newest;
  for (const KarmaDumpFile& file : *files) newest.try_emplace(file.name.tree, &file);
  for (const auto& [tree_name, dump] : newest) {
    auto file = directory_.Open(dump->file, OpenMode::kRead);
    if (!file) return file.error();
    if (const auto stats = VerifyKarmaDump(SourceOf(**file)); !stats) {
      return Error{stats.error().kind, fmt::format("{}: {}", dump->file, stats.error().text)};
    }
    const engine::Key key = server_.keyspace.MakeKey(tree_name);
    unit_.Clear();
    unit_.set_now(now);
    unit_.CreateTree(key, {});
    std::uint64_t buckets = 0;
    KarmaDumpReader reader(SourceOf(**file));
    KarmaDumpItem item;
    for (;;) {
      const auto more = reader.Next(item);
      if (!more) return more.error();
      if (*more && item.kind == KarmaDumpItem::Kind::kBucket) {
        engine::Tree& tree = *server_.keyspace.FindTree(key, now);
        unit_.SetBucket(key, tree, tree.MakeKey(std::to_string(item.key)), item.bucket.day,
                        item.bucket.value);
        ++buckets;
      }
      if (*more && unit_.bytes().size() < kRestoreUnitBytes) continue;
      if (!unit_.empty()) server_.log.Append(unit_.bytes());
      unit_.Clear();
      if (!*more) break;
    }
    say_(false,
         fmt::format("Restored tree \"{}\" from {} ({} buckets)", tree_name, dump->file, buckets));
  }
  return {};
}

}  // namespace jeton::command
