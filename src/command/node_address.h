// The address under which a node shows itself, in the old HELLO and in CLUSTER NODES. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace jeton::command {

struct NodeAddress {
  std::string host;
  std::int64_t port = 0;

  std::string ToString() const { return host + ":" + std::to_string(port); }
};

// The first address of `bind` (a list, as in the settings file). Where that means "all", the one by
// which the asking client came in (`local_address`, "ip:port"), since it works at least for that
// client; and loopback where it came in by a Unix socket.
NodeAddress ShownAddress(std::string_view bind, std::int64_t port, std::string_view local_address);

}  // namespace jeton::command
