#include "storage/check.h"

#include <algorithm>

#include "storage/identity.h"
#include "storage/log_format.h"
#include "storage/log_reader.h"
#include "storage/manifest.h"
#include "storage/snapshot.h"

namespace jeton {

namespace {

class Check {
 public:
  Check(Directory& directory, const std::function<void(const std::string&)>& on_line)
      : directory_(directory), on_line_(on_line) {}

  Result<CheckReport> Run() {
    const auto names = directory_.List("");
    if (!names) return names.error();
    CheckLock(std::count(names->begin(), names->end(), "LOCK") > 0);
    CheckIdentity();
    CheckManifests();
    CheckSnapshots();
    CheckLog();
    return report_;
  }

 private:
  void Line(const std::string& path, const std::string& finding) {
    ++report_.files;
    on_line_(path + ": " + finding);
  }

  void Problem(const std::string& text) {
    ++report_.problems;
    on_line_("PROBLEM " + text);
  }

  void CheckLock(bool there) {
    if (!there) return;
    const auto file = directory_.Open("LOCK", OpenMode::kReadWrite);
    if (!file) return;
    const auto locked = (*file)->TryLock();
    if (locked && !*locked) Line("LOCK", "in use by a process; the end of the log may be moving");
  }

  void CheckIdentity() {
    const auto identity = ReadIdentity(directory_);
    if (!identity) return Problem(identity.error().text);
    Line("IDENTITY", "node " + HexOf(identity->node) + ", " +
                         std::to_string(identity->origins.size()) + " origins");
  }

  void CheckManifests() {
    auto manifests = ReadManifests(directory_);
    if (!manifests) return Problem(manifests.error().text);
    for (const std::string& text : manifests->damaged) Problem(text);
    for (const Manifest& manifest : manifests->usable) {
      Line(ManifestPath(manifest.generation),
           (manifest.snapshot == 0 ? "no snapshot" : SnapshotPath(manifest.snapshot)) +
               ", log from segment " + std::to_string(manifest.first_seq));
    }
    if (manifests->usable.empty()) Problem(directory_.name() + ": there is no usable MANIFEST");
    manifests_ = std::move(*manifests);
  }

  void CheckSnapshots() {
    const auto ids = ListSnapshots(directory_);
    if (!ids) return Problem(ids.error().text);
    for (std::uint64_t id : *ids) CheckSnapshot(id);
    for (const Manifest& manifest : manifests_.usable) {
      if (manifest.snapshot == 0) continue;
      if (std::count(ids->begin(), ids->end(), manifest.snapshot) > 0) continue;
      Problem(SnapshotPath(manifest.snapshot) + ": is missing");
    }
  }

  void CheckSnapshot(std::uint64_t id) {
    const auto snapshot = SnapshotReader::Open(directory_, id);
    if (!snapshot) return Problem(snapshot.error().text);
    std::vector<std::string> skipped;
    const auto ignore = [](std::span<const std::string_view>) { return Status{}; };
    for (std::uint16_t partition : (*snapshot)->Partitions()) {
      const Status status = (*snapshot)->ReadPartition(partition, ignore, &skipped);
      if (!status) skipped.push_back(status.error().text);
    }
    for (const std::string& text : skipped) Problem(text);
    const SnapshotInfo& info = (*snapshot)->info();
    Line(SnapshotPath(id), std::to_string(info.records) + " records in " +
                               std::to_string(info.blocks) + " blocks, " +
                               std::to_string(info.bytes) + " bytes");
  }

  void CheckLog() {
    LogReadOptions options;
    options.salvage = true;  // so that all damage is shown, not only the first
    if (!manifests_.usable.empty()) {
      options.first_seq = manifests_.usable.back().first_seq;
      for (const Manifest& manifest : manifests_.usable) {
        options.first_seq = std::min(options.first_seq, manifest.first_seq);
      }
    }
    options.on_segment = [this](const std::string& path, const std::string& finding) {
      Line(path, finding);
    };
    const auto end = ReadLog(directory_, options);
    if (!end) return Problem(end.error().text);
    for (const std::string& text : end->skipped) Problem(text);
    report_.records = end->records;
    report_.torn_bytes = end->torn_bytes;
  }

  Directory& directory_;
  const std::function<void(const std::string&)>& on_line_;
  ManifestSet manifests_;
  CheckReport report_;
};

}  // namespace

Result<CheckReport> CheckDirectory(Directory& directory,
                                   const std::function<void(const std::string&)>& on_line) {
  return Check(directory, on_line).Run();
}

}  // namespace jeton
