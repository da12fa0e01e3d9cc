#include "storage/posix_file_system.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace jeton {
namespace {

class PosixFileSystem : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "jeton-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    auto opened = OpenPosixDirectory(path_, true);
    ASSERT_TRUE(opened.ok());
    directory_ = std::move(*opened);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  std::string path_;
  std::unique_ptr<Directory> directory_;
};

TEST_F(PosixFileSystem, WritesReadsAndResizes) {
  auto file = directory_->Open("a", OpenMode::kCreate);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->WriteAt(3, "hello").ok());
  ASSERT_TRUE((*file)->Sync().ok());
  char bytes[16] = {};
  EXPECT_EQ(*(*file)->ReadAt(0, bytes, sizeof(bytes)), 8u);
  EXPECT_EQ(std::string_view(bytes, 8), std::string_view("\0\0\0hello", 8));
  ASSERT_TRUE((*file)->Allocate(10000).ok());
  EXPECT_EQ(*(*file)->Size(), 10000u);
  ASSERT_TRUE((*file)->Allocate(100).ok());  // never shortens
  EXPECT_EQ(*(*file)->Size(), 10000u);
  ASSERT_TRUE((*file)->Truncate(4).ok());
  EXPECT_EQ(*ReadWholeFile(*directory_, "a", 4), std::string("\0\0\0h", 4));
  EXPECT_EQ(ReadWholeFile(*directory_, "a", 3).error().kind, ErrorKind::kCorrupt);
}

TEST_F(PosixFileSystem, KnowsWhereTheDataEnds) {
  auto file = directory_->Open("a", OpenMode::kCreate);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(*(*file)->DataEnd(), 0u);
  ASSERT_TRUE((*file)->Allocate(1 << 20).ok());
  ASSERT_TRUE((*file)->WriteAt(300'000, "hello").ok());
  const std::uint64_t end = *(*file)->DataEnd();
  EXPECT_GE(end, 300'005u);
  EXPECT_LE(end, 1u << 20);
  std::string bytes(1 << 20, 'x');
  ASSERT_EQ(*(*file)->ReadAt(0, bytes.data(), bytes.size()), bytes.size());
  EXPECT_EQ(bytes.find_last_not_of('\0'), 300'004u);
  EXPECT_EQ(bytes.substr(end).find_first_not_of('\0'), std::string::npos);
}

TEST_F(PosixFileSystem, NamesFileAndCauseInErrors) {
  const auto missing = directory_->Open("none", OpenMode::kRead);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(missing.error().text, path_ + "/none: cannot open: No such file or directory");
  ASSERT_TRUE(directory_->Open("a", OpenMode::kCreate).ok());
  EXPECT_EQ(directory_->Open("a", OpenMode::kCreate).error().kind, ErrorKind::kConflict);
  EXPECT_EQ(directory_->List("nowhere").error().kind, ErrorKind::kNotFound);
}

TEST_F(PosixFileSystem, ListsRenamesAndRemoves) {
  ASSERT_TRUE(directory_->CreateDirectory("wal").ok());
  ASSERT_TRUE(directory_->CreateDirectory("wal").ok());
  for (const char* path : {"wal/0010.log", "wal/0009.log", "wal/x.log", "wal/1.log.tmp"}) {
    ASSERT_TRUE(directory_->Open(path, OpenMode::kOpenOrCreate).ok());
  }
  const auto numbered = ListNumbered(*directory_, "wal", "", ".log");
  ASSERT_EQ(numbered->size(), 2u);
  EXPECT_EQ((*numbered)[0].number, 9u);
  EXPECT_EQ((*numbered)[1].path, "wal/0010.log");
  ASSERT_TRUE(directory_->Rename("wal/x.log", "wal/0009.log").ok());
  ASSERT_TRUE(directory_->Remove("wal/0010.log").ok());
  ASSERT_TRUE(directory_->SyncDirectory("wal").ok());
  EXPECT_EQ(*directory_->List("wal"), (std::vector<std::string>{"0009.log", "1.log.tmp"}));
}

TEST_F(PosixFileSystem, ReplacesFilesWhole) {
  ASSERT_TRUE(ReplaceFile(*directory_, "IDENTITY", "first and longer").ok());
  ASSERT_TRUE(ReplaceFile(*directory_, "IDENTITY", "second").ok());
  EXPECT_EQ(*ReadWholeFile(*directory_, "IDENTITY", 100), "second");
  EXPECT_EQ(*directory_->List(""), std::vector<std::string>{"IDENTITY"});
}

TEST_F(PosixFileSystem, LocksPerOpenFile) {
  auto first = directory_->Open("LOCK", OpenMode::kOpenOrCreate);
  auto second = directory_->Open("LOCK", OpenMode::kOpenOrCreate);
  EXPECT_TRUE(*(*first)->TryLock());
  EXPECT_FALSE(*(*second)->TryLock());
  first->reset();
  EXPECT_TRUE(*(*second)->TryLock());
}

}  // namespace
}  // namespace jeton
