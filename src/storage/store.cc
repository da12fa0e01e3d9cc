#include "storage/store.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <mutex>
#include <utility>

#include "base/assert.h"
#include "base/parallel.h"
#include "storage/set_aside.h"

namespace jeton {

namespace {

template <std::size_t N>
void CopyWords(std::array<std::uint8_t, N>& out, const FreshBytes& fresh, std::size_t word) {
  std::memcpy(out.data(), fresh.random.data() + word, N);
}

std::string IdText(const OriginId& id) {
  return HexOf(id);
}

// Loads the partitions of a snapshot: every thread takes the next one that nobody has.
class PartitionLoads {
 public:
  PartitionLoads(const SnapshotReader& snapshot, const RecoveryHandler& handler, bool salvage)
      : snapshot_(snapshot),
        handler_(handler),
        salvage_(salvage),
        partitions_(snapshot.Partitions()),
        results_(partitions_.size()),
        skipped_(partitions_.size()) {}

  // The error is that of the first partition that has one, whatever the threads.
  Status Run(std::vector<std::string>& notes) {
    const int threads = std::min(handler_.threads, static_cast<int>(partitions_.size()));
    RunOnThreads(threads, [this] { Work(); });
    for (std::size_t i = 0; i < partitions_.size(); ++i) {
      if (!results_[i]) return results_[i];
      notes.insert(notes.end(), skipped_[i].begin(), skipped_[i].end());
    }
    return {};
  }

 private:
  void Work() {
    while (!failed_.load(std::memory_order_relaxed)) {
      const std::size_t i = next_.fetch_add(1);
      if (i >= partitions_.size()) return;
      results_[i] = Load(partitions_[i], skipped_[i]);
      if (!results_[i]) failed_.store(true, std::memory_order_relaxed);
      Tell();
    }
  }

  Status Load(std::uint16_t partition, std::vector<std::string>& skipped) const {
    const std::uint64_t in_all = snapshot_.RecordsOf(partition);
    const auto on_records = [&](std::span<const std::string_view> records) {
      return handler_.on_snapshot_block ? handler_.on_snapshot_block({partition, in_all, records})
                                        : Status{};
    };
    return snapshot_.ReadPartition(partition, on_records, salvage_ ? &skipped : nullptr);
  }

  void Tell() {
    if (!handler_.on_progress) return;
    const std::lock_guard guard(mutex_);
    const std::uint64_t bytes = snapshot_.info().bytes;
    handler_.on_progress("snapshot", bytes * ++done_ / partitions_.size(), bytes);
  }

