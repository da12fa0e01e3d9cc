#include "storage/set_aside.h"

#include <algorithm>
#include <string>

#include "storage/envelope.h"

namespace jeton {

namespace {

constexpr EnvelopeKind kKind{"JTNASIDE", 1, "SETASIDE"};
constexpr std::string_view kRequest = "SETASIDE";
constexpr std::string_view kNodes = "nodes";

std::string LeftOf(std::string_view path) {
  return std::string(path).append(kLeftSuffix);
}

Result<bool> IsThere(Directory& directory, std::string_view name) {
  const auto names = directory.List("");
  if (!names) return names.error();
  return std::find(names->begin(), names->end(), name) != names->end();
}

// The files of a folder with that suffix get another one.
Status RenameAll(Directory& directory, std::string_view folder, std::string_view suffix) {
  const auto files = ListNumbered(directory, folder, "", suffix);
  if (!files) return files.error();
  for (const NumberedFile& file : *files) {
    const std::string stem = file.path.substr(0, file.path.size() - suffix.size());
    if (Status status = directory.Rename(file.path, LeftOf(stem)); !status) return status;
  }
  return directory.SyncDirectory(folder);
}

// Snapshots that were not finished belong to no life.
Status RemoveUnfinished(Directory& directory) {
  const auto files = ListNumbered(directory, "snap", "", ".snap.tmp");
  if (!files) return files.error();
  for (const NumberedFile& file : *files) {
    if (Status status = directory.Remove(file.path); !status) return status;
  }
  return {};
}

Status RemoveAll(Directory& directory, std::string_view folder) {
  const auto names = directory.List(folder);
  if (!names) {
    return names.error().kind == ErrorKind::kNotFound ? Status() : Status(names.error());
  }
  const std::string before = folder.empty() ? std::string() : std::string(folder) + "/";
  for (const std::string& name : *names) {
    if (!IsLeft(name) || name == LeftOf(kIdentityPath)) continue;
    if (Status status = directory.Remove(before + name); !status) return status;
  }
  return directory.SyncDirectory(folder);
}

}  // namespace

Status RequestSetAside(Directory& directory, std::string_view note) {
  const auto left = IsThere(directory, LeftOf(kIdentityPath));
  if (!left) return left.error();
  if (*left) {
    return Error{ErrorKind::kConflict, directory.name() +
                                           " still has an earlier life of the node (" +
                                           LeftOf(kIdentityPath) + ")"};
  }
  if (note.size() > kSetAsideNoteMax) note = {};
  return ReplaceFile(directory, kRequest, EncodeEnvelope(kKind, note));
}

Status CarryOutSetAside(Directory& directory) {
  const auto requested = IsThere(directory, kRequest);
  if (!requested) return requested.error();
  if (!*requested) return {};
  const auto folders = directory.List("");
  if (!folders) return folders.error();
  const auto has = [&](std::string_view name) {
    return std::find(folders->begin(), folders->end(), name) != folders->end();
  };
  if (has("wal")) {
    if (Status status = RenameAll(directory, "wal", ".log"); !status) return status;
  }
  if (has("snap")) {
    if (Status status = RemoveUnfinished(directory); !status) return status;
    if (Status status = RenameAll(directory, "snap", ".snap"); !status) return status;
  }
  const auto manifests = ListNumbered(directory, "", "MANIFEST-", "");
  if (!manifests) return manifests.error();
  for (const NumberedFile& file : *manifests) {
    if (Status status = directory.Rename(file.path, LeftOf(file.path)); !status) return status;
  }
  for (const std::string_view name : {kNodes, kIdentityPath}) {
    if (!has(name)) continue;
    if (Status status = directory.Rename(name, LeftOf(name)); !status) return status;
  }
  if (Status status = directory.SyncDirectory(""); !status) return status;
  if (Status status = directory.Rename(kRequest, LeftOf(kRequest)); !status) return status;
  return directory.SyncDirectory("");
}

Result<LeftLife> ReadLeft(Directory& directory) {
  auto identity = ReadIdentity(directory, LeftOf(kIdentityPath));
  if (!identity) return identity.error();
  LeftLife life{.identity = std::move(*identity), .note = {}};
  const auto bytes =
      ReadWholeFile(directory, LeftOf(kRequest), kSetAsideNoteMax + kEnvelopeOverhead);
  if (!bytes) {
    if (bytes.error().kind != ErrorKind::kNotFound) return bytes.error();
    life.is_going = true;
    return life;
  }
  const auto note = DecodeEnvelope(kKind, *bytes);
  if (!note) return note.error();
  life.note = *note;
  return life;
}

Status RemoveLeftSnapshots(Directory& directory) {
  return RemoveAll(directory, "snap");
}

Status RemoveLeft(Directory& directory) {
  Status begun = directory.Remove(LeftOf(kRequest));
  if (!begun && begun.error().kind != ErrorKind::kNotFound) return begun;
  if (Status status = directory.SyncDirectory(""); !status) return status;
  for (const std::string_view folder : {"snap", "wal", ""}) {
    if (Status status = RemoveAll(directory, folder); !status) return status;
  }
  if (Status status = directory.Remove(LeftOf(kIdentityPath)); !status) return status;
  return directory.SyncDirectory("");
}

}  // namespace jeton
