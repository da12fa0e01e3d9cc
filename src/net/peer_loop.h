// PeerLoop: one thread with one epoll that owns all sockets to other nodes and drives a
// node::PeerDriver. It decides nothing about peers: it moves bytes, dials, closes and tells the
// time.
//
//   wait -> read -> one turn of the driver with all that happened -> write, dial, close
//
// Sockets are read and written outside of the turn, so that whatever the driver locks is held for
// its own work alone. What waits to be written is bounded (kUnsentMax a link): the driver paces
// itself by Backlog, and a link beyond is closed.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/dialer.h"
#include "net/socket.h"
#include "node/peer_driver.h"

namespace jeton::net {

class PeerLoop {
 public:
  static constexpr std::size_t kReadBytes = 256u << 10;    // of one link in one turn
  static constexpr std::size_t kReadTurnBytes = 8u << 20;  // of all links in one turn
  static constexpr std::size_t kUnsentMax = 64u << 20;     // of one link
  static constexpr std::size_t kAdoptedMax = 256;          // connections that wait for the loop
  static constexpr MonoNs kConnectNs = 2 * kNsPerSecond;   // to one address
  static constexpr MonoNs kFlushNs = kNsPerSecond;         // of a link that is closed
  static constexpr MonoNs kGoodByeNs = 2 * kNsPerSecond;   // of all links at the end
  static constexpr int kKeepaliveSeconds = 30;

  struct Environment {
    std::function<Now()> now;
  };
  // `driver` outlives the loop and is called by the thread of Run (or RunOnce) alone.
  PeerLoop(node::PeerDriver& driver, Environment environment);
  ~PeerLoop();

  Status Prepare();  // before everything else
  // Until Stop; then lets the driver say good-bye, sends what waits (kGoodByeNs at most) and
  // closes.
  void Run();
  // One round: waits for `timeout_ms` at most, or for what is due before.
  void RunOnce(int timeout_ms);

  // ---- any thread
  // A connection that a listener took, whose first bytes are a peer's, and what was read of it.
  // False: too many wait already; it is closed.
  bool Adopt(FileDescriptor fd, std::string first_bytes);
  void Wake();  // Tick soon
  void Stop();

  std::size_t link_count() const { return links_.size(); }  // of the loop's thread

 private:
  struct Link {
    enum class State : std::uint8_t { kResolving, kConnecting, kOpen, kFlushing };
    replication::LinkId id = 0;
    State state = State::kResolving;
    FileDescriptor fd;
    std::uint32_t events = 0;            // that epoll watches
    MonoNs deadline_ns = 0;              // kConnecting, kFlushing
    std::vector<PeerAddress> addresses;  // still to be tried, the next one last
    std::string error;                   // of the last one that was tried
    std::string out;
    std::size_t sent = 0;
    std::size_t reported = 0;  // the backlog that the driver was told or counts itself

    std::size_t unsent() const { return out.size() - sent; }
  };
  // What the driver is told in the next turn, in order.
  struct DialDone {
    replication::LinkId link;
    bool ok;
    std::string error;
  };
  struct Received {
    replication::LinkId link;
    std::string bytes;
  };
  struct Closed {
    replication::LinkId link;
    std::string why;
  };
  struct Adopted {
    FileDescriptor fd;
    std::string bytes;
  };
  using Happened = std::variant<DialDone, Received, Closed, Adopted>;

  int TimeoutMs(int timeout_ms);
  void OnEvent(Link& link, std::uint32_t what);
  void OnConnected(Link& link);
  void Read(Link& link);
  void TakeFound();
  void TakeAdopted();
  void TryNextAddress(Link& link);
  void CheckDeadlines(Now now);
  // The driver's part, and then what it asked for.
  void Turn(bool stopping);
  void Tell(Now now, Happened& happened);
  void TellBacklogs(Now now);
  void TakeIn(Now now, Adopted adopted);
  void CarryOut(replication::Output& output);
  void Dial(const replication::Dial& dial);
  void Send(Link& link, std::string bytes);
  void Close(Link& link);
  void Write(Link& link);
  void Watch(Link& link, std::uint32_t events);
  // The socket broke: the driver hears of it, the link is gone.
  void Break(Link& link, std::string why);
  void Drop(replication::LinkId id);
  void SayGoodBye();

  node::PeerDriver& driver_;
  const Environment environment_;
  FileDescriptor epoll_;
  FileDescriptor wake_;
  std::unique_ptr<Dialer> dialer_;
  std::map<replication::LinkId, Link> links_;
  std::vector<Happened> happened_;
  std::size_t read_in_turn_ = 0;
  bool backlog_is_urgent_ = false;
  std::string buffer_;

  std::atomic<bool> stop_{false};
  std::atomic<bool> woken_{false};
  std::mutex adopted_mutex_;
  std::vector<Adopted> adopted_;
};

}  // namespace jeton::net
