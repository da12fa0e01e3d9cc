#include "protocol/karma_dump.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/assert.h"
#include "base/text.h"

namespace jeton {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;
// No table without a repeated day is longer than the calendar.
constexpr std::size_t kDaysMax = std::size_t{kLastYear - kFirstYear + 1} * 366;
constexpr std::uint64_t kUint64Max = std::numeric_limits<std::uint64_t>::max();

// MessagePack's first bytes (github.com/msgpack/msgpack, spec.md).
constexpr unsigned char kFixMap = 0x80, kMap16 = 0xde;
constexpr unsigned char kFixArray = 0x90, kArray16 = 0xdc;
constexpr unsigned char kFixStr = 0xa0, kStr8 = 0xd9;
constexpr unsigned char kUint8 = 0xcc, kInt8 = 0xd0;

// A number yyyymmdd is a date if the first day from it on is not also the first from the next on.
std::optional<CivilCount> DayOfNumber(std::uint64_t number) {
  if (number < kFirstYear * 10'000 || number > kLastYear * 10'000 + 12'31) return {};
  const CivilCount day = FirstDayFrom(number);
  if (FirstDayFrom(number + 1) == day) return {};
  return day;
}

// Canonical decimal digits of 64 bits.
std::optional<std::uint64_t> ParseUnsigned(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || (text[0] == '0' && text.size() > 1)) return {};
  return value;
}

std::uint64_t NumberOfDay(CivilCount day) {
  const auto number = ParseUnsigned(
      FormatCalendarText({.width = Width::kDay, .local_s = day * kSecondsPerDay, .offset_s = {}}));
  ASSERT(number && DayOfNumber(*number) == day);  // the calendar of a tree has no other days
  return *number;
}

Decimal DecimalOf(std::uint64_t value) {
  if (value <= std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
    return Decimal(static_cast<std::int64_t>(value));
  }
  return Decimal::FromUnits(Decimal::Int128(value) * Decimal::kUnitsPerOne);
}

std::optional<std::uint64_t> WholeNumber(const Decimal& value) {
  if (value.IsInt64()) {
    if (value.IsNegative()) return {};
    return static_cast<std::uint64_t>(value.Int64());
  }
  const Decimal::Int128 units = value.Units();
  const Decimal::Int128 whole = units / Decimal::kUnitsPerOne;
  if (units < 0 || units % Decimal::kUnitsPerOne != 0 || whole > kUint64Max) return {};
  return static_cast<std::uint64_t>(whole);
}

void PutBigEndian(std::string& out, std::uint64_t value, std::size_t size) {
  for (std::size_t shift = size * 8; shift > 0; shift -= 8) {
    out += static_cast<char>(value >> (shift - 8));
  }
}

// In the fewest bytes, as Karma writes it.
void PutUnsigned(std::string& out, std::uint64_t value) {
  if (value < 0x80) {
    out += static_cast<char>(value);
    return;
  }
  const unsigned width = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= 0xffff'ffff ? 2 : 3;
  out += static_cast<char>(kUint8 + width);
  PutBigEndian(out, value, std::size_t{1} << width);
}

void PutMap(std::string& out, std::uint64_t count) {
  if (count < 16) {
    out += static_cast<char>(kFixMap + count);
    return;
  }
  const bool wide = count > 0xffff;
  out += static_cast<char>(kMap16 + (wide ? 1 : 0));
  PutBigEndian(out, count, wide ? 4 : 2);
}

void PutName(std::string& out, std::string_view name) {
  out += static_cast<char>(kFixStr + name.size());
  out += name;
}

}  // namespace

// A step reads one header, one field or one bucket, and says what comes next.
Result<bool> KarmaDumpReader::Next(KarmaDumpItem& item) {
  ready_.reset();
  while (!ready_ && level_ != Level::kEnd) {
    if (auto step = Step(); !step.ok()) return step.error();
  }
  if (ready_) item = *ready_;
  return ready_.has_value();
}

Status KarmaDumpReader::Step() {
  switch (level_) {
    case Level::kStart:
      level_ = Level::kDump;
      return BeginFields(dump_fields_);
    case Level::kDump:
      return StepDump();
    case Level::kBranches:
      return StepBranches();
    case Level::kBranch:
      return StepBranch();
    case Level::kCounter:
      return StepCounter();
    case Level::kTable:
      return StepTable();
    case Level::kEnd:
      break;
  }
  return {};
}

