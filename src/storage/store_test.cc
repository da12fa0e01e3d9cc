// Log and store on the real disk: what is quickest to read as a session.
#include "storage/store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

#include "storage/check.h"
#include "storage/posix_file_system.h"

namespace jeton {
namespace {

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "jeton-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    auto opened = OpenPosixDirectory(path_, false);
    directory_ = std::move(*opened);
    options_.log.segment_size = 1u << 20;
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(path_);
  }

  RecoveryReport Start() {
    store_.reset();
    payloads_.clear();
    FreshBytes fresh{1700000000000, {1, 2, 3, 4, 5, 6, ++starts_, 8, 9}};
    auto opened = Store::Open(*directory_, options_, fresh);
    EXPECT_TRUE(opened.ok()) << opened.error().text;
    store_ = std::move(*opened);
    RecoveryHandler handler;
    handler.threads = threads_;
    handler.on_snapshot_block = [this](const SnapshotBlock& block) -> Status {
      const std::lock_guard guard(mutex_);
      payloads_.insert(payloads_.end(), block.records.begin(), block.records.end());
      return {};
    };
    handler.on_log_record = [this](const LogRecord& record) -> Status {
      payloads_.emplace_back(record.payload);
      return {};
    };
    auto report = store_->Recover(handler);
    EXPECT_TRUE(report.ok()) << report.error().text;
    return *report;
  }

  std::string path_;
  std::unique_ptr<Directory> directory_;
  StoreOptions options_;
  std::uint64_t starts_ = 0;
  int threads_ = 1;  // of recovery
  std::mutex mutex_;
  std::unique_ptr<Store> store_;
  std::vector<std::string> payloads_;
};

TEST_F(StoreTest, FindsAgainWhatWasWritten) {
  EXPECT_EQ(Start().log_records, 0u);
  LogWriter& log = store_->log();
  EXPECT_EQ(*log.Append(RecordType::kControl, {"one", " part"}), 1u);
  EXPECT_EQ(*log.Append(RecordType::kControl, "two"), 2u);
  EXPECT_EQ(log.appended_lsn(), 2u);
  EXPECT_EQ(log.written_lsn(), 0u);
  ASSERT_TRUE(log.Flush(false).ok());
  EXPECT_EQ(log.written_lsn(), 2u);
  EXPECT_EQ(log.durable_lsn(), 0u);
  ASSERT_TRUE(log.Flush(true).ok());
  EXPECT_EQ(log.durable_lsn(), 2u);
  EXPECT_EQ(Start().last_lsn, 2u);
  EXPECT_EQ(payloads_, (std::vector<std::string>{"one part", "two"}));
}

TEST_F(StoreTest, ASyncBesideTheWriterCoversWhatWasWrittenBefore) {
  Start();
  LogWriter& log = store_->log();
  EXPECT_EQ(log.PointToSync().file, nullptr);
  ASSERT_TRUE(log.Append(RecordType::kControl, "one"));
  ASSERT_TRUE(log.Flush(false).ok());
  const LogWriter::SyncPoint first = log.PointToSync();
  ASSERT_TRUE(log.Append(RecordType::kControl, "two"));
  ASSERT_TRUE(log.Flush(false).ok());
  ASSERT_TRUE(log.SyncUpTo(first).ok());
  EXPECT_EQ(log.durable_lsn(), first.lsn);
  EXPECT_LT(log.durable_lsn(), log.written_lsn());

  // The segment may be sealed, and so synced, before its turn comes.
  const LogWriter::SyncPoint second = log.PointToSync();
  ASSERT_TRUE(log.RotateForSnapshot());
  ASSERT_TRUE(log.SyncUpTo(second).ok());
  ASSERT_TRUE(log.SyncUpTo(first).ok());
  EXPECT_EQ(log.durable_lsn(), log.written_lsn());
  EXPECT_EQ(log.PointToSync().file, nullptr);
}

