#include "engine/key_record.h"

#include <algorithm>

#include "base/assert.h"

namespace jeton::engine {

namespace {

int WidthCode(std::int64_t value) {
  if (value == static_cast<std::int8_t>(value)) return 0;
  if (value == static_cast<std::int16_t>(value)) return 1;
  return value == static_cast<std::int32_t>(value) ? 2 : 3;
}

int DistanceCode(std::uint64_t distance) {
  if (distance <= UINT8_MAX) return 0;
  if (distance <= UINT16_MAX) return 1;
  return distance <= UINT32_MAX ? 2 : 3;
}

std::uint64_t Distance(Bucket base, Bucket bucket) {
  return static_cast<std::uint64_t>(bucket) - static_cast<std::uint64_t>(base);
}

std::size_t SignificantBytes(std::uint64_t number) {
  return number == 0 ? 0 : (71 - static_cast<std::size_t>(__builtin_clzll(number))) / 8;
}

// Room for an eighth more: days come one at a time, and a copy of a year takes a microsecond.
KeyRecord::Index CapacityFor(std::size_t count) {
  return static_cast<KeyRecord::Index>(count <= 2 ? 4 : count + count / 8 + 2);
}

template <typename T>
T LoadAt(const std::uint8_t* bytes, std::size_t i) {
  T value;
  std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
  return value;
}

#if defined(__GNUC__) && !defined(__clang__)
#define JETON_VECTORIZE __attribute__((optimize("O3")))  // -O2 leaves this loop a scalar one
#else
#define JETON_VECTORIZE
#endif

// The values are summed in 64 bits: 2^32 of at most 32 bits cannot overflow.
template <typename T>
JETON_VECTORIZE std::int64_t SumNarrow(const std::uint8_t* values, std::size_t from,
                                       std::size_t to) {
  std::int64_t sum = 0;
  for (std::size_t i = from; i < to; ++i) sum += LoadAt<T>(values, i);
  return sum;
}

template <typename T>
KeyRecord::Index LowerBoundIn(const std::uint8_t* buckets, KeyRecord::Index count,
                              std::uint64_t distance) {
  KeyRecord::Index from = 0;
  while (count > 0) {
    const KeyRecord::Index half = count / 2;
    const bool before = LoadAt<T>(buckets, from + half) < distance;
    from = before ? from + half + 1 : from;
    count = before ? count - half - 1 : half;
  }
  return from;
}

}  // namespace

// ---- making

KeyRecord* KeyRecord::Make(Slab& slab, const TreeKey& key, const std::vector<Cell>& cells) {
  if (!key.is_number) return Build(slab, false, key.text, cells);
  const std::string_view bytes(reinterpret_cast<const char*>(&key.number),
                               SignificantBytes(key.number));
  return Build(slab, true, bytes, cells);
}

KeyRecord::Plan KeyRecord::PlanFor(const std::vector<Cell>& cells) {
  Plan plan;
  Sum total;
  for (const Cell& cell : cells) {
    total.Add(cell.value);
    const int code = cell.value.IsInt64() ? WidthCode(cell.value.Int64()) : kWide;
    plan.value_code = std::max(plan.value_code, code);
  }
  if (!total.value().IsInt64()) plan.value_code = kWide;  // the total is an i64 otherwise
  const Bucket base = cells.front().bucket;
  const std::uint64_t distance = Distance(base, cells.back().bucket);
  plan.wide_base = base != static_cast<std::uint32_t>(base);
  if (cells.size() == 1) return plan;
  plan.form = distance == cells.size() - 1 ? kRun : DistanceCode(distance);
  plan.capacity = CapacityFor(cells.size());
  return plan;
}

std::size_t KeyRecord::SizeFor(const Plan& plan) {
  const std::size_t value_size = std::size_t{1} << plan.value_code;
  const std::size_t bucket_size = plan.form <= kDistances8 ? std::size_t{1} << plan.form : 0;
  const std::size_t counts =
      plan.form == kSingle ? 0 : 8 + (plan.value_code == kWide ? sizeof(Sum) : 8);
  return 2 + (plan.wide_base ? 8 : 4) + counts + (plan.key_size >= kLongKey ? 4 : 0) +
         plan.key_size + plan.capacity * (bucket_size + value_size);
}

std::size_t KeyRecord::Size() const {
  return SizeFor({.value_code = value_code(),
                  .form = form(),
                  .wide_base = (flags() & kWideBaseBit) != 0,
                  .number = IsNumber(),
                  .capacity = capacity(),
                  .key_size = KeySize()});
}

KeyRecord* KeyRecord::Build(Slab& slab, bool number, std::string_view key,
                            const std::vector<Cell>& cells) {
  Plan plan = PlanFor(cells);
  plan.number = number;
  plan.key_size = key.size();
  auto* record = static_cast<KeyRecord*>(slab.Allocate(SizeFor(plan)));
  record->bytes()[0] =
      static_cast<std::uint8_t>(plan.value_code | plan.form << kFormShift |
                                (number ? kNumberBit : 0) | (plan.wide_base ? kWideBaseBit : 0));
  record->bytes()[1] = static_cast<std::uint8_t>(std::min(key.size(), kLongKey));
  record->PutBase(cells.front().bucket);
  if (plan.form != kSingle) {
    record->Save(record->CountOffset(), static_cast<Index>(cells.size()));
    record->Save(record->CountOffset() + 4, plan.capacity);
  }
  if (key.size() >= kLongKey) {
    record->Save(record->KeyOffset() - 4, static_cast<std::uint32_t>(key.size()));
  }
  std::memcpy(record->bytes() + record->KeyOffset(), key.data(), key.size());
  Sum total;
  for (Index i = 0; i < cells.size(); ++i) {
    if (plan.form <= kDistances8) record->PutDistance(i, cells[i].bucket);
    record->PutValue(i, cells[i].value);
    total.Add(cells[i].value);
  }
  if (plan.form == kSingle) return record;
  if (plan.value_code == kWide) {
    record->Save(record->TotalOffset(), total);
  } else {
    record->Save(record->TotalOffset(), total.value().Int64());
  }
  return record;
}

KeyRecord* KeyRecord::Rebuild(Slab& slab, const std::vector<Cell>& cells) {
  KeyRecord* made = Build(slab, IsNumber(), KeyBytes(), cells);
  Destroy(slab);
  return made;
}

KeyRecord* KeyRecord::RebuildWithout(Slab& slab, Index from, Index to) {
  std::vector<Cell> cells;
  cells.reserve(count() - (to - from));
  AppendCells(0, from, cells);
  AppendCells(to, count(), cells);
  return Rebuild(slab, cells);
}

// ---- reading

std::uint64_t KeyRecord::HashWith(std::uint64_t seed) const {
  return (IsNumber() ? MakeNumberKey(Number(), seed) : MakeTextKey(Text(), seed)).hash;
}

Bucket KeyRecord::BucketAt(Index i) const {
  const std::uint8_t* buckets = bytes() + BucketsOffset();
  std::uint64_t distance = i;
  switch (form()) {
    case 0:
      distance = LoadAt<std::uint8_t>(buckets, i);
      break;
    case 1:
      distance = LoadAt<std::uint16_t>(buckets, i);
      break;
    case 2:
      distance = LoadAt<std::uint32_t>(buckets, i);
      break;
    case kDistances8:
      distance = LoadAt<std::uint64_t>(buckets, i);
      break;
    default:
      break;
  }
  return static_cast<Bucket>(static_cast<std::uint64_t>(base()) + distance);
}

std::int64_t KeyRecord::IntegerAt(std::size_t values, Index i) const {
  const std::uint8_t* at = bytes() + values;
  switch (value_code()) {
    case 0:
      return LoadAt<std::int8_t>(at, i);
    case 1:
      return LoadAt<std::int16_t>(at, i);
    case 2:
      return LoadAt<std::int32_t>(at, i);
    default:
      return LoadAt<std::int64_t>(at, i);
  }
}

Decimal KeyRecord::ValueAt(Index i) const {
  if (value_code() != kWide) return IntegerAt(ValuesOffset(), i);
  return Decimal::FromUnits(Load<Decimal::Int128>(ValuesOffset() + i * sizeof(Decimal::Int128)));
}

Sum KeyRecord::Total() const {
  if (IsSingle()) return Sum(ValueAt(0));
  if (value_code() == kWide) return Load<Sum>(TotalOffset());
  return Sum(Decimal(Load<std::int64_t>(TotalOffset())));
}

Sum KeyRecord::SumOf(Index from, Index to) const {
  Sum sum;
  if (from == 0 && to == count()) return Total();
  const std::uint8_t* values = bytes() + ValuesOffset();
  switch (value_code()) {
    case 0:
      sum.AddInteger(SumNarrow<std::int8_t>(values, from, to));
      break;
    case 1:
      sum.AddInteger(SumNarrow<std::int16_t>(values, from, to));
      break;
    case 2:
      sum.AddInteger(SumNarrow<std::int32_t>(values, from, to));
      break;
    case 3:
      for (Index i = from; i < to; ++i) sum.AddInteger(LoadAt<std::int64_t>(values, i));
      break;
    default:
      for (Index i = from; i < to; ++i) sum.Add(ValueAt(i));
  }
  return sum;
}

Sum KeyRecord::SumIn(const BucketRange& range) const {
  if (IsSingle()) return range.Contains(base()) ? Sum(ValueAt(0)) : Sum();
  if (range.empty()) return {};
  return SumOf(LowerBound(range.first), UpperBound(range.last));
}

KeyRecord::Index KeyRecord::IndexOf(Bucket bucket) const {
  const Index n = count();
  if (!HasDistances()) {
    const std::uint64_t distance = Distance(base(), bucket);  // n or more if it is before base
    return distance < n ? static_cast<Index>(distance) : n;
  }
  const Index i = LowerBound(bucket);
  return i < n && BucketAt(i) == bucket ? i : n;
}

KeyRecord::Index KeyRecord::LowerBound(Bucket bucket) const {
  const Index n = count();
  if (!HasDistances()) {
    if (bucket <= base()) return 0;
    return static_cast<Index>(std::min<std::uint64_t>(Distance(base(), bucket), n));
  }
  // Today's bucket is the last one, and most keys are asked for today.
  const Bucket newest = BucketAt(n - 1);
  if (bucket >= newest) return bucket > newest ? n : n - 1;
  if (bucket <= base()) return 0;
  // Gaps are few in most keys, and old: then it is as far back as it is long ago.
  const std::uint64_t ago = Distance(bucket, newest);
  if (ago < n && BucketAt(n - 1 - static_cast<Index>(ago)) == bucket)
    return n - 1 - static_cast<Index>(ago);
  const std::uint8_t* buckets = bytes() + BucketsOffset();
  const std::uint64_t distance = Distance(base(), bucket);
  switch (form()) {
    case 0:
      return LowerBoundIn<std::uint8_t>(buckets, n, distance);
    case 1:
      return LowerBoundIn<std::uint16_t>(buckets, n, distance);
    case 2:
      return LowerBoundIn<std::uint32_t>(buckets, n, distance);
    default:
      return LowerBoundIn<std::uint64_t>(buckets, n, distance);
  }
}

void KeyRecord::AppendCells(Index from, Index to, std::vector<Cell>& cells) const {
  for (Index i = from; i < to; ++i) cells.push_back({BucketAt(i), ValueAt(i)});
}

// ---- writing

void KeyRecord::PutInteger(std::size_t values, Index i, std::int64_t value) {
  std::uint8_t* at = bytes() + values + i * value_size();
  switch (value_code()) {  // a copy of a size that is not known is a call
    case 0:
      *at = static_cast<std::uint8_t>(value);
      return;
    case 1:
      std::memcpy(at, &value, 2);
      return;
    case 2:
      std::memcpy(at, &value, 4);
      return;
    default:
      std::memcpy(at, &value, 8);
  }
}

void KeyRecord::PutValue(Index i, const Decimal& value) {
  if (value_code() != kWide) return PutInteger(ValuesOffset(), i, value.Int64());
  Save(ValuesOffset() + i * sizeof(Decimal::Int128), value.Units());
}

void KeyRecord::PutBase(Bucket bucket) {
  if ((flags() & kWideBaseBit) != 0) return Save(2, bucket);
  Save(2, static_cast<std::uint32_t>(bucket));
}

void KeyRecord::PutDistance(Index i, Bucket bucket) {
  const std::uint64_t distance = Distance(base(), bucket);
  std::memcpy(bytes() + BucketsOffset() + i * distance_size(), &distance, distance_size());
}

bool KeyRecord::Fits(const Decimal& value) const {
  return value_code() == kWide || (value.IsInt64() && WidthCode(value.Int64()) <= value_code());
}

bool KeyRecord::AddInPlace(Bucket bucket, std::int64_t delta, std::int64_t& value) {
  if (value_code() == kWide) return false;
  const Index i = IndexOf(bucket);
  if (i == count()) return false;
  const std::size_t values = ValuesOffset();
  std::int64_t sum = 0;
  if (__builtin_add_overflow(IntegerAt(values, i), delta, &sum)) return false;
  const int unused = 64 - (8 << value_code());
  if (static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) << unused) >> unused != sum)
    return false;
  if (!IsSingle()) {
    std::int64_t total = 0;
    if (__builtin_add_overflow(Load<std::int64_t>(TotalOffset()), delta, &total)) return false;
    Save(TotalOffset(), total);
  }
  PutInteger(values, i, sum);
  value = sum;
  return true;
}

