// KeyRecord: one key of a tree with its buckets, as compact bytes in a Slab. Never constructed: a
// KeyRecord* points at the first byte.
//
//   flags u8 | key length u8 | base u32 or i64 | [count u32 | capacity u32 | total] |
//   [key length u32, if the short one is 255] | key | buckets | values
//
// flags: bits 0..2 width of the values (1, 2, 4, 8 bytes, or 16: units of a Decimal), bits 3..5 how
// the buckets are given (see Form), bit 6 the key is a number (its significant bytes), bit 7 base
// takes 8 bytes. The total is an i64, or a Sum where values take 16 bytes.
//
// So the millionth view of article 12345678 today costs 12 bytes, a further day 1 to 4. Buckets are
// ascending. All values of a key have the width of its widest, which makes the sum over a range one
// loop over an array, and an increment a load and a store. Days that follow each other without a
// gap, the rule, are not written down: a bucket's place is its distance from base, and nobody
// searches for it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/calendar.h"
#include "base/decimal.h"
#include "base/sum.h"
#include "engine/slab.h"
#include "engine/tree_key.h"

namespace jeton::engine {

struct Cell {
  Bucket bucket = 0;
  Decimal value = {};
};

class KeyRecord {
 public:
  using Name = TreeKey;
  using Index = std::uint32_t;
  static constexpr std::size_t kUsualBytes = 32;  // what a prefetch brings at most: the head

  KeyRecord() = delete;

  // `cells` are ascending and not empty.
  static KeyRecord* Make(Slab& slab, const TreeKey& key, const std::vector<Cell>& cells);
  void Destroy(Slab& slab) { slab.Free(this, Size()); }
  std::size_t Size() const;

  bool HasName(const TreeKey& key) const {
    if (key.is_number) return IsNumber() && Number() == key.number;
    return !IsNumber() && KeyBytes() == key.text;
  }
  std::uint64_t HashWith(std::uint64_t seed) const;
  bool IsNumber() const { return (flags() & kNumberBit) != 0; }
  std::uint64_t Number() const {  // if IsNumber()
    return LoadShort(bytes() + KeyOffset(), bytes()[1]);
  }
  std::string_view Text() const { return KeyBytes(); }  // if not

  Index count() const { return IsSingle() ? 1 : Load<Index>(CountOffset()); }
  Bucket first() const { return BucketAt(0); }
  Bucket last() const { return BucketAt(count() - 1); }
  Bucket BucketAt(Index i) const;
  Decimal ValueAt(Index i) const;
  Sum Total() const;
  Sum SumOf(Index from, Index to) const;   // [from, to)
  Index LowerBound(Bucket bucket) const;   // the first one that is not before `bucket`
  Index IndexOf(Bucket bucket) const;      // count() if it is not there
  Index UpperBound(Bucket bucket) const {  // the first one that is after `bucket`
    return bucket == INT64_MAX ? count() : LowerBound(bucket + 1);
  }
  // Appends [from, to).
  void AppendCells(Index from, Index to, std::vector<Cell>& cells) const;

  // The sum over a range of buckets.
  Sum SumIn(const BucketRange& range) const;

  // Brings towards the cache what a look at these buckets reads beside the head: a guess where
  // buckets have gaps, that they are the newest.
  // Inline: a function that does nothing but fetch is none to the compiler, and its calls go.
  [[gnu::always_inline]] void Prefetch(const BucketRange& range) const {
    if (IsSingle()) return;
    const Index newest = count() - 1;
    const std::uint8_t* values = bytes() + ValuesOffset();
    if (HasDistances()) {
      __builtin_prefetch(bytes() + BucketsOffset() + newest * distance_size());
      __builtin_prefetch(values + newest * value_size(), 1);
      return;
    }
    __builtin_prefetch(values + PlaceInRun(range.first, newest) * value_size(), 1);
    __builtin_prefetch(values + (PlaceInRun(range.last, newest) + 1) * value_size() - 1, 1);
  }
  // Adds to a bucket that is there; `value` gets the new one. False, and nothing changed, if that
  // takes more than a load and a store: the bucket is not there, or a number would need more bytes.
  // (No optional: g++ returns a small one through memory, written in parts and read as a whole,
  // which waits for the writes.)
  bool AddInPlace(Bucket bucket, std::int64_t delta, std::int64_t& value);
  // The i-th bucket gets `value`. Returns the record, which may have moved.
  KeyRecord* Store(Slab& slab, Index i, const Decimal& value);
  // A new bucket at its place i. Returns the record, which may have moved.
  KeyRecord* Insert(Slab& slab, Index i, Bucket bucket, const Decimal& value);
  // Removes [from, to). Returns the record, which may have moved; null if nothing was left.
  KeyRecord* Erase(Slab& slab, Index from, Index to);

  std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(this); }
  const std::uint8_t* bytes() const { return reinterpret_cast<const std::uint8_t*>(this); }

