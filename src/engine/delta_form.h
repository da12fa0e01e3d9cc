// How a mutation says what was added: most often 1, so the two top bits of its first byte do.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/decimal.h"

namespace jeton::engine {

enum DeltaForm : unsigned { kExplicit, kZero, kPlusOne, kMinusOne };
constexpr int kDeltaShift = 6;

inline DeltaForm DeltaFormOf(std::int64_t delta) {
  switch (delta) {
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

inline DeltaForm DeltaFormOf(const Decimal& delta) {
  return delta.IsInt64() ? DeltaFormOf(delta.Int64()) : kExplicit;
}

// Fails the reader on an explicit delta that has a form of its own.
inline Decimal DecodeDelta(DeltaForm form, ByteReader& in) {
  constexpr std::int64_t kImplicit[] = {0, 0, 1, -1};
  if (form != kExplicit) return kImplicit[form];
  const Decimal delta = Decimal::Decode(in);
  if (DeltaFormOf(delta) != kExplicit) in.Fail();
  return delta;
}

}  // namespace jeton::engine