KeyRecord* KeyRecord::Store(Slab& slab, Index i, const Decimal& value) {
  if (StoreInPlace(i, value)) return this;
  std::vector<Cell> cells;
  cells.reserve(count());
  AppendCells(0, count(), cells);
  cells[i].value = value;
  return Rebuild(slab, cells);
}

bool KeyRecord::StoreInPlace(Index i, const Decimal& value) {
  if (!Fits(value)) return false;
  if (!IsSingle()) {
    if (value_code() == kWide) {
      ChangeTotal(Sum(ValueAt(i)), Sum(value));
    } else {
      const auto total = static_cast<Decimal::Int128>(Load<std::int64_t>(TotalOffset())) +
                         value.Int64() - IntegerAt(ValuesOffset(), i);
      if (total != static_cast<std::int64_t>(total)) return false;
      Save(TotalOffset(), static_cast<std::int64_t>(total));
    }
  }
  PutValue(i, value);
  return true;
}

KeyRecord* KeyRecord::Insert(Slab& slab, Index i, Bucket bucket, const Decimal& value) {
  if (InsertInPlace(i, bucket, value)) return this;
  std::vector<Cell> cells;
  cells.reserve(count() + 1);
  AppendCells(0, i, cells);
  cells.push_back({bucket, value});
  AppendCells(i, count(), cells);
  return Rebuild(slab, cells);
}

