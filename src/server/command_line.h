// The command line: `jeton serve [FILE] [--name value ...]`, `jeton check DIR`, `jeton import` and
// `jeton export` (transfer.h), `jeton bench`, --version, --help.
// Flags of `serve` come from the settings table; nothing is listed twice.
#pragma once

namespace jeton::server {

int RunCommandLine(int argc, char** argv);

}  // namespace jeton::server
