#include "command/node_address.h"

namespace jeton::command {

namespace {

constexpr std::string_view kLoopback = "127.0.0.1";

std::string_view FirstOf(std::string_view list) {
  const std::size_t begin = list.find_first_not_of(" ,");
  if (begin == std::string_view::npos) return {};
  list.remove_prefix(begin);
  return list.substr(0, list.find_first_of(" ,"));
}

bool MeansAll(std::string_view host) {
  return host.empty() || host == "*" || host == "0.0.0.0" || host == "::" || host == "::0" ||
         host == "::*";
}

// "127.0.0.1:5262", "[::1]:5262" or "::1:5262"; empty for the path of a Unix socket.
std::string_view HostOf(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || address.front() == '/') return {};
  std::string_view host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return host;
}

}  // namespace

NodeAddress ShownAddress(std::string_view bind, std::int64_t port, std::string_view local_address) {
  std::string_view host = FirstOf(bind);
  // redis.conf marks addresses that need not be there with a minus.
  if (host.size() > 1 && host.front() == '-') host.remove_prefix(1);
  if (MeansAll(host)) host = HostOf(local_address);
  if (host.empty()) host = kLoopback;
  return {.host = std::string(host), .port = port};
}

}  // namespace jeton::command
