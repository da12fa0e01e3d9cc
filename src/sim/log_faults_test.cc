// The log on a disk that fails: torn tails, damage, full disks, failed syncs.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/crc32c.h"
#include "sim/sim_disk.h"
#include "storage/log_reader.h"
#include "storage/log_writer.h"

namespace jeton {
namespace {

constexpr OriginId kOrigin{1, 2, 3};

LogOptions SmallSegments(std::uint64_t size = 4096) {
  LogOptions options;
  options.segment_size = size;
  options.staged_bytes_max = 1u << 20;
  return options;
}

struct Log {
  SimDisk disk;
  std::unique_ptr<Directory> directory;
  std::unique_ptr<LogWriter> writer;

  explicit Log(const LogOptions& options = SmallSegments()) {
    directory = disk.Mount();
    EXPECT_TRUE(directory->CreateDirectory("wal").ok());
    EXPECT_TRUE(directory->SyncDirectory("").ok());
    Open(options, 1);
  }
  void Open(const LogOptions& options, std::uint64_t seq) {
    auto opened = LogWriter::Open(*directory, options, kOrigin, seq, 7);
    ASSERT_TRUE(opened.ok()) << opened.error().text;
    writer = std::move(*opened);
  }
  Lsn Write(std::string_view payload, bool sync = true, RecordType type = RecordType::kControl) {
    const auto lsn = writer->Append(type, payload);
    EXPECT_TRUE(lsn.ok()) << lsn.error().text;
    EXPECT_TRUE(writer->Flush(sync).ok()) << writer->error().text;
    return *lsn;
  }
  void Crash(std::uint64_t seed) {
    Prng prng(seed);
    writer.reset();
    disk.Crash(prng);
    directory = disk.Mount();
  }
};

struct ReadBack {
  std::vector<std::string> payloads;
  std::vector<Lsn> lsns;
  Result<LogEnd> end = Error{};
};

ReadBack Read(Directory& directory, std::uint64_t first_seq = 1, bool salvage = false) {
  ReadBack back;
  LogReadOptions options;
  options.first_seq = first_seq;
  options.salvage = salvage;
  options.on_record = [&](const LogRecord& record) -> Status {
    back.payloads.emplace_back(record.payload);
    back.lsns.push_back(record.lsn);
    return {};
  };
  back.end = ReadLog(directory, options);
  return back;
}

std::string Text(int i) {
  return "record " + std::to_string(i) + std::string(i % 97, '.');
}

TEST(LogFaults, ATornTailIsCutAtEveryByte) {
  Log log;
  log.Write("synced");
  const std::size_t start = kSegmentHeaderSize + RecordSpace(6);
  const std::string before = log.disk.Content(SegmentPath(1)).value();
  log.Write("unsynced payload", false);
  log.Write("and one more", false);
  const std::string after = log.disk.Content(SegmentPath(1)).value();
  log.writer.reset();
  const std::size_t end = start + RecordSpace(16) + kRecordHeaderSize + 12;  // padding is zeros
  for (std::size_t cut = start; cut < end; ++cut) {
    log.disk.WriteAtRest(SegmentPath(1), after.substr(0, cut) + before.substr(cut));
    const ReadBack back = Read(*log.directory);
    ASSERT_TRUE(back.end.ok()) << cut << ": " << back.end.error().text;
    const std::size_t whole = cut < start + RecordSpace(16) ? 1 : 2;
    ASSERT_EQ(back.payloads.size(), whole) << cut;
    ASSERT_EQ(back.end->torn_bytes > 0, cut > start + (whole - 1) * RecordSpace(16)) << cut;
    ASSERT_TRUE(SealLog(*log.directory, *back.end).ok());
    ASSERT_TRUE(SealLog(*log.directory, *back.end).ok());  // twice is as good as once
    const ReadBack again = Read(*log.directory);
    ASSERT_EQ(again.payloads, back.payloads);
    ASSERT_EQ(again.end->torn_bytes, 0u);
    ASSERT_TRUE(again.end->tail->sealed);
  }
}

TEST(LogFaults, AnySubsetOfUnsyncedSectorsIsATornTail) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Log log(SmallSegments(16384));
    std::vector<std::string> written;
    for (int i = 0; i < 6; ++i) {
      written.push_back(Text(i * 31));
      log.Write(written.back());
    }
    for (int i = 0; i < 30; ++i) {
      written.push_back(Text(i * 17));
      log.Write(written.back(), false);
    }
    log.Crash(seed);
    const ReadBack back = Read(*log.directory);
    ASSERT_TRUE(back.end.ok()) << seed << ": " << back.end.error().text;
    ASSERT_GE(back.payloads.size(), 6u);
    for (std::size_t i = 0; i < back.payloads.size(); ++i) ASSERT_EQ(back.payloads[i], written[i]);
  }
}

