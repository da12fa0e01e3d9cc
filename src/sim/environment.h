// The environment of a node that a simulator drives.
#pragma once

#include "base/prng.h"
#include "node/node.h"

namespace jeton::sim {

// Without directory, settings, clocks and voice, which are the caller's. Nobody is woken: the
// simulator looks after each step; there is no process to ask, to stop or to let sleep. Random
// words of the start are drawn from `prng`.
node::Environment EnvironmentOfSimulator(Prng& prng);

}  // namespace jeton::sim
