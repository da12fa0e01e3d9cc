// PeerLoop over loopback sockets with a driver that only remembers. Nothing sleeps: rounds are run
// until what is expected has happened, with a bound on their number.
#include "net/peer_loop.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <thread>

namespace jeton::net {
namespace {

using replication::LinkId;
using testing::HasSubstr;

Now RealNow() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return {.wall_ms = 0, .mono_ns = t.tv_sec * kNsPerSecond + t.tv_nsec};
}

// Remembers what it was told, and hands out what the test queued.
class FakeDriver final : public node::PeerDriver {
 public:
  void Begin(Now) override {
    EXPECT_FALSE(in_turn);
    in_turn = true;
  }
  void End(Now) override { in_turn = false; }
  LinkId Accepted(Now, std::string_view remote_ip) override {
    EXPECT_TRUE(in_turn);
    accepted_from = remote_ip;
    return refuse ? 0 : next_link++;
  }
  void DialDone(Now, LinkId link, bool ok, std::string_view error) override {
    dialled[link] = ok ? "ok" : std::string(error);
  }
  void Receive(Now, LinkId link, std::string_view bytes) override {
    EXPECT_TRUE(in_turn);
    received[link] += bytes;
  }
  void Closed(Now, LinkId link, std::string_view why) override { closed[link] = why; }
  void Backlog(Now, LinkId link, std::size_t bytes) override { backlog[link] = bytes; }
  void Tick(Now now) override {
    ++ticks;
    next_tick_ns = now.mono_ns + 20 * kNsPerMs;
  }
  void Stopping(Now) override { outputs = at_stop; }
  std::vector<replication::Output> TakeOutputs() override { return std::exchange(outputs, {}); }
  MonoNs NextTick(Now) override { return next_tick_ns; }
  bool accepts_peers() const override { return true; }

