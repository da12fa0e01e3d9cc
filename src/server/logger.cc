#include "server/logger.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace jeton::server {
namespace {

// spdlog has no "verbose" and "notice" of Redis' scale: they are its debug and info.
spdlog::level::level_enum LevelOf(node::LogLevel level) {
  switch (level) {
    case node::LogLevel::kDebug:
      return spdlog::level::trace;
    case node::LogLevel::kVerbose:
      return spdlog::level::debug;
    case node::LogLevel::kNotice:
      return spdlog::level::info;
    case node::LogLevel::kWarning:
      return spdlog::level::warn;
  }
  return spdlog::level::info;
}

}  // namespace

Logger::Logger(std::shared_ptr<spdlog::logger> logger) : logger_(std::move(logger)) {}
Logger::~Logger() {
  logger_->flush();
}

Result<std::unique_ptr<Logger>> Logger::Open(const command::Values& values) {
  std::shared_ptr<spdlog::sinks::sink> sink;
  try {
    if (values.logfile.empty()) {
      sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(values.logfile);
    }
  } catch (const spdlog::spdlog_ex& failure) {
    return Error{ErrorKind::kIo, "logfile: " + std::string(failure.what())};
  }
  auto logger = std::make_shared<spdlog::logger>("jeton", std::move(sink));
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
  logger->flush_on(spdlog::level::trace);
  std::unique_ptr<Logger> opened(new Logger(std::move(logger)));
  opened->SetLevel(values.loglevel);
  return opened;
}

void Logger::SetLevel(std::string_view loglevel) {
  const auto level = loglevel == "debug"     ? node::LogLevel::kDebug
                     : loglevel == "verbose" ? node::LogLevel::kVerbose
                     : loglevel == "warning" ? node::LogLevel::kWarning
                                             : node::LogLevel::kNotice;
  logger_->set_level(LevelOf(level));
}

void Logger::Say(node::LogLevel level, std::string_view line) {
  logger_->log(LevelOf(level), "{}", line);
}

}  // namespace jeton::server
