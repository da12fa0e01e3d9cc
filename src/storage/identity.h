// `IDENTITY`: who this data directory is (docs/formats/identity.md), and `LOCK`, which keeps a
// second process out of it. Every start of a process adds a fresh origin to the list, durably,
// before the first record of that origin is written: a number that was given out is never given out
// again.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "storage/file_system.h"
#include "storage/log_format.h"

namespace jeton {

constexpr std::uint16_t kIdentityFormatVersion = 1;
constexpr std::size_t kOriginsMax = 65536;  // starts that are remembered; the oldest go first

struct Identity {
  NodeId node{};
  ClusterId cluster{};
  std::uint64_t hash_seed = 0;
  std::vector<OriginId> origins;  // oldest first; the last is the running one

  friend bool operator==(const Identity&, const Identity&) = default;
};

std::string EncodeIdentity(const Identity& identity);
Result<Identity> DecodeIdentity(std::string_view bytes);
constexpr std::string_view kIdentityPath = "IDENTITY";
// kNotFound if there is none.
Result<Identity> ReadIdentity(Directory& directory, std::string_view path = kIdentityPath);
Status WriteIdentity(Directory& directory, const Identity& identity);

// Takes the lock and writes `owner` (such as "process 17, boot 3f2a...") into LOCK. The lock lasts
// as long as the File. kConflict: "data directory X is in use by process 17, boot 3f2a...".
Result<std::unique_ptr<File>> LockDirectory(Directory& directory, std::string_view owner);

// Lower-case hexadecimal.
std::string HexOf(const std::uint8_t* bytes, std::size_t size);
template <std::size_t N>
std::string HexOf(const std::array<std::uint8_t, N>& id) {
  return HexOf(id.data(), N);
}

}  // namespace jeton
