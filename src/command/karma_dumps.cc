// Karma's dump files: dump, dump_all, dumps and load of Karma 0.1, and snapshot.* of Karma 1.0. The
// work is done elsewhere (karma_dump_jobs.h); a request waits for it, other clients do not.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "command/karma_access.h"
#include "command/karma_dump_jobs.h"

namespace jeton::command {
namespace {

constexpr std::uint64_t kFetchMax = 16u << 20;  // of a file in one reply

// Waits for a job and replies.
class JobQuery final : public LongQuery {
 public:
  using Answer = void (*)(Context& ctx, const KarmaJob& job);
  JobQuery(std::shared_ptr<KarmaJob> job, Answer answer) : job_(std::move(job)), answer_(answer) {}

  bool Step(Context& ctx) override {
    if (!job_->done.load(std::memory_order_acquire)) return false;
    answer_(ctx, *job_);
    return true;
  }
  bool IsIdle() const override { return !job_->done.load(std::memory_order_acquire); }

 private:
  const std::shared_ptr<KarmaJob> job_;
  const Answer answer_;
};

// Null, and an error, if this server has no directory.
KarmaDumpJobs* Jobs(Context& ctx) {
  KarmaDumpJobs* jobs = ctx.server.host.karma_dumps();
  if (jobs == nullptr) {
    ctx.reply.Error("ERR this server has no directory for dumps", ErrorKind::kUnavailable);
  }
  return jobs;
}

void RunJob(Context& ctx, KarmaJob::Kind kind, std::string_view name, JobQuery::Answer answer) {
  KarmaDumpJobs* jobs = Jobs(ctx);
  if (jobs == nullptr) return;
  auto job = jobs->Start(kind, std::string(name));
  if (!job) return ctx.reply.Error(job.error());
  ctx.server.host.WakeUpkeep();
  StartQuery(ctx, std::make_unique<JobQuery>(std::move(job).value(), answer));
}

// ---- writing and loading

void AnswerDump(Context& ctx, const KarmaJob& job) {
  if (!job.result) return ctx.reply.Error(job.result.error());
  ctx.reply.Bulk("Tree \"" + job.name + "\" saved");
}

void AnswerOk(Context& ctx, const KarmaJob& job) {
  if (!job.result) return ctx.reply.Error(job.result.error());
  ctx.reply.Ok();
}

void AnswerLoad(Context& ctx, const KarmaJob& job) {
  if (!job.result) return ctx.reply.Error(job.result.error());
  ctx.reply.Bulk("Tree \"" + ParseKarmaDumpName(job.name)->tree + "\" loaded");
}

// Release 0.1 has another word for a missing file.
void AnswerLoadV1(Context& ctx, const KarmaJob& job) {
  if (job.result || job.result.error().kind != ErrorKind::kNotFound) return AnswerLoad(ctx, job);
  ctx.reply.Error("ERR Dump \"" + ParseKarmaDumpName(job.name)->tree + "\" not exists",
                  ErrorKind::kNotFound);
}

void Dump(Context& ctx) {
  RunJob(ctx, KarmaJob::Kind::kDump, ctx.args[1], AnswerDump);
}

// Release 0.1 answers at once; what goes wrong afterwards is in the log.
void DumpAllV1(Context& ctx) {
  KarmaDumpJobs* jobs = Jobs(ctx);
  if (jobs == nullptr) return;
  if (auto job = jobs->Start(KarmaJob::Kind::kDumpAll, "all trees"); !job) {
    return ctx.reply.Error(job.error());
  }
  ctx.server.host.WakeUpkeep();
  ctx.reply.Ok();
}

void DumpAll(Context& ctx) {
  RunJob(ctx, KarmaJob::Kind::kDumpAll, "all trees", AnswerOk);
}

// False, and an error, for what is no name of a dump.
bool CheckName(Context& ctx, std::string_view file) {
  const auto name = ParseKarmaDumpName(file);
  if (!name) ctx.reply.Error("ERR " + name.error().text);
  return name.ok();
}

void LoadV1(Context& ctx) {
  if (CheckName(ctx, ctx.args[1])) RunJob(ctx, KarmaJob::Kind::kLoad, ctx.args[1], AnswerLoadV1);
}

void Load(Context& ctx) {
  if (CheckName(ctx, ctx.args[1])) RunJob(ctx, KarmaJob::Kind::kLoad, ctx.args[1], AnswerLoad);
}

// ---- looking

void ReplyFiles(Context& ctx, bool with_folder) {
  KarmaDumpJobs* jobs = Jobs(ctx);
  if (jobs == nullptr) return;
  const auto files = ListKarmaDumps(jobs->directory());
  if (!files) return ctx.reply.Error(files.error());
  const std::string folder = with_folder ? jobs->directory().name() + "/" : "";
  ctx.reply.Array(files->size());
  for (const KarmaDumpFile& file : *files) ctx.reply.Bulk(folder + file.file);
}

void ListV1(Context& ctx) {
  ReplyFiles(ctx, false);
}
void List(Context& ctx) {
  ReplyFiles(ctx, true);
}

struct OpenDump {
  KarmaDumpName name;
  std::unique_ptr<File> file;
  std::uint64_t bytes = 0;
};

Result<OpenDump> Open(Directory& directory, std::string_view file) {
  auto name = ParseKarmaDumpName(file);
  if (!name) return Error{name.error().kind, "ERR " + name.error().text};
  auto opened = directory.Open(file, OpenMode::kRead);
  if (!opened) {
    if (opened.error().kind != ErrorKind::kNotFound) return opened.error();
    return Error{ErrorKind::kNotFound, "ERR Dump \"" + name->tree + "\" not found"};
  }
  const auto bytes = (*opened)->Size();
  if (!bytes) return bytes.error();
  return OpenDump{std::move(name).value(), std::move(opened).value(), *bytes};
}

void ReplyMetadata(Reply& reply, std::string_view file, const OpenDump& dump) {
  reply.Map(6);
  reply.Bulk("tree");
  reply.Bulk(dump.name.tree);
  reply.Bulk("file");
  reply.Bulk(file);
  reply.Bulk("timestamp");
  reply.Integer(dump.name.seconds);
  reply.Bulk("bytes");
  reply.Integer(static_cast<std::int64_t>(dump.bytes));
  reply.Bulk("last_lsn");  // our log and these files know nothing of each other
  reply.Integer(0);
  reply.Bulk("metadata_file");
  reply.Null();
}

void Info(Context& ctx) {
  KarmaDumpJobs* jobs = Jobs(ctx);
  if (jobs == nullptr) return;
  const auto files = ListKarmaDumps(jobs->directory());
  if (!files) return ctx.reply.Error(files.error());
  const PersistenceStatus status = ctx.server.host.persistence();
  ctx.reply.Map(7);
  ctx.reply.Bulk("dump_count");
  ctx.reply.Integer(static_cast<std::int64_t>(files->size()));
  ctx.reply.Bulk("latest_by_tree");
  const std::size_t position = ctx.reply.DeferArray();
  std::vector<std::string_view> seen;
  for (const KarmaDumpFile& file : *files) {
    if (std::find(seen.begin(), seen.end(), file.name.tree) != seen.end()) continue;
    const auto dump = Open(jobs->directory(), file.file);
    if (!dump) continue;  // it was removed meanwhile
    seen.push_back(file.name.tree);
    ReplyMetadata(ctx.reply, file.file, *dump);
  }
  ctx.reply.SetDeferred(position, seen.size());
  ctx.reply.Bulk("last_snapshot_lsn");
  ctx.reply.Integer(0);
  ctx.reply.Bulk("wal_enabled");
  ctx.reply.Bool(true);
  ctx.reply.Bulk("wal_bytes");
  ctx.reply.Integer(static_cast<std::int64_t>(status.log_bytes));
  ctx.reply.Bulk("wal_current_lsn");
  ctx.reply.Integer(static_cast<std::int64_t>(status.appended_lsn));
  ctx.reply.Bulk("dump_retention_per_tree");  // dumps are never removed
  ctx.reply.Integer(0);
}

void AnswerVerify(Context& ctx, const KarmaJob& job) {
  if (!job.result) return ctx.reply.Error(job.result.error());
  ctx.reply.Map(4);
  ctx.reply.Bulk("status");
  ctx.reply.Bulk("ok");
  ctx.reply.Bulk("dump_count");
  ctx.reply.Integer(static_cast<std::int64_t>(job.files));
  ctx.reply.Bulk("trees");
  ctx.reply.Integer(static_cast<std::int64_t>(ctx.keyspace.trees()));
  ctx.reply.Bulk("keys");
  ctx.reply.Integer(static_cast<std::int64_t>(job.stats.keys));
}

void Verify(Context& ctx) {
  RunJob(ctx, KarmaJob::Kind::kVerify, "all dumps", AnswerVerify);
}

// ---- fetching

std::string Base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += i + j > bytes.size() ? '=' : kDigits[group >> (18 - 6 * j) & 63];
    }
  }
  return text;
}

