// Snapshots on a disk that fails.
#include <gtest/gtest.h>

#include <map>

#include "sim/sim_disk.h"
#include "storage/snapshot.h"

namespace jeton {
namespace {

using Records = std::map<std::uint16_t, std::vector<std::string>>;

struct Snapshots {
  SimDisk disk;
  std::unique_ptr<Directory> directory;

  Snapshots() {
    directory = disk.Mount();
    EXPECT_TRUE(directory->CreateDirectory("snap").ok());
    EXPECT_TRUE(directory->SyncDirectory("").ok());
  }

  Status Write(std::uint64_t id, const Records& records) {
    auto writer = SnapshotWriter::Begin(*directory, id, 1700000000000, "vector");
    if (!writer) return writer.error();
    for (const auto& [partition, list] : records) {
      for (const std::string& record : list) {
        if (Status status = (*writer)->AddRecord(partition, record); !status) return status;
      }
    }
    const auto info = (*writer)->Finish();
    if (!info) return info.error();
    return {};
  }

  Result<Records> Read(std::uint64_t id, std::vector<std::string>* skipped = nullptr) {
    auto reader = SnapshotReader::Open(*directory, id);
    if (!reader) return reader.error();
    Records records;
    for (std::uint16_t partition : (*reader)->Partitions()) {
      const auto keep = [&](std::span<const std::string_view> block) {
        records[partition].insert(records[partition].end(), block.begin(), block.end());
        return Status{};
      };
      if (Status status = (*reader)->ReadPartition(partition, keep, skipped); !status) {
        return status.error();
      }
    }
    return records;
  }
};

Records Sample(int partitions, int records, std::size_t size) {
  Records sample;
  for (int p = 0; p < partitions; ++p) {
    for (int i = 0; i < records; ++i) {
      sample[static_cast<std::uint16_t>(p * 3)].push_back(
          std::string(size, static_cast<char>('a' + i % 26)) + std::to_string(i));
    }
  }
  return sample;
}

TEST(SnapshotFaults, RoundTripWithManyBlocksAndLargeRecords) {
  Snapshots snapshots;
  Records records = Sample(5, 300, 1000);
  records[9].push_back(std::string(200 << 10, 'z'));  // larger than a block
  records[9].push_back("");
  ASSERT_TRUE(snapshots.Write(1, records).ok());
  const auto back = snapshots.Read(1);
  ASSERT_TRUE(back.ok()) << back.error().text;
  EXPECT_EQ(*back, records);
  auto reader = SnapshotReader::Open(*snapshots.directory, 1);
  EXPECT_EQ((*reader)->info().vector, "vector");
  EXPECT_EQ((*reader)->info().start_time, 1700000000000);
  EXPECT_EQ((*reader)->info().records, 1502u);
  EXPECT_GT((*reader)->info().blocks, 20u);
}

TEST(SnapshotFaults, AnEmptySnapshotIsOne) {
  Snapshots snapshots;
  ASSERT_TRUE(snapshots.Write(1, {}).ok());
  EXPECT_TRUE(snapshots.Read(1)->empty());
}

TEST(SnapshotFaults, EveryFlippedBitIsFound) {
  Snapshots snapshots;
  ASSERT_TRUE(snapshots.Write(1, Sample(3, 20, 30)).ok());
  const std::string path = SnapshotPath(1);
  const std::size_t size = snapshots.disk.Content(path)->size();
  for (std::size_t at = 0; at < size; ++at) {
    const int bit = static_cast<int>(at % 8);
    ASSERT_TRUE(snapshots.disk.FlipBit(path, at, bit));
    const auto back = snapshots.Read(1);
    ASSERT_FALSE(back.ok()) << at;
    ASSERT_NE(back.error().text.find(path), std::string::npos) << back.error().text;
    ASSERT_TRUE(snapshots.disk.FlipBit(path, at, bit));
  }
  EXPECT_TRUE(snapshots.Read(1).ok());
}

TEST(SnapshotFaults, EveryCutIsFound) {
  Snapshots snapshots;
  ASSERT_TRUE(snapshots.Write(1, Sample(2, 10, 30)).ok());
  const std::string bytes = snapshots.disk.Content(SnapshotPath(1)).value();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    snapshots.disk.WriteAtRest(SnapshotPath(1), bytes.substr(0, size));
    ASSERT_EQ(snapshots.Read(1).error().kind, ErrorKind::kCorrupt) << size;
  }
  snapshots.disk.WriteAtRest(SnapshotPath(1), bytes + "x");
  EXPECT_FALSE(snapshots.Read(1).ok());
}

TEST(SnapshotFaults, ADamagedBlockIsNamedAndTheOthersLoad) {
  Snapshots snapshots;
  const Records records = Sample(3, 20, 30);
  ASSERT_TRUE(snapshots.Write(1, records).ok());
  ASSERT_TRUE(snapshots.disk.FlipBit(SnapshotPath(1), 100, 0));
  std::vector<std::string> skipped;
  const auto back = snapshots.Read(1, &skipped);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->size(), 2u);
  ASSERT_EQ(skipped.size(), 1u);
  EXPECT_NE(skipped[0].find("at offset"), std::string::npos);
  EXPECT_NE(skipped[0].find("20 records of partition 0"), std::string::npos);
}

