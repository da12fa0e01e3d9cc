// Any bytes from a peer: nothing crashes, whatever was said before. The first byte chooses how far
// the link has come and which types the payloads get; the rest is cut into messages with right
// checksums, so that the decoders behind them are reached.
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "replication/message.h"
#include "replication/test_host.h"

namespace {

using namespace jeton;                     // NOLINT: a fuzz target is one function
using namespace jeton::replication;        // NOLINT
using namespace jeton::replication::test;  // NOLINT

constexpr Now kNow{.wall_ms = 1'700'000'000'000, .mono_ns = 1'000'000'000};

std::string Message(MessageType type, std::uint8_t flags, std::uint32_t stream,
                    std::string_view payload) {
  std::string bytes;
  PutMessage(bytes, type, flags, stream, payload);
  return bytes;
}

void ShakeHands(Replicator& replicator, LinkId link) {
  Hello hello;
  hello.adoptable = hello.meet = true;
  hello.node = NodeNumber(2);
  hello.origin = OriginNumber(2);
  hello.version = {1, hello.origin};
  replicator.Receive(kNow, link, Message(MessageType::kHello, 0, 0, EncodeHello(hello)));
  replicator.Receive(kNow, link, Message(MessageType::kWelcome, 0, 0, std::string(32, '\0')));
  replicator.Receive(kNow, link, Message(MessageType::kVector, 0, 0, EncodeVector({})));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::uint8_t how = *data;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

  Disk disk;
  disk.node = NodeNumber(1);
  disk.cluster = ClusterNumber(1);
  Ledger ledger;
  TestHost host(disk, ledger, OriginNumber(1), 1);
  Replicator replicator(host, 1, {});
  replicator.Announce(kNow, {"here", 1});
  host.Increment(1);
  ASSERT(replicator.AddFrame(kNow, host.Cut(true)).ok());

  const LinkId link = replicator.Accepted(kNow, "10.0.0.2");
  if ((how & 1) != 0) ShakeHands(replicator, link);
  if ((how & 2) != 0) {
    replicator.Receive(kNow, link, bytes);
  } else {
    while (bytes.size() > 4) {
      const auto type = static_cast<std::uint8_t>(bytes[0]) % 18;
      const auto flags = static_cast<std::uint8_t>(bytes[1] & kFlagsKnown);
      const auto stream = static_cast<std::uint8_t>(bytes[2]);
      const std::size_t length =
          std::min<std::size_t>(static_cast<std::uint8_t>(bytes[3]), bytes.size() - 4);
      replicator.Receive(
          kNow, link,
          Message(static_cast<MessageType>(type), flags, stream, bytes.substr(4, length)));
      bytes.remove_prefix(4 + length);
    }
  }
  Now later = kNow;
  for (int i = 0; i < 3; ++i) {
    later.mono_ns += 300 * kNsPerMs;
    replicator.Tick(later);
    (void)replicator.TakeOutputs();
    replicator.Backlog(later, link, 0);
  }
  (void)replicator.status(later);
  (void)DecodeNodes(bytes);
  return 0;
}
