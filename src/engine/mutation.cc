#include "engine/mutation.h"

namespace jeton::engine {

namespace {

// The first byte: type in the low 6 bits, and for kCounter how the delta is given in the high 2.
constexpr unsigned kTypeMask = 0x3f;
constexpr int kDeltaShift = 6;
enum DeltaForm : unsigned { kExplicit, kZero, kPlusOne, kMinusOne };

DeltaForm DeltaFormOf(const Decimal& delta) {
  if (!delta.IsInt64()) return kExplicit;
  switch (delta.Int64()) {
    case 0:
      return kZero;
    case 1:
      return kPlusOne;
    case -1:
      return kMinusOne;
    default:
      return kExplicit;
  }
}

constexpr std::int64_t kImplicitDelta[] = {0, 0, 1, -1};

void PutHead(MutationType type, DeltaForm form, std::string& out) {
  out.push_back(static_cast<char>(static_cast<unsigned>(type) | form << kDeltaShift));
}

// One number, one encoding: a varint that ends in a zero byte is longer than needed.
std::uint64_t ShortestVarint(ByteReader& in) {
  const char* begin = in.Position();
  const std::uint64_t value = in.Varint();
  if (in.ok() && in.Position() - begin > 1 && in.Position()[-1] == 0) in.Fail();
  return value;
}

std::string_view DecodeName(ByteReader& in) {
  const std::uint64_t size = ShortestVarint(in);
  if (size > kMaxNameBytes) in.Fail();
  return in.Take(in.ok() ? size : 0);
}

void DecodeCounter(DeltaForm form, ByteReader& in, Mutation& mutation) {
  mutation.value = Decimal::Decode(in);
  if (form != kExplicit) {
    mutation.delta = kImplicitDelta[form];
    return;
  }
  mutation.delta = Decimal::Decode(in);
  if (in.ok() && DeltaFormOf(mutation.delta) != kExplicit) in.Fail();
}

}  // namespace

void EncodeMutation(const Mutation& mutation, std::string& out) {
  const DeltaForm form =
      mutation.type == MutationType::kCounter ? DeltaFormOf(mutation.delta) : kExplicit;
  PutHead(mutation.type, form, out);
  if (mutation.type == MutationType::kFlush) return;
  PutBytes(out, mutation.name);
  switch (mutation.type) {
    case MutationType::kCounter:
      mutation.value.EncodeTo(out);
      if (form == kExplicit) mutation.delta.EncodeTo(out);
      return;
    case MutationType::kExpire:
      return PutSignedVarint(out, mutation.expires_at);
    case MutationType::kPrecision:
      return mutation.value.EncodeTo(out);
    case MutationType::kDrop:
    case MutationType::kFlush:
      return;
  }
}

Mutation DecodeMutation(ByteReader& in) {
  const auto head = in.Fixed<std::uint8_t>();
  const auto form = static_cast<DeltaForm>(head >> kDeltaShift);
  Mutation mutation;
  mutation.type = static_cast<MutationType>(head & kTypeMask);
  if (mutation.type != MutationType::kCounter && form != kExplicit) in.Fail();
  if (mutation.type == MutationType::kFlush || !in.ok()) return mutation;
  mutation.name = DecodeName(in);
  switch (mutation.type) {
    case MutationType::kCounter:
      DecodeCounter(form, in, mutation);
      return mutation;
    case MutationType::kExpire:
      mutation.expires_at = UnZigZag(ShortestVarint(in));
      return mutation;
    case MutationType::kPrecision:
      mutation.value = Decimal::Decode(in);
      if (mutation.value.IsNegative() && mutation.value != Decimal(-1)) in.Fail();
      return mutation;
    case MutationType::kDrop:
    case MutationType::kFlush:
      return mutation;
  }
  in.Fail();
  return mutation;
}

}  // namespace jeton::engine
