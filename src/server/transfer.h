// `jeton import karma|csv` and `jeton export csv|jsonl`: clients of a running server.
#pragma once

#include <CLI/CLI.hpp>

namespace jeton::server {

// Adds both to the command line; running one sets `status`.
void AddTransfer(CLI::App& app, int& status);

}  // namespace jeton::server