 private:
  // How the buckets are given. Forms 0..3 are an array of distances from base of 1, 2, 4, 8 bytes.
  enum Form : int {
    kDistances1 = 0,
    kDistances8 = 3,
    kRun,    // base and those that follow it, without a gap: no array
    kSingle  // only base: no array, count, capacity and total
  };

  static constexpr std::uint8_t kValueMask = 7;
  static constexpr int kFormShift = 3;
  static constexpr std::uint8_t kFormMask = 7;
  static constexpr std::uint8_t kNumberBit = 64;
  static constexpr std::uint8_t kWideBaseBit = 128;
  static constexpr int kWide = 4;  // width code of values in units
  static constexpr std::size_t kLongKey = 255;

  // What a record is made of besides its contents.
  struct Plan {
    int value_code = 0;
    int form = kSingle;
    bool wide_base = false;
    bool number = false;
    Index capacity = 1;
    std::size_t key_size = 0;
  };

  static Plan PlanFor(const std::vector<Cell>& cells);
  static std::size_t SizeFor(const Plan& plan);
  static KeyRecord* Build(Slab& slab, bool number, std::string_view key,
                          const std::vector<Cell>& cells);
  KeyRecord* Rebuild(Slab& slab, const std::vector<Cell>& cells);
  KeyRecord* RebuildWithout(Slab& slab, Index from, Index to);
  bool EraseInPlace(Index from, Index to);
  bool StoreInPlace(Index i, const Decimal& value);
  bool InsertInPlace(Index i, Bucket bucket, const Decimal& value);
  bool Fits(const Decimal& value) const;

  std::uint8_t flags() const { return bytes()[0]; }
  int form() const { return flags() >> kFormShift & kFormMask; }
  bool IsSingle() const { return form() == kSingle; }
  bool HasDistances() const { return form() <= kDistances8; }
  int value_code() const { return flags() & kValueMask; }
  std::size_t value_size() const { return std::size_t{1} << value_code(); }
  std::size_t distance_size() const { return std::size_t{1} << form(); }  // if HasDistances()
  Index capacity() const { return IsSingle() ? 1 : Load<Index>(CountOffset() + 4); }
  Bucket base() const {
    return (flags() & kWideBaseBit) != 0 ? Load<Bucket>(2) : Load<std::uint32_t>(2);
  }
  std::size_t CountOffset() const { return (flags() & kWideBaseBit) != 0 ? 10 : 6; }
  std::size_t TotalOffset() const { return CountOffset() + 8; }
  std::size_t KeyOffset() const {
    std::size_t offset = CountOffset();
    if (!IsSingle()) offset += 8 + (value_code() == kWide ? sizeof(Sum) : 8);
    return bytes()[1] == kLongKey ? offset + 4 : offset;
  }
  std::size_t KeySize() const {
    return bytes()[1] < kLongKey ? bytes()[1] : Load<std::uint32_t>(KeyOffset() - 4);
  }
  std::string_view KeyBytes() const {
    return {reinterpret_cast<const char*>(bytes()) + KeyOffset(), KeySize()};
  }
  std::size_t BucketsOffset() const { return KeyOffset() + KeySize(); }
  std::size_t ValuesOffset() const {
    return BucketsOffset() + (HasDistances() ? capacity() * distance_size() : 0);
  }
  // Where `bucket` is in a run, or the nearest that there is.
  std::size_t PlaceInRun(Bucket bucket, Index newest) const {
    if (bucket <= base()) return 0;
    const auto distance = static_cast<std::uint64_t>(bucket) - static_cast<std::uint64_t>(base());
    return distance < newest ? distance : newest;
  }
  std::int64_t IntegerAt(std::size_t values, Index i) const;
  void PutInteger(std::size_t values, Index i, std::int64_t value);
  void PutValue(Index i, const Decimal& value);
  void MoveCells(Index from, Index to);
  void PutBase(Bucket bucket);
  void PutDistance(Index i, Bucket bucket);
  void ChangeTotal(const Sum& minus, const Sum& plus);

  // A number of up to 8 bytes, without a loop and without a byte beyond.
  static std::uint64_t LoadShort(const std::uint8_t* at, std::size_t size) {
    if (size >= 4) {
      std::uint32_t low;
      std::uint32_t high;
      std::memcpy(&low, at, 4);
      std::memcpy(&high, at + size - 4, 4);
      return low | std::uint64_t{high} << (8 * (size - 4));
    }
    if (size == 0) return 0;
    const std::size_t middle = size / 2;
    return at[0] | std::uint64_t{at[middle]} << (8 * middle) |
           std::uint64_t{at[size - 1]} << (8 * (size - 1));
  }
  template <typename T>
  T Load(std::size_t offset) const {
    T value;
    std::memcpy(&value, bytes() + offset, sizeof value);
    return value;
  }
  template <typename T>
  void Save(std::size_t offset, const T& value) {
    std::memcpy(bytes() + offset, &value, sizeof value);
  }
};

}  // namespace jeton::engine
