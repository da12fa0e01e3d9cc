#include "base/time_zone.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>

#include "base/posix_tz.h"
#include "base/text.h"

namespace jeton {
namespace {

constexpr std::int64_t kCycleSeconds = std::int64_t{146'097} * 86'400;  // 400 Gregorian years
constexpr std::int64_t kFirstUsedSecond = -30 * 86'400;                 // before any 1970 anywhere
constexpr std::int64_t kNoCycle = TimeZone::kEndOfTime;

// One of the two blocks of a file: RFC 8536, section 3.1 and 3.2. Big-endian.
class Block {
 public:
  static constexpr std::size_t kHeaderSize = 44;

  // `time_size` is 4 in the first block and 8 in the second.
  static std::optional<Block> Read(std::string_view bytes, std::size_t time_size) {
    if (bytes.size() < kHeaderSize || !bytes.starts_with("TZif")) return std::nullopt;
    Block block(bytes, time_size);
    if (block.Size() > bytes.size() || block.type_count_ == 0) return std::nullopt;
    return block;
  }

  char Version() const { return bytes_[4]; }
  std::size_t Size() const {
    return kHeaderSize + time_count_ * (time_size_ + 1) + type_count_ * 6 + char_count_ +
           leap_count_ * (time_size_ + 4) + standard_count_ + utc_count_;
  }
  bool HasLeapSeconds() const { return leap_count_ != 0; }
  std::size_t Changes() const { return time_count_; }
  std::int64_t ChangeTime(std::size_t i) const {
    return static_cast<std::int64_t>(BigEndian(kHeaderSize + i * time_size_, time_size_));
  }
  // The offset after change i; empty if the file points nowhere.
  std::optional<std::int64_t> ChangeOffset(std::size_t i) const {
    return TypeOffset(BigEndian(kHeaderSize + time_count_ * time_size_ + i, 1));
  }
  std::optional<std::int64_t> TypeOffset(std::uint64_t type) const {
    if (type >= type_count_) return std::nullopt;
    const std::size_t at = kHeaderSize + time_count_ * (time_size_ + 1) + type * 6;
    const auto offset = static_cast<std::int32_t>(BigEndian(at, 4));
    if (std::abs(std::int64_t{offset}) > TimeZone::kMaxOffsetSeconds) return std::nullopt;
    return offset;
  }

 private:
  Block(std::string_view bytes, std::size_t time_size)
      : bytes_(bytes),
        time_size_(time_size),
        utc_count_(BigEndian(20, 4)),
        standard_count_(BigEndian(24, 4)),
        leap_count_(BigEndian(28, 4)),
        time_count_(BigEndian(32, 4)),
        type_count_(BigEndian(36, 4)),
        char_count_(BigEndian(40, 4)) {}

  std::uint64_t BigEndian(std::size_t at, std::size_t size) const {
    std::uint64_t value = 0;
    for (const char c : bytes_.substr(at, size)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }

  std::string_view bytes_;
  std::size_t time_size_;
  std::size_t utc_count_;
  std::size_t standard_count_;
  std::size_t leap_count_;
  std::size_t time_count_;
  std::size_t type_count_;
  std::size_t char_count_;
};

int YearOf(std::int64_t utc_s) {
  using namespace std::chrono;
  return int(year_month_day(floor<days>(sys_seconds(seconds(utc_s)))).year());
}

std::int64_t YearBegin(int year) {
  using namespace std::chrono;
  return sys_seconds(sys_days(std::chrono::year(year) / January / 1)).time_since_epoch().count();
}

Error Damaged(std::string_view name, std::string_view what) {
  return {ErrorKind::kCorrupt,
          "ERR time zone file of " + QuoteForLog(name) + " is damaged: " + std::string(what)};
}

// The line between two newlines behind the second block.
std::optional<PosixTz> ClosingRule(std::string_view tail) {
  if (!tail.starts_with('\n') || tail.size() < 2 || !tail.ends_with('\n')) return std::nullopt;
  return PosixTz::Parse(tail.substr(1, tail.size() - 2));
}

// The database's own names: no way up or out of its directory, and none of its copies that count
// leap seconds.
bool IsPlausibleName(std::string_view name) {
  constexpr std::size_t kMaxNameSize = 64;
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '-' || c == '+';
  };
  return !name.empty() && name.size() <= kMaxNameSize && name[0] != '/' &&
         std::all_of(name.begin(), name.end(), allowed) && !name.starts_with("right/") &&
         !name.starts_with("posix/");
}

Error UnknownZone(std::string_view name) {
  return {ErrorKind::kInvalid, "ERR unknown time zone " + QuoteForLog(name.substr(0, 64)) +
                                   ": want a name of the IANA database, as UTC or Europe/Berlin"};
}

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string bytes(TimeZone::kMaxFileSize, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return bytes;
}

}  // namespace

TimeZone::TimeZone(std::string name, std::vector<Row> rows, std::int64_t cycle_begin_s)
    : name_(std::move(name)), rows_(std::move(rows)), cycle_begin_s_(cycle_begin_s) {}

std::shared_ptr<const TimeZone> TimeZone::Utc() {
  return std::shared_ptr<const TimeZone>(new TimeZone("UTC", {{-kEndOfTime, 0}}, kNoCycle));
}

Result<std::shared_ptr<const TimeZone>> TimeZone::FromFile(std::string name,
                                                           std::string_view file) {
  // The first block has 32-bit times and is for old readers; the second says the same with 64.
  const auto old_block = Block::Read(file, 4);
  if (!old_block || old_block->Version() < '2') return Damaged(name, "no block of 64-bit times");
  const auto block = Block::Read(file.substr(old_block->Size()), 8);
  if (!block) return Damaged(name, "the block of 64-bit times is cut or empty");
  if (block->HasLeapSeconds()) return Damaged(name, "it counts leap seconds");
  const auto rule = ClosingRule(file.substr(old_block->Size() + block->Size()));
  if (!rule) return Damaged(name, "the closing rule does not parse");

  std::vector<Row> rows = {{-kEndOfTime, block->TypeOffset(0).value_or(0)}};
  const auto add = [&rows](std::int64_t begin_s, std::int64_t offset_s) {
    if (rows.back().offset_s == offset_s) return;
    if (begin_s <= kFirstUsedSecond) rows.pop_back();
    rows.push_back({rows.empty() ? -kEndOfTime : begin_s, offset_s});
  };
  std::int64_t last_s = kFirstUsedSecond;
  for (std::size_t i = 0; i < block->Changes(); ++i) {
    const auto offset = block->ChangeOffset(i);
    const std::int64_t time = block->ChangeTime(i);
    const bool in_order = i == 0 || time > block->ChangeTime(i - 1);
    if (!offset || !in_order || time >= kEndOfTime) return Damaged(name, "a change makes no sense");
    add(time, *offset);
    last_s = std::max(last_s, time);
  }
  if (!rule->has_summer) {
    return std::shared_ptr<const TimeZone>(new TimeZone(std::move(name), rows, kNoCycle));
  }
  // A year more at either end, so that the regimes at the seam are whole.
  const int first_year = YearOf(last_s);
  if (first_year > 9999) return Damaged(name, "a change makes no sense");
  for (int year = first_year; year <= first_year + 403; ++year) {
    for (const auto& change : rule->ChangesIn(year)) {
      if (change.utc_s > last_s) add(change.utc_s, change.offset_s);
    }
  }
  return std::shared_ptr<const TimeZone>(
      new TimeZone(std::move(name), rows, YearBegin(first_year + 2)));
}

Regime TimeZone::At(std::int64_t utc_s) const {
  if (utc_s - cycle_begin_s_ < kCycleSeconds) [[likely]]
    return InTable(utc_s);
  const std::int64_t shift = (utc_s - cycle_begin_s_) / kCycleSeconds * kCycleSeconds;
  Regime regime = InTable(utc_s - shift);
  regime.begin_s += shift;
  regime.end_s += shift;
  return regime;
}

Regime TimeZone::InTable(std::int64_t utc_s) const {
  const auto regime = [this](std::size_t i) {
    const std::int64_t end_s = i + 1 < rows_.size() ? rows_[i + 1].begin_s : kEndOfTime;
    return Regime{rows_[i].begin_s, end_s, rows_[i].offset_s};
  };
  const std::uint32_t guess = guess_.load(std::memory_order_relaxed);
  const Regime guessed = regime(guess);
  if (utc_s >= guessed.begin_s && utc_s < guessed.end_s) [[likely]]
    return guessed;
  const auto after =
      std::upper_bound(rows_.begin() + 1, rows_.end(), utc_s,
                       [](std::int64_t time, const Row& row) { return time < row.begin_s; });
  const auto found = static_cast<std::uint32_t>(after - rows_.begin() - 1);
  guess_.store(found, std::memory_order_relaxed);
  return regime(found);
}

Result<std::shared_ptr<const TimeZone>> TimeZones::Find(std::string_view name) {
  if (EqualsIgnoreCase(name, "UTC") || EqualsIgnoreCase(name, "Etc/UTC")) name = "UTC";
  if (!IsPlausibleName(name)) return UnknownZone(name);
  const std::lock_guard lock(mutex_);
  if (const auto known = zones_.find(name); known != zones_.end()) return known->second;
  if (name == "UTC") return zones_[std::string(name)] = TimeZone::Utc();
  const auto file = ReadFile(directory_ + "/" + std::string(name));
  // The directory also holds tables and lists that are no zones.
  if (!file || !file->starts_with("TZif")) return UnknownZone(name);
  auto zone = TimeZone::FromFile(std::string(name), *file);
  if (zone.ok()) zones_.emplace(name, *zone);
  return zone;
}

}  // namespace jeton
