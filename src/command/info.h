// The texts of INFO and of CLIENT LIST, and what the server calls itself.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/time.h"
#include "command/server_state.h"

namespace jeton::command {

// The Redis whose replies the redis dialect gives; clients choose features by it.
inline constexpr std::string_view kRedisVersion = "7.2.4";

// INFO of the named sections ("default" if there are none; "all" and "everything" too), with CRLF
// line ends and a blank line between sections. Unknown sections are empty.
std::string InfoText(ServerState& server, Dialect dialect,
                     std::span<const std::string_view> sections, WallMs now);

// One line of CLIENT LIST, without a line end. The caller holds the TurnLock exclusively, or the
// session is its own.
std::string DescribeSession(const Session& session, WallMs now);

// The address under which a node that announces none shows itself: as bound, or where the client
// reached it if it is bound to every address.
struct ShownAddress {
  std::string host;
  std::int64_t port = 0;
};
ShownAddress AddressOf(const ServerState& server, const Session& session);

// What a node tells the others of how to reach it: cluster-announce-ip and -port, else as bound. No
// host if it is bound to every address: it learns that from the others.
ShownAddress AnnouncedAddress(const Values& values);

}  // namespace jeton::command
