// Record: one name and what belongs to it, as compact bytes in a Slab. Never constructed: a
// Record* points at the first byte.
//
//   flags u8 | short length u8 | value | expiry i64, if set | precision i128, if set |
//   name length u32, if the short length is 255 | name
//
// flags: bits 0..2 form of the value, bit 3 has expiry, bit 4 has precision, bits 5..6 zero state.
// Forms 0..3 are integers of 1, 2, 4, 8 bytes; kWide is a number of units (Decimal::Units); kTree
// is a pointer. CounterPlace knows the first two fields, too.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/decimal.h"
#include "base/hash.h"
#include "base/text.h"
#include "base/time.h"
#include "engine/slab.h"

namespace jeton::engine {

// How far a zero counter is on its way out; see ZeroQueue.
enum class ZeroState : std::uint8_t { kNone, kQueued, kTouched, kIdle };

class Tree;

class Record {
 public:
  enum Form : std::uint8_t { kInt8, kInt16, kInt32, kInt64, kWide, kTree };

  struct Shape {
    Form form = kInt8;
    bool has_expiry = false;
    bool has_precision = false;
  };

  using Name = std::string_view;
  static constexpr std::size_t kUsualBytes = 28;  // what a prefetch brings at least

  Record() = delete;

  // Sets everything but value, expiry and precision, which are zero. The zero state is kNone.
  static Record* Make(Slab& slab, std::string_view name, Shape shape) {
    auto* record = static_cast<Record*>(slab.Allocate(SizeOf(shape, name.size())));
    std::uint8_t* bytes = record->bytes();
    bytes[0] = static_cast<std::uint8_t>(shape.form | (shape.has_expiry ? kExpiryBit : 0) |
                                         (shape.has_precision ? kPrecisionBit : 0));
    bytes[1] = static_cast<std::uint8_t>(name.size() < kLong ? name.size() : kLong);
    std::memset(bytes + kHeader, 0, record->NameOffset() - kHeader);
    if (name.size() >= kLong) {
      const auto length = static_cast<std::uint32_t>(name.size());
      std::memcpy(bytes + record->NameOffset() - 4, &length, 4);
    }
    std::memcpy(bytes + record->NameOffset(), name.data(), name.size());
    return record;
  }
  void Destroy(Slab& slab) { slab.Free(this, Size()); }

  Shape shape() const {
    return {form(), (flags() & kExpiryBit) != 0, (flags() & kPrecisionBit) != 0};
  }
  Form form() const { return static_cast<Form>(flags() & kFormMask); }
  bool IsInteger() const { return form() <= kInt64; }
  bool has_expiry() const { return (flags() & kExpiryBit) != 0; }
  bool has_precision() const { return (flags() & kPrecisionBit) != 0; }
  ZeroState zero_state() const { return static_cast<ZeroState>(flags() >> kZeroShift & 3); }
  void set_zero_state(ZeroState state) {
    bytes()[0] = static_cast<std::uint8_t>((flags() & ~(3 << kZeroShift)) | static_cast<int>(state)
                                                                                << kZeroShift);
  }

  std::string_view name() const {
    return {reinterpret_cast<const char*>(bytes()) + NameOffset(), NameLength()};
  }
  [[gnu::always_inline]] bool HasName(std::string_view name_sought) const {
    if (IsPlain() && name_sought.size() < kLong) [[likely]] {
      return bytes()[1] == name_sought.size() &&
             SameBytes(name_sought, bytes() + kHeader + (std::size_t{1} << (flags() & kFormMask)));
    }
    return HasNameFurtherOn(name_sought);
  }
  // An integer with neither expiry nor precision: nearly every record.
  bool IsPlain() const { return (flags() & (kNoInteger | kExpiryBit | kPrecisionBit)) == 0; }
  std::uint64_t HashWith(std::uint64_t seed) const { return HashBytes(name(), seed); }
  std::size_t Size() const { return SizeOf(shape(), NameLength()); }

