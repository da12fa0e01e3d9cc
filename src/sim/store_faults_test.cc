// The whole data directory on a disk that fails. A toy on top of Store keeps numbers by name, with
// absolute records, as the real engine does: every start must find at least what had been synced,
// and a state that the toy had been in.
#include <gtest/gtest.h>

#include <map>

#include "base/bytes.h"
#include "sim/sim_disk.h"
#include "storage/check.h"
#include "storage/store.h"

namespace jeton {
namespace {

using Numbers = std::map<std::string, std::uint64_t>;

std::string Encode(std::string_view name, std::uint64_t value) {
  std::string record;
  PutBytes(record, name);
  PutFixed(record, value);
  return record;
}

Status Decode(std::string_view bytes, Numbers& numbers) {
  ByteReader in(bytes);
  while (!in.AtEnd()) {
    const std::string name(in.Bytes());
    const auto value = in.Fixed<std::uint64_t>();
    if (!in.ok()) return Error{ErrorKind::kCorrupt, "not a number"};
    numbers[name] = value;
  }
  return {};
}

FreshBytes Fresh(Prng& prng) {
  FreshBytes fresh;
  fresh.wall_ms = 1700000000000;
  for (auto& word : fresh.random) word = prng.Next();
  return fresh;
}

StoreOptions SmallOptions() {
  StoreOptions options;
  options.log.segment_size = 2048;
  options.log.staged_bytes_max = 1u << 16;
  options.owner = "process 1, boot 2";
  return options;
}

// One run of the toy's process.
struct Toy {
  std::unique_ptr<Directory> directory;
  std::unique_ptr<Store> store;
  Numbers numbers;
  RecoveryReport report;
  Error error;

  bool Start(SimDisk& disk, Prng& prng, const StoreOptions& options = SmallOptions()) {
    directory = disk.Mount("data");
    auto opened = Store::Open(*directory, options, Fresh(prng));
    if (!opened) return Remember(opened.error());
    store = std::move(*opened);
    RecoveryHandler handler;
    handler.on_reset = [this] { numbers.clear(); };
    handler.on_snapshot_block = [this](const SnapshotBlock& block) {
      for (const std::string_view record : block.records) {
        if (Status status = Decode(record, numbers); !status) return status;
      }
      return Status{};
    };
    handler.on_log_record = [this](const LogRecord& record) {
      return record.type == RecordType::kCommit ? Decode(record.payload, numbers) : Status{};
    };
    auto recovered = store->Recover(handler);
    if (!recovered) return Remember(recovered.error());
    report = *recovered;
    return true;
  }

  Status Set(const std::string& name, std::uint64_t value) {
    const std::string record = Encode(name, value);
    const auto lsn = store->log().Append(RecordType::kCommit, record);
    if (!lsn) return lsn.error();
    numbers[name] = value;
    return {};
  }
  Status Sync() { return store->log().Flush(true); }

  Status Snapshot() {
    auto scan = store->BeginSnapshot(1, "");
    if (!scan) return scan.error();
    for (const auto& [name, value] : numbers) {
      const std::string record = Encode(name, value);
      const auto partition = static_cast<std::uint16_t>(name.size() % 4);
      if (Status status = scan->writer->AddRecord(partition, record); !status) return status;
    }
    auto finished = Store::FinishSnapshot(std::move(*scan), store->log().appended_lsn());
    if (!finished) return finished.error();
    if (Status status = Sync(); !status) return status;
    return store->InstallSnapshot(*finished);
  }

