// A life of the node that is set aside, and the one after it.
#include "storage/set_aside.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "storage/posix_file_system.h"
#include "storage/store.h"

namespace jeton {
namespace {

class SetAsideTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/jeton_set_aside_XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    path_ = path;
    directory_ = std::move(OpenPosixDirectory(path_, true)).value();
  }
  void TearDown() override { (void)std::system(("rm -rf " + path_).c_str()); }

  std::unique_ptr<Store> Start(std::uint64_t random) {
    StoreOptions options;
    options.log = {.segment_size = kSegmentSizeMin, .segments_ahead = 1};
    FreshBytes fresh{.wall_ms = 1'700'000'000'000};
    fresh.random.fill(random);
    auto store = Store::Open(*directory_, options, fresh);
    EXPECT_TRUE(store.ok()) << store.error().text;
    if (!store) return nullptr;
    recovered_.clear();
    RecoveryHandler handler;
    handler.on_log_record = [&](const LogRecord& record) -> Status {
      recovered_.emplace_back(record.payload);
      return {};
    };
    const auto report = (*store)->Recover(handler);
    EXPECT_TRUE(report.ok());
    return std::move(*store);
  }
  void Write(Store& store, std::string_view text) {
    ASSERT_TRUE(store.log().Append(RecordType::kCommit, text).ok());
    ASSERT_TRUE(store.log().Flush(true).ok());
  }
  std::size_t LeftFiles() {
    std::size_t left = 0;
    for (const char* folder : {"", "wal", "snap"}) {
      const auto names = directory_->List(folder);
      left += static_cast<std::size_t>(std::count_if(names->begin(), names->end(), IsLeft));
    }
    return left;
  }

  std::string path_;
  std::unique_ptr<Directory> directory_;
  std::vector<std::string> recovered_;
};

TEST_F(SetAsideTest, TheNextLifeBeginsEmptyAndTheLastOneIsStillThere) {
  NodeId before{};
  {
    const auto store = Start(1);
    before = store->identity().node;
    Write(*store, "something");
  }
  // The process died while it wrote a snapshot.
  ASSERT_TRUE(directory_->Open(SnapshotPath(1) + ".tmp", OpenMode::kOpenOrCreate).ok());
  ASSERT_TRUE(RequestSetAside(*directory_, "a note").ok());
  {
    const auto store = Start(2);
    ASSERT_NE(store, nullptr);
    EXPECT_NE(store->identity().node, before);
    EXPECT_TRUE(recovered_.empty());
    Write(*store, "new");
    const auto left = ReadLeft(*directory_);
    ASSERT_TRUE(left.ok());
    EXPECT_EQ(left->identity.node, before);
    EXPECT_EQ(left->note, "a note");
    std::vector<std::string> seen;
    LogReadOptions options;
    options.first_seq = 0;
    options.kind = LogKind::kLeft;
    options.on_record = [&](const LogRecord& record) -> Status {
      seen.emplace_back(record.payload);
      return {};
    };
    ASSERT_TRUE(ReadLog(*directory_, options).ok());
    EXPECT_EQ(seen, std::vector<std::string>{"something"});
    // One at a time.
    EXPECT_EQ(RequestSetAside(*directory_, "").error().kind, ErrorKind::kConflict);
  }
  {
    const auto store = Start(3);
    EXPECT_EQ(recovered_, std::vector<std::string>{"new"});
    ASSERT_TRUE(RemoveLeft(*directory_).ok());
    EXPECT_EQ(LeftFiles(), 0U);
    EXPECT_EQ(ReadLeft(*directory_).error().kind, ErrorKind::kNotFound);
  }
  EXPECT_TRUE(RequestSetAside(*directory_, "").ok());
}

