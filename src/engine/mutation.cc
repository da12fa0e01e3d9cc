#include "engine/mutation.h"

#include "engine/delta_form.h"

namespace jeton::engine {

namespace {

// The first byte: type in the low 6 bits, and for kCounter how the delta is given in the high 2.
constexpr unsigned kTypeMask = 0x3f;
void PutHead(MutationType type, DeltaForm form, std::string& out) {
  out.push_back(static_cast<char>(static_cast<unsigned>(type) | form << kDeltaShift));
}

std::string_view DecodeName(ByteReader& in) {
  const std::uint64_t size = in.Varint();
  if (size > kMaxNameBytes) in.Fail();
  return in.Take(in.ok() ? size : 0);
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
      mutation.value = Decimal::Decode(in);
      mutation.delta = DecodeDelta(form, in);
      return mutation;
    case MutationType::kExpire:
      mutation.expires_at = in.SignedVarint();
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
