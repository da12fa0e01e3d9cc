// The server's own log lines: to standard output or a file, with time and level, by spdlog.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "command/settings.h"
#include "node/node.h"

namespace spdlog {
class logger;
}

namespace jeton::server {

// Any thread may call Say.
class Logger {
 public:
  // `loglevel` and `logfile` of the settings. Error if the file cannot be opened.
  static Result<std::unique_ptr<Logger>> Open(const command::Values& values);
  ~Logger();

  void Say(node::LogLevel level, std::string_view line);
  void SetLevel(std::string_view loglevel);

 private:
  explicit Logger(std::shared_ptr<spdlog::logger> logger);

  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace jeton::server