TEST(SnapshotFaults, ABlockOfAnotherSnapshotDoesNotVerify) {
  Snapshots snapshots;
  const Records records = Sample(1, 20, 30);
  ASSERT_TRUE(snapshots.Write(1, records).ok());
  ASSERT_TRUE(snapshots.Write(2, records).ok());
  std::string mixed = snapshots.disk.Content(SnapshotPath(2)).value();
  const std::string old = snapshots.disk.Content(SnapshotPath(1)).value();
  ASSERT_EQ(mixed.size(), old.size());
  const std::size_t block = 14 + 8 + 8 + 7 + 4;  // behind the header
  mixed = mixed.substr(0, block) + old.substr(block, 600) + mixed.substr(block + 600);
  snapshots.disk.WriteAtRest(SnapshotPath(2), mixed);
  EXPECT_EQ(snapshots.Read(2).error().kind, ErrorKind::kCorrupt);
}

TEST(SnapshotFaults, WhatCannotBeWrittenLeavesNoSnapshot) {
  Snapshots snapshots;
  snapshots.disk.SetCapacity(10'000);
  EXPECT_EQ(snapshots.Write(1, Sample(3, 300, 100)).error().kind, ErrorKind::kNoSpace);
  snapshots.disk.SetCapacity(SimDisk::kNever);
  snapshots.disk.FailSync(0);
  EXPECT_EQ(snapshots.Write(2, Sample(1, 1, 1)).error().kind, ErrorKind::kIo);
  EXPECT_TRUE(snapshots.disk.Paths().empty());  // the temporary files are gone too
}

TEST(SnapshotFaults, AnAbandonedWriterRemovesItsFile) {
  Snapshots snapshots;
  {
    auto writer = SnapshotWriter::Begin(*snapshots.directory, 1, 0, "");
    ASSERT_TRUE((*writer)->AddRecord(1, "x").ok());
    EXPECT_EQ(snapshots.disk.Paths().size(), 1u);
  }
  EXPECT_TRUE(snapshots.disk.Paths().empty());
}

// A snapshot that has its name is complete, whenever the process died.
TEST(SnapshotFaults, ACrashAnywhereLeavesAllOrNothing) {
  const Records records = Sample(3, 30, 50);
  for (std::uint64_t at = 0;; ++at) {
    Snapshots snapshots;
    snapshots.disk.DieAt(at);
    const bool done = snapshots.Write(1, records).ok();
    Prng prng(at);
    snapshots.disk.Crash(prng);
    snapshots.directory = snapshots.disk.Mount();
    const auto ids = ListSnapshots(*snapshots.directory);
    ASSERT_TRUE(ids.ok());
    if (!ids->empty()) {
      const auto back = snapshots.Read(1);
      ASSERT_TRUE(back.ok()) << at << ": " << back.error().text;
      ASSERT_EQ(*back, records) << at;
    }
    if (done) {
      ASSERT_EQ(ids->size(), 1u);
      ASSERT_GT(at, 4u);
      return;
    }
  }
}

}  // namespace
}  // namespace jeton