Status KarmaDumpReader::StepDump() {
  if (dump_fields_.left == 0) return CheckEnd();
  const auto field = NextField(dump_fields_, "branches", "branches_num");
  if (!field.ok()) return field.error();
  if (*field == 1) {
    const auto count = Unsigned("branches_num");
    if (!count.ok()) return count.error();
    branches_num_ = *count;
    return {};
  }
  const auto count = Count("branches", kFixArray, kArray16);
  if (!count.ok()) return count.error();
  if (*count == 0 || *count > kBranchesMax) {
    return Corrupt("there are " + std::to_string(*count) + " branches, not 1 to " +
                   std::to_string(kBranchesMax));
  }
  branches_ = branches_left_ = *count;
  level_ = Level::kBranches;
  return {};
}

Status KarmaDumpReader::StepBranches() {
  if (branches_left_ == 0) {
    level_ = Level::kDump;
    return {};
  }
  --branches_left_;
  const auto count = Count("a branch", kFixMap, kMap16);
  if (!count.ok()) return count.error();
  keys_left_ = *count;
  level_ = Level::kBranch;
  return {};
}

Status KarmaDumpReader::StepBranch() {
  if (keys_left_ == 0) {
    level_ = Level::kBranches;
    return {};
  }
  --keys_left_;
  const auto key = Unsigned("a key");
  if (!key.ok()) return key.error();
  key_ = *key;
  level_ = Level::kCounter;
  ready_ = KarmaDumpItem{.kind = KarmaDumpItem::Kind::kKey, .key = key_, .bucket = {}};
  return BeginFields(counter_fields_);
}

Status KarmaDumpReader::StepCounter() {
  if (counter_fields_.left == 0) {
    level_ = Level::kBranch;
    return {};
  }
  const auto field = NextField(counter_fields_, "table", "total");
  if (!field.ok()) return field.error();
  if (*field == 1) {
    const auto total = Unsigned("total");
    if (!total.ok()) return total.error();
    return {};
  }
  const auto count = Count("a table", kFixMap, kMap16);
  if (!count.ok()) return count.error();
  buckets_left_ = *count;
  sum_ = 0;
  days_.clear();
  level_ = Level::kTable;
  return {};
}

Status KarmaDumpReader::StepTable() {
  if (buckets_left_ == 0) {
    level_ = Level::kCounter;
    return CheckDays();
  }
  --buckets_left_;
  const auto number = Unsigned("a day");
  if (!number.ok()) return number.error();
  const auto day = DayOfNumber(*number);
  if (!day) {
    return Corrupt(Table() + " has " + std::to_string(*number) +
                   ", which is no date of the years 1970 to 9999");
  }
  days_.push_back(*number);
  if (days_.size() > kDaysMax) return CheckDays();  // one must be there twice
  const auto value = Unsigned("a value");
  if (!value.ok()) return value.error();
  if (__builtin_add_overflow(sum_, *value, &sum_)) {
    return Corrupt(Table() + " adds up to more than " + std::to_string(kUint64Max));
  }
  ready_ = KarmaDumpItem{.kind = KarmaDumpItem::Kind::kBucket,
                         .key = key_,
                         .bucket = {.day = *day, .value = DecimalOf(*value)}};
  return {};
}

Status KarmaDumpReader::CheckDays() {
  if (!std::is_sorted(days_.begin(), days_.end())) std::sort(days_.begin(), days_.end());
  const auto twin = std::adjacent_find(days_.begin(), days_.end());
  if (twin == days_.end()) return {};
  return Corrupt(Table() + " has " + std::to_string(*twin) + " twice");
}

Status KarmaDumpReader::CheckEnd() {
  if (branches_num_ != branches_) {
    return Corrupt("branches_num is " + std::to_string(branches_num_) + ", but there are " +
                   std::to_string(branches_) + " branches");
  }
  const auto end = AtEnd();
  if (!end.ok()) return end.error();
  if (!*end) {
    token_ = buffer_end_ - (buffer_.size() - next_);
    return Corrupt("bytes after the end of the dump");
  }
  level_ = Level::kEnd;
  return {};
}

