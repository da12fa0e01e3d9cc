// Rejoin: a node that was forgotten and comes back as a new member brings along what only it has
// counted. Its former life was set aside (storage/set_aside.h): this one joins the others as an
// empty node, copies their state, waits until it is certain how much of each former run they have,
// and adds the rest as increments of its own.
//
// Each counts once, also across crashes: the record of the log that adds some of them says up to
// where the former log is done (engine::Injected), and snapshots say it, too.
//
// Belongs to Cluster, on the peer loop's thread.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/own_tail.h"
#include "engine/replica.h"
#include "engine/unit.h"
#include "replication/member.h"
#include "storage/set_aside.h"

namespace jeton::node {

// What a log has of a node's own increments that others do not have.
struct TailFacts {
  std::uint64_t cells = 0;
  Sum amount;
  std::uint64_t ignored = 0;  // own changes that are no increments
  bool gap = false;           // some of it is missing
  std::set<OriginId> logged;  // runs of which the log has anything
};

class Rejoin {
 public:
  using Finals = engine::OwnTail::Finals;

  // Null if no former life is there.
  static Result<std::unique_ptr<Rejoin>> Load(Directory& directory);
  // Whom to join: who has said that this node is forgotten, and nobody else. Others that it knew
  // may be forgotten, too, and have what is to be added already.
  const std::vector<replication::Address>& addresses() const { return addresses_; }

  // Which cluster that was: no other is to be joined, nor founded with others that rejoin.
  const ClusterId& cluster() const { return cluster_; }

  // Reads the former log: which runs are in question.
  Status Look();
  // How much the others have of each of them, as `replica` knows it; false while that may still
  // change. Closes what nobody has closed, so that it comes to an end. TurnLock exclusive.
  bool FindFinals(engine::Replica& replica, std::string& log);
  // Reads what is to be added, but for what is `done`. After FindFinals.
  Status Collect(const Finals& done);

  bool empty() const { return chunks_.empty(); }
  // Adds the next chunk to the unit, and takes it out. TurnLock exclusive.
  engine::Injected AddNext(engine::Keyspace& keyspace, engine::Replica& replica,
                           engine::Unit& unit);
  const engine::OwnTail& tail() const { return tail_; }
  std::uint64_t skipped() const { return skipped_; }
  Status RemoveSnapshots() { return RemoveLeftSnapshots(directory_); }
  Status RemoveAll() { return RemoveLeft(directory_); }

 private:
  explicit Rejoin(Directory& directory) : directory_(directory) {}
  bool AddCounter(engine::Keyspace& keyspace, const engine::CellName& cell, const Decimal& amount,
                  engine::Unit& unit);
  bool AddBucket(engine::Keyspace& keyspace, engine::Replica& replica, const engine::CellName& cell,
                 const Decimal& amount, engine::Unit& unit);

  Directory& directory_;
  std::vector<replication::Address> addresses_;
  ClusterId cluster_{};
  engine::OwnTail tail_;
  std::deque<engine::OwnTail::Chunk> chunks_;
  std::uint64_t skipped_ = 0;  // cells whose counter or tree does not take them any more
};

// Reads a log, of this life or of the one before, to the end. `each` says false to a record that
// does not decode.
Status ReadWholeLog(Directory& directory, LogKind kind,
                    const std::function<bool(const LogRecord&)>& each);
// What the log has beyond what `final_of` says of each run and lazy origin, but for what was swept
// away before that epoch.
Result<TailFacts> FactsOfTail(Directory& directory, LogKind kind,
                              const std::function<Lsn(const OriginId&)>& final_of,
                              std::uint64_t epoch = 0);

// The note of SETASIDE: addresses, one a line.
std::string EncodeAddresses(const std::vector<replication::Address>& addresses);

}  // namespace jeton::node