Result<std::string> ReadPiece(const File& file, std::uint64_t offset, std::uint64_t size) {
  std::string bytes(size, '\0');
  const auto got = file.ReadAt(offset, bytes.data(), bytes.size());
  if (!got) return got.error();
  bytes.resize(*got);
  return bytes;
}

// file
void Fetch(Context& ctx) {
  KarmaDumpJobs* jobs = Jobs(ctx);
  if (jobs == nullptr) return;
  const auto dump = Open(jobs->directory(), ctx.args[1]);
  if (!dump) return ctx.reply.Error(dump.error());
  if (dump->bytes > kFetchMax) {
    return ctx.reply.Error(
        fmt::format("TOOLARGE {} has {} bytes, more than {}: use snapshot.fetch_chunk", ctx.args[1],
                    dump->bytes, kFetchMax));
  }
  const auto bytes = ReadPiece(*dump->file, 0, dump->bytes);
  if (!bytes) return ctx.reply.Error(bytes.error());
  ctx.reply.Map(2);
  ctx.reply.Bulk("metadata");
  ReplyMetadata(ctx.reply, ctx.args[1], *dump);
  ctx.reply.Bulk("data_base64");
  ctx.reply.Bulk(Base64(*bytes));
}

// file offset limit
void FetchChunk(Context& ctx) {
  KarmaDumpJobs* jobs = Jobs(ctx);
  if (jobs == nullptr) return;
  const auto dump = Open(jobs->directory(), ctx.args[1]);
  if (!dump) return ctx.reply.Error(dump.error());
  const std::int64_t offset = *ParseInt64(ctx.args[2]);  // the binder has checked both
  const std::int64_t limit = *ParseInt64(ctx.args[3]);
  const auto total = static_cast<std::int64_t>(dump->bytes);
  if (offset > total) {
    return ctx.reply.Error(
        fmt::format("ERR Field offset must be at most {}, not {}", total, offset));
  }
  const auto bytes = ReadPiece(*dump->file, static_cast<std::uint64_t>(offset),
                               static_cast<std::uint64_t>(std::min(limit, total - offset)));
  if (!bytes) return ctx.reply.Error(bytes.error());
  const auto size = static_cast<std::int64_t>(bytes->size());
  ctx.reply.Map(8);
  ctx.reply.Bulk("metadata");
  ReplyMetadata(ctx.reply, ctx.args[1], *dump);
  ctx.reply.Bulk("offset");
  ctx.reply.Integer(offset);
  ctx.reply.Bulk("limit");
  ctx.reply.Integer(limit);
  ctx.reply.Bulk("bytes");
  ctx.reply.Integer(size);
  ctx.reply.Bulk("total_bytes");
  ctx.reply.Integer(total);
  ctx.reply.Bulk("next_offset");
  offset + size < total ? ctx.reply.Integer(offset + size) : ctx.reply.Null();
  ctx.reply.Bulk("done");
  ctx.reply.Bool(offset + size >= total);
  ctx.reply.Bulk("data_base64");
  ctx.reply.Bulk(Base64(*bytes));
}

