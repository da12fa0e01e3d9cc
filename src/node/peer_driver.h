// PeerDriver: what the thread that owns the sockets to other nodes (net/peer_loop) drives. The
// node's Cluster is one; tests have their own.
//
//   wait for sockets and time, read
//   Begin -> Accepted, DialDone, Receive, Closed, Backlog ... -> Tick -> TakeOutputs -> End
//   write, dial and close as the outputs say
//
// Begin and End are the place to take and to give up a lock: nothing is read or written in between.
// The calls are those of replication::Replicator, whose header says what they mean. One thread.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "replication/replicator.h"

namespace jeton::node {

class PeerDriver {
 public:
  virtual ~PeerDriver() = default;

  virtual void Begin(Now now) = 0;
  virtual void End(Now now) = 0;

  // 0: too many links, it is closed at once.
  virtual replication::LinkId Accepted(Now now, std::string_view remote_ip) = 0;
  virtual void DialDone(Now now, replication::LinkId link, bool ok, std::string_view error) = 0;
  virtual void Receive(Now now, replication::LinkId link, std::string_view bytes) = 0;
  virtual void Closed(Now now, replication::LinkId link, std::string_view why) = 0;
  virtual void Backlog(Now now, replication::LinkId link, std::size_t bytes) = 0;
  // Time has passed, or Wake was called: takes what was posted, cuts frames, and so on.
  virtual void Tick(Now now) = 0;
  // Called once after the last turn: says good-bye where that is of use.
  virtual void Stopping(Now now) = 0;
  virtual std::vector<replication::Output> TakeOutputs() = 0;

  // When Tick should be called again at the latest; asked between turns.
  virtual MonoNs NextTick(Now now) = 0;
  // Nobody but this node may be linked: connections of peers are refused. From any thread.
  virtual bool accepts_peers() const = 0;
};

}  // namespace jeton::node
