// The small files: manifest and identity, as they are and inside a valid envelope.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "storage/envelope.h"
#include "storage/identity.h"
#include "storage/manifest.h"

namespace jeton {
namespace {

// What decodes must encode to the same bytes again.
void Decode(std::string_view bytes) {
  if (const auto manifest = DecodeManifest(bytes)) ASSERT(EncodeManifest(*manifest) == bytes);
  if (const auto identity = DecodeIdentity(bytes)) ASSERT(EncodeIdentity(*identity) == bytes);
}

}  // namespace
}  // namespace jeton

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  jeton::Decode(input);
  jeton::Decode(jeton::EncodeEnvelope({"JTNMANI1", jeton::kManifestFormatVersion, ""}, input));
  jeton::Decode(jeton::EncodeEnvelope({"JTNIDENT", jeton::kIdentityFormatVersion, ""}, input));
  return 0;
}
