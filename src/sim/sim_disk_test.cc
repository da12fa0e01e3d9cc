#include "sim/sim_disk.h"

#include <gtest/gtest.h>

namespace jeton {
namespace {

std::unique_ptr<File> Create(Directory& directory, std::string_view path) {
  auto file = directory.Open(path, OpenMode::kCreate);
  EXPECT_TRUE(file.ok());
  return std::move(*file);
}

TEST(SimDisk, KeepsWhatWasSyncedAndMayLoseTheRest) {
  bool lost = false;
  bool kept = false;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimDisk disk;
    Prng prng(seed);
    auto directory = disk.Mount();
    auto file = Create(*directory, "a");
    ASSERT_TRUE(file->WriteAt(0, "durable").ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(directory->SyncDirectory("").ok());
    ASSERT_TRUE(file->WriteAt(7, "volatile").ok());
    disk.Crash(prng);
    const std::string content = disk.Content("a").value();
    EXPECT_TRUE(content.starts_with("durable"));
    lost |= content == "durable";
    kept |= content == "durablevolatile";
    EXPECT_EQ(file->WriteAt(0, "x").error().kind, ErrorKind::kIo);  // its process is gone
  }
  EXPECT_TRUE(lost);
  EXPECT_TRUE(kept);
}

TEST(SimDisk, LosesNamesThatNoDirectorySyncCovered) {
  bool lost = false;
  bool renamed = false;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimDisk disk;
    Prng prng(seed);
    auto directory = disk.Mount();
    auto file = Create(*directory, "a.tmp");
    ASSERT_TRUE(file->WriteAt(0, "x").ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(directory->Rename("a.tmp", "a").ok());
    disk.Crash(prng);
    lost |= disk.Paths().empty();
    renamed |= disk.Paths() == std::vector<std::string>{"a"};
    if (!disk.Paths().empty()) {
      EXPECT_EQ(disk.Content(disk.Paths()[0]), "x");
    }
  }
  EXPECT_TRUE(lost);
  EXPECT_TRUE(renamed);
}

TEST(SimDisk, KeepsAnySubsetOfSectors) {
  bool holes = false;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SimDisk disk;
    Prng prng(seed);
    auto directory = disk.Mount();
    auto file = Create(*directory, "a");
    ASSERT_TRUE(directory->SyncDirectory("").ok());
    ASSERT_TRUE(file->WriteAt(0, std::string(8 * SimDisk::kSectorSize, 'x')).ok());
    disk.Crash(prng);
    const std::string content = disk.Content("a").value();
    const std::size_t hole = content.find('\0');
    holes |= hole != std::string::npos && content.find('x', hole) != std::string::npos;
  }
  EXPECT_TRUE(holes);
}

TEST(SimDisk, AFailedSyncLosesThePagesButReadersStillSeeThem) {
  SimDisk disk;
  Prng prng(1);
  auto directory = disk.Mount();
  auto file = Create(*directory, "a");
  ASSERT_TRUE(directory->SyncDirectory("").ok());
  ASSERT_TRUE(file->WriteAt(0, "gone").ok());
  disk.FailSync(0);
  EXPECT_EQ(file->Sync().error().kind, ErrorKind::kIo);
  EXPECT_TRUE(file->Sync().ok());  // the lie
  EXPECT_EQ(disk.Content("a"), "gone");
  disk.Crash(prng);
  EXPECT_EQ(disk.Content("a"), "");
}

TEST(SimDisk, FillsUp) {
  SimDisk disk;
  disk.SetCapacity(1000);
  auto directory = disk.Mount();
  auto file = Create(*directory, "a");
  ASSERT_TRUE(file->Allocate(900).ok());
  EXPECT_EQ(file->Allocate(1100).error().kind, ErrorKind::kNoSpace);
  EXPECT_TRUE(file->WriteAt(0, std::string(900, 'x')).ok());
  EXPECT_EQ(file->WriteAt(900, std::string(200, 'x')).error().kind, ErrorKind::kNoSpace);
  EXPECT_EQ(*directory->FreeBytes(), 100u);
  ASSERT_TRUE(directory->Remove("a").ok());
  EXPECT_EQ(disk.used_bytes(), 0u);
}

TEST(SimDisk, LocksOncePerFileUntilTheHandleOrItsProcessGoes) {
  SimDisk disk;
  auto directory = disk.Mount();
  auto first = Create(*directory, "LOCK");
  auto second = directory->Open("LOCK", OpenMode::kReadWrite);
  EXPECT_TRUE(*first->TryLock());
  EXPECT_FALSE(*(*second)->TryLock());
  first.reset();
  EXPECT_TRUE(*(*second)->TryLock());
  Prng prng(1);
  disk.Crash(prng, true);
  auto third = disk.Mount()->Open("LOCK", OpenMode::kReadWrite);
  EXPECT_TRUE(*(*third)->TryLock());
}

TEST(SimDisk, DiesAtAnyOperation) {
  SimDisk disk;
  auto directory = disk.Mount();
  auto file = Create(*directory, "a");
  disk.DieAt(1);
  EXPECT_TRUE(file->WriteAt(0, "1").ok());
  EXPECT_FALSE(file->WriteAt(1, "2").ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_TRUE(disk.died());
}

TEST(SimDisk, TheSameSeedLeavesTheSameDisk) {
  SimDisk::Image images[2];
  for (auto& image : images) {
    SimDisk disk;
    Prng prng(42);
    auto directory = disk.Mount();
    for (int i = 0; i < 20; ++i) {
      auto file = Create(*directory, "f" + std::to_string(i));
      ASSERT_TRUE(file->WriteAt(prng.Below(5000), std::string(prng.Below(5000), 'y')).ok());
      if (i % 3 == 0) {
        ASSERT_TRUE(directory->SyncDirectory("").ok());
      }
    }
    disk.Crash(prng);
    image = disk.TakeImage();
  }
  EXPECT_EQ(images[0], images[1]);
}

TEST(SimDisk, GoesBackToAnOlderImageAndClones) {
  SimDisk disk;
  disk.WriteAtRest("wal/1.log", "old");
  const SimDisk::Image image = disk.TakeImage();
  disk.WriteAtRest("wal/1.log", "new");
  disk.WriteAtRest("wal/2.log", "new");
  disk.Restore(image);
  EXPECT_EQ(disk.Content("wal/1.log"), "old");
  EXPECT_EQ(disk.Content("wal/2.log"), std::nullopt);
  SimDisk clone;
  clone.Restore(image);
  EXPECT_EQ(clone.TakeImage(), image);
  EXPECT_TRUE(clone.FlipBit("wal/1.log", 0, 0));
  EXPECT_EQ(clone.Content("wal/1.log"), "nld");
}

}  // namespace
}  // namespace jeton