  WallMs expires_at() const {
    return has_expiry() ? Load<WallMs>(kHeader + ValueBytes(form())) : 0;
  }
  void set_expires_at(WallMs at) { Store(kHeader + ValueBytes(form()), at); }
  bool ExpiredAt(WallMs now) const { return has_expiry() && expires_at() <= now; }

  Decimal precision() const { return Decimal::FromUnits(Load<Decimal::Int128>(PrecisionOffset())); }
  void set_precision(const Decimal& value) { Store(PrecisionOffset(), value.Units()); }

  // Trees only.
  Tree* tree() const { return Load<Tree*>(kHeader); }
  void set_tree(Tree* tree) { Store(kHeader, tree); }

  // Counters only.
  Decimal value() const {
    return form() == kWide ? Decimal::FromUnits(Load<Decimal::Int128>(kHeader))
                           : Decimal(Integer());
  }
  void set_value(const Decimal& value) {
    if (form() == kWide) return Store(kHeader, value.Units());
    std::int64_t integer = value.Int64();
    std::memcpy(bytes() + kHeader, &integer, ValueBytes(form()));
  }
  bool IsZero() const { return form() <= kInt64 && Integer() == 0; }  // a wide form is never zero
  static Form FormFor(const Decimal& value) {
    if (!value.IsInt64()) return kWide;
    const std::int64_t v = value.Int64();
    if (v == static_cast<std::int8_t>(v)) return kInt8;
    if (v == static_cast<std::int16_t>(v)) return kInt16;
    return v == static_cast<std::int32_t>(v) ? kInt32 : kInt64;
  }

  std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(this); }
  const std::uint8_t* bytes() const { return reinterpret_cast<const std::uint8_t*>(this); }

 private:
  static constexpr std::uint8_t kFormMask = 7;
  static constexpr std::uint8_t kNoInteger = 4;  // of the form
  static constexpr std::uint8_t kExpiryBit = 8;
  static constexpr std::uint8_t kPrecisionBit = 16;
  static constexpr int kZeroShift = 5;
  static constexpr std::size_t kLong = 255;
  static constexpr std::size_t kHeader = 2;

  static std::size_t ValueBytes(Form form) {
    return form <= kInt64 ? std::size_t{1} << form : form == kWide ? 16 : 8;
  }
  static std::size_t SizeOf(Shape shape, std::size_t name_length) {
    return kHeader + ValueBytes(shape.form) + (shape.has_expiry ? 8 : 0) +
           (shape.has_precision ? 16 : 0) + (name_length >= kLong ? 4 : 0) + name_length;
  }

  [[gnu::noinline]] bool HasNameFurtherOn(std::string_view name_sought) const {
    return NameLength() == name_sought.size() && SameBytes(name_sought, bytes() + NameOffset());
  }
  std::uint8_t flags() const { return bytes()[0]; }
  std::size_t PrecisionOffset() const {
    return kHeader + ValueBytes(form()) + (has_expiry() ? 8 : 0);
  }
  std::size_t NameOffset() const {
    return PrecisionOffset() + (has_precision() ? 16 : 0) + (bytes()[1] == kLong ? 4 : 0);
  }
  std::size_t NameLength() const {
    return bytes()[1] < kLong ? bytes()[1] : Load<std::uint32_t>(NameOffset() - 4);
  }
  std::int64_t Integer() const {
    const int unused = 64 - (8 << form());  // a piece of a slab has 8 bytes here, whatever the form
    return static_cast<std::int64_t>(Load<std::uint64_t>(kHeader) << unused) >> unused;
  }

  template <typename T>
  T Load(std::size_t offset) const {
    T value;
    std::memcpy(&value, bytes() + offset, sizeof value);
    return value;
  }
  template <typename T>
  void Store(std::size_t offset, T value) {
    std::memcpy(bytes() + offset, &value, sizeof value);
  }
};

}  // namespace jeton::engine
