#include "protocol/karma_dump.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "base/prng.h"

namespace jeton {
namespace {

using namespace std::string_literals;

// key -> day as yyyymmdd -> value
using Tree = std::map<std::uint64_t, std::map<std::uint64_t, std::string>>;

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

// Hands out at most `step` bytes at a time.
KarmaDumpSource SourceOf(std::string_view bytes, std::size_t step = 7) {
  return [=](std::uint64_t offset, char* out, std::size_t size) -> Result<std::size_t> {
    if (offset >= bytes.size()) return std::size_t{0};
    return bytes.copy(out, std::min(step, size), offset);
  };
}

std::uint64_t NumberOf(CivilCount day) {
  return std::stoull(
      FormatCalendarText({.width = Width::kDay, .local_s = day * kSecondsPerDay, .offset_s = {}}));
}

CivilCount DayOfText(std::uint64_t number) {
  return ParseCalendarText(std::to_string(number)).value().local_s / kSecondsPerDay;
}

struct Read {
  Tree tree;
  std::string error;  // empty: all is well
};

Read ReadAll(std::string_view bytes, std::size_t step = 7) {
  Read read;
  const auto stats = VerifyKarmaDump(SourceOf(bytes, step));
  if (!stats.ok()) {
    EXPECT_EQ(stats.error().kind, ErrorKind::kCorrupt);
    return {.tree = {}, .error = stats.error().text};
  }
  KarmaDumpReader reader(SourceOf(bytes, step));
  KarmaDumpItem item;
  std::uint64_t buckets = 0;
  for (;;) {
    const auto more = reader.Next(item);
    if (!more.ok()) return {.tree = {}, .error = "verified, and yet " + more.error().text};
    if (!*more) break;
    auto& table = read.tree[item.key];
    if (item.kind == KarmaDumpItem::Kind::kKey) continue;
    ++buckets;
    table[NumberOf(item.bucket.day)] = item.bucket.value.ToString();
  }
  EXPECT_EQ(stats->keys + stats->empty_keys, read.tree.size());
  EXPECT_EQ(stats->buckets, buckets);
  return read;
}

std::string ErrorOf(std::string_view bytes) {
  return ReadAll(bytes).error;
}

class MemoryScratch : public KarmaScratch {
 public:
  Status WriteAt(std::uint64_t offset, std::string_view bytes) override {
    bytes_.resize(std::max<std::size_t>(bytes_.size(), offset + bytes.size()));
    bytes_.replace(offset, bytes.size(), bytes);
    return {};
  }
  Result<std::size_t> ReadAt(std::uint64_t offset, char* out, std::size_t size) const override {
    return std::string_view(bytes_).copy(out, size, offset);
  }
  std::string bytes_;
};

std::vector<KarmaBucket> BucketsOf(const std::map<std::uint64_t, std::string>& table) {
  std::vector<KarmaBucket> buckets;
  for (const auto& [day, value] : table) {
    buckets.push_back({.day = DayOfText(day), .value = Decimal::Parse(value).value()});
  }
  return buckets;
}

std::string Written(KarmaDumpWriter& writer) {
  std::string bytes;
  EXPECT_TRUE(writer
                  .Finish([&](std::string_view piece) {
                    bytes += piece;
                    return Status();
                  })
                  .ok());
  return bytes;
}

std::string Written(const Tree& tree) {
  MemoryScratch scratch;
  KarmaDumpWriter writer(scratch);
  for (const auto& [key, table] : tree) {
    EXPECT_TRUE(writer.Add(std::to_string(key), BucketsOf(table)).ok());
  }
  return Written(writer);
}

// Both files were written by another implementation of MessagePack.
//
// Release 0.1: a total that its `delete` left wrong, a key that was only asked for, a bucket that
// was counted down to 0.
const std::string kSeed = FromHex(
    "82a86272616e636865739980820182a57461626c6582ce0134b22e7ece0134b22f07a5746f74616cccc80a82"
    "a57461626c6581ce0134b22d00a5746f74616c00810282a57461626c6580a5746f74616c0080808081cfffff"
    "ffffffffffff82a57461626c6581ce0134d765cfffffffffffffffffa5746f74616ccfffffffffffffffff80"
    "80ac6272616e636865735f6e756d09");
const Tree kSeedTree = {{1, {{20230702, "126"}, {20230703, "7"}}},
                        {2, {}},
                        {10, {{20230701, "0"}}},
                        {18446744073709551615u, {{20240229, "18446744073709551615"}}}};

// Release 1.0: no zeros, and right totals.
const std::string kOne = FromHex(
    "82a86272616e6368657399820082a57461626c6582ce01352505ce00011170ce01352506cf000000012a05f2"
    "00a5746f74616ccf000000012a0703700982a57461626c6581ce0135250501a5746f74616c01808080808081"
    "cd303982a57461626c65de0011ce0134b22d01ce0134b22ecd012dce0134b22fcd0259ce0134b230cd0385ce"
    "0134b231cd04b1ce0134b232cd05ddce0134b233cd0709ce0134b234cd0835ce0134b235cd0961ce0134b236"
    "cd0a8dce0134b237cd0bb9ce0134b238cd0ce5ce0134b239cd0e11ce0134b23acd0f3dce0134b23bcd1069ce"
    "0134b23ccd1195ce0134b23dcd12c1a5746f74616ccd9f718080ac6272616e636865735f6e756d09");

Tree OneTree() {
  Tree tree = {{0, {{20260101, "70000"}, {20260102, "5000000000"}}}, {9, {{20260101, "1"}}}};
  for (unsigned i = 0; i < 17; ++i) tree[12345][20230701 + i] = std::to_string(i * 300 + 1);
  return tree;
}

TEST(KarmaDump, ReadsRelease01) {
  const Read read = ReadAll(kSeed);
  EXPECT_EQ(read.error, "");
  EXPECT_EQ(read.tree, kSeedTree);
  const auto stats = VerifyKarmaDump(SourceOf(kSeed)).value();
  EXPECT_EQ(stats.keys, 3u);
  EXPECT_EQ(stats.empty_keys, 1u);
  EXPECT_EQ(stats.buckets, 4u);
}

TEST(KarmaDump, ReadsRelease10InAnyPieces) {
  for (const std::size_t step : {1, 2, 64, 1 << 20}) {
    const Read read = ReadAll(kOne, step);
    EXPECT_EQ(read.error, "");
    EXPECT_EQ(read.tree, OneTree());
  }
}

TEST(KarmaDump, WritesWhatKarmaWrites) {
  EXPECT_EQ(Written(OneTree()), kOne);
}

TEST(KarmaDump, WritesATreeWithoutKeys) {
  EXPECT_EQ(Written(Tree()),
            "\x82\xa8"
            "branches\x99\x80\x80\x80\x80\x80\x80\x80\x80\x80"
            "\xac"
            "branches_num\x09");
  EXPECT_EQ(ErrorOf(Written(Tree())), "");
}

TEST(KarmaDump, LeavesOutKeysWithoutBucketsAndMendsTotals) {
  Tree tree = kSeedTree;
  tree.erase(2);
  EXPECT_EQ(ReadAll(Written(kSeedTree)).tree, tree);
  EXPECT_NE(Written(kSeedTree).find("total\xcc\x85"), std::string::npos);  // 133, not 200
}

// A dump of one branch with what is given for its keys, in hex-free pieces that tests can vary.
const std::string kTable =
    "\xa5"
    "table"s;
const std::string kTotal =
    "\xa5"
    "total"s;
const std::string kDay = "\xce\x01\x34\xb2\x2d";  // 20230701

std::string Dump(const std::string& branch) {
  return "\x82\xa8"
         "branches\x91" +
         branch +
         "\xac"
         "branches_num\x01";
}

std::string DumpOfTable(const std::string& table) {
  return Dump("\x81\x05\x82" + kTable + table + kTotal + "\x01");
}

TEST(KarmaDump, TakesFieldsInAnyOrderAndKeysInAnyBranch) {
  const std::string bytes =
      "\x82\xac"
      "branches_num\x02\xa8"
      "branches\x92\x80\x81\x04\x82" +
      kTotal + "\x01" + kTable + "\x81" + kDay + "\x07";
  const Read read = ReadAll(bytes);
  EXPECT_EQ(read.error, "");
  EXPECT_EQ(read.tree, (Tree{{4, {{20230701, "7"}}}}));
}

TEST(KarmaDump, TakesEveryWidthOfInteger) {
  for (const std::string& seven :
       {"\x07"s, "\xcc\x07"s, "\xcd\0\x07"s, "\xce\0\0\0\x07"s, "\xcf\0\0\0\0\0\0\0\x07"s,
        "\xd0\x07"s, "\xd1\0\x07"s, "\xd2\0\0\0\x07"s, "\xd3\0\0\0\0\0\0\0\x07"s}) {
    const Read read = ReadAll(DumpOfTable("\x81" + kDay + seven));
    EXPECT_EQ(read.error, "");
    EXPECT_EQ(read.tree, (Tree{{5, {{20230701, "7"}}}}));
  }
  const auto wide =
      ReadAll(Dump("\xdf\0\0\0\x01\x05\xde\0\x02\xd9\x05table\x80"s + kTotal + "\0"s));
  EXPECT_EQ(wide.error, "");
}

TEST(KarmaDump, RefusesByName) {
  const std::string not_whole = " is no whole number from 0 to 18446744073709551615";
  EXPECT_EQ(ErrorOf(""), "byte 0: the file ends in the middle of the dump");
  EXPECT_EQ(ErrorOf("{}"), "byte 0: a map of two fields should begin here, as a map");
  EXPECT_EQ(ErrorOf("\x83"), "byte 0: a map of 3 fields, not of two");
  EXPECT_EQ(ErrorOf("\x82\xa1x"), "byte 1: a field \"x\", not \"branches\" or \"branches_num\"");
  EXPECT_EQ(ErrorOf("\x82\x01"), "byte 1: the name of a field should begin here");
  EXPECT_EQ(ErrorOf("\x82\xac"
                    "branches_num\x01\xac"
                    "branches_num\x01"),
            "byte 15: the field \"branches_num\" twice");
  EXPECT_EQ(ErrorOf("\x82\xa8"
                    "branches\x90"),
            "byte 10: there are 0 branches, not 1 to 65536");
  EXPECT_EQ(ErrorOf("\x82\xa8"
                    "branches\x81"),
            "byte 10: branches should begin here, as an array");
  EXPECT_EQ(ErrorOf("\x82\xa8"
                    "branches\x91\x80\xac"
                    "branches_num\x09"),
            "byte 25: branches_num is 9, but there are 1 branches");
  EXPECT_EQ(ErrorOf(kOne + "\0"s), "byte 260: bytes after the end of the dump");
  EXPECT_EQ(ErrorOf(Dump("\x81\xa1x")), "byte 12: a key" + not_whole);
  EXPECT_EQ(ErrorOf(Dump("\x81\x05\xc0")),
            "byte 13: a map of two fields should begin here, as a map");
  EXPECT_EQ(ErrorOf(DumpOfTable("\x81" + kDay + "\xff")), "byte 26: a value" + not_whole);
  EXPECT_EQ(ErrorOf(DumpOfTable("\x81" + kDay + "\xcb\0\0\0\0\0\0\0\0"s)),
            "byte 26: a value" + not_whole);
  EXPECT_EQ(ErrorOf(DumpOfTable("\x81" + kDay + "\xd1\xff\xff")), "byte 26: a value is negative");
  EXPECT_EQ(ErrorOf(DumpOfTable("\x82" + kDay + "\x01" + kDay + "\x02")),
            "byte 32: the table of key 5 has 20230701 twice");
  EXPECT_EQ(ErrorOf(DumpOfTable("\x82" + kDay +
                                "\x01\xce\x01\x34\xb2\x2e\xcf\xff\xff\xff\xff\xff"
                                "\xff\xff\xff")),
            "byte 32: the table of key 5 adds up to more than 18446744073709551615");
  const std::string key = "\x05\x82" + kTable + "\x80" + kTotal + "\0"s;
  EXPECT_EQ(ErrorOf(Dump("\x82" + key + key)), "key 5 is in the dump twice");
  EXPECT_EQ(ErrorOf("\x82\xa8"
                    "branches\x92\x81" +
                    key + "\x81" + key +
                    "\xac"
                    "branches_num\x02"),
            "key 5 is in the dump twice");
}

TEST(KarmaDump, RefusesNumbersThatAreNoDate) {
  for (const std::uint32_t number : {0u, 7u, 202307u, 19691231u, 20230229u, 20230431u, 20230700u,
                                     20230732u, 20231301u, 20230001u, 100000101u, 2023070113u}) {
    std::string day = "\xce";
    for (int shift = 24; shift >= 0; shift -= 8) day += static_cast<char>(number >> shift);
    EXPECT_EQ(ErrorOf(DumpOfTable("\x81" + day + "\x01")),
              "byte 21: the table of key 5 has " + std::to_string(number) +
                  ", which is no date of the years 1970 to 9999");
  }
  const Tree edges = {{5, {{19700101, "1"}, {20240229, "2"}, {99991231, "3"}}}};
  EXPECT_EQ(ReadAll(Written(edges)).tree, edges);
}

TEST(KarmaDump, RefusesEveryTruncation) {
  for (const std::string& bytes : {kSeed, kOne}) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_EQ(ErrorOf(bytes.substr(0, size)),
                "byte " + std::to_string(size) + ": the file ends in the middle of the dump");
    }
  }
}

