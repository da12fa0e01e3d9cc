#include "net/dialer.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

namespace jeton::net {
namespace {

// The addresses that getaddrinfo finds; flags 0 for names, AI_NUMERICHOST for no lookup.
int AddressesOf(const std::string& host, std::uint16_t port, int flags,
                std::vector<PeerAddress>& addresses) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failed = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (failed != 0) return failed;
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    if (addresses.size() == Dialer::kAddressesMax) break;
    PeerAddress address;
    std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
    address.size = at->ai_addrlen;
    addresses.push_back(address);
  }
  freeaddrinfo(list);
  return 0;
}

}  // namespace

Dialer::Dialer(int wake_fd) : shared_(std::make_shared<Shared>()) {
  shared_->wake = FileDescriptor(fcntl(wake_fd, F_DUPFD_CLOEXEC, 0));
}

void Dialer::Put(Shared& shared, Found found, bool from_thread) {
  {
    const std::lock_guard guard(shared.mutex);
    shared.found.push_back(std::move(found));
    if (from_thread) --shared.lookups;
  }
  const std::uint64_t one = 1;
  // The only possible failure is a full counter, and then the loop is awake anyway.
  if (write(shared.wake.get(), &one, sizeof one) < 0) return;
}

void Dialer::LookUp(const std::shared_ptr<Shared>& shared, std::uint64_t tag,
                    const std::string& host, std::uint16_t port) {
  Found found{.tag = tag, .addresses = {}, .error = {}};
  const int failed = AddressesOf(host, port, AI_ADDRCONFIG, found.addresses);
  if (failed != 0) found.error = "cannot look up '" + host + "': " + gai_strerror(failed);
  Put(*shared, std::move(found), true);
}

void Dialer::Resolve(std::uint64_t tag, const std::string& host, std::uint16_t port) {
  Found found{.tag = tag, .addresses = {}, .error = {}};
  if (AddressesOf(host, port, AI_NUMERICHOST, found.addresses) == 0) {
    return Put(*shared_, std::move(found), false);
  }
  {
    const std::lock_guard guard(shared_->mutex);
    if (shared_->lookups < kLookupsMax) {
      ++shared_->lookups;
    } else {
      found.error = "'" + host + "' is not looked up: " + std::to_string(kLookupsMax) +
                    " lookups of names are under way";
    }
  }
  if (!found.error.empty()) return Put(*shared_, std::move(found), false);
  try {
    std::thread([shared = shared_, tag, host, port] { LookUp(shared, tag, host, port); }).detach();
  } catch (const std::system_error& failure) {
    found.error = "'" + host + "' is not looked up: " + failure.what();
    Put(*shared_, std::move(found), true);
  }
}

std::vector<Dialer::Found> Dialer::Take() {
  const std::lock_guard guard(shared_->mutex);
  return std::exchange(shared_->found, {});
}

Result<FileDescriptor> Dialer::Connect(const PeerAddress& address, int keepalive_seconds,
                                       bool& connected) {
  FileDescriptor fd(
      socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Error{ErrorKind::kIo, std::strerror(errno)};
  ConfigureClient(fd.get(), keepalive_seconds);
  connected =
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0;
  if (!connected && errno != EINPROGRESS) return Error{ErrorKind::kIo, std::strerror(errno)};
  return fd;
}

}  // namespace jeton::net