TEST(LogFaults, DamageInTheMiddleIsRefusedWithItsPosition) {
  Log log;
  std::vector<std::size_t> offsets;
  std::size_t offset = kSegmentHeaderSize;
  for (int i = 0; i < 10; ++i) {
    offsets.push_back(offset);
    log.Write(Text(i));
    offset += RecordSpace(Text(i).size());
  }
  log.writer.reset();
  const SimDisk::Image image = log.disk.TakeImage();
  // Any bit of any record that a later flush has seen durable; also whole sectors of zeros.
  for (std::size_t at = kSegmentHeaderSize; at < offsets[9]; ++at) {
    log.disk.Restore(image);
    log.directory = log.disk.Mount();
    ASSERT_TRUE(log.disk.FlipBit(SegmentPath(1), at, static_cast<int>(at % 8)));
    const ReadBack back = Read(*log.directory);
    ASSERT_FALSE(back.end.ok()) << at;
    ASSERT_EQ(back.end.error().kind, ErrorKind::kCorrupt);
    const auto record = std::upper_bound(offsets.begin(), offsets.end(), at) - 1;
    const std::string position = "at offset " + std::to_string(*record) + ", lsn " +
                                 std::to_string(record - offsets.begin() + 1);
    ASSERT_NE(back.end.error().text.find(position), std::string::npos) << back.end.error().text;
    ASSERT_NE(back.end.error().text.find(SegmentPath(1)), std::string::npos);
  }
  log.disk.Restore(image);
  log.directory = log.disk.Mount();
  // All sectors but the one that holds the last records' headers.
  ASSERT_TRUE(log.disk.ZeroSector(SegmentPath(1), 0));
  EXPECT_FALSE(Read(*log.directory).end.ok());
}

