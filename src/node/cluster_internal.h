// What the parts of Cluster's implementation share.
#pragma once

#include "base/time.h"
#include "engine/log_control.h"

namespace jeton::node {

using engine::kAloneControl;
using engine::kClusteredControl;

// The first byte of a record of a snapshot, in kFramePartition: engine::Injected of each run.
constexpr char kInjectedRecord = '\xfc';

constexpr const char* kNodesFile = "nodes";

constexpr MonoNs kStatusInterval = 20 * kNsPerMs;  // between two that are published

}  // namespace jeton::node