TEST_F(SetAsideTest, ALifeOfWhichNothingIsNeededGivesWayToAnother) {
  NodeId first{}, second{};
  {
    const auto store = Start(1);
    first = store->identity().node;
    Write(*store, "something");
  }
  EXPECT_EQ(RequestBeginAgain(*directory_, "").error().kind, ErrorKind::kNotFound);
  ASSERT_TRUE(RequestSetAside(*directory_, "a note").ok());
  {
    const auto store = Start(2);
    second = store->identity().node;
    Write(*store, "not needed");
  }
  const std::size_t left = LeftFiles();
  ASSERT_TRUE(RequestBeginAgain(*directory_, "another note").ok());
  // The start that carries it out is cut short once.
  ASSERT_TRUE(directory_->Remove("MANIFEST-1").ok());
  {
    const auto store = Start(3);
    ASSERT_NE(store, nullptr);
    EXPECT_NE(store->identity().node, first);
    EXPECT_NE(store->identity().node, second);
    EXPECT_TRUE(recovered_.empty());
    EXPECT_EQ(ReadLeft(*directory_)->identity.node, first);
    EXPECT_EQ(ReadLeft(*directory_)->note, "another note");
    EXPECT_EQ(LeftFiles(), left);
    Write(*store, "new");
  }
  ASSERT_NE(Start(4), nullptr);
  EXPECT_EQ(recovered_, std::vector<std::string>{"new"});
  ASSERT_TRUE(directory_->Remove("SETASIDE.left").ok());
  EXPECT_EQ(RequestBeginAgain(*directory_, "").error().kind, ErrorKind::kConflict);
}

TEST_F(SetAsideTest, AStartThatWasCutShortIsMadeGood) {
  { Write(*Start(1), "something"); }
  ASSERT_TRUE(RequestSetAside(*directory_, "a note").ok());
  ASSERT_TRUE(directory_->Rename("MANIFEST-1", "MANIFEST-1.left").ok());
  ASSERT_TRUE(directory_->Rename("IDENTITY", "IDENTITY.left").ok());
  const auto store = Start(2);
  ASSERT_NE(store, nullptr);
  EXPECT_TRUE(recovered_.empty());
  EXPECT_TRUE(ReadLeft(*directory_).ok());
}

TEST_F(SetAsideTest, ARemovalThatWasCutShortIsSeen) {
  { Write(*Start(1), "something"); }
  ASSERT_TRUE(RequestSetAside(*directory_, "a note").ok());
  const auto store = Start(2);
  EXPECT_FALSE(ReadLeft(*directory_)->is_going);
  ASSERT_TRUE(directory_->Remove("SETASIDE.left").ok());
  ASSERT_TRUE(ReadLeft(*directory_).ok());
  EXPECT_TRUE(ReadLeft(*directory_)->is_going);
  ASSERT_TRUE(RemoveLeft(*directory_).ok());
  EXPECT_EQ(LeftFiles(), 0U);
}

// What a peer lacks is kept, as far as there is room for it.
TEST_F(SetAsideTest, TheLogIsKeptForThoseWhoLackIt) {
  const auto store = Start(1);
  for (int i = 0; i < 40; ++i) Write(*store, std::string(400, 'x'));
  const auto snapshot = [&](const LogNeeds* needs) {
    auto scan = store->BeginSnapshot(1, "");
    ASSERT_TRUE(scan.ok());
    const auto finished = Store::FinishSnapshot(std::move(*scan), store->log().appended_lsn());
    ASSERT_TRUE(finished.ok());
    ASSERT_TRUE(store->InstallSnapshot(*finished, needs).ok());
  };
  const auto first = [&] { return ListSegments(*directory_)->front().number; };
  const std::uint64_t begin = first();
  LogNeeds needs{.everybody = {{store->origin(), 10}}, .somebody = {}, .bytes_max = 1u << 20};
  snapshot(&needs);
  snapshot(&needs);
  EXPECT_GT(first(), begin);
  const std::uint64_t kept = first();
  Write(*store, "y");
  snapshot(&needs);
  EXPECT_EQ(first(), kept);
  EXPECT_EQ(store->segments_lost(), 0U);
  // Without room, and with something that nobody else has.
  needs.somebody = {{store->origin(), 12}};
  needs.bytes_max = 4 * kSegmentSizeMin;
  snapshot(&needs);
  EXPECT_GT(first(), kept);
  EXPECT_GT(store->segments_lost(), 0U);
  const std::uint64_t lost = store->segments_lost();
  snapshot(nullptr);
  snapshot(nullptr);
  EXPECT_EQ(store->segments_lost(), lost);
}

}  // namespace
}  // namespace jeton
