#include "engine/mutation.h"

#include <cstring>

#include "engine/delta_form.h"

namespace jeton::engine {

namespace {

// The first byte: type in the low 6 bits, and for kCounter how the delta is given in the high 2.
constexpr unsigned kTypeMask = 0x3f;
void PutHead(MutationType type, DeltaForm form, std::string& out) {
  out.push_back(static_cast<char>(static_cast<unsigned>(type) | form << kDeltaShift));
}

// Names of 8 to 32 bytes, nearly all, without a call: pieces that overlap.
void CopyName(std::string_view name, char* out) {
  const char* in = name.data();
  const std::size_t size = name.size();
  if (size < 8 || size > 32) {
    std::memcpy(out, in, size);
  } else if (size < 16) {
    std::memcpy(out, in, 8);
    std::memcpy(out + size - 8, in + size - 8, 8);
  } else {
    std::memcpy(out, in, 16);
    std::memcpy(out + size - 16, in + size - 16, 16);
  }
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

void EncodeIntegerMutation(std::string_view name, std::int64_t value, std::int64_t delta,
                           std::string& out) {
  if (name.size() > kShortName) {
    return EncodeMutation(
        {.type = MutationType::kCounter, .name = name, .value = value, .delta = delta}, out);
  }
  char bytes[kIntegerMutationMax];
  out.append(bytes,
             static_cast<std::size_t>(PutIntegerMutation(name, value, delta, bytes) - bytes));
}

char* PutIntegerMutation(std::string_view name, std::int64_t value, std::int64_t delta, char* out) {
  const DeltaForm form = DeltaFormOf(delta);
  *out++ = static_cast<char>(static_cast<unsigned>(MutationType::kCounter) | form << kDeltaShift);
  *out++ = static_cast<char>(name.size());
  CopyName(name, out);
  out = Decimal::EncodeInteger(value, out + name.size());
  return form == kExplicit ? Decimal::EncodeInteger(delta, out) : out;
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