bool KeyRecord::InsertInPlace(Index i, Bucket bucket, const Decimal& value) {
  const Index n = count();
  if (n == capacity() || bucket < base() || !Fits(value)) return false;
  const std::uint64_t distance = Distance(base(), bucket);
  if (HasDistances() ? DistanceCode(distance) > form() : distance != n) return false;
  if (value_code() == kWide) {
    ChangeTotal({}, Sum(value));
  } else {
    std::int64_t total = 0;
    if (__builtin_add_overflow(Load<std::int64_t>(TotalOffset()), value.Int64(), &total)) {
      return false;
    }
    Save(TotalOffset(), total);
  }
  MoveCells(i, i + 1);
  if (HasDistances()) PutDistance(i, bucket);
  PutValue(i, value);
  Save(CountOffset(), n + 1);
  return true;
}

KeyRecord* KeyRecord::Erase(Slab& slab, Index from, Index to) {
  if (from == to) return this;
  if (to - from == count()) {
    Destroy(slab);
    return nullptr;
  }
  return EraseInPlace(from, to) ? this : RebuildWithout(slab, from, to);
}

bool KeyRecord::EraseInPlace(Index from, Index to) {
  const Index left = count() - (to - from);
  // Few are left, or what the total loses may let it fit again: made anew, it takes what it needs.
  if (left <= capacity() / 2 || value_code() == kWide) return false;
  // A run goes on without its begin or its end, but not without its middle.
  const Bucket first = from == 0 ? BucketAt(to) : base();
  if (form() == kRun) {
    if (from > 0 && to < count()) return false;
    if ((flags() & kWideBaseBit) == 0 && first != static_cast<std::uint32_t>(first)) return false;
  }
  Sum total = Total();
  total.Subtract(SumOf(from, to));
  if (!total.value().IsInt64()) return false;
  Save(TotalOffset(), total.value().Int64());
  MoveCells(to, from);
  if (form() == kRun) PutBase(first);
  Save(CountOffset(), left);
  return true;
}

// Those from `from` on come to lie at `to` and after it.
void KeyRecord::MoveCells(Index from, Index to) {
  const std::size_t moved = count() - from;
  std::uint8_t* values = bytes() + ValuesOffset();
  std::memmove(values + to * value_size(), values + from * value_size(), moved * value_size());
  if (!HasDistances()) return;
  std::uint8_t* buckets = bytes() + BucketsOffset();
  std::memmove(buckets + to * distance_size(), buckets + from * distance_size(),
               moved * distance_size());
}

void KeyRecord::ChangeTotal(const Sum& minus, const Sum& plus) {
  Sum total = Load<Sum>(TotalOffset());
  total.Subtract(minus);
  total.Add(plus);
  Save(TotalOffset(), total);
}

}  // namespace jeton::engine
