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

// Files of the present life, named so in that folder.
struct Files {
  std::string_view folder, prefix, suffix;
  bool unfinished = false;  // belong to no life
};
constexpr Files kFiles[] = {{"wal", "", ".log"},
                            {"snap", "", ".snap.tmp", true},
                            {"snap", "", ".snap"},
                            {"", "MANIFEST-", ""}};

// Gives each another name, or removes it.
Status Take(Directory& directory, const Files& files, bool remove) {
  const auto found = ListNumbered(directory, files.folder, files.prefix, files.suffix);
  if (!found) return found.error();
  for (const NumberedFile& file : *found) {
    const std::string stem = file.path.substr(0, file.path.size() - files.suffix.size());
    Status status =
        remove ? directory.Remove(file.path) : directory.Rename(file.path, LeftOf(stem));
    if (!status) return status;
  }
  return directory.SyncDirectory(files.folder);
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

Status WriteRequest(Directory& directory, std::string_view note) {
  if (note.size() > kSetAsideNoteMax) note = {};
  return ReplaceFile(directory, kRequest, EncodeEnvelope(kKind, note));
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
  return WriteRequest(directory, note);
}

Status RequestBeginAgain(Directory& directory, std::string_view note) {
  const auto left = ReadLeft(directory);
  if (!left) return left.error();
  if (left->is_going) {
    return Error{ErrorKind::kConflict,
                 directory.name() + " has an earlier life of the node that is being removed"};
  }
  return WriteRequest(directory, note);
}

Status CarryOutSetAside(Directory& directory) {
  const auto requested = IsThere(directory, kRequest);
  if (!requested) return requested.error();
  if (!*requested) return {};
  const auto names = directory.List("");
  if (!names) return names.error();
  const auto has = [&](std::string_view name) {
    return name.empty() || std::find(names->begin(), names->end(), name) != names->end();
  };
  // An earlier life that is whole stays the one that counts.
  const bool again = has(LeftOf(kRequest));
  for (const Files& files : kFiles) {
    if (!has(files.folder)) continue;
    if (Status status = Take(directory, files, again || files.unfinished); !status) return status;
  }
  for (const std::string_view name : {kNodes, kIdentityPath}) {
    if (!has(name)) continue;
    Status status = again ? directory.Remove(name) : directory.Rename(name, LeftOf(name));
    if (!status) return status;
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
