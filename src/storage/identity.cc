#include "storage/identity.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "storage/envelope.h"

namespace jeton {

namespace {

constexpr EnvelopeKind kKind{"JTNIDENT", kIdentityFormatVersion, "identity"};
constexpr std::string_view kLockPath = "LOCK";
constexpr std::size_t kOwnerSizeMax = 256;
constexpr std::uint64_t kFileSizeMax = 1024 + kOriginsMax * sizeof(OriginId);

template <std::size_t N>
void PutId(std::string& out, const std::array<std::uint8_t, N>& id) {
  out.append(reinterpret_cast<const char*>(id.data()), N);
}

template <std::size_t N>
void TakeId(ByteReader& in, std::array<std::uint8_t, N>& id) {
  const std::string_view bytes = in.Take(N);
  if (bytes.size() == N) std::memcpy(id.data(), bytes.data(), N);
}

}  // namespace

std::string EncodeIdentity(const Identity& identity) {
  std::string body;
  PutId(body, identity.node);
  PutId(body, identity.cluster);
  PutFixed(body, identity.hash_seed);
  const std::size_t count = std::min(identity.origins.size(), kOriginsMax);
  PutFixed(body, static_cast<std::uint32_t>(count));
  for (std::size_t i = identity.origins.size() - count; i < identity.origins.size(); ++i) {
    PutId(body, identity.origins[i]);
  }
  return EncodeEnvelope(kKind, body);
}

Result<Identity> DecodeIdentity(std::string_view bytes) {
  const auto body = DecodeEnvelope(kKind, bytes);
  if (!body) return body.error();
  ByteReader in(*body);
  Identity identity;
  TakeId(in, identity.node);
  TakeId(in, identity.cluster);
  identity.hash_seed = in.Fixed<std::uint64_t>();
  const auto count = in.Fixed<std::uint32_t>();
  if (!in.ok() || count > kOriginsMax || in.Remaining() != count * sizeof(OriginId)) {
    return Error{ErrorKind::kCorrupt, "identity has impossible contents"};
  }
  identity.origins.resize(count);
  for (OriginId& origin : identity.origins) TakeId(in, origin);
  return identity;
}

Result<Identity> ReadIdentity(Directory& directory, std::string_view path) {
  const auto bytes = ReadWholeFile(directory, path, kFileSizeMax);
  if (!bytes) return bytes.error();
  auto identity = DecodeIdentity(*bytes);
  if (!identity) {
    return Error{identity.error().kind, std::string(path) + ": " + identity.error().text};
  }
  return identity;
}

Status WriteIdentity(Directory& directory, const Identity& identity) {
  return ReplaceFile(directory, kIdentityPath, EncodeIdentity(identity));
}

Result<std::unique_ptr<File>> LockDirectory(Directory& directory, std::string_view owner) {
  auto file = directory.Open(kLockPath, OpenMode::kOpenOrCreate);
  if (!file) return file.error();
  const auto locked = (*file)->TryLock();
  if (!locked) return locked.error();
  if (!*locked) {
    std::string other(kOwnerSizeMax, '\0');
    const auto got = (*file)->ReadAt(0, other.data(), other.size());
    other.resize(got ? *got : 0);
    if (other.empty()) other = "another process";
    return Error{ErrorKind::kConflict,
                 "data directory " + directory.name() + " is in use by " + other};
  }
  // Whoever reads the owner needs no more than a hint: no sync, and no error from a full disk.
  (void)(*file)->Truncate(0);
  (void)(*file)->WriteAt(0, owner.substr(0, kOwnerSizeMax));
  return file;
}

std::string HexOf(const std::uint8_t* bytes, std::size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * size);
  for (std::size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace jeton
