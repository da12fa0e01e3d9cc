// Addresses of nodes as people write them: "10.0.0.2:5262", "node-2.example.org:5262",
// "[fd00::2]:5262", and lists of them with commas or blanks in between.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace jeton::command {

struct HostPort {
  std::string host;  // without brackets
  std::int64_t port = 0;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// A numeric address or a name. Whether somebody is there is found out by dialling.
bool IsHost(std::string_view text);

std::optional<HostPort> ParseHostPort(std::string_view text);
// Nothing if one of them is none. An empty text is an empty list.
std::optional<std::vector<HostPort>> ParseHostPorts(std::string_view text);

}  // namespace jeton::command
