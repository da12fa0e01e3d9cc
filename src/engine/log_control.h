// The kinds of CONTROL records of the log (docs/formats/log.md): their first byte.
#pragma once

namespace jeton::engine {

// From here on the node has peers; a varint: up to which LSN nothing is in frames; and if it is not
// 0 another one: how many clusters this run has left before.
constexpr char kClusteredControl = 1;
constexpr char kAloneControl = 2;     // it has left them, and is alone with its values
constexpr char kInjectedControl = 3;  // engine/own_tail.h

}  // namespace jeton::engine
