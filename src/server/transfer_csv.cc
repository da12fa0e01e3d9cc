// `jeton import csv`.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "base/calendar_text.h"
#include "base/text.h"
#include "protocol/csv.h"
#include "server/process.h"
#include "server/transfer_import.h"
#include "server/transfer_progress.h"
#include "server/transfer_setter.h"

namespace jeton::server {
namespace {

constexpr std::size_t kTreesMax = 100'000;  // of one file

class InputFile {
 public:
  static Result<InputFile> Open(const std::string& path) {
    InputFile file(path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC),
                   path == "-" ? "standard input" : path);
    struct stat facts {};
    if (file.fd_.fd() < 0 || fstat(file.fd_.fd(), &facts) != 0) {
      return Error{ErrorKind::kIo, fmt::format("{}: {}", file.path_, std::strerror(errno))};
    }
    if (S_ISREG(facts.st_mode)) file.size_ = static_cast<std::uint64_t>(facts.st_size);
    return file;
  }

  const std::string& path() const { return path_; }
  // Known if it can be read twice.
  std::optional<std::uint64_t> size() const { return size_; }

  Result<std::size_t> Read(char* out, std::size_t size) {
    for (;;) {
      const ssize_t got = read(fd_.fd(), out, size);
      if (got >= 0) {
        at_ += static_cast<std::uint64_t>(got);
        return static_cast<std::size_t>(got);
      }
      if (errno != EINTR) return Error{ErrorKind::kIo, std::strerror(errno)};
    }
  }
  std::uint64_t at() const { return at_; }
  void Rewind() {
    (void)lseek(fd_.fd(), 0, SEEK_SET);
    at_ = 0;
  }

 private:
  InputFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  bench::Socket fd_;  // closes itself
  std::string path_;
  std::optional<std::uint64_t> size_;
  std::uint64_t at_ = 0;
};

// Rows as they are to be set, or what is wrong with one.
class Rows {
 public:
  Rows(InputFile& file, const CsvImport& options, Progress& progress)
      : options_(options), reader_([&file, &progress](char* out, std::size_t size) {
          progress.Update(file.at());
          return file.Read(out, size);
        }) {}

  Result<bool> Next(CounterRow& row) {
    auto more = reader_.Next(row);
    if (!more || !*more) return more;
    if (!reader_.HasTree()) {
      if (options_.tree.empty()) {
        return reader_.Wrong("three columns, key,bucket,value: --tree has to name the tree");
      }
      row.tree = options_.tree;
    } else if (!options_.tree.empty() && row.tree != options_.tree) {
      return reader_.Wrong(fmt::format("tree {}, but --tree is {}", QuoteForLog(row.tree),
                                       QuoteForLog(options_.tree)));
    }
    if (auto text = ParseCalendarText(row.bucket); !text) return reader_.Wrong(text.error().text);
    return true;
  }
  std::uint64_t line() const { return reader_.line(); }
  Error Wrong(std::string_view text) const { return reader_.Wrong(text); }

 private:
  const CsvImport& options_;
  CounterCsvReader reader_;
};

// All rows once, before anything is changed.
Status CheckRows(InputFile& file, const CsvImport& options) {
  Progress progress("Checking", "bytes", file.size());
  Rows rows(file, options, progress);
  CounterRow row;
  for (;;) {
    const auto more = rows.Next(row);
    if (!more) return more.error();
    if (!*more) return {};
  }
}

Status CallOnly(TransferClient& client, const std::vector<std::string_view>& args) {
  auto reply = client.Call(args);
  return reply ? Status() : Status(reply.error());
}

// The settings of a tree that is made for this row.
Status CreateTree(TransferClient& client, const CsvImport& options, const CounterRow& row) {
  const auto text = ParseCalendarText(row.bucket);
  if (options.bucket.empty() && text && text->width != Width::kDay) {
    return Error{ErrorKind::kNotFound,
                 fmt::format("tree {} is not there, and bucket {} is not a day: name the width of "
                             "its buckets by --bucket, and their zone by --tz, to make it",
                             QuoteForLog(row.tree), QuoteForLog(row.bucket))};
  }
  return CallOnly(client, {"TREE.CREATE", row.tree, "BUCKET",
                           options.bucket.empty() ? "day" : std::string_view(options.bucket), "TZ",
                           options.timezone.empty() ? "UTC" : std::string_view(options.timezone)});
}

Status PrepareTree(TransferClient& client, const CsvImport& options, const CounterRow& row) {
  const auto info = FindTree(client, row.tree);
  if (!info) return info.error();
  if (!*info) return CreateTree(client, options, row);
  const TreeInfo& tree = **info;
  const bool fits = (options.bucket.empty() || EqualsIgnoreCase(options.bucket, tree.bucket)) &&
                    (options.timezone.empty() || options.timezone == tree.timezone);
  if (fits) return options.replace ? CallOnly(client, {"TREE.RESET", row.tree}) : Status();
  if (!options.replace) {
    return Error{ErrorKind::kConflict,
                 fmt::format("tree {} is there already, with BUCKET {} TZ {}; --replace drops it "
                             "first",
                             QuoteForLog(row.tree), tree.bucket, tree.timezone)};
  }
  if (Status dropped = CallOnly(client, {"TREE.DROP", row.tree}); !dropped) return dropped;
  return CreateTree(client, options, row);
}

// Counts what it has done also if it fails.
Status SetRows(TransferClient& client, InputFile& file, const CsvImport& options,
               BucketSetter& setter, std::set<std::string>& trees) {
  Progress progress("Importing", "bytes", file.size());
  Rows rows(file, options, progress);
  CounterRow row;
  for (;;) {
    const auto more = rows.Next(row);
    if (!more) return more.error();
    if (!*more) return setter.Finish();
    if (!trees.contains(row.tree)) {
      if (trees.size() == kTreesMax) {
        return rows.Wrong(fmt::format("more than {} trees in one file", kTreesMax));
      }
      if (Status finished = setter.Finish(); !finished) return finished;
      if (Status s = PrepareTree(client, options, row); !s) return rows.Wrong(s.error().text);
      trees.insert(row.tree);
    }
    Status set = setter.Set({.tree = row.tree,
                             .key = std::move(row.key),
                             .bucket = std::move(row.bucket),
                             .value = row.value.ToString(),
                             .line = rows.line()});
    if (!set) return set;
  }
}

}  // namespace

Result<std::string> ImportCsv(const ServerAddress& address, const CsvImport& options) {
  auto file = InputFile::Open(options.file);
  if (!file) return file.error();
  const auto wrong = [&](const Error& error, std::string_view so_far) {
    return Error{error.kind, fmt::format("{}: {}{}", file->path(), error.text, so_far)};
  };
  if (file->size()) {
    if (Status checked = CheckRows(*file, options); !checked) {
      return wrong(checked.error(), "; nothing was imported");
    }
    file->Rewind();
  }
  auto client = TransferClient::Connect(address);
  if (!client) return client.error();
  const MonoNs start = MonotonicNow();
  BucketSetter setter(*client);
  std::set<std::string> trees;
  if (Status set = SetRows(*client, *file, options, setter, trees); !set) {
    return wrong(set.error(), fmt::format(" (set before: {} buckets)", setter.count()));
  }
  return fmt::format("Imported {} buckets into {} trees in {:.1f} s", setter.count(), trees.size(),
                     static_cast<double>(MonotonicNow() - start) / kNsPerSecond);
}

}  // namespace jeton::server
