// Host: what a Replicator needs from the node that it belongs to. All methods are called from
// inside Replicator methods, on its thread, and must not call back into the Replicator. The host
// outlives it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "crdt/frame.h"
#include "crdt/version_vector.h"
#include "replication/member.h"

namespace jeton::replication {

enum class ApplyOutcome : std::uint8_t {
  kApplied,  // logged and applied; applied() now has `to` for its origin
  kKnown,    // to <= known: nothing to do
  kGap,      // from > known; or it folds an origin at another end than is known: a state is needed
  kRefused,  // the frame cannot be right (its body does not decode): the link is closed
  kBusy      // not now (disk full, loading): asked for again later
};

enum class DigestOutcome : std::uint8_t { kEqual, kDifferent, kNotComparable };

// What a donor begins with. `handle` names the transfer in later calls; `vector` is what the scan
// covers at least; `head` is opaque, at most kFrameBytesMax; `bytes_expected` (a guess, 0: none) is
// what the receiver shows as its goal.
struct StateStart {
  std::uint64_t handle = 0;
  crdt::VersionVector vector;
  std::string head;
  std::uint64_t bytes_expected = 0;
};

// One chunk of a state: opaque bytes, at most kFrameBytesMax; with `end` the last one (it may be
// empty), after which the receiver knows exactly `end_vector` (the frames between the scan's cut
// and its end are among the chunks).
struct StateChunk {
  std::string bytes;
  bool end = false;
  crdt::VersionVector end_vector;
};

// Who says that we were forgotten.
struct Forgetter {
  NodeId node{};                // zeros: it was gossiped
  Address address;              // where it is reached, as far as that is known
  bool forgotten_here = false;  // we have forgotten it, too
  bool met = false;             // we asked it because of a MEET
};

class Host {
 public:
  virtual ~Host() = default;

  // --- who we are
  virtual NodeId node_id() const = 0;
  virtual ClusterId cluster() const = 0;
  virtual OriginId origin() const = 0;
  // Own origins that are not folded yet, the running one included (at most kOwnOriginsMax): a node
  // that was forgotten learns from its peers how much of each of them they had.
  virtual std::vector<OriginId> OwnOrigins() const = 0;
  // No client has written anything here, nor has anything come from peers: such a node may take on
  // another cluster's id. (Frames with nothing but rows or CLOSE do not count.)
  virtual bool IsEmpty() const = 0;
  // Durably, before it returns. Called only while IsEmpty().
  virtual Status AdoptCluster(const ClusterId& cluster) = 0;

  // --- what we know
  // Known here, exactly. Of the own origin: what was published by AddFrame, no more.
  virtual const crdt::VersionVector& applied() const = 0;
  // Of that, what a crash leaves. Never beyond applied().
  virtual const crdt::VersionVector& durable() const = 0;
  // The own origin's last LSN that an acknowledged write may have, whether cut into a frame or not.
  // An idle node must get to applied()[origin] == Head(), or nobody will call it consistent.
  virtual Lsn Head() const = 0;
  // Of all running origins of this process: the lazy one (LazyOf) may lag behind what is
  // acknowledged without making anybody inconsistent, but a state must not replace what it lacks.
  virtual crdt::VersionVector Heads() const {
    crdt::VersionVector heads;
    heads.Advance(origin(), Head());
    return heads;
  }

  // --- frames
  // `bytes` is the whole encoding of `frame`; frame.from <= applied()[frame.origin] < frame.to.
  virtual ApplyOutcome ApplyFrame(const crdt::Frame& frame, std::string_view bytes) = 0;
  // A frame with from <= after < to that the ring no longer has: read from the log, or made by
  // merging. Null: there is none, and the peer needs a state transfer.
  virtual std::shared_ptr<const std::string> OldFrame(const OriginId&, Lsn /*after*/) {
    return nullptr;
  }
  // A CLOSE of this origin was applied: its process must not go on.
  virtual bool IsClosed(const OriginId& origin) const = 0;
  // The final LSN of an origin that was folded into another one.
  virtual std::optional<Lsn> FoldedAt(const OriginId& origin) const = 0;

  // --- members
  // All records, our own and the forgotten ones among them: to be written to the `nodes` file, and
  // to be told to the engine (stability is a minimum over the members; what a forgotten one wrote
  // is over, and to be closed).
  virtual void MembersChanged(const std::vector<Member>& members) = 0;
  // Whether the node lacks what the others had when it joined them. To be written to the `nodes`
  // file: a node that dies before it has it is not ready after its next start, either.
  virtual void JoiningChanged(bool /*joining*/) {}
  // Whether something was folded here of which a peer with that vector has more: it was not asked.
  // Such a node was let in by one that we had forgotten by then.
  virtual bool FoldedWithout(const crdt::VersionVector& /*holds*/) const { return false; }
  // Peers have forgotten us. `finals`: how much of our origins they folded (origins that are not
  // folded yet are not in it; they are told again at each attempt). Called at every refusal.
  virtual void WeWereForgotten(const Forgetter& by, const crdt::VersionVector& finals) = 0;
  // Our running origin was closed by another process of this node: it must not write any more.
  virtual void WeWereFenced(Lsn known_to_peers) = 0;

  // --- clock and randomness
  // The node's hybrid clock (crdt/clock.h): one for SETs, settings and member records.
  virtual std::uint64_t NextClock(Now now) = 0;
  virtual void SawClock(std::uint64_t clock) = 0;
  // Bytes that no one can guess (the simulator takes them from its seed).
  virtual void RandomBytes(std::uint8_t* out, std::size_t size) = 0;

  // --- state transfer, as donor
  virtual Result<StateStart> StateBegin(const NodeId& receiver) = 0;
  virtual Result<StateChunk> NextStateChunk(std::uint64_t handle, std::size_t bytes_max) = 0;
  // Ended or given up: the handle is free.
  virtual void StateEnd(std::uint64_t handle) = 0;

  // --- state transfer, as receiver
  // False: a state replaces what is here, so that it is taken only from a donor that knows all of
  // it, and local writes are held meanwhile. True: FinishState joins the two, origin by origin and
  // cell by cell, the greater LSN wins; then any donor will do, nothing is held, and `applied()`
  // becomes the join of both vectors. Without it two nodes that each have something which the other
  // one lacks, and whose frames are gone, cannot help each other (a split for longer than the rings
  // and logs last, with a dead origin on each side).
  virtual bool JoinsStates() const { return false; }
  // Not called if JoinsStates(). With `hold`, before a state is asked for: acknowledge no more
  // local writes (they are answered "try again"), and cut and publish what there is, so that a
  // donor can have all of it. Without: go on as before; the transfer is over, or did not come
  // about.
  virtual void HoldWrites(bool hold) = 0;
  // The donor has everything that applied() and Head() say. No frame is applied from here on until
  // FinishState or AbortState.
  virtual Status BeginState(std::string_view head) = 0;
  virtual Status AddStateChunk(std::string_view bytes) = 0;
  // Switches at once, durably: applied() and durable() are then `end`, but for origins that the
  // donor has folded.
  virtual Status FinishState(const crdt::VersionVector& end) = 0;
  virtual void AbortState() = 0;

  // --- digests
  // Opaque, at most kFrameBytesMax: what the state is, and at which vectors. Empty: there is none
  // now.
  virtual std::string Digest() { return {}; }
  // With a peer's.
  virtual DigestOutcome CompareDigest(std::string_view /*digest*/) {
    return DigestOutcome::kNotComparable;
  }
};

}  // namespace jeton::replication