Status KarmaDumpReader::BeginFields(TwoFields& fields) {
  const auto count = Count("a map of two fields", kFixMap, kMap16);
  if (!count.ok()) return count.error();
  if (*count != 2) return Corrupt("a map of " + std::to_string(*count) + " fields, not of two");
  fields = {.left = 2};
  return {};
}

Result<int> KarmaDumpReader::NextField(TwoFields& fields, std::string_view first,
                                       std::string_view second) {
  const auto name = Name();
  if (!name.ok()) return name.error();
  if (*name != first && *name != second) {
    return Corrupt("a field " + QuoteForLog(*name) + ", not " + QuoteForLog(first) + " or " +
                   QuoteForLog(second));
  }
  const int index = *name == first ? 0 : 1;
  if (fields.seen[index]) return Corrupt("the field " + QuoteForLog(*name) + " twice");
  fields.seen[index] = true;
  --fields.left;
  return index;
}

// Any encoding of an integer, also those with a sign, if it is not negative.
Result<std::uint64_t> KarmaDumpReader::Unsigned(std::string_view what) {
  const auto first = Byte();
  if (!first.ok()) return first.error();
  if (*first < 0x80) return std::uint64_t{*first};
  const bool has_sign = *first >= kInt8 && *first < kInt8 + 4;
  if (!has_sign && (*first < kUint8 || *first >= kUint8 + 4)) {
    return Corrupt(std::string(what) + " is no whole number from 0 to " +
                   std::to_string(kUint64Max));
  }
  const std::size_t size = std::size_t{1} << (*first & 3);
  auto value = BigEndian(size);
  if (value.ok() && has_sign && (*value >> (size * 8 - 1)) != 0) {
    return Corrupt(std::string(what) + " is negative");
  }
  return value;
}

// The number of elements of a map or an array: in the first byte, or in 2 or 4 after it.
Result<std::uint64_t> KarmaDumpReader::Count(std::string_view what, unsigned char fix,
                                             unsigned char wide) {
  const auto first = Byte();
  if (!first.ok()) return first.error();
  if ((*first & 0xf0) == fix) return std::uint64_t{*first} & 0x0f;
  if (*first == wide) return BigEndian(2);
  if (*first == wide + 1) return BigEndian(4);
  return Corrupt(std::string(what) + " should begin here, as " +
                 (fix == kFixMap ? "a map" : "an array"));
}

Result<std::string> KarmaDumpReader::Name() {
  const auto first = Byte();
  if (!first.ok()) return first.error();
  std::uint64_t size = *first & 0x1f;
  if (*first == kStr8) {
    const auto wide = BigEndian(1);
    if (!wide.ok()) return wide.error();
    size = *wide;
  } else if ((*first & 0xe0) != kFixStr) {
    return Corrupt("the name of a field should begin here");
  }
  std::string name;
  for (; size > 0; --size) {
    const auto start = token_;
    const auto byte = Byte();
    if (!byte.ok()) return byte.error();
    token_ = start;
    name += static_cast<char>(*byte);
  }
  return name;
}

Result<std::uint64_t> KarmaDumpReader::BigEndian(std::size_t size) {
  const auto start = token_;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const auto byte = Byte();
    if (!byte.ok()) return byte.error();
    value = value << 8 | *byte;
  }
  token_ = start;
  return value;
}

Result<unsigned char> KarmaDumpReader::Byte() {
  const auto end = AtEnd();
  if (!end.ok()) return end.error();
  token_ = buffer_end_ - (buffer_.size() - next_);
  if (*end) return Corrupt("the file ends in the middle of the dump");
  return static_cast<unsigned char>(buffer_[next_++]);
}

Result<bool> KarmaDumpReader::AtEnd() {
  if (next_ < buffer_.size()) return false;
  buffer_.resize(kReadBytes);
  next_ = 0;
  const auto size = source_(buffer_end_, buffer_.data(), buffer_.size());
  buffer_.resize(size.value_or(0));
  buffer_end_ += buffer_.size();
  if (!size.ok()) return size.error();
  return buffer_.empty();
}

Error KarmaDumpReader::Corrupt(const std::string& text) const {
  return {ErrorKind::kCorrupt, "byte " + std::to_string(token_) + ": " + text};
}