TEST_F(StoreTest, OneThreadSyncsWhileAnotherFillsSegments) {
  Start();
  LogWriter& log = store_->log();
  std::mutex flush;
  std::atomic<bool> done{false};
  std::thread syncer([&] {
    while (!done.load()) {
      LogWriter::SyncPoint point;
      {
        const std::lock_guard guard(flush);
        point = log.PointToSync();
      }
      EXPECT_TRUE(log.SyncUpTo(point).ok());
      EXPECT_GE(log.durable_lsn(), point.lsn);
    }
  });
  const std::string payload(100'000, 'x');
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(log.Append(RecordType::kControl, payload));
    const std::lock_guard guard(flush);
    EXPECT_TRUE(log.Flush(false).ok());
  }
  done.store(true);
  syncer.join();
  ASSERT_TRUE(log.Close().ok());
  EXPECT_EQ(Start().log_records, 50u);
}

TEST_F(StoreTest, AnOriginIsNeverUsedTwice) {
  Start();
  const OriginId first = store_->origin();
  store_.reset();
  // Not with the same randomness, and not with a clock that has gone back.
  for (const WallMs wall : {WallMs{1700000000000}, WallMs{1600000000000}}) {
    FreshBytes stale{wall, {1, 2, 3, 4, 5, 6, starts_, 8, 9}};
    const auto again = Store::Open(*directory_, options_, stale);
    ASSERT_TRUE(again.ok());
    EXPECT_GT((*again)->origin(), first);
  }
}

TEST_F(StoreTest, CommitUnitsBetweenTwoFlushesShareARecord) {
  Start();
  LogWriter& log = store_->log();
  EXPECT_EQ(*log.Append(RecordType::kCommit, "a"), 1u);
  EXPECT_EQ(*log.Append(RecordType::kCommit, "b"), 1u);
  EXPECT_EQ(*log.Append(RecordType::kCursor, "c"), 2u);
  EXPECT_EQ(*log.Append(RecordType::kCommit, "d"), 3u);
  ASSERT_TRUE(log.Flush(true).ok());
  EXPECT_EQ(*log.Append(RecordType::kCommit, "e"), 4u);
  // A unit is never split: one that would make the record too large begins the next one.
  const std::string large(kMergedCommitMax - 10, 'x');
  EXPECT_EQ(*log.Append(RecordType::kCommit, large), 5u);
  ASSERT_TRUE(log.Flush(true).ok());
  Start();
  EXPECT_EQ(payloads_, (std::vector<std::string>{"ab", "c", "d", "e", large}));
}

TEST_F(StoreTest, ARecordLargerThanASegmentHasOneOfItsSize) {
  Start();
  const std::string large(3u << 20, 'x');
  ASSERT_TRUE(store_->log().Append(RecordType::kFrame, "small").ok());
  ASSERT_TRUE(store_->log().Append(RecordType::kFrame, large).ok());
  ASSERT_TRUE(store_->log().Append(RecordType::kFrame, "small").ok());
  ASSERT_TRUE(store_->log().Flush(true).ok());
  EXPECT_EQ(store_->log().current_seq(), 3u);
  EXPECT_EQ(Start().log_records, 3u);
  EXPECT_EQ(payloads_[1], large);
}

TEST_F(StoreTest, TheLimitsOfTheLogAreRefusals) {
  options_.log.staged_bytes_max = 1u << 16;
  Start();
  LogWriter& log = store_->log();
  const std::string too_large(kRecordPayloadMax + 1, 'x');
  EXPECT_EQ(log.Append(RecordType::kFrame, too_large).error().kind, ErrorKind::kInvalid);
  const std::string unit(1000, 'x');
  Result<Lsn> lsn = Lsn{0};
  while (lsn) lsn = log.Append(RecordType::kCommit, unit);
  EXPECT_EQ(lsn.error().kind, ErrorKind::kUnavailable);
  EXPECT_LE(log.staged_bytes(), options_.log.staged_bytes_max);
  ASSERT_TRUE(log.Flush(true).ok());
  EXPECT_EQ(log.staged_bytes(), 0u);
  EXPECT_TRUE(log.Append(RecordType::kCommit, unit).ok());
}

