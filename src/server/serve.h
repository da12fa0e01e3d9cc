// `jeton serve`: a node with its threads, sockets and signals.
#pragma once

#include "base/result.h"
#include "command/settings.h"

namespace jeton::server {

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;       // it could not start, or could not end in order
constexpr int kExitDiskFailed = 70;  // a write or a sync failed: restart to recover what is on disk

// Not the status of a process: the server has ended in order and is to be started again.
constexpr int kStartAgain = -1;

// Runs until a signal or SHUTDOWN; returns the exit status. Errors are logged.
int Serve(command::Settings& settings);

}  // namespace jeton::server
