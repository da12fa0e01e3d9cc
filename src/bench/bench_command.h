// `jeton bench`: the load generator on the command line.
#pragma once

namespace CLI {
class App;
}

namespace jeton::bench {

// Adds the subcommand. Run, it sets `status`: 0, or 1 if the run failed or replies were errors.
// `status` outlives `app`.
void AddBench(CLI::App& app, int& status);

}  // namespace jeton::bench
