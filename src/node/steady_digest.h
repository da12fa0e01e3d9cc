// SteadyDigest: a digest of what this node had while nothing changed, to be compared with a peer's.
//
// Equal vectors mean equal states (exact prefixes), and frames with nothing but a row change the
// vector and not the state. So a digest holds for all vectors from `since` to `until`, and two
// nodes must have equal ones if some vector lies in both ranges. The walk takes a while; it is done
// when nothing has changed for some time, begun anew when something does, and its result is kept
// until there is a newer one.
//
// Threads: Changed holds the TurnLock exclusively; the rest is the peer loop's.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "crdt/version_vector.h"
#include "engine/replica.h"
#include "replication/host.h"

namespace jeton::node {

class SteadyDigest {
 public:
  // The state has changed, beyond what waits for a cut.
  void Changed() { changes_.fetch_add(1, std::memory_order_relaxed); }
  // The TurnLock is held shared. Does some of the walk; one is begun at most every `interval`.
  void Tick(engine::Replica& replica, MonoNs now, MonoNs interval);

  // Empty if there was no quiet time yet.
  std::string Encode() const;
  replication::DigestOutcome Compare(std::string_view theirs) const;

 private:
  struct Result {
    crdt::VersionVector since, until;
    engine::Replica::Digest digest = {};
  };

  static std::optional<Result> Decode(std::string_view bytes);

  std::atomic<std::uint64_t> changes_{1};
  std::uint64_t seen_ = 0;  // of them
  MonoNs steady_at_ = 0, walked_at_ = 0;
  crdt::VersionVector since_;  // the vector at steady_at_
  std::optional<engine::Replica::DigestCursor> walk_;
  std::optional<Result> result_;
  bool current_ = false;  // result_ is of the state that there is
};

}  // namespace jeton::node
