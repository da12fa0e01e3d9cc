#include "storage/manifest.h"

#include <algorithm>

#include "base/bytes.h"
#include "storage/envelope.h"
#include "storage/log_format.h"
#include "storage/snapshot.h"

namespace jeton {

namespace {

constexpr EnvelopeKind kKind{"JTNMANI1", kManifestFormatVersion, "manifest"};
constexpr std::uint64_t kFileSizeMax = 4096;

bool NamesSnapshot(const std::vector<Manifest>& kept, std::uint64_t id) {
  return std::any_of(kept.begin(), kept.end(),
                     [id](const Manifest& manifest) { return manifest.snapshot == id; });
}

Status RemoveManifests(Directory& directory, const std::vector<Manifest>& kept) {
  const auto files = ListNumbered(directory, "", "MANIFEST-", "");
  if (!files) return files.error();
  for (const NumberedFile& file : *files) {
    const bool needed = std::any_of(kept.begin(), kept.end(), [&](const Manifest& manifest) {
      return manifest.generation == file.number;
    });
    if (needed) continue;
    if (Status status = directory.Remove(file.path); !status) return status;
  }
  return directory.SyncDirectory("");
}

Status RemoveSnapshots(Directory& directory, const std::vector<Manifest>& kept,
                       std::uint64_t writing) {
  auto files = ListNumbered(directory, "snap", "", ".snap");
  if (!files) return files.error();
  const auto temporary = ListNumbered(directory, "snap", "", ".snap.tmp");
  if (!temporary) return temporary.error();
  for (const NumberedFile& file : *files) {
    if (NamesSnapshot(kept, file.number)) continue;
    if (Status status = directory.Remove(file.path); !status) return status;
  }
  for (const NumberedFile& file : *temporary) {
    if (file.number == writing) continue;
    if (Status status = directory.Remove(file.path); !status) return status;
  }
  return directory.SyncDirectory("snap");
}

}  // namespace

std::string EncodeManifest(const Manifest& manifest) {
  std::string body;
  PutFixed(body, manifest.generation);
  PutFixed(body, manifest.snapshot);
  PutFixed(body, manifest.first_seq);
  return EncodeEnvelope(kKind, body);
}

Result<Manifest> DecodeManifest(std::string_view bytes) {
  const auto body = DecodeEnvelope(kKind, bytes);
  if (!body) return body.error();
  ByteReader in(*body);
  Manifest manifest;
  manifest.generation = in.Fixed<std::uint64_t>();
  manifest.snapshot = in.Fixed<std::uint64_t>();
  manifest.first_seq = in.Fixed<std::uint64_t>();
  if (!in.ok() || !in.AtEnd() || manifest.generation == 0 || manifest.first_seq == 0) {
    return Error{ErrorKind::kCorrupt, "manifest has impossible contents"};
  }
  return manifest;
}

std::string ManifestPath(std::uint64_t generation) {
  return "MANIFEST-" + std::to_string(generation);
}

Result<ManifestSet> ReadManifests(Directory& directory) {
  const auto files = ListNumbered(directory, "", "MANIFEST-", "");
  if (!files) return files.error();
  ManifestSet set;
  for (const NumberedFile& file : *files) {
    set.newest = std::max(set.newest, file.number);
    const auto bytes = ReadWholeFile(directory, file.path, kFileSizeMax);
    auto manifest = bytes ? DecodeManifest(*bytes) : Result<Manifest>(bytes.error());
    if (manifest && manifest->generation != file.number) {
      manifest = Error{ErrorKind::kCorrupt, "manifest says that it is generation " +
                                                std::to_string(manifest->generation)};
    }
    if (manifest) {
      set.usable.insert(set.usable.begin(), *manifest);
    } else if (manifest.error().kind == ErrorKind::kCorrupt) {
      set.damaged.push_back(file.path + ": " + manifest.error().text);
    } else {
      return Error{manifest.error().kind, file.path + ": " + manifest.error().text};
    }
  }
  return set;
}

Status WriteManifest(Directory& directory, const Manifest& manifest) {
  return ReplaceFile(directory, ManifestPath(manifest.generation), EncodeManifest(manifest));
}

Status RemoveUnneeded(Directory& directory, const std::vector<Manifest>& kept,
                      std::uint64_t writing, std::uint64_t first_seq) {
  for (const Manifest& manifest : kept) first_seq = std::min(first_seq, manifest.first_seq);
  if (kept.empty()) return {};
  // Manifests first, durably: one that came back after a crash must not name what is gone.
  if (Status status = RemoveManifests(directory, kept); !status) return status;
  if (Status status = RemoveSnapshots(directory, kept, writing); !status) return status;
  return RemoveSegmentsBefore(directory, first_seq);
}

}  // namespace jeton
