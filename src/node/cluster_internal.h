// What the parts of Cluster's implementation share.
#pragma once

namespace jeton::node {

// The first byte of a CONTROL record: what the node is from there on (docs/formats/log.md).
constexpr char kClusteredControl = 1;  // then a varint: up to which LSN nothing is in frames
constexpr char kAloneControl = 2;

constexpr const char* kNodesFile = "nodes";

}  // namespace jeton::node