TEST_F(StoreTest, ManyThreadsAppendWhileOneFlushes) {
  Start();
  LogWriter& log = store_->log();
  constexpr int kThreads = 4;
  constexpr int kUnits = 5000;
  std::atomic<int> running = kThreads;
  std::vector<std::thread> workers;
  for (int t = 0; t < kThreads; ++t) {
    workers.emplace_back([&] {
      for (int i = 0; i < kUnits; ++i) EXPECT_TRUE(log.Append(RecordType::kCommit, "unit").ok());
      --running;
    });
  }
  while (running > 0) EXPECT_TRUE(log.Flush(false).ok());
  for (std::thread& worker : workers) worker.join();
  ASSERT_TRUE(log.Flush(true).ok());
  EXPECT_EQ(log.durable_lsn(), log.appended_lsn());
  Start();
  std::size_t bytes = 0;
  for (const std::string& payload : payloads_) bytes += payload.size();
  EXPECT_EQ(bytes, 4u * kThreads * kUnits);
}

TEST_F(StoreTest, SeveralThreadsReadTheSame) {
  Start();
  auto scan = store_->BeginSnapshot(1700000000000, "");
  ASSERT_TRUE(scan.ok());
  std::vector<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    expected.push_back("state " + std::to_string(i));
    ASSERT_TRUE(scan->writer->AddRecord(static_cast<std::uint16_t>(i), expected.back()).ok());
  }
  for (int i = 0; i < 40; ++i) {  // several segments
    expected.push_back(std::string(100'000, 'x') + std::to_string(i));
    ASSERT_TRUE(store_->log().Append(RecordType::kControl, expected.back()).ok());
    ASSERT_TRUE(store_->log().Flush(true).ok());
  }
  auto finished = Store::FinishSnapshot(std::move(*scan), store_->log().appended_lsn());
  ASSERT_TRUE(finished.ok());
  ASSERT_TRUE(store_->InstallSnapshot(*finished).ok());
  for (const int threads : {1, 4}) {
    threads_ = threads;
    EXPECT_EQ(Start().log_records, 40u);
    // Blocks come in any order, the log only in its own.
    std::sort(payloads_.begin(), payloads_.begin() + 20);
    std::sort(expected.begin(), expected.begin() + 20);
    EXPECT_EQ(payloads_, expected);
  }
}

TEST_F(StoreTest, ASnapshotReplacesTheLogBeforeIt) {
  Start();
  ASSERT_TRUE(store_->log().Append(RecordType::kControl, "old").ok());
  for (int round = 0; round < 2; ++round) {
    auto scan = store_->BeginSnapshot(1700000000000, "vector");
    ASSERT_TRUE(scan.ok()) << scan.error().text;
    ASSERT_TRUE(scan->writer->AddRecord(7, "state").ok());
    ASSERT_TRUE(store_->log().Append(RecordType::kControl, "during").ok());
    ASSERT_TRUE(store_->log().Flush(true).ok());
    auto finished = Store::FinishSnapshot(std::move(*scan), store_->log().appended_lsn());
    ASSERT_TRUE(finished.ok()) << finished.error().text;
    ASSERT_TRUE(store_->InstallSnapshot(*finished).ok());
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + "/" + SegmentPath(1)));
  const RecoveryReport report = Start();
  EXPECT_EQ(report.snapshot, 2u);
  EXPECT_EQ(report.snapshot_vector, "vector");
  EXPECT_EQ(payloads_, (std::vector<std::string>{"state", "during"}));
  std::vector<std::string> lines;
  store_.reset();
  const auto checked =
      CheckDirectory(*directory_, [&](const auto& line) { lines.push_back(line); });
  ASSERT_TRUE(checked.ok());
  EXPECT_EQ(checked->problems, 0u) << ::testing::PrintToString(lines);
  EXPECT_GE(lines.size(), 7u);
}

}  // namespace
}  // namespace jeton
