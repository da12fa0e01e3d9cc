// Karma's `.tree` files, of the releases 0.1 and 1.0: MessagePack (docs/formats/karma-dump.md; the
// names of the files are in karma_dump_name.h). For exchange only: a file has no checksum, and
// holds day buckets, keys of 64 bits and whole values of 64 bits without a sign.
//
// Reading. A damaged file must be refused whole, so it is read twice: VerifyKarmaDump looks at
// every byte and touches nothing, and only then KarmaDumpReader hands out the data. Keep the file
// open in between, so that nobody can put another one under its name.
//
//   VerifyKarmaDump(source)                    // refuse the file if that fails
//   KarmaDumpReader reader(source)
//   while (reader.Next(item) is true) ...      // in slices, if you like
//
// What is taken and what not: every integer encoding of a value that is not negative; fields in any
// order; any number of branches up to kBranchesMax, and any key in any of them. Refused: other and
// missing fields, numbers that are no date of 1970..9999, a key that comes twice or a day that
// comes twice in a key, keys whose buckets add up to more than 64 bits, bytes after the end.
// `total` is read over: release 0.1 did not keep it right.
//
// Writing. A branch begins with its number of keys, and the keys of a tree come in any order: the
// writer collects nine streams and puts them aside in a scratch file, 256 KiB at a time. One pass
// over the tree is enough, and memory does not grow with it.
//
// Pure: files are arguments. Each object belongs to one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/calendar_text.h"
#include "base/decimal.h"
#include "base/result.h"

namespace jeton {

struct KarmaBucket {
  CivilCount day = 0;  // since 1970-01-01: the Bucket of a tree of days
  Decimal value;       // when read: whole, 0 to 2^64 - 1
};

// Reads at most `size` bytes from `offset` on and returns how many; 0 is the end of the file. Its
// errors are passed on as they are.
using KarmaDumpSource =
    std::function<Result<std::size_t>(std::uint64_t offset, char* out, std::size_t size)>;

struct KarmaDumpItem {
  enum class Kind : std::uint8_t {
    kKey,    // a key begins; its buckets follow, if it has any
    kBucket  // one of them, in the order of the file
  };
  Kind kind = Kind::kKey;
  std::uint64_t key = 0;
  KarmaBucket bucket;  // of kBucket
};

// A buffer of 64 KiB and, for the key at hand, eight bytes a day. It cannot see a key that comes
// twice: that is VerifyKarmaDump's work. After an error do not use it further.
class KarmaDumpReader {
 public:
  static constexpr std::uint64_t kBranchesMax = 65'536;

  explicit KarmaDumpReader(KarmaDumpSource source) : source_(std::move(source)) {}

  // False: the end, and all of it was well. Errors are kCorrupt, or the source's, and say where:
  // "byte 71: the table of key 5 has 20230231, which is no date of the years 1970 to 9999".
  Result<bool> Next(KarmaDumpItem& item);

 private:
  // What the next byte belongs to. There is nothing deeper, so that bytes cannot nest.
  enum class Level : std::uint8_t { kStart, kDump, kBranches, kBranch, kCounter, kTable, kEnd };
  // A map of exactly two fields, in any order.
  struct TwoFields {
    int left = 0;
    bool seen[2] = {false, false};
  };

  Status Step();
  Status StepDump();
  Status StepBranches();
  Status StepBranch();
  Status StepCounter();
  Status StepTable();
  Status CheckDays();
  Status CheckEnd();

  Status BeginFields(TwoFields& fields);
  Result<int> NextField(TwoFields& fields, std::string_view first, std::string_view second);
  Result<std::uint64_t> Unsigned(std::string_view what);
  Result<std::uint64_t> Count(std::string_view what, unsigned char fix, unsigned char wide);
  Result<std::string> Name();
  Result<std::uint64_t> BigEndian(std::size_t size);
  Result<unsigned char> Byte();
  Result<bool> AtEnd();
  Error Corrupt(const std::string& text) const;
  std::string Table() const;

  KarmaDumpSource source_;
  std::string buffer_;
  std::size_t next_ = 0;          // in buffer_
  std::uint64_t buffer_end_ = 0;  // where in the file buffer_ ends
  std::uint64_t token_ = 0;       // where in the file the current token began

  Level level_ = Level::kStart;
  TwoFields dump_fields_;
  TwoFields counter_fields_;
  std::uint64_t branches_ = 0;
  std::uint64_t branches_num_ = 0;
  std::uint64_t branches_left_ = 0;
  std::uint64_t keys_left_ = 0;
  std::uint64_t buckets_left_ = 0;
  std::uint64_t sum_ = 0;               // of the buckets of this key
  std::vector<std::uint64_t> days_;     // of this key, as numbers yyyymmdd
  std::optional<KarmaDumpItem> ready_;  // what the last step found
  std::uint64_t key_ = 0;
};

struct KarmaDumpStats {
  std::uint64_t keys = 0;  // that have a bucket
  std::uint64_t empty_keys =
      0;  // that have none: release 0.1 made them when it was asked for a sum
  std::uint64_t buckets = 0;
};

// Reads all of it. Holds 8 bytes a key, to find those that come twice.
Result<KarmaDumpStats> VerifyKarmaDump(const KarmaDumpSource& source);

// What the writer puts aside; the bytes that it reads are always ones that it wrote. A file that
// nobody else knows, and that may go as soon as the writer is gone.
class KarmaScratch {
 public:
  virtual ~KarmaScratch() = default;
  virtual Status WriteAt(std::uint64_t offset, std::string_view bytes) = 0;
  virtual Result<std::size_t> ReadAt(std::uint64_t offset, char* out, std::size_t size) const = 0;
};

class KarmaDumpWriter {
 public:
  static constexpr std::size_t kBranches = 9;
  static constexpr std::size_t kChunkBytes = 256 << 10;  // of a branch, in memory

  // `scratch` must outlive it, and is used only by trees of more than kChunkBytes.
  explicit KarmaDumpWriter(KarmaScratch& scratch) : scratch_(scratch) {}

  // Each key once; days ascending, of the years 1970 to 9999. A key without buckets is left out: in
  // Karma it is the same as none. Zeros are written as they come; release 1.0 loads them, but its
  // own snapshot.verify calls them damage.
  // kInvalid, by name and with nothing written: a key that is no number of 64 bits, a value that is
  // negative, fractional or too large, buckets that add up to more than 64 bits.
  Status Add(std::string_view key, std::span<const KarmaBucket> buckets);

  // The whole file, in order, in pieces of at most about kChunkBytes. Once, after the last Add.
  using Sink = std::function<Status(std::string_view bytes)>;
  Status Finish(const Sink& sink);

 private:
  struct Piece {
    std::uint64_t offset;
    std::size_t size;
  };
  struct Branch {
    std::uint64_t keys = 0;
    std::vector<Piece> aside;  // in the scratch file, in order
    std::string tail;          // comes after them
  };

  Status PutAside(Branch& branch);

  KarmaScratch& scratch_;
  std::uint64_t scratch_size_ = 0;
  std::array<Branch, kBranches> branches_;
};

}  // namespace jeton