TEST(LogFaults, SalvageDeliversWhatVerifiesAndNamesTheRest) {
  Log log;
  for (int i = 0; i < 10; ++i) log.Write(Text(i));
  log.writer.reset();
  std::size_t third = kSegmentHeaderSize + RecordSpace(Text(0).size()) +
                      RecordSpace(Text(1).size()) + kRecordHeaderSize;
  ASSERT_TRUE(log.disk.FlipBit(SegmentPath(1), third, 0));
  const ReadBack back = Read(*log.directory, 1, true);
  ASSERT_TRUE(back.end.ok());
  EXPECT_EQ(back.lsns, (std::vector<Lsn>{1, 2, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(back.end->skipped.size(), 2u);  // the damage, and what was skipped for it
}

TEST(LogFaults, EverySegmentButTheLastMustBeSealed) {
  Log log(SmallSegments(1024));
  for (int i = 0; i < 60; ++i) log.Write(Text(i));
  ASSERT_GT(log.writer->current_seq(), 3u);
  const std::uint64_t last = log.writer->current_seq();
  log.writer.reset();
  const SimDisk::Image image = log.disk.TakeImage();
  EXPECT_EQ(Read(*log.directory).payloads.size(), 60u);

  std::string sealed = image.at(SegmentPath(2));
  sealed.resize(sealed.size() - kSealSize);
  log.disk.WriteAtRest(SegmentPath(2), sealed);
  EXPECT_EQ(Read(*log.directory).end.error().kind, ErrorKind::kCorrupt);

  log.disk.Restore(image);
  log.directory = log.disk.Mount();
  log.disk.RemoveFile(SegmentPath(2));
  EXPECT_NE(Read(*log.directory).end.error().text.find(SegmentPath(2) + " is missing"),
            std::string::npos);

  // A header that does not verify: damage if records follow it, also in the last segment.
  for (std::uint64_t seq = 1; seq <= last; ++seq) {
    log.disk.Restore(image);
    log.directory = log.disk.Mount();
    ASSERT_TRUE(log.disk.FlipBit(SegmentPath(seq), 20, 3));
    EXPECT_EQ(Read(*log.directory).end.error().kind, ErrorKind::kCorrupt) << seq;
  }

  // A segment in the place of another.
  log.disk.Restore(image);
  log.directory = log.disk.Mount();
  log.disk.WriteAtRest(SegmentPath(3), image.at(SegmentPath(2)));
  EXPECT_EQ(Read(*log.directory).end.error().kind, ErrorKind::kCorrupt);
}

TEST(LogFaults, BytesOfAnEarlierLifeNeverVerify) {
  // Two logs with the same records and other seeds: the tail of one behind the head of the other.
  Log first;
  for (int i = 0; i < 10; ++i) first.Write("same payload", false);
  const std::string old = first.disk.Content(SegmentPath(1)).value();
  Log second;
  second.writer.reset();
  second.disk.Wipe();
  second.directory = second.disk.Mount();
  auto writer = LogWriter::Open(*second.directory, SmallSegments(), kOrigin, 1, 8);
  ASSERT_TRUE(writer.ok());
  second.writer = std::move(*writer);
  for (int i = 0; i < 4; ++i) second.Write("same payload", false);
  std::string mixed = second.disk.Content(SegmentPath(1)).value();
  const std::size_t end = kSegmentHeaderSize + 4 * RecordSpace(12);
  mixed = mixed.substr(0, end) + old.substr(end);
  second.disk.WriteAtRest(SegmentPath(1), mixed);
  const ReadBack back = Read(*second.directory);
  ASSERT_TRUE(back.end.ok()) << back.end.error().text;
  EXPECT_EQ(back.payloads.size(), 4u);
  EXPECT_GT(back.end->torn_bytes, 0u);
}

TEST(LogFaults, AReorderedOrRepeatedRecordBreaksTheChain) {
  Log log;
  for (int i = 0; i < 4; ++i) log.Write("same payload", false);
  log.writer.reset();
  std::string bytes = log.disk.Content(SegmentPath(1)).value();
  const std::size_t space = RecordSpace(12);
  const std::string first = bytes.substr(kSegmentHeaderSize, space);
  bytes.replace(kSegmentHeaderSize + space, space, first);
  log.disk.WriteAtRest(SegmentPath(1), bytes);
  EXPECT_EQ(Read(*log.directory).payloads.size(), 1u);
}

TEST(LogFaults, AFullDiskRefusesBeforeItLosesAnything) {
  Log log(SmallSegments(4096));
  log.disk.SetCapacity(log.disk.used_bytes());  // the current segment and two ahead
  EXPECT_TRUE(log.writer->HasSpace());
  int written = 0;
  while (log.writer->HasSpace()) log.Write(Text(written++));
  // The reserve still takes what was under way.
  EXPECT_EQ(log.writer->state(), LogWriter::State::kOk);
  for (int i = 0; i < 20; ++i) log.Write(Text(written++));
  EXPECT_FALSE(log.writer->CheckSpace());
  // Until that is full too: then records wait in memory.
  int waiting = 0;
  while (log.writer->state() == LogWriter::State::kOk) {
    ASSERT_TRUE(log.writer->Append(RecordType::kControl, Text(written++)).ok());
    const Status status = log.writer->Flush(true);
    if (!status.ok()) {
      EXPECT_EQ(status.error().kind, ErrorKind::kNoSpace);
      ++waiting;
    }
  }
  EXPECT_EQ(waiting, 1);
  EXPECT_EQ(log.writer->state(), LogWriter::State::kFull);
  EXPECT_LT(log.writer->durable_lsn(), log.writer->appended_lsn());
  EXPECT_EQ(log.writer->Flush(true).error().kind, ErrorKind::kNoSpace);
  // Space comes back: so does the log, and nothing was lost.
  log.disk.SetCapacity(SimDisk::kNever);
  EXPECT_TRUE(log.writer->CheckSpace());
  EXPECT_TRUE(log.writer->HasSpace());
  EXPECT_TRUE(log.writer->Flush(true).ok());
  EXPECT_EQ(log.writer->durable_lsn(), log.writer->appended_lsn());
  log.Crash(1);
  const ReadBack back = Read(*log.directory);
  ASSERT_TRUE(back.end.ok()) << back.end.error().text;
  ASSERT_EQ(back.payloads.size(), static_cast<std::size_t>(written));
  for (int i = 0; i < written; ++i) EXPECT_EQ(back.payloads[i], Text(i));
}

TEST(LogFaults, AShortWriteIsCutBackAndWrittenLater) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Log log;
    log.Write("before");
    log.disk.ShortWrite(0);
    ASSERT_TRUE(log.writer->Append(RecordType::kControl, std::string(1500, 'x')).ok());
    EXPECT_EQ(log.writer->Flush(true).error().kind, ErrorKind::kNoSpace);
    EXPECT_EQ(log.writer->state(), LogWriter::State::kFull);
    EXPECT_EQ(log.writer->durable_lsn(), 1u);
    if (seed % 2 == 0) {
      EXPECT_TRUE(log.writer->CheckSpace());
      log.Write("after");
      EXPECT_EQ(log.writer->durable_lsn(), 3u);
    }
    log.Crash(seed);
    const ReadBack back = Read(*log.directory);
    ASSERT_TRUE(back.end.ok()) << back.end.error().text;
    EXPECT_EQ(back.payloads.size(), seed % 2 == 0 ? 3u : 1u);
  }
}

TEST(LogFaults, AFailedSyncIsFinal) {
  Log log;
  log.Write("durable");
  log.disk.FailSync(0);
  ASSERT_TRUE(log.writer->Append(RecordType::kControl, "lost").ok());
  EXPECT_EQ(log.writer->Flush(true).error().kind, ErrorKind::kIo);
  EXPECT_EQ(log.writer->state(), LogWriter::State::kFailed);
  EXPECT_EQ(log.writer->durable_lsn(), 1u);
  EXPECT_FALSE(log.writer->HasSpace());
  EXPECT_FALSE(log.writer->CheckSpace());
  const std::uint64_t operations = log.disk.operations();
  EXPECT_EQ(log.writer->Append(RecordType::kControl, "no").error().kind, ErrorKind::kIo);
  EXPECT_EQ(log.writer->Flush(true).error().kind, ErrorKind::kIo);
  EXPECT_EQ(log.writer->RotateForSnapshot().error().kind, ErrorKind::kIo);
  EXPECT_EQ(log.disk.operations(), operations);  // never tried again
}

TEST(LogFaults, AWriteErrorIsFinal) {
  Log log;
  log.disk.FailWrite(0);
  ASSERT_TRUE(log.writer->Append(RecordType::kControl, "lost").ok());
  EXPECT_EQ(log.writer->Flush(false).error().kind, ErrorKind::kIo);
  EXPECT_EQ(log.writer->state(), LogWriter::State::kFailed);
}

// The process dies of a failed sync; the kernel still shows the pages that it has dropped. Whoever
// recovers from them must bring them to the disk, or the next power loss takes them away.
TEST(LogFaults, RecoveryWritesAgainWhatAFailedSyncMayHaveDropped) {
  Log log;
  log.disk.FailSync(0);
  ASSERT_TRUE(log.writer->Append(RecordType::kControl, "dropped").ok());
  EXPECT_FALSE(log.writer->Flush(true).ok());
  log.writer.reset();
  Prng prng(3);
  log.disk.Crash(prng, true);
  log.directory = log.disk.Mount();
  const ReadBack back = Read(*log.directory);
  ASSERT_EQ(back.payloads, std::vector<std::string>{"dropped"});
  ASSERT_TRUE(SealLog(*log.directory, *back.end).ok());
  log.Crash(4);
  EXPECT_EQ(Read(*log.directory).payloads, std::vector<std::string>{"dropped"});
}

TEST(LogFaults, ReadErrorsAreToldNotMistakenForTheEnd) {
  Log log;
  log.Write("a");
  log.disk.FailRead(1);
  EXPECT_EQ(Read(*log.directory).end.error().kind, ErrorKind::kIo);
}

TEST(LogFaults, ANewerFormatIsRefused) {
  Log log;
  log.Write("a");
  std::string bytes = log.disk.Content(SegmentPath(1)).value();
  bytes[8] = 2;
  // A newer program would have written a right checksum.
  std::string body = bytes.substr(0, kSegmentHeaderSize - 4);
  const std::uint32_t crc = Crc32c(body);
  bytes.replace(kSegmentHeaderSize - 4, 4, reinterpret_cast<const char*>(&crc), 4);
  log.disk.WriteAtRest(SegmentPath(1), bytes);
  const ReadBack back = Read(*log.directory);
  ASSERT_EQ(back.end.error().kind, ErrorKind::kUnavailable);
  EXPECT_NE(back.end.error().text.find("format 2 is newer"), std::string::npos);
}

}  // namespace
}  // namespace jeton
