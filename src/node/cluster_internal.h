// What the parts of Cluster's implementation share.
#pragma once

#include "base/time.h"

namespace jeton::node {

// The first byte of a CONTROL record: what the node is from there on (docs/formats/log.md).
constexpr char kClusteredControl = 1;  // then varints: see Cluster::ActivateLocked
constexpr char kAloneControl = 2;

constexpr const char* kNodesFile = "nodes";

constexpr MonoNs kStatusInterval = 20 * kNsPerMs;  // between two that are published

}  // namespace jeton::node