  const SnapshotReader& snapshot_;
  const RecoveryHandler& handler_;
  const bool salvage_;
  const std::vector<std::uint16_t> partitions_;
  std::vector<Status> results_;  // of each partition, written by the thread that has it
  std::vector<std::vector<std::string>> skipped_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::size_t done_ = 0;  // under mutex_
};

}  // namespace

OriginId MakeOrigin(WallMs wall_ms, std::uint64_t random_high, std::uint64_t random_low) {
  OriginId id{};
  for (std::size_t i = 0; i < 6; ++i) {
    id[i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(wall_ms) >> (8 * (5 - i)));
  }
  std::memcpy(id.data() + 6, &random_high, 2);
  std::memcpy(id.data() + 8, &random_low, 8);
  id.back() &= 0xfe;  // a run's, see IsLazy
  return id;
}

Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::Open(Directory& directory, const StoreOptions& options,
                                           const FreshBytes& fresh) {
  std::unique_ptr<Store> store(new Store(directory, options));
  auto lock = LockDirectory(directory, options.owner);
  if (!lock) return lock.error();
  store->lock_ = std::move(*lock);
  if (Status status = CarryOutSetAside(directory); !status) return status.error();
  if (Status status = store->Prepare(fresh); !status) return status.error();
  return store;
}

Status Store::Prepare(const FreshBytes& fresh) {
  for (const char* folder : {"wal", "snap"}) {
    if (Status status = directory_.CreateDirectory(folder); !status) return status;
  }
  if (Status status = directory_.SyncDirectory(""); !status) return status;
  if (Status status = LoadOrCreateIdentity(fresh); !status) return status;
  if (Status status = LoadManifests(); !status) return status;
  log_seeds_ = fresh.random[7];
  // Later than every one before, whatever the clock says: of two runs that close an origin the one
  // with the greater id folds it.
  const OriginId fresh_origin =
      MakeOrigin(std::max(fresh.wall_ms, LastOriginMs() + 1), fresh.random[5], fresh.random[6]);
  if (IsOurs(fresh_origin)) {
    return Error{ErrorKind::kConflict, "origin " + IdText(fresh_origin) + " was used before"};
  }
  identity_.origins.push_back(fresh_origin);
  return {};
}

WallMs Store::LastOriginMs() const {
  WallMs last = 0;
  for (const OriginId& origin : identity_.origins) {
    WallMs ms = 0;
    for (std::size_t i = 0; i < 6; ++i) ms = ms << 8 | origin[i];
    last = std::max(last, ms);
  }
  return last;
}

Status Store::LoadOrCreateIdentity(const FreshBytes& fresh) {
  auto identity = ReadIdentity(directory_);
  if (identity) {
    identity_ = std::move(*identity);
    return {};
  }
  if (identity.error().kind != ErrorKind::kNotFound) return identity.error();
  // No identity: a new directory. Anything in it means that the identity was lost.
  for (const char* folder : {"wal", "snap"}) {
    const auto names = directory_.List(folder);
    if (!names) return names.error();
    const auto present = std::find_if_not(names->begin(), names->end(), IsLeft);
    if (present != names->end()) {
      return Error{ErrorKind::kCorrupt, directory_.name() + ": IDENTITY is missing, but there is " +
                                            folder + "/" + *present};
    }
  }
  created_ = true;
  CopyWords(identity_.node, fresh, 0);     // 20 bytes, words 0 to 2
  CopyWords(identity_.cluster, fresh, 3);  // 16 bytes, words 3 and 4
  identity_.hash_seed = fresh.random[8];
  if (Status status = WriteManifest(directory_, Manifest{1, 0, 1}); !status) return status;
  return WriteIdentity(directory_, identity_);
}

Status Store::LoadManifests() {
  auto manifests = ReadManifests(directory_);
  if (!manifests) return manifests.error();
  manifests_ = std::move(*manifests);
  newest_generation_ = manifests_.newest;
  const auto snapshots = ListSnapshots(directory_);
  if (!snapshots) return snapshots.error();
  if (!snapshots->empty()) next_snapshot_ = snapshots->back() + 1;
  for (const Manifest& manifest : manifests_.usable) {
    next_snapshot_ = std::max(next_snapshot_, manifest.snapshot + 1);
  }
  return {};
}

Status Store::UpdateIdentity(const NodeId& node, const ClusterId& cluster) {
  Identity changed = identity_;
  changed.node = node;
  changed.cluster = cluster;
  if (Status status = WriteIdentity(directory_, changed); !status) return status;
  identity_ = std::move(changed);
  return {};
}

// ---- recovery

Result<RecoveryReport> Store::Recover(const RecoveryHandler& handler) {
  ASSERT(!log_);
  auto loaded = LoadAny(handler);
  if (!loaded) return loaded.error();
  if (Status status = SealLog(directory_, log_end_); !status) return status.error();
  if (Status status = WriteIdentity(directory_, identity_); !status) return status.error();
  auto log = LogWriter::Open(directory_, options_.log, origin(), log_end_.next_seq, log_seeds_);
  if (!log) return log.error();
  log_ = std::move(*log);
  // What an installation left behind when it was interrupted. After a fall-back nothing is removed:
  // the next snapshot does that, and until then somebody may want to look at the damage.
  if (!loaded->fell_back && loaded->notes.empty()) {
    std::vector<Manifest> kept = manifests_.usable;
    if (kept.size() > 2) kept.resize(2);
    // Of the log, only who knows what other nodes have may remove anything.
    if (Status status = RemoveUnneeded(directory_, kept, 0, 0); !status) return status.error();
  }
  return loaded;
}

// Tries the generations from the newest to the oldest.
Result<RecoveryReport> Store::LoadAny(const RecoveryHandler& handler) {
  std::vector<std::string> notes = manifests_.damaged;
  for (const Manifest& manifest : manifests_.usable) {
    auto report = LoadGeneration(manifest, handler, false);
    if (report) {
      report->fell_back = manifest.generation != manifests_.newest;
      report->notes.insert(report->notes.begin(), notes.begin(), notes.end());
      return report;
    }
    if (report.error().kind != ErrorKind::kCorrupt) return report.error();
    // The generations share most of the log: the same damage is told once.
    if (notes.empty() || notes.back() != report.error().text) notes.push_back(report.error().text);
    if (handler.on_reset) handler.on_reset();
  }
  if (options_.recover) return Salvage(handler, std::move(notes));
  std::string text = "data directory " + directory_.name() + " is damaged";
  for (const std::string& note : notes) text += "; " + note;
  if (notes.empty()) text += "; no MANIFEST";
  return Error{ErrorKind::kCorrupt, text};
}

// Everything that verifies: the newest snapshot that opens at all, then the whole log that is
// there. Records are idempotent, so more of the log than needed does no harm.
Result<RecoveryReport> Store::Salvage(const RecoveryHandler& handler,
                                      std::vector<std::string> notes) {
  const auto snapshots = ListSnapshots(directory_);
  if (!snapshots) return snapshots.error();
  const auto segments = ListSegments(directory_);
  if (!segments) return segments.error();
  Manifest manifest{std::max<std::uint64_t>(newest_generation_, 1), 0, 1};
  if (!segments->empty()) manifest.first_seq = segments->front().number;
  // Older ones are there for other nodes only.
  std::uint64_t needed = kNoSegment;
  for (const Manifest& usable : manifests_.usable) needed = std::min(needed, usable.first_seq);
  if (needed != kNoSegment) manifest.first_seq = std::max(manifest.first_seq, needed);
  for (auto id = snapshots->rbegin(); id != snapshots->rend() && manifest.snapshot == 0; ++id) {
    if (SnapshotReader::Open(directory_, *id)) manifest.snapshot = *id;
  }
  auto report = LoadGeneration(manifest, handler, true);
  if (!report) return report.error();
  report->fell_back = true;
  report->notes.insert(report->notes.begin(), notes.begin(), notes.end());
  return report;
}

Result<RecoveryReport> Store::LoadGeneration(const Manifest& manifest,
                                             const RecoveryHandler& handler, bool salvage) {
  RecoveryReport report;
  if (manifest.snapshot != 0) {
    if (Status status = LoadSnapshot(manifest.snapshot, handler, salvage, report); !status) {
      return status.error();
    }
  }
  if (Status status = Replay(manifest, handler, salvage, report); !status) return status.error();
  current_ = manifest;
  return report;
}

Status Store::LoadSnapshot(std::uint64_t id, const RecoveryHandler& handler, bool salvage,
                           RecoveryReport& report) {
  const auto snapshot = SnapshotReader::Open(directory_, id);
  if (!snapshot) {
    if (snapshot.error().kind != ErrorKind::kNotFound) return snapshot.error();
    return Error{ErrorKind::kCorrupt, SnapshotPath(id) + ": is missing"};
  }
  report.snapshot = id;
  report.snapshot_vector = (*snapshot)->info().vector;
  report.snapshot_records = (*snapshot)->info().records;
  report.snapshot_bytes = (*snapshot)->info().bytes;
  if (handler.on_snapshot) {
    if (Status known = handler.on_snapshot(report.snapshot_vector); !known) return known;
  }
  return PartitionLoads(**snapshot, handler, salvage).Run(report.notes);
}

Status Store::Replay(const Manifest& manifest, const RecoveryHandler& handler, bool salvage,
                     RecoveryReport& report) {
  LogReadOptions options;
  options.first_seq = manifest.first_seq;
  options.salvage = salvage;
  options.on_record = [&](const LogRecord& record) -> Status {
    if (!salvage && !IsOurs(record.origin)) {
      return Error{ErrorKind::kCorrupt,
                   "origin " + IdText(record.origin) + " is not one of this directory's"};
    }
    return handler.on_log_record ? handler.on_log_record(record) : Status{};
  };
  options.on_pause = handler.on_log_pause;
  options.read_ahead = handler.threads > 1;
  if (handler.on_progress) {
    options.on_progress = [&](std::uint64_t done, std::uint64_t total) {
      handler.on_progress("log", done, total);
    };
  }
  auto end = ReadLog(directory_, options);
  if (!end) return end.error();
  report.log_records = end->records;
  report.log_bytes = end->bytes;
  report.torn_bytes = end->torn_bytes;
  report.last_origin = end->last_origin;
  report.last_lsn = end->last_lsn;
  report.clean = end->clean;
  report.notes.insert(report.notes.end(), end->skipped.begin(), end->skipped.end());
  log_end_ = std::move(*end);
  return {};
}

bool Store::IsOurs(const OriginId& origin) const {
  // The newest are asked for first, mostly.
  return std::find(identity_.origins.rbegin(), identity_.origins.rend(), origin) !=
         identity_.origins.rend();
}

// ---- snapshots

Result<SnapshotScan> Store::BeginSnapshot(WallMs now, std::string_view vector) {
  ASSERT(log_);
  const auto first_seq = log_->RotateForSnapshot();
  if (!first_seq) return first_seq.error();
  auto writer = SnapshotWriter::Begin(directory_, next_snapshot_, now, vector);
  if (!writer) return writer.error();
  ++next_snapshot_;
  return SnapshotScan{std::move(*writer), *first_seq};
}

Result<FinishedSnapshot> Store::FinishSnapshot(SnapshotScan scan, Lsn appended_lsn) {
  const auto info = scan.writer->Finish();
  if (!info) return info.error();
  return FinishedSnapshot{*info, scan.first_seq, appended_lsn};
}

// The first segment before `before` from which on all are kept.
Result<std::uint64_t> Store::FirstNeeded(const LogNeeds& needs, std::uint64_t before) {
  struct Segment {
    std::uint64_t seq = 0;
    std::uint64_t size = 0;
    SegmentHeader header;
    Lsn last = std::numeric_limits<Lsn>::max();
  };
  const auto names = ListSegments(directory_);
  if (!names) return names.error();
  std::vector<Segment> segments;
  for (const NumberedFile& name : *names) {
    if (name.number > before) break;
    auto file = directory_.Open(name.path, OpenMode::kRead);
    if (!file) return file.error();
    const auto size = (*file)->Size();
    if (!size) return size.error();
    std::string bytes(kSegmentHeaderSize, '\0');
    const auto got = (*file)->ReadAt(0, bytes.data(), bytes.size());
    if (!got) return got.error();
    const auto header = DecodeSegmentHeader(std::string_view(bytes).substr(0, *got));
    if (!header) return header.error();
    const bool same = !segments.empty() && segments.back().header.origin == header->origin;
    if (same) segments.back().last = header->first_lsn - 1;
    segments.push_back({.seq = name.number, .size = *size, .header = *header});
  }
  if (!segments.empty() && segments.back().seq == before) segments.pop_back();
  const auto exceeds = [](const std::map<OriginId, Lsn>& floors, const Segment& one) {
    const auto floor = floors.find(one.header.origin);
    return floor != floors.end() && one.last > floor->second;
  };
  std::uint64_t first = before, bytes = 0;
  const auto wanted = std::find_if(segments.begin(), segments.end(), [&](const Segment& one) {
    return exceeds(needs.everybody, one);
  });
  auto oldest = segments.end();
  while (oldest != wanted && bytes + std::prev(oldest)->size <= needs.bytes_max) {
    --oldest;
    bytes += oldest->size;
    first = oldest->seq;
  }
  segments_lost_ += static_cast<std::uint64_t>(std::count_if(
      wanted, oldest, [&](const Segment& one) { return exceeds(needs.somebody, one); }));
  return first;
}

Status Store::InstallSnapshot(const FinishedSnapshot& snapshot, const LogNeeds* needs) {
  if (log_->durable_lsn() < snapshot.end_lsn) {
    return Error{ErrorKind::kUnavailable, "the log is durable up to lsn " +
                                              std::to_string(log_->durable_lsn()) + ", snapshot " +
                                              std::to_string(snapshot.info.id) + " needs " +
                                              std::to_string(snapshot.end_lsn)};
  }
  const Manifest previous = current_;
  const Manifest next{++newest_generation_, snapshot.info.id, snapshot.first_seq};
  if (Status status = WriteManifest(directory_, next); !status) return status;
  current_ = next;
  std::uint64_t first_seq = kNoSegment;
  if (needs != nullptr) {
    const auto needed = FirstNeeded(*needs, std::min(next.first_seq, previous.first_seq));
    if (!needed) return needed.error();
    first_seq = *needed;
  }
  return RemoveUnneeded(directory_, {next, previous}, 0, first_seq);
}

}  // namespace jeton
