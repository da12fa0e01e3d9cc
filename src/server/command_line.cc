#include "server/command_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "base/version.h"
#include "bench/bench_command.h"
#include "command/reference.h"
#include "command/settings.h"
#include "server/serve.h"
#include "server/transfer.h"
#include "storage/check.h"
#include "storage/posix_file_system.h"

namespace jeton::server {
namespace {

struct ServeOptions {
  std::string file;
  std::map<std::string, std::string> flags;  // by setting
  bool check_config = false;
};

Result<std::string> ReadConfig(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return Error{ErrorKind::kNotFound, fmt::format("{}: {}", path, std::strerror(errno))};
  }
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> ProcessEnvironment() {
  std::vector<std::string> pairs;
  for (char** entry = environ; *entry != nullptr; ++entry) pairs.emplace_back(*entry);
  return pairs;
}

Status LoadSettings(const ServeOptions& options, command::Settings& settings) {
  if (!options.file.empty()) {
    auto text = ReadConfig(options.file);
    if (!text) return text.error();
    if (Status s = settings.LoadText(*text, options.file, ReadConfig); !s) return s;
    settings.config_file = options.file;
  }
  const auto environment = ProcessEnvironment();
  if (Status s = settings.LoadEnvironment(environment); !s) return s;
  for (const auto& [name, value] : options.flags) {
    if (Status s = settings.Set(name, value, command::Source::kFlag); !s) {
      return Error{s.error().kind, "--" + s.error().text};
    }
  }
  return {};
}

int RunServe(const ServeOptions& options) {
  command::Settings settings;
  if (Status loaded = LoadSettings(options, settings); !loaded) {
    fmt::print(stderr, "jeton: {}\n", loaded.error().text);
    return kExitFailed;
  }
  if (options.check_config) {
    fmt::print("The settings are valid.\n");
    return kExitOk;
  }
  return Serve(settings);
}

int RunCheck(const std::string& path) {
  auto directory = OpenPosixDirectory(path, false);
  if (!directory) {
    fmt::print(stderr, "jeton: {}\n", directory.error().text);
    return kExitFailed;
  }
  auto report =
      CheckDirectory(**directory, [](const std::string& line) { fmt::print("{}\n", line); });
  if (!report) {
    fmt::print(stderr, "jeton: {}\n", report.error().text);
    return kExitFailed;
  }
  fmt::print("{} files, {} log records, {} bytes of a torn tail, {} problems\n", report->files,
             report->records, report->torn_bytes, report->problems);
  return report->problems == 0 ? kExitOk : kExitFailed;
}

// Karma's flags with Karma's meaning, so that its start scripts go on working.
void AddKarmaFlags(CLI::App& serve, ServeOptions& options) {
  const auto add = [&](const char* flag, const char* setting, const char* summary) {
    serve.add_option_function<std::string>(
        flag,
        [&options, setting](const std::string& value) {
          options.flags[setting] = value == "true" ? "yes" : value == "false" ? "no" : value;
        },
        summary);
  };
  add("-b", "bind", "as --bind");
  add("-p", "port", "as --port");
  add("-d", "dir", "as --dir");
  add("-r", "restore", "as --restore; true or false");
  serve.add_option_function<std::string>(
      "-n", [](const std::string&) {}, "nothing: TCP_NODELAY is always on");
}

void AddServe(CLI::App& app, ServeOptions& options, int& status) {
  CLI::App* serve = app.add_subcommand("serve", "Run a server");
  serve->add_option("FILE", options.file, "Settings file: lines of `name value`, `include FILE`");
  serve->add_flag("--check-config", options.check_config, "Check the settings and exit");
  for (const auto& setting : command::Settings::Describe()) {
    const bool boolean = setting.kind == "yes|no";
    auto* option = serve->add_option_function<std::string>(
        "--" + setting.name,
        [&options, name = setting.name](const std::string& value) { options.flags[name] = value; },
        fmt::format("{} (default: {})", setting.summary,
                    setting.default_value.empty() ? "none" : setting.default_value));
    option->type_name(setting.kind);
    if (boolean) option->expected(0, 1)->default_str("yes");
  }
  serve->add_option_function<std::string>(
      "--join", [&options](const std::string& value) { options.flags["cluster-join"] = value; },
      "as --cluster-join");
  AddKarmaFlags(*serve, options);
  serve->callback([&options, &status] { status = RunServe(options); });
}

void AddCheck(CLI::App& app, std::string& path, int& status) {
  CLI::App* check =
      app.add_subcommand("check", "Verify a data directory: log, snapshots, manifests");
  check->add_option("DIR", path, "The data directory of a server that is not running")->required();
  check->callback([&path, &status] { status = RunCheck(path); });
}

void AddReference(CLI::App& app, std::string& page, int& status) {
  CLI::App* reference =
      app.add_subcommand("reference", "Print a page of the reference as Markdown");
  reference->add_option("PAGE", page, "commands or settings")
      ->required()
      ->check(CLI::IsMember({"commands", "settings"}));
  reference->callback([&page, &status] {
    status = kExitOk;
    fmt::print("{}", page == "commands" ? command::CommandReference(command::CommandTable())
                                        : command::SettingsReference());
  });
}

}  // namespace

int RunCommandLine(int argc, char** argv) {
  CLI::App app("Jeton, the counter database");
  app.name("jeton");
  app.set_version_flag("--version", fmt::format("jeton {}", kVersion));
  app.require_subcommand(1);
  int status = kExitOk;
  ServeOptions serve;
  std::string check_path;
  std::string page;
  AddServe(app, serve, status);
  AddCheck(app, check_path, status);
  AddReference(app, page, status);
  AddTransfer(app, status);
  bench::AddBench(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure);
  }
  return status;
}

}  // namespace jeton::server