  bool Remember(const Error& why) {
    error = why;
    return false;
  }
};

// Step i sets one name to i: the state after step i is known from i alone.
std::string NameOf(std::uint64_t step) {
  return "name" + std::string(step % 7, '_');
}

Numbers StateAfter(std::uint64_t steps) {
  Numbers numbers;
  for (std::uint64_t i = 1; i <= steps; ++i) numbers[NameOf(i)] = i;
  return numbers;
}

std::uint64_t StepOf(const Numbers& numbers) {
  std::uint64_t step = 0;
  for (const auto& [name, value] : numbers) step = std::max(step, value);
  return step;
}

struct Ledger {
  std::uint64_t attempted = 0;
  std::uint64_t synced = 0;
};

// Works on from the toy's state until `steps` or an error; a snapshot now and then.
void Work(Toy& toy, Ledger& ledger, std::uint64_t steps) {
  for (std::uint64_t i = StepOf(toy.numbers) + 1; i <= steps; ++i) {
    if (!toy.Set(NameOf(i), i)) return;
    ledger.attempted = std::max(ledger.attempted, i);
    if (i % 3 == 0) {
      if (!toy.Sync()) return;
      ledger.synced = std::max(ledger.synced, i);
    } else if (!toy.store->log().Flush(false)) {
      return;
    }
    if (i % 20 == 0) {
      if (!toy.Snapshot()) return;
    }
  }
}

void ExpectSound(const Toy& toy, const Ledger& ledger, std::uint64_t at) {
  const std::uint64_t step = StepOf(toy.numbers);
  ASSERT_GE(step, ledger.synced) << "lost at operation " << at;
  ASSERT_LE(step, ledger.attempted) << "invented at operation " << at;
  ASSERT_EQ(toy.numbers, StateAfter(step)) << "mixed at operation " << at;
}

TEST(StoreFaults, ASessionSurvivesRestarts) {
  SimDisk disk;
  Prng prng(1);
  Ledger ledger;
  OriginId last{};
  NodeId node{};
  for (std::uint64_t run = 1; run <= 5; ++run) {
    Toy toy;
    ASSERT_TRUE(toy.Start(disk, prng)) << toy.error.text;
    ExpectSound(toy, ledger, run);
    EXPECT_EQ(toy.store->created(), run == 1);
    EXPECT_NE(toy.store->origin(), last);
    if (run > 1) {
      EXPECT_EQ(toy.store->identity().node, node);
      EXPECT_EQ(toy.report.last_origin, last);
    }
    last = toy.store->origin();
    node = toy.store->identity().node;
    Work(toy, ledger, run * 15);
    ASSERT_TRUE(toy.store->log().Append(RecordType::kClean, "").ok());
    ASSERT_TRUE(toy.store->log().Close().ok());
  }
  Toy toy;
  ASSERT_TRUE(toy.Start(disk, prng)) << toy.error.text;
  EXPECT_TRUE(toy.report.clean);
  EXPECT_EQ(toy.numbers, StateAfter(75));
  EXPECT_EQ(toy.report.snapshot, 3u);
  EXPECT_EQ(toy.store->identity().origins.size(), 6u);
}

// One run that dies at operation `at`, then starts that die too, then one that works. True if the
// run came to its end before it could die.
bool CrashAndRestart(std::uint64_t at, std::uint64_t seed) {
  SimDisk disk;
  Prng prng(seed);
  Ledger ledger;
  disk.DieAt(at);
  {
    Toy toy;
    if (toy.Start(disk, prng)) Work(toy, ledger, 50);
  }
  const bool finished = !disk.died();
  for (int again = 0; again < 3; ++again) {
    disk.Crash(prng);
    disk.DieAt(prng.Below(30));
    Toy toy;
    if (!toy.Start(disk, prng)) continue;
    ExpectSound(toy, ledger, at);
    ledger.synced = ledger.attempted = StepOf(toy.numbers);  // a start makes durable what it found
    Work(toy, ledger, ledger.synced + 5);
  }
  disk.Crash(prng);
  Toy toy;
  EXPECT_TRUE(toy.Start(disk, prng)) << at << ": " << toy.error.text;
  ExpectSound(toy, ledger, at);
  const auto checked = CheckDirectory(*toy.directory, [](const std::string&) {});
  EXPECT_TRUE(checked.ok() && checked->problems == 0) << at;
  return finished;
}

TEST(StoreFaults, ACrashAtEveryOperationLosesNothingThatWasSynced) {
  for (std::uint64_t salt = 0; salt < 3; ++salt) {
    for (std::uint64_t at = 0; !HasFailure(); ++at) {
      if (CrashAndRestart(at, 1000 * salt + at)) break;
    }
  }
}

// The k-th sync fails, then the process exits as it should, without or with a power loss.
TEST(StoreFaults, AFailedSyncAnywhereLosesNothingThatWasSynced) {
  for (std::uint64_t at = 0; at < 80; ++at) {
    SimDisk disk;
    Prng prng(at + 1);
    Ledger ledger;
    disk.FailSync(at);
    {
      Toy toy;
      if (toy.Start(disk, prng)) Work(toy, ledger, 50);
    }
    disk.Crash(prng, at % 2 == 0);
    {
      Toy toy;
      ASSERT_TRUE(toy.Start(disk, prng)) << at << ": " << toy.error.text;
      ExpectSound(toy, ledger, at);
      ledger.synced = ledger.attempted = StepOf(toy.numbers);
    }
    disk.Crash(prng);
    Toy toy;
    ASSERT_TRUE(toy.Start(disk, prng)) << at << ": " << toy.error.text;
    ExpectSound(toy, ledger, at);
    if (HasFatalFailure()) break;
  }
}

TEST(StoreFaults, AFullDiskAnywhereLosesNothingThatWasSynced) {
  for (std::uint64_t capacity = 500; capacity < 20'000; capacity += 250) {
    SimDisk disk;
    Prng prng(capacity);
    Ledger ledger;
    disk.SetCapacity(capacity);
    {
      Toy toy;
      if (toy.Start(disk, prng)) Work(toy, ledger, 60);
    }
    disk.Crash(prng);
    disk.SetCapacity(SimDisk::kNever);
    Toy toy;
    ASSERT_TRUE(toy.Start(disk, prng)) << capacity << ": " << toy.error.text;
    ExpectSound(toy, ledger, capacity);
    if (HasFatalFailure()) break;
  }
}

// A disk with three generations of work, the newest a snapshot and a little log after it.
SimDisk::Image Worked(Prng& prng) {
  SimDisk disk;
  Ledger ledger;
  Toy toy;
  EXPECT_TRUE(toy.Start(disk, prng));
  Work(toy, ledger, 63);
  return disk.TakeImage();
}

TEST(StoreFaults, TwoGenerationsAreKeptAndNoMore) {
  Prng prng(1);
  const SimDisk::Image image = Worked(prng);
  EXPECT_EQ(image.count("MANIFEST-4"), 1u);
  EXPECT_EQ(image.count("MANIFEST-3"), 1u);
  EXPECT_EQ(image.count("MANIFEST-2"), 0u);
  EXPECT_EQ(image.count(SnapshotPath(3)), 1u);
  EXPECT_EQ(image.count(SnapshotPath(2)), 1u);
  EXPECT_EQ(image.count(SnapshotPath(1)), 0u);
  EXPECT_EQ(image.count(SegmentPath(1)), 0u);
}

TEST(StoreFaults, ADamagedNewestGenerationFallsBackToTheOneBefore) {
  Prng prng(1);
  const SimDisk::Image image = Worked(prng);
  const std::size_t size = image.at(SnapshotPath(3)).size();
  for (const std::string& path : {SnapshotPath(3), std::string("MANIFEST-4")}) {
    for (std::size_t at = 0; at < size; at += 7) {
      SimDisk disk;
      disk.Restore(image);
      if (!disk.FlipBit(path, at, 1)) break;
      Toy toy;
      ASSERT_TRUE(toy.Start(disk, prng)) << at << ": " << toy.error.text;
      ASSERT_TRUE(toy.report.fell_back);
      ASSERT_EQ(toy.report.snapshot, 2u);
      ASSERT_FALSE(toy.report.notes.empty());
      ASSERT_EQ(toy.numbers, StateAfter(63));
      // The next snapshot makes the directory whole again.
      ASSERT_TRUE(toy.Snapshot().ok());
      const auto checked = CheckDirectory(*toy.directory, [](const std::string&) {});
      ASSERT_EQ(checked->problems, 0u);
    }
  }
}

TEST(StoreFaults, DamageThatNoGenerationCoversRefusesToStart) {
  Prng prng(1);
  SimDisk disk;
  disk.Restore(Worked(prng));
  ASSERT_TRUE(disk.FlipBit(SnapshotPath(2), 100, 1));
  ASSERT_TRUE(disk.FlipBit(SnapshotPath(3), 100, 1));
  Toy toy;
  ASSERT_FALSE(toy.Start(disk, prng));
  EXPECT_EQ(toy.error.kind, ErrorKind::kCorrupt);
  EXPECT_NE(toy.error.text.find(SnapshotPath(2) + " at offset"), std::string::npos);
  EXPECT_NE(toy.error.text.find(SnapshotPath(3) + " at offset"), std::string::npos);
  const auto checked = CheckDirectory(*toy.directory, [](const std::string&) {});
  EXPECT_EQ(checked->problems, 2u);

  StoreOptions options = SmallOptions();
  options.recover = true;
  Toy salvage;
  toy.store.reset();
  ASSERT_TRUE(salvage.Start(disk, prng, options)) << salvage.error.text;
  EXPECT_GE(salvage.report.notes.size(), 2u);
  EXPECT_EQ(StepOf(salvage.numbers), 63u);
}

TEST(StoreFaults, ALostIdentityIsNotANewDirectory) {
  Prng prng(1);
  SimDisk disk;
  disk.Restore(Worked(prng));
  disk.RemoveFile("IDENTITY");
  Toy toy;
  ASSERT_FALSE(toy.Start(disk, prng));
  EXPECT_NE(toy.error.text.find("IDENTITY is missing"), std::string::npos);
}

TEST(StoreFaults, LostManifestsAreNotAnEmptyDirectory) {
  Prng prng(1);
  SimDisk disk;
  disk.Restore(Worked(prng));
  disk.RemoveFile("MANIFEST-3");
  disk.RemoveFile("MANIFEST-4");
  Toy toy;
  ASSERT_FALSE(toy.Start(disk, prng));
  EXPECT_NE(toy.error.text.find("no MANIFEST"), std::string::npos);
}

TEST(StoreFaults, ALogOfAnotherDirectoryIsRefused) {
  Prng prng(1);
  SimDisk disk;
  {
    Toy toy;
    ASSERT_TRUE(toy.Start(disk, prng));
    ASSERT_TRUE(toy.Set("a", 1).ok());
    ASSERT_TRUE(toy.Sync().ok());
  }
  SimDisk other;
  {
    Toy toy;
    ASSERT_TRUE(toy.Start(other, prng));
    ASSERT_TRUE(toy.Set("a", 2).ok());
    ASSERT_TRUE(toy.Sync().ok());
  }
  disk.WriteAtRest(SegmentPath(1), other.Content(SegmentPath(1)).value());
  Toy toy;
  ASSERT_FALSE(toy.Start(disk, prng));
  EXPECT_NE(toy.error.text.find("is not one of this directory's"), std::string::npos);
}

TEST(StoreFaults, TwoProcessesCannotShareADirectory) {
  Prng prng(1);
  SimDisk disk;
  Toy first;
  ASSERT_TRUE(first.Start(disk, prng));
  Toy second;
  ASSERT_FALSE(second.Start(disk, prng));
  EXPECT_EQ(second.error.kind, ErrorKind::kConflict);
  EXPECT_EQ(second.error.text, "data directory data is in use by process 1, boot 2");
}

TEST(StoreFaults, ASnapshotIsNotInstalledBeforeItsLogIsDurable) {
  Prng prng(1);
  SimDisk disk;
  Toy toy;
  ASSERT_TRUE(toy.Start(disk, prng));
  auto scan = toy.store->BeginSnapshot(1, "");
  ASSERT_TRUE(scan.ok());
  ASSERT_TRUE(toy.Set("late", 1).ok());
  ASSERT_TRUE(scan->writer->AddRecord(0, Encode("late", 1)).ok());
  auto finished = Store::FinishSnapshot(std::move(*scan), toy.store->log().appended_lsn());
  ASSERT_TRUE(finished.ok());
  EXPECT_EQ(toy.store->InstallSnapshot(*finished).error().kind, ErrorKind::kUnavailable);
  ASSERT_TRUE(toy.Sync().ok());
  EXPECT_TRUE(toy.store->InstallSnapshot(*finished).ok());
}

TEST(StoreFaults, OriginsStayWhereNodeAndClusterChange) {
  Prng prng(1);
  SimDisk disk;
  for (int run = 0; run < 3; ++run) {
    Toy toy;
    ASSERT_TRUE(toy.Start(disk, prng));
    disk.Crash(prng, true);
  }
  Toy toy;
  ASSERT_TRUE(toy.Start(disk, prng));
  EXPECT_EQ(toy.store->identity().origins.size(), 4u);
  ASSERT_TRUE(toy.store->UpdateIdentity(NodeId{8}, ClusterId{9}).ok());
  EXPECT_EQ(ReadIdentity(*toy.directory)->origins, toy.store->identity().origins);
  EXPECT_EQ(toy.store->identity().origins.size(), 4u);  // the log has records of theirs
  EXPECT_EQ(ReadIdentity(*toy.directory)->cluster, ClusterId{9});
  EXPECT_EQ(ReadIdentity(*toy.directory)->node, NodeId{8});
}

}  // namespace
}  // namespace jeton