  bool in_turn = false, refuse = false;
  LinkId next_link = 1000;
  int ticks = 0;
  MonoNs next_tick_ns = 0;
  std::string accepted_from;
  std::map<LinkId, std::string> dialled, received, closed;
  std::map<LinkId, std::size_t> backlog;
  std::vector<replication::Output> outputs, at_stop;
};

class PeerLoopTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(loop_.Prepare());
    auto listener = ListenTcp("127.0.0.1", 0, 16);
    ASSERT_TRUE(listener);
    listener_ = std::move(listener).value();
    const std::string local = EndpointsOf(listener_.get()).local;
    port_ = static_cast<std::uint16_t>(std::stoi(local.substr(local.rfind(':') + 1)));
  }

  template <typename Condition>
  bool RunUntil(const Condition& condition) {
    for (int round = 0; round < 2000; ++round) {
      if (condition()) return true;
      loop_.RunOnce(5);
    }
    return condition();
  }

  // What the test holds of a connection; blocking.
  FileDescriptor AcceptOne() {
    pollfd ready{.fd = listener_.get(), .events = POLLIN, .revents = 0};
    poll(&ready, 1, 5000);
    return FileDescriptor(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  // Dials the listener by the loop; the far end is returned.
  FileDescriptor Link(LinkId id) {
    driver_.outputs.emplace_back(replication::Dial{id, "127.0.0.1", port_});
    EXPECT_TRUE(RunUntil([&] { return driver_.dialled.contains(id); }));
    EXPECT_EQ(driver_.dialled[id], "ok");
    return AcceptOne();
  }
  static std::string ReadSome(int fd, std::size_t size) {
    std::string bytes(size, '\0');
    const ssize_t got = recv(fd, bytes.data(), size, MSG_WAITALL);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }

  FakeDriver driver_;
  PeerLoop loop_{driver_, {.now = RealNow}};
  FileDescriptor listener_;
  std::uint16_t port_ = 0;
};

TEST_F(PeerLoopTest, DialsSendsReceivesAndTellsOfTheEnd) {
  FileDescriptor far = Link(1);
  driver_.outputs.emplace_back(replication::Send{1, "hello"});
  loop_.Wake();
  ASSERT_TRUE(RunUntil([&] { return driver_.backlog.contains(1); }));
  EXPECT_EQ(driver_.backlog[1], 0u);
  EXPECT_EQ(ReadSome(far.get(), 5), "hello");
  ASSERT_EQ(send(far.get(), "answer", 6, 0), 6);
  ASSERT_TRUE(RunUntil([&] { return driver_.received[1] == "answer"; }));
  far.Reset();
  ASSERT_TRUE(RunUntil([&] { return driver_.closed.contains(1); }));
  EXPECT_EQ(loop_.link_count(), 0u);
}

TEST_F(PeerLoopTest, ResolvesNames) {
  driver_.outputs.emplace_back(replication::Dial{1, "localhost", port_});
  driver_.outputs.emplace_back(replication::Dial{2, "no-such-name.invalid", port_});
  ASSERT_TRUE(RunUntil([&] { return driver_.dialled.size() == 2; }));
  EXPECT_EQ(driver_.dialled[1], "ok");
  EXPECT_THAT(driver_.dialled[2], HasSubstr("no-such-name.invalid"));
}

TEST_F(PeerLoopTest, TellsWhenNobodyListens) {
  listener_.Reset();
  driver_.outputs.emplace_back(replication::Dial{1, "127.0.0.1", port_});
  ASSERT_TRUE(RunUntil([&] { return driver_.dialled.contains(1); }));
  EXPECT_THAT(driver_.dialled[1], HasSubstr("refused"));
  EXPECT_EQ(loop_.link_count(), 0u);
}

TEST_F(PeerLoopTest, TakesOverWhatAListenerAccepted) {
  FileDescriptor far(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port_);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(far.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  FileDescriptor near = AcceptOne();
  fcntl(near.get(), F_SETFL, O_NONBLOCK);
  ASSERT_EQ(send(far.get(), "more", 4, 0), 4);
  ASSERT_TRUE(loop_.Adopt(std::move(near), "JTN1"));
  ASSERT_TRUE(RunUntil([&] { return driver_.received[1000] == "JTN1more"; }));
  EXPECT_EQ(driver_.accepted_from, "127.0.0.1");
}

TEST_F(PeerLoopTest, ClosesWhatTheDriverHasNoRoomFor) {
  driver_.refuse = true;
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  FileDescriptor far(ends[1]);
  ASSERT_TRUE(loop_.Adopt(FileDescriptor(ends[0]), "JTN1"));
  char byte;
  ASSERT_TRUE(RunUntil([&] { return recv(far.get(), &byte, 1, 0) == 0; }));
  EXPECT_EQ(loop_.link_count(), 0u);
}

TEST_F(PeerLoopTest, BoundsTheConnectionsThatWait) {
  for (std::size_t i = 0; i < PeerLoop::kAdoptedMax; ++i) {
    ASSERT_TRUE(loop_.Adopt(FileDescriptor(), "JTN1"));
  }
  EXPECT_FALSE(loop_.Adopt(FileDescriptor(), "JTN1"));
}

TEST_F(PeerLoopTest, ReportsTheBacklogOfAReaderThatIsSlow) {
  FileDescriptor far = Link(1);
  const std::size_t size = 16u << 20;
  driver_.outputs.emplace_back(replication::Send{1, std::string(size, 'x')});
  loop_.Wake();
  ASSERT_TRUE(RunUntil([&] { return driver_.backlog.contains(1); }));
  EXPECT_GT(driver_.backlog[1], 0u);
  std::string bytes(1u << 20, '\0');
  std::size_t read = 0;
  ASSERT_TRUE(RunUntil([&] {
    const ssize_t got = recv(far.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got > 0) read += static_cast<std::size_t>(got);
    return read == size && driver_.backlog[1] == 0;
  }));
}

TEST_F(PeerLoopTest, ClosesALinkWhoseUnsentBytesHaveNoEnd) {
  FileDescriptor far = Link(1);
  driver_.outputs.emplace_back(replication::Send{1, std::string(PeerLoop::kUnsentMax, 'x')});
  driver_.outputs.emplace_back(replication::Send{1, std::string(PeerLoop::kUnsentMax, 'x')});
  loop_.Wake();
  ASSERT_TRUE(RunUntil([&] { return driver_.closed.contains(1); }));
  EXPECT_THAT(driver_.closed[1], HasSubstr("unsent"));
}

TEST_F(PeerLoopTest, SendsWhatWaitsBeforeItCloses) {
  FileDescriptor far = Link(1);
  const std::size_t size = 8u << 20;
  driver_.outputs.emplace_back(replication::Send{1, std::string(size, 'x')});
  driver_.outputs.emplace_back(replication::Close{1, "enough"});
  loop_.Wake();
  std::string bytes(1u << 20, '\0');
  std::size_t read = 0;
  ASSERT_TRUE(RunUntil([&] {
    const ssize_t got = recv(far.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got > 0) read += static_cast<std::size_t>(got);
    return got == 0;
  }));
  EXPECT_EQ(read, size);
  EXPECT_FALSE(driver_.closed.contains(1));  // it was the driver's own wish
}

TEST_F(PeerLoopTest, SaysGoodByeAtTheEnd) {
  FileDescriptor far = Link(1);
  driver_.at_stop.emplace_back(replication::Send{1, "good-bye"});
  std::thread thread([&] { loop_.Run(); });
  loop_.Stop();
  EXPECT_EQ(ReadSome(far.get(), 8), "good-bye");
  EXPECT_EQ(ReadSome(far.get(), 1), "");
  thread.join();
}

TEST_F(PeerLoopTest, TicksWithoutTraffic) {
  ASSERT_TRUE(RunUntil([&] { return driver_.ticks > 0; }));
}

}  // namespace
}  // namespace jeton::net
