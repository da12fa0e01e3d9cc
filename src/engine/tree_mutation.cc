#include "engine/tree_mutation.h"

#include "engine/delta_form.h"
#include "engine/mutation.h"

namespace jeton::engine {

namespace {

// The first byte: bits 0..4 the type, bit 5 the same tree, bits 6..7 the form of the delta.
constexpr unsigned kTypeMask = 0x1f;
constexpr unsigned kTreeBit = 0x10;
constexpr unsigned kSameTreeBit = 0x20;

void PutHead(TreeMutationType type, bool same_tree, DeltaForm form, std::string_view tree,
             std::string& out) {
  out.push_back(static_cast<char>(static_cast<unsigned>(type) | (same_tree ? kSameTreeBit : 0) |
                                  form << kDeltaShift));
  if (!same_tree) PutBytes(out, tree);
}

// A number as 0 and its value; a text as its length + 1 and its bytes.
void PutKey(const TreeKey& key, std::string& out) {
  if (key.is_number) {
    out.push_back('\0');
    return PutVarint(out, key.number);
  }
  PutVarint(out, key.text.size() + 1);
  out.append(key.text);
}

TreeKey DecodeKey(ByteReader& in) {
  TreeKey key;
  const std::uint64_t head = in.Varint();
  if (head == 0) {
    key.is_number = true;
    key.number = in.Varint();
    return key;
  }
  if (head > kMaxNameBytes + 1) in.Fail();
  key.text = in.Take(in.ok() ? head - 1 : 0);
  if (ParseCanonicalNumber(key.text)) in.Fail();
  return key;
}

void PutCells(const std::vector<Cell>& cells, std::string& out) {
  PutVarint(out, cells.size() - 1);
  PutSignedVarint(out, cells.front().bucket);
  cells.front().value.EncodeTo(out);
  for (std::size_t i = 1; i < cells.size(); ++i) {
    PutVarint(out, static_cast<std::uint64_t>(cells[i].bucket) -
                       static_cast<std::uint64_t>(cells[i - 1].bucket) - 1);
    cells[i].value.EncodeTo(out);
  }
}

void DecodeCells(ByteReader& in, std::vector<Cell>& cells) {
  const std::uint64_t count = in.Varint() + 1;
  if (count > kMaxCellsPerMutation) return in.Fail();
  Bucket bucket = in.SignedVarint();
  cells.push_back({bucket, Decimal::Decode(in)});
  while (in.ok() && cells.size() < count) {
    const std::uint64_t gap = in.Varint();
    const auto room = static_cast<std::uint64_t>(INT64_MAX) - static_cast<std::uint64_t>(bucket);
    if (gap >= room) return in.Fail();
    bucket = static_cast<Bucket>(static_cast<std::uint64_t>(bucket) + gap + 1);
    cells.push_back({bucket, Decimal::Decode(in)});
  }
}

TreeSettings DecodeSettings(ByteReader& in) {
  TreeSettings settings;
  const auto width = in.Fixed<std::uint8_t>();
  if (width >= kWidthCount) in.Fail();
  settings.width = static_cast<Width>(width);
  settings.zone = in.Bytes();
  const std::uint64_t retain = in.Varint();
  if (retain > UINT32_MAX) in.Fail();
  settings.retain = static_cast<std::uint32_t>(retain);
  return settings;
}

}  // namespace

void EncodeTreeBucket(std::string_view tree, bool same_tree, const TreeKey& key, Bucket bucket,
                      const Decimal& value, const Decimal& delta, std::string& out) {
  const DeltaForm form = DeltaFormOf(delta);
  PutHead(TreeMutationType::kBucket, same_tree, form, tree, out);
  PutKey(key, out);
  PutSignedVarint(out, bucket);
  value.EncodeTo(out);
  if (form == kExplicit) delta.EncodeTo(out);
}

char* EncodeNumberBucket(std::uint64_t key, Bucket bucket, std::int64_t value, std::int64_t delta,
                         char* out) {
  const DeltaForm form = DeltaFormOf(delta);
  *out++ = static_cast<char>(static_cast<unsigned>(TreeMutationType::kBucket) | kSameTreeBit |
                             form << kDeltaShift);
  *out++ = '\0';
  out = PutVarintAt(out, key);
  out = PutVarintAt(out, ZigZag(bucket));
  out = Decimal::EncodeInteger(value, out);
  return form == kExplicit ? Decimal::EncodeInteger(delta, out) : out;
}

void EncodeTreeMutation(const TreeMutation& mutation, bool same_tree, std::string& out) {
  if (mutation.type == TreeMutationType::kBucket) {
    return EncodeTreeBucket(mutation.tree, same_tree, mutation.key, mutation.range.first,
                            mutation.value, mutation.delta, out);
  }
  PutHead(mutation.type, same_tree, kExplicit, mutation.tree, out);
  switch (mutation.type) {
    case TreeMutationType::kCreate:
      out.push_back(static_cast<char>(mutation.settings.width));
      PutBytes(out, mutation.settings.zone);
      return PutVarint(out, mutation.settings.retain);
    case TreeMutationType::kCells:
      PutKey(mutation.key, out);
      return PutCells(mutation.cells, out);
    case TreeMutationType::kClear:
      PutKey(mutation.key, out);
      PutSignedVarint(out, mutation.range.first);
      return PutSignedVarint(out, mutation.range.last);
    case TreeMutationType::kResetKey:
      return PutKey(mutation.key, out);
    case TreeMutationType::kTrim:
      return PutSignedVarint(out, mutation.range.first);
    case TreeMutationType::kBucket:
    case TreeMutationType::kReset:
      return;
  }
}

bool IsTreeMutation(const ByteReader& in) {
  return in.ok() && !in.AtEnd() && (static_cast<unsigned char>(*in.Position()) & kTreeBit) != 0;
}

void DecodeTreeMutation(ByteReader& in, bool has_last, TreeMutation& mutation) {
  const auto head = in.Fixed<std::uint8_t>();
  const auto form = static_cast<DeltaForm>(head >> kDeltaShift);
  const bool same_tree = (head & kSameTreeBit) != 0;
  mutation = {.type = static_cast<TreeMutationType>(head & kTypeMask), .tree = mutation.tree};
  if (mutation.type != TreeMutationType::kBucket && form != kExplicit) in.Fail();
  if (same_tree && !has_last) in.Fail();
  if (!same_tree) mutation.tree = in.Bytes();
  if (mutation.tree.size() > kMaxNameBytes) in.Fail();
  switch (mutation.type) {
    case TreeMutationType::kCreate:
      mutation.settings = DecodeSettings(in);
      return;
    case TreeMutationType::kBucket:
      mutation.key = DecodeKey(in);
      mutation.range.first = mutation.range.last = in.SignedVarint();
      mutation.value = Decimal::Decode(in);
      mutation.delta = DecodeDelta(form, in);
      return;
    case TreeMutationType::kCells:
      mutation.key = DecodeKey(in);
      return DecodeCells(in, mutation.cells);
    case TreeMutationType::kClear:
      mutation.key = DecodeKey(in);
      mutation.range.first = in.SignedVarint();
      mutation.range.last = in.SignedVarint();
      if (mutation.range.empty()) in.Fail();
      return;
    case TreeMutationType::kResetKey:
      mutation.key = DecodeKey(in);
      return;
    case TreeMutationType::kTrim:
      mutation.range.first = mutation.range.last = in.SignedVarint();
      return;
    case TreeMutationType::kReset:
      return;
  }
  in.Fail();
}

}  // namespace jeton::engine