// Without a checksum a flipped digit is another number; but nothing of it may be half read, and
// what is read is a tree that can be written.
TEST(KarmaDump, AFlippedBitIsRefusedOrReadsAsAWholeTree) {
  for (const std::string& bytes : {kSeed, kOne}) {
    std::size_t refused = 0;
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      const Read read = ReadAll(flipped);
      if (!read.error.empty()) {
        ++refused;
        continue;
      }
      Tree expected = read.tree;
      std::erase_if(expected, [](const auto& entry) { return entry.second.empty(); });
      EXPECT_EQ(ReadAll(Written(read.tree)).tree, expected);
    }
    EXPECT_GT(refused, bytes.size() * 8 / 2);
  }
}

TEST(KarmaDump, HugeCountsWithoutDataAreRefusedAtOnce) {
  const std::string branches =
      "\x82\xa8"
      "branches";
  EXPECT_EQ(ErrorOf(branches + "\xdd\xff\xff\xff\xff"),
            "byte 10: there are 4294967295 branches, not 1 to 65536");
  EXPECT_EQ(ErrorOf(branches + "\x91\xdf\xff\xff\xff\xff"),
            "byte 16: the file ends in the middle of the dump");
  EXPECT_EQ(ErrorOf(branches + "\x91\x81\x05\x82" + kTable + "\xdf\xff\xff\xff\xff"),
            "byte 25: the file ends in the middle of the dump");
  EXPECT_EQ(ErrorOf("\x82\xd9\xff"), "byte 3: the file ends in the middle of the dump");
  EXPECT_EQ(ErrorOf("\x82\xdb\xff\xff\xff\xff"), "byte 1: the name of a field should begin here");
}

