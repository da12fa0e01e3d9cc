// `jeton import karma`.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>

#include "base/text.h"
#include "protocol/karma_dump.h"
#include "protocol/karma_dump_name.h"
#include "server/process.h"
#include "server/transfer_import.h"
#include "server/transfer_progress.h"
#include "server/transfer_setter.h"
#include "storage/posix_file_system.h"

namespace jeton::server {
namespace {

// Open from the first look to the last byte, so that nobody can put another file under its name.
struct DumpFile {
  std::string path;
  std::int64_t seconds = 0;
  std::unique_ptr<File> file;
  std::uint64_t size = 0;
};

using DumpFiles = std::map<std::string, DumpFile>;  // by tree

Status AddFile(Directory& folder, const std::string& path, const std::string& name,
               DumpFiles& files) {
  auto parsed = ParseKarmaDumpName(name);
  if (!parsed) return parsed.error();
  DumpFile& dump = files[parsed->tree];
  if (dump.file != nullptr && dump.seconds >= parsed->seconds) return {};
  auto file = folder.Open(name, OpenMode::kRead);
  if (!file) return file.error();
  const auto size = (*file)->Size();
  if (!size) return size.error();
  dump = {.path = path, .seconds = parsed->seconds, .file = std::move(*file), .size = *size};
  return {};
}

Status AddFolder(const std::string& path, DumpFiles& files) {
  auto folder = OpenPosixDirectory(path, false);
  if (!folder) return folder.error();
  const auto names = (*folder)->List("");
  if (!names) return names.error();
  bool found = false;
  for (const std::string& name : *names) {
    if (!ParseKarmaDumpName(name)) continue;
    found = true;
    if (Status s = AddFile(**folder, path + "/" + name, name, files); !s) return s;
  }
  if (found) return {};
  return Error{
      ErrorKind::kNotFound,
      fmt::format("{}: no Karma dump here; they are named as 1688496993_articles.tree", path)};
}

Result<DumpFiles> OpenFiles(const std::vector<std::string>& paths) {
  DumpFiles files;
  for (const std::string& path : paths) {
    const std::filesystem::path split(path);
    std::error_code ignored;  // what is no folder is opened as a file, and that says what is wrong
    if (std::filesystem::is_directory(split, ignored)) {
      if (Status added = AddFolder(path, files); !added) return added.error();
      continue;
    }
    const std::string parent = split.parent_path().string();
    auto folder = OpenPosixDirectory(parent.empty() ? "." : parent, false);
    if (!folder) return folder.error();
    if (Status s = AddFile(**folder, path, split.filename().string(), files); !s) return s.error();
  }
  return files;
}

// Counts the bytes of all files on the progress line.
KarmaDumpSource SourceOf(const DumpFile& dump, Progress& progress, std::uint64_t before) {
  return [&dump, &progress, before](std::uint64_t offset, char* out, std::size_t size) {
    progress.Update(before + offset);
    return dump.file->ReadAt(offset, out, size);
  };
}

std::uint64_t TotalSize(const DumpFiles& files) {
  std::uint64_t total = 0;
  for (const auto& [tree, dump] : files) total += dump.size;
  return total;
}

Status VerifyFiles(const DumpFiles& files) {
  Progress progress("Verifying", "bytes", TotalSize(files));
  std::uint64_t before = 0;
  for (const auto& [tree, dump] : files) {
    if (const auto stats = VerifyKarmaDump(SourceOf(dump, progress, before)); !stats) {
      return Error{stats.error().kind,
                   fmt::format("{}: {}; nothing was imported", dump.path, stats.error().text)};
    }
    before += dump.size;
  }
  return {};
}

Status CheckTrees(TransferClient& client, const DumpFiles& files, bool replace) {
  for (const auto& [tree, dump] : files) {
    const auto info = FindTree(client, tree);
    if (!info) return Error{info.error().kind, dump.path + ": " + info.error().text};
    if (*info && !replace) {
      return Error{ErrorKind::kConflict,
                   fmt::format("{}: tree {} is there already, with {} keys; --replace drops it "
                               "first; nothing was imported",
                               dump.path, QuoteForLog(tree), (*info)->keys)};
    }
  }
  return {};
}

Status MakeTree(TransferClient& client, const std::string& tree) {
  const auto info = FindTree(client, tree);
  if (!info) return info.error();
  if (*info) {
    if (auto dropped = client.Call({"TREE.DROP", tree}); !dropped) return dropped.error();
  }
  auto made = client.Call({"TREE.CREATE", tree, "BUCKET", "day", "TZ", "UTC"});
  return made ? Status() : Status(made.error());
}

Status ImportTree(TransferClient& client, const std::string& tree, const KarmaDumpSource& source,
                  std::uint64_t& buckets) {
  if (Status made = MakeTree(client, tree); !made) return made;
  BucketSetter setter(client);
  KarmaDumpReader reader(source);
  KarmaDumpItem item;
  for (;;) {
    const auto more = reader.Next(item);
    if (!more) return more.error();
    if (!*more) break;
    if (item.kind != KarmaDumpItem::Kind::kBucket) continue;
    const CalendarText day{.width = Width::kDay,
                           .local_s = item.bucket.day * kSecondsPerDay,
                           .offset_s = std::nullopt};
    Status set = setter.Set({.tree = tree,
                             .key = std::to_string(item.key),
                             .bucket = FormatCalendarText(day),
                             .value = item.bucket.value.ToString()});
    if (!set) return set;
  }
  Status finished = setter.Finish();
  buckets += setter.count();
  return finished;
}

}  // namespace

Result<std::string> ImportKarma(const ServerAddress& address, const KarmaImport& options) {
  RaiseOpenFileLimit();
  auto files = OpenFiles(options.paths);
  if (!files) return files.error();
  if (Status verified = VerifyFiles(*files); !verified) return verified.error();
  auto client = TransferClient::Connect(address);
  if (!client) return client.error();
  if (Status s = CheckTrees(*client, *files, options.replace); !s) return s.error();
  const MonoNs start = MonotonicNow();
  std::uint64_t buckets = 0;
  std::uint64_t before = 0;
  {
    Progress progress("Importing", "bytes", TotalSize(*files));
    for (const auto& [tree, dump] : *files) {
      const auto source = SourceOf(dump, progress, before);
      if (Status imported = ImportTree(*client, tree, source, buckets); !imported) {
        return Error{
            imported.error().kind,
            fmt::format("{}: {} (tree {} is there in part: import it again with --replace)",
                        dump.path, imported.error().text, QuoteForLog(tree))};
      }
      before += dump.size;
    }
  }
  return fmt::format("Imported {} buckets into {} trees in {:.1f} s", buckets, files->size(),
                     static_cast<double>(MonotonicNow() - start) / kNsPerSecond);
}

}  // namespace jeton::server