// ---- the table

void Add(CommandTable& table, int version, std::string_view name, std::string_view op,
         std::string_view summary, std::uint32_t flags, std::vector<Argument> arguments,
         Handler handler) {
  table.Add({.name = name,
             .json_op = op,
             .json_version = version,
             .summary = summary,
             .group = version == 1 ? "karma 0.1" : "karma 1.0",
             .flags = flags | kJsonOnly,
             .arguments = std::move(arguments),
             .handler = handler});
}

// The name of a file, where other operations of version 1 have that of a tree.
Argument FileArgumentV1() {
  return {.name = "tree_name", .json = JsonForm::kTree};
}
Argument TreeArgumentV1() {
  return {.name = "tree_name", .json = JsonForm::kTree};
}
Argument SeriesName() {
  return {.name = "series", .json = JsonForm::kSeries};
}
Argument FileArgument() {
  return {.name = "file", .json = JsonForm::kText};
}
Argument OffsetArgument() {
  return {.name = "offset", .optional = true, .json = JsonForm::kOffset, .json_default = "0"};
}
Argument ChunkArgument() {
  return {.name = "limit",
          .optional = true,
          .json = JsonForm::kLimit,
          .json_default = "262144",
          .json_max = 524'288};
}

}  // namespace

void AddKarmaDumpCommands(CommandTable& table) {
  Add(table, 1, "karma.v1.dump", "dump", "Writes a tree to a file and says so.", kAdmin,
      {TreeArgumentV1()}, Dump);
  Add(table, 1, "karma.v1.dump_all", "dump_all",
      "Begins to write every tree to a file; errors are in the server's log.", kAdmin, {},
      DumpAllV1);
  Add(table, 1, "karma.v1.dumps", "dumps", "The names of the files, newest first.", kReadOnly, {},
      ListV1);
  Add(table, 1, "karma.v1.load", "load", "Replaces a tree by what a file has.",
      kWrite | kDenyOom | kAdmin, {FileArgumentV1()}, LoadV1);
  Add(table, 2, "karma.snapshot.create", "snapshot.create",
      "Writes a series to a file and says so.", kAdmin, {SeriesName()}, Dump);
  Add(table, 2, "karma.snapshot.create_all", "snapshot.create_all",
      "Writes every series to a file, but for those that Karma cannot hold (see the log).", kAdmin,
      {}, DumpAll);
  Add(table, 2, "karma.snapshot.list", "snapshot.list", "The paths of the files, newest first.",
      kReadOnly, {}, List);
  Add(table, 2, "karma.snapshot.info", "snapshot.info", "The newest file of each series.",
      kReadOnly, {}, Info);
  Add(table, 2, "karma.snapshot.verify", "snapshot.verify", "Reads every file to its end.",
      kReadOnly, {}, Verify);
  Add(table, 2, "karma.snapshot.load", "snapshot.load", "Replaces a series by what a file has.",
      kWrite | kDenyOom | kAdmin, {FileArgument()}, Load);
  Add(table, 2, "karma.snapshot.fetch", "snapshot.fetch", "A whole file.", kReadOnly,
      {FileArgument()}, Fetch);
  Add(table, 2, "karma.snapshot.fetch_chunk", "snapshot.fetch_chunk", "A piece of a file.",
      kReadOnly, {FileArgument(), OffsetArgument(), ChunkArgument()}, FetchChunk);
}

}  // namespace jeton::command