TEST(KarmaDump, AnErrorOfTheSourceIsPassedOn) {
  const KarmaDumpSource broken = [](std::uint64_t, char*, std::size_t) -> Result<std::size_t> {
    return Error{ErrorKind::kIo, "a.tree: Input/output error"};
  };
  EXPECT_EQ(VerifyKarmaDump(broken).error().text, "a.tree: Input/output error");
  EXPECT_EQ(VerifyKarmaDump(broken).error().kind, ErrorKind::kIo);
}

std::string AddError(std::string_view key, std::string_view value) {
  MemoryScratch scratch;
  KarmaDumpWriter writer(scratch);
  const auto added = writer.Add(key, BucketsOf({{20230701, std::string(value)}}));
  if (added.ok()) return "";
  EXPECT_EQ(added.error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(Written(writer), Written(Tree()));  // nothing of it is left behind
  return added.error().text;
}

TEST(KarmaDump, WriterRefusesWhatKarmaCannotHold) {
  const std::string range = ", but Karma holds whole numbers from 0 to 18446744073709551615";
  EXPECT_EQ(AddError("5", "-1"), "key \"5\" has -1 on 20230701" + range);
  EXPECT_EQ(AddError("5", "0.5"), "key \"5\" has 0.5 on 20230701" + range);
  EXPECT_EQ(AddError("5", "-0.5"), "key \"5\" has -0.5 on 20230701" + range);
  EXPECT_EQ(AddError("5", "18446744073709551616"),
            "key \"5\" has 18446744073709551616 on 20230701" + range);
  EXPECT_EQ(AddError("5", "18446744073709551615"), "");
  EXPECT_EQ(AddError("18446744073709551615", "1"), "");
  EXPECT_EQ(AddError("0", "1"), "");
  for (const std::string key : {"", "a", "05", "00", "-1", "+1", "1 ", "18446744073709551616"}) {
    EXPECT_EQ(AddError(key, "1"), "key \"" + key +
                                      "\" is no whole number from 0 to 18446744073709551615, as "
                                      "all keys of Karma are");
  }
  MemoryScratch scratch;
  KarmaDumpWriter writer(scratch);
  EXPECT_EQ(writer.Add("5", BucketsOf({{20230701, "18446744073709551615"}, {20230702, "1"}}))
                .error()
                .text,
            "key \"5\" adds up to more than Karma's largest total, 18446744073709551615");
}

TEST(KarmaDump, ALargeTreeIsPutAsideAndComesBack) {
  MemoryScratch scratch;
  KarmaDumpWriter writer(scratch);
  Tree tree;
  Prng prng(7);
  for (int i = 0; i < 30'000; ++i) {  // one branch gets all of it
    const std::uint64_t key = prng.Below(1'000'000'000) * 9 + 4;
    if (tree.contains(key)) continue;
    tree[key] = {{20230701, std::to_string(prng.Next())}, {20230702, "1"}};
    if (tree[key][20230701].size() == 20) tree[key].erase(20230701);  // close to 2^64
    ASSERT_TRUE(writer.Add(std::to_string(key), BucketsOf(tree[key])).ok());
  }
  EXPECT_GT(scratch.bytes_.size(), 3 * KarmaDumpWriter::kChunkBytes);
  const std::string bytes = Written(writer);
  EXPECT_LT(bytes.size() - scratch.bytes_.size(), KarmaDumpWriter::kChunkBytes + 100);
  const Read read = ReadAll(bytes, 1 << 20);
  EXPECT_EQ(read.error, "");
  EXPECT_TRUE(read.tree == tree);
}

TEST(KarmaDump, ErrorsOfScratchAndSinkArePassedOn) {
  class Full : public KarmaScratch {
    Status WriteAt(std::uint64_t, std::string_view) override {
      return Error{ErrorKind::kNoSpace, "the disk is full"};
    }
    Result<std::size_t> ReadAt(std::uint64_t, char*, std::size_t) const override {
      return std::size_t{0};
    }
  } full;
  KarmaDumpWriter writer(full);
  Status status;
  const auto buckets = BucketsOf({{20230701, "1"}});
  for (int key = 0; key < 200'000 && status.ok(); ++key) {
    status = writer.Add(std::to_string(key), buckets);
  }
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().text, "the disk is full");

  MemoryScratch scratch;
  KarmaDumpWriter other(scratch);
  const auto finished = other.Finish([](std::string_view) -> Status {
    return Error{ErrorKind::kNoSpace, "the disk is full"};
  });
  EXPECT_EQ(finished.error().kind, ErrorKind::kNoSpace);
}

RC_GTEST_PROP(KarmaDump, WhatIsWrittenIsReadAgain, ()) {
  Tree tree;
  const auto keys =
      *rc::gen::container<std::vector<std::uint64_t>>(rc::gen::arbitrary<std::uint64_t>());
  for (const std::uint64_t key : keys) {
    const auto days = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 2'932'896));
    for (const int day : days) {
      tree[key][NumberOf(day)] = std::to_string(*rc::gen::inRange<std::uint64_t>(0, 1ull << 56));
    }
  }
  RC_ASSERT(ReadAll(Written(tree)).tree == tree);
}

}  // namespace
}  // namespace jeton
