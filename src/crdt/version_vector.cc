#include "crdt/version_vector.h"

#include <algorithm>

namespace jeton::crdt {

void PutOrigin(std::string& out, const OriginId& origin) {
  out.append(reinterpret_cast<const char*>(origin.data()), origin.size());
}

OriginId GetOrigin(ByteReader& in) {
  OriginId origin{};
  const std::string_view bytes = in.Take(origin.size());
  std::copy(bytes.begin(), bytes.end(), origin.begin());
  return origin;
}

void VersionVector::EncodeTo(std::string& out) const {
  PutVarint(out, items_.size());
  for (const auto& [origin, lsn] : items_) {
    PutOrigin(out, origin);
    PutVarint(out, lsn);
  }
}

VersionVector VersionVector::Decode(ByteReader& in) {
  VersionVector vector;
  const std::uint64_t count = in.Varint();
  if (count > kOriginsPerVectorMax) in.Fail();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const OriginId origin = GetOrigin(in);
    const Lsn lsn = in.Varint();
    // Ascending and not 0: one vector has one encoding.
    const bool ascending =
        vector.items_.empty() || OriginLess()(vector.items_.back().first, origin);
    if (lsn == 0 || !ascending) in.Fail();
    if (in.ok()) vector.items_.emplace_back(origin, lsn);
  }
  return in.ok() ? vector : VersionVector();
}

}  // namespace jeton::crdt
