// `MANIFEST-<generation>` names what a recovery loads: a snapshot (or none) and the first log
// segment to replay after it (docs/formats/manifest.md). Two generations are kept: should the
// newest snapshot turn out damaged, the one before and its longer log give the same state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/file_system.h"

namespace jeton {

constexpr std::uint16_t kManifestFormatVersion = 1;

struct Manifest {
  std::uint64_t generation = 0;
  std::uint64_t snapshot = 0;  // 0: none, everything is in the log
  std::uint64_t first_seq = 1;

  friend bool operator==(const Manifest&, const Manifest&) = default;
};

std::string EncodeManifest(const Manifest& manifest);
// kCorrupt, or kUnavailable for a newer format.
Result<Manifest> DecodeManifest(std::string_view bytes);
std::string ManifestPath(std::uint64_t generation);

struct ManifestSet {
  std::vector<Manifest> usable;      // newest first
  std::vector<std::string> damaged;  // one sentence for each file that does not verify
  std::uint64_t newest = 0;          // highest generation of any file, damaged ones too
};
// Reads all of them. Fails with kUnavailable on a newer format, kIo.
Result<ManifestSet> ReadManifests(Directory& directory);

Status WriteManifest(Directory& directory, const Manifest& manifest);

// Removes manifests, snapshots and log segments that none of `kept` needs, and temporary files of
// snapshots other than `writing` (0: none). Call it only after the snapshots named have been
// verified. Of the log everything from `first_seq` on is kept, too.
constexpr std::uint64_t kNoSegment = ~std::uint64_t{0};
Status RemoveUnneeded(Directory& directory, const std::vector<Manifest>& kept,
                      std::uint64_t writing = 0, std::uint64_t first_seq = kNoSegment);

}  // namespace jeton
