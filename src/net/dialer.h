// Dialer: finds the addresses of a name without holding up the thread that asks, and opens sockets
// that connect in the background.
//
// Numeric addresses are answered at once. A name is looked up by a short-lived thread of its own
// (getaddrinfo cannot be interrupted), of which there are few; what it found waits until it is
// taken. The thread may outlive the Dialer: it touches only what it shares.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/socket.h"

namespace jeton::net {

struct PeerAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

class Dialer {
 public:
  static constexpr int kLookupsMax = 16;  // at one time
  static constexpr std::size_t kAddressesMax = 8;

  struct Found {
    std::uint64_t tag = 0;
    std::vector<PeerAddress> addresses;
    std::string error;  // if there are none
  };

  // `wake_fd`: an eventfd that is written to when something was found. It is duplicated.
  explicit Dialer(int wake_fd);

  // The answer comes by Take, at once for a numeric address.
  void Resolve(std::uint64_t tag, const std::string& host, std::uint16_t port);
  std::vector<Found> Take();

  // A socket that connects; `connected` if it is done already. TCP_NODELAY and keep-alive are set.
  static Result<FileDescriptor> Connect(const PeerAddress& address, int keepalive_seconds,
                                        bool& connected);

 private:
  struct Shared {
    std::mutex mutex;
    std::vector<Found> found;
    int lookups = 0;
    FileDescriptor wake;
  };
  static void LookUp(const std::shared_ptr<Shared>& shared, std::uint64_t tag,
                     const std::string& host, std::uint16_t port);
  static void Put(Shared& shared, Found found, bool from_thread);

  std::shared_ptr<Shared> shared_;
};

}  // namespace jeton::net
