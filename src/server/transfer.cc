#include "server/transfer.h"

#include <fmt/format.h>

#include <memory>

#include "server/serve.h"
#include "server/transfer_export.h"
#include "server/transfer_import.h"

namespace jeton::server {
namespace {

// Lives as long as the callbacks that hold it.
template <typename Options>
struct Command {
  ServerAddress address;
  Options options;
};

void AddAddress(CLI::App& command, ServerAddress& address) {
  command.add_option("--host", address.host, "The server's name or address")->capture_default_str();
  command.add_option("--port", address.port, "The server's port")
      ->capture_default_str()
      ->check(CLI::Range(1, 65535));
  command.add_option("--password", address.password, "The server's password, if it has one")
      ->envname("REDISCLI_AUTH");
}

// The summary of an export goes beside the data, not into it.
int Report(const Result<std::string>& summary, std::FILE* out) {
  if (!summary) {
    fmt::print(stderr, "jeton: {}\n", summary.error().text);
    return kExitFailed;
  }
  fmt::print(out, "{}\n", *summary);
  return kExitOk;
}

void AddImportKarma(CLI::App& parent, int& status) {
  auto command = std::make_shared<Command<KarmaImport>>();
  CLI::App* app = parent.add_subcommand("karma", "Trees from Karma's dumps, <seconds>_<tree>.tree");
  app->add_option("PATH", command->options.paths,
                  "Dumps, or folders: of each tree the newest dump is taken")
      ->required();
  app->add_flag("--replace", command->options.replace, "Drop trees that are there already first");
  AddAddress(*app, command->address);
  app->callback([command, &status] {
    status = Report(ImportKarma(command->address, command->options), stdout);
  });
}

void AddImportCsv(CLI::App& parent, int& status) {
  auto command = std::make_shared<Command<CsvImport>>();
  CsvImport& options = command->options;
  CLI::App* app =
      parent.add_subcommand("csv", "Rows of [tree,]key,bucket,value: sets each bucket's value");
  app->add_option("FILE", options.file, "The file; - is standard input")->required();
  app->add_option("--tree", options.tree, "The tree, for rows that name none");
  app->add_flag("--replace", options.replace, "Empty each tree of the file first");
  app->add_option("--bucket", options.bucket,
                  "The width of a new tree's buckets, second to year (default: day)");
  app->add_option("--tz", options.timezone, "The time zone of a new tree (default: UTC)");
  AddAddress(*app, command->address);
  app->callback([command, &status] {
    status = Report(ImportCsv(command->address, command->options), stdout);
  });
}

void AddExportFormat(CLI::App& parent, const char* name, const char* summary, Export::Format format,
                     int& status) {
  auto command = std::make_shared<Command<Export>>();
  command->options.format = format;
  CLI::App* app = parent.add_subcommand(name, summary);
  app->add_option("--tree", command->options.tree, "Only this tree (default: all)");
  app->add_option("--output", command->options.output, "The file (default: standard output)");
  AddAddress(*app, command->address);
  app->callback([command, &status] {
    status = Report(ExportRows(command->address, command->options), stderr);
  });
}

}  // namespace

void AddTransfer(CLI::App& app, int& status) {
  CLI::App* import = app.add_subcommand("import", "Read counters into a running server");
  import->require_subcommand(1);
  AddImportKarma(*import, status);
  AddImportCsv(*import, status);
  CLI::App* exports =
      app.add_subcommand("export", "Write the counters of a running server's trees");
  exports->require_subcommand(1);
  AddExportFormat(*exports, "csv", "As CSV (RFC 4180): tree,key,bucket,value", Export::Format::kCsv,
                  status);
  AddExportFormat(*exports, "jsonl", "As JSON, one object a line", Export::Format::kJsonLines,
                  status);
}

}  // namespace jeton::server