std::string KarmaDumpReader::Table() const {
  return "the table of key " + std::to_string(key_);
}

Result<KarmaDumpStats> VerifyKarmaDump(const KarmaDumpSource& source) {
  KarmaDumpReader reader(source);
  KarmaDumpStats stats;
  KarmaDumpItem item;
  std::vector<std::uint64_t> keys;
  bool empty = false;  // the key at hand, so far
  for (;;) {
    const auto more = reader.Next(item);
    if (!more.ok()) return more.error();
    const bool key_ends = !*more || item.kind == KarmaDumpItem::Kind::kKey;
    if (key_ends && empty) ++stats.empty_keys;
    if (!*more) break;
    empty = item.kind == KarmaDumpItem::Kind::kKey;
    if (empty) {
      keys.push_back(item.key);
    } else {
      ++stats.buckets;
    }
  }
  stats.keys = keys.size() - stats.empty_keys;
  std::sort(keys.begin(), keys.end());
  const auto twin = std::adjacent_find(keys.begin(), keys.end());
  if (twin == keys.end()) return stats;
  return Error{ErrorKind::kCorrupt, "key " + std::to_string(*twin) + " is in the dump twice"};
}

Status KarmaDumpWriter::Add(std::string_view key, std::span<const KarmaBucket> buckets) {
  const auto refuse = [&](const std::string& why) {
    return Error{ErrorKind::kInvalid, "key " + QuoteForLog(key) + " " + why};
  };
  const auto number = ParseUnsigned(key);
  if (!number) {
    return refuse("is no whole number from 0 to " + std::to_string(kUint64Max) +
                  ", as all keys of Karma are");
  }
  if (buckets.empty()) return {};
  std::uint64_t total = 0;
  for (const KarmaBucket& bucket : buckets) {
    const auto value = WholeNumber(bucket.value);
    if (!value) {
      return refuse("has " + bucket.value.ToString() + " on " +
                    std::to_string(NumberOfDay(bucket.day)) +
                    ", but Karma holds whole numbers from 0 to " + std::to_string(kUint64Max));
    }
    if (__builtin_add_overflow(total, *value, &total)) {
      return refuse("adds up to more than Karma's largest total, " + std::to_string(kUint64Max));
    }
  }

  Branch& branch = branches_[*number % kBranches];
  ++branch.keys;
  std::string& out = branch.tail;
  PutUnsigned(out, *number);
  PutMap(out, 2);
  PutName(out, "table");
  PutMap(out, buckets.size());
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    ASSERT(i == 0 || buckets[i - 1].day < buckets[i].day);
    PutUnsigned(out, NumberOfDay(buckets[i].day));
    PutUnsigned(out, *WholeNumber(buckets[i].value));
  }
  PutName(out, "total");
  PutUnsigned(out, total);
  return out.size() < kChunkBytes ? Status() : PutAside(branch);
}

Status KarmaDumpWriter::PutAside(Branch& branch) {
  if (auto written = scratch_.WriteAt(scratch_size_, branch.tail); !written.ok()) return written;
  branch.aside.push_back({.offset = scratch_size_, .size = branch.tail.size()});
  scratch_size_ += branch.tail.size();
  branch.tail.clear();
  return {};
}

Status KarmaDumpWriter::Finish(const Sink& sink) {
  std::string out;
  PutMap(out, 2);
  PutName(out, "branches");
  out += static_cast<char>(kFixArray + kBranches);
  for (Branch& branch : branches_) {
    if (branch.keys > std::numeric_limits<std::uint32_t>::max()) {
      return Error{ErrorKind::kInvalid, "more than 2^32 - 1 keys in one of Karma's branches"};
    }
    PutMap(out, branch.keys);
    if (auto sent = sink(out); !sent.ok()) return sent;
    for (const Piece& piece : branch.aside) {
      out.resize(piece.size);
      const auto size = scratch_.ReadAt(piece.offset, out.data(), piece.size);
      if (!size.ok()) return size.error();
      if (*size != piece.size) return Error{ErrorKind::kIo, "the scratch file of a dump is cut"};
      if (auto sent = sink(out); !sent.ok()) return sent;
    }
    out = std::move(branch.tail);
  }
  PutName(out, "branches_num");
  PutUnsigned(out, kBranches);
  return sink(out);
}

}  // namespace jeton
