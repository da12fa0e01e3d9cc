// The figures of a run, as a table for a person and as one line of JSON for a program.
#pragma once

#include <string>

#include "bench/load.h"

namespace jeton::bench {

std::string TableReport(const LoadOptions& options, const LoadResult& result);

// One object with a line end: rate and seconds, measured, sent and errors, the latencies in
// microseconds (p50_us, p99_us, p999_us, max_us, mean_us), first_error and, if it was asked for,
// server_cpu_us.
std::string JsonReport(const LoadResult& result);

}  // namespace jeton::bench
