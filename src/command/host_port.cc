#include "command/host_port.h"

#include <algorithm>

#include "base/text.h"

namespace jeton::command {

namespace {

constexpr std::size_t kHostBytesMax = 253;  // a name in the DNS
constexpr std::size_t kListMax = 1024;

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool IsNumericV4(std::string_view host) {
  int parts = 0;
  while (true) {
    const std::string_view part = host.substr(0, host.find('.'));
    const auto number = ParseInt64(part);
    if (!number || *number < 0 || *number > 255 || part.size() > 3) return false;
    ++parts;
    if (part.size() == host.size()) return parts == 4;
    host.remove_prefix(part.size() + 1);
  }
}

}  // namespace

bool IsHost(std::string_view text) {
  if (text.empty() || text.size() > kHostBytesMax) return false;
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return IsLetter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == ':';
  });
  if (!plain || text.front() == '-' || text.front() == '.') return false;
  const bool name_or_v6 =
      std::any_of(text.begin(), text.end(), [](char c) { return IsLetter(c) || c == ':'; });
  return name_or_v6 || IsNumericV4(text);
}

std::optional<HostPort> ParseHostPort(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = ParseInt64(text.substr(colon + 1));
  if (!port || *port < 1 || *port > 65535) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  // Without brackets the last group of an IPv6 address would be taken for the port.
  if (!IsHost(host) || bracketed != (host.find(':') != std::string_view::npos)) return std::nullopt;
  return HostPort{.host = std::string(host), .port = *port};
}

std::optional<std::vector<HostPort>> ParseHostPorts(std::string_view text) {
  std::vector<HostPort> list;
  while (true) {
    const std::size_t begin = text.find_first_not_of(", ");
    if (begin == std::string_view::npos) return list;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(", "));
    auto parsed = ParseHostPort(word);
    if (!parsed || list.size() == kListMax) return std::nullopt;
    list.push_back(std::move(*parsed));
    text.remove_prefix(word.size());
  }
}

}  // namespace jeton::command
