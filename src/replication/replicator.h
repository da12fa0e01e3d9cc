// Replicator: keeps one node's links to its peers, so that everybody's frames get to everybody: the
// handshake, the list of members, vectors and pulls, state transfers, heartbeats, statistics. What
// it says on the wire is docs/formats/links.md.
//
// A state machine: no sockets, no clock, no threads. Whoever drives it (net/peer_loop, the
// simulator) reports what happened (Receive, Closed, Tick ...), and afterwards carries out what
// TakeOutputs returns. Not thread-safe. Deterministic: its only randomness is `seed` (jitter) and
// Host::RandomBytes (challenges).
//
// Nothing here assumes that every node reaches every other one, or an order between links: a frame
// may arrive from anybody, twice, or never on this link.
//
// How frames travel. A fresh own frame is pushed to each linked peer that is known to be at its
// `from`. Everything else is pulled: a node announces what it has (VV), and who has less asks
// (NEED) one peer at a time per origin, whoever the origin is. Answers come from the ring of recent
// frames, then from Host::OldFrame; if there is nothing, a node whose whole vector is covered by
// the peer's asks for its state instead. If it is not covered, the peer first pulls what it lacks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "replication/host.h"
#include "replication/limits.h"
#include "replication/member.h"
#include "replication/status.h"

namespace jeton::replication {

using LinkId = std::uint64_t;  // never reused; 0 is none

// To be carried out in order. At most one Send per link and call; a link's Close comes after it,
// and what was sent before should still be flushed, for a second at most. After a Close nothing
// more is expected from the link, and nothing that arrives for it is read.
struct Send {
  LinkId link = 0;
  std::string bytes;
};
struct Dial {
  LinkId link = 0;
  std::string host;  // a name or an address
  std::uint16_t port = 0;
};
struct Close {
  LinkId link = 0;
  std::string reason;
};
using Output = std::variant<Send, Dial, Close>;

struct Event {
  bool warning = false;
  std::string text;  // one line for the operator
};

class Replicator {
 public:
  // `seed`: of the jitter. `host` outlives the Replicator; its ids are read here.
  Replicator(Host& host, std::uint64_t seed, Settings settings);
  ~Replicator();
  Replicator(const Replicator&) = delete;
  Replicator& operator=(const Replicator&) = delete;

  // --- once, at start, in this order
  // Where peers reach us; an empty host is learned from the first peer. May be called again.
  void Announce(Now now, const Address& address);
  // The content of the `nodes` file. Our own record gets our new origin and a newer version.
  void Restore(Now now, const NodesFile& nodes);
  // Frames that recovery found, oldest first per origin.
  // And later: own frames as they become publishable, when applied() already has their `to`.
  // Frames that came from peers are added by Receive. kInvalid beyond kFrameBytesMax.
  Status AddFrame(Now now, std::shared_ptr<const std::string> bytes);

  // --- requests of the operator
  // Dials until linked once. `keep`: also after a refusal (--join), else a refusal or five minutes
  // end it. kInvalid: port 0, no host, too many at once.
  Status Meet(Now now, const Address& address, bool keep);
  // kNotFound, kInvalid (ourselves). For ever.
  Status Forget(Now now, const NodeId& node);
  // Leaves: closes all links and drops all records. Call it after the host has taken its new ids
  // (cluster; node too if hard; a fresh origin).
  void Reset(Now now);
  void Configure(Now now, Settings settings);
  // Sends our digest to every linked peer.
  void CheckDigests(Now now);

  // --- what the transport reports
  // Returns 0 when there are too many links: close it.
  LinkId Accepted(Now now, std::string_view remote_ip);
  void DialDone(Now now, LinkId link, bool ok, std::string_view error);
  void Receive(Now now, LinkId link, std::string_view bytes);
  void Closed(Now now, LinkId link, std::string_view why);
  // How many bytes of this link's Sends are not yet with the kernel. Report it after every write
  // that was short, and when it gets to zero: sending is paced by it.
  void Backlog(Now now, LinkId link, std::size_t bytes);

  // Call it at NextTick(), which is never further away than a heartbeat, and after the host's
  // vectors moved on.
  void Tick(Now now);
  MonoNs NextTick() const;
  // Before the process ends: closes all links, so that peers know at once.
  void Stop(Now now);

  std::vector<Output> TakeOutputs();
  std::vector<Event> TakeEvents();

  // --- what is known
  ReplicatorStatus status(Now now) const;
  const MemberMap& members() const;
  bool clustered() const;
  // How many other nodes hold durably everything of our running origin up to `lsn`.
  std::size_t AckedBy(Lsn lsn) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace jeton::replication
