// ClusterHost: what commands, INFO and /metrics know of the other nodes, and what they may ask of
// the cluster. The node implements it.
//
// A command never waits for the replication: it reads the last status that was published (a copy
// that does not change any more), and posts its wishes, which are carried out soon after; only its
// connection waits. So the caller may hold whatever locks a worker holds.
//
// Threads: all functions from any thread, unless they say otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/decimal.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "engine/keyspace.h"

namespace jeton::command {

// One other node, as this one sees it.
struct PeerStatus {
  // In the words of CLUSTER NODES: handshake, noflags, fail?, fail, forgotten. A forgotten one is
  // only shown as long as its counts are being taken over.
  enum class State : std::uint8_t { kHandshake, kOk, kSuspected, kFailed, kForgotten };

  std::string id = {};    // 40 hex digits; a handshake may not know it yet: empty
  std::string host = {};  // as announced
  std::int64_t port = 0;
  std::string origin = {};  // 32 hex digits: its present run
  State state = State::kHandshake;
  bool link_connected = false;
  bool link_outgoing = false;  // we dialled
  WallMs link_since_ms = 0;
  WallMs ping_sent_ms = 0;  // 0: none is waiting for its pong
  WallMs pong_received_ms = 0;
  // How old the newest of its changes may be that is not known here.
  std::int64_t lag_ms = 0;
  std::uint64_t pending_bytes = 0;  // for it, not yet taken by the system
  std::uint64_t bytes_in = 0, bytes_out = 0;
  std::int64_t clock_difference_ms = 0;  // its clock minus ours
  std::uint64_t repairs = 0;             // slots that a digest found unequal and that were repaired
  Lsn acked_lsn = 0;                     // of our own log, durable there
  std::int64_t failure_reports = 0;      // nodes that say that it has failed
};

// The cluster as this node sees it. The defaults are those of a node that is alone.
struct ClusterStatus {
  std::string id = {};    // of this node, 40 hex digits; empty: ServerState::node_id
  std::string host = {};  // announced; empty: as bound
  std::int64_t port = 0;
  std::string origin = {};  // 32 hex digits: this run

  bool ok = true;  // cluster_state: a node that is cut off from most of the others is not
  std::int64_t known_nodes = 1;
  std::int64_t reachable_nodes = 0;  // others
  std::int64_t size = 1;             // members, this one too
  std::uint64_t messages_sent = 0, messages_received = 0;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint64_t frames_sent = 0, frames_received = 0;
  std::uint64_t ring_bytes = 0;

  // True if everything that any member had acknowledged `staleness_ms` ago is known here. -1: some
  // member was never heard of.
  bool consistent = true;
  std::int64_t staleness_ms = 0;
  std::vector<std::string> missing_nodes = {};  // ids of those that keep it from being consistent

  // A node that joins copies the state of another one first; until then it is not ready.
  bool copying_state = false;
  std::uint64_t state_bytes_done = 0, state_bytes_total = 0;  // total 0: not known yet

  std::vector<std::string> gc_blocked_by =
      {};                                // ids of nodes that hold up the removal of what is gone
  std::vector<std::string> alarms = {};  // one line each: clone, clock ahead, divergence ...
  std::uint64_t repairs = 0;
  std::uint64_t digests_equal = 0;
  std::uint64_t divergences = 0;  // digests that were not: must stay 0

  // A node that was forgotten and has come back: none, joining, waiting, adding, failed; and what
  // of its former life was added.
  std::string rejoin = "none";
  std::uint64_t reinjected_counters = 0;
  Decimal reinjected_amount = {};
  std::uint64_t log_segments_lost = 0;

  std::uint64_t prediction_hits = 0, prediction_misses = 0;
  double prediction_error = 0;  // mean of |predicted - real| at arrival

  std::vector<PeerStatus> peers = {};  // sorted by id
};

// What is known of one counter's value over all nodes.
struct Estimate {
  Decimal known;         // the sum of what has arrived
  Decimal value;         // with what was predicted since
  Decimal lower, upper;  // where the true value is, as far as the nodes that are heard can tell
};

class ClusterHost {
 public:
  virtual ~ClusterHost() = default;

  // Never null; the object does not change.
  virtual std::shared_ptr<const ClusterStatus> status() const = 0;

  // How many other nodes hold our own log durably up to `lsn`. As soon as this grows and somebody
  // waits (ServerState::ack_waiters), the node calls Host::WakeWorkers.
  virtual int AckedBy(Lsn lsn) const = 0;

  // Posted; the wish's number, for Outcome. `host` is a numeric address or a name, `port` 1..65535.
  // kUnavailable: too many wait.
  using Wish = std::uint64_t;
  virtual Result<Wish> Meet(std::string_view host, std::int64_t port) = 0;
  virtual Result<Wish> Forget(std::string_view id) = 0;  // 40 hex digits of a known node
  virtual Result<Wish> Reset(bool hard) = 0;             // hard: with a new node id
  virtual Result<Wish> SaveConfig() = 0;
  // What became of a wish: nothing as long as it waits. When it does not any more, status() knows
  // of it, and the node calls Host::WakeWorkers. Asked for once; only the latest are kept.
  virtual std::optional<Status> TakeOutcome(Wish wish) = 0;

  // A counter's value between its last frame and now. The caller holds the key's partition.
  // Exact wherever nothing is predicted.
  virtual Estimate EstimateOf(const engine::Key& key, const Decimal& known,
                              const Decimal& precision, Now now) const {
    (void)key, (void)precision, (void)now;
    return {.known = known, .value = known, .lower = known, .upper = known};
  }
};

}  // namespace jeton::command
