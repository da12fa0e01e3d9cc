// SharedMutation: the facts of a node that has peers, see mutation.h for what a mutation is. The
// same facts are written into the node's own log, into frames for other nodes, and (kCell) into
// snapshots. They differ in how they name origins: a log and a snapshot write ids, a frame has a
// dictionary; and in a frame a name is written as what it shares with the one before and the rest.
//
// Bytes: docs/formats/frame.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/calendar.h"
#include "base/decimal.h"
#include "base/time.h"
#include "crdt/cell.h"
#include "crdt/clock.h"
#include "engine/tree.h"

namespace jeton::engine {

// Their order is that of a frame's sections: what empties, what adds, what cancels, what folds.
enum class SharedType : std::uint8_t {
  kEpoch = 6,       // everything older than `epoch` is gone
  kTree = 7,        // a tree's epoch, existence, settings and watermark
  kClose = 8,       // nobody writes `origin` any more; the writer of this log will fold it
  kEntry = 9,       // the own entry of a cell
  kReset = 10,      // a SET or reset of a cell, with what it had observed
  kAttribute = 11,  // expiry or precision of a counter, expiry of a tree
  kFold = 12,       // the entry of `origin` in a cell went into the own entry
  kFolded = 13,     // no cell has an entry of `origin` any more; it ended at `lsn`
  kCell = 14,       // all that is known of a cell (snapshots, state transfer)
  kClustered = 15,  // the node is not alone from here on (own log only)
  kUpTo = 16        // merged frames only: what follows, but for entries, was said up to `lsn`
};

struct CellName {
  std::string_view name;  // the counter's, or the tree's
  bool in_tree = false;
  std::string_view key = {};  // of the tree: text, also of numbers
  Bucket bucket = 0;
  std::uint64_t tree_epoch = 0;

  friend bool operator==(const CellName&, const CellName&) = default;
};

struct TreeFacts {
  std::uint64_t epoch = 0;
  bool exists = false;
  crdt::Version version;  // of existence and settings
  TreeSettings settings;
  Bucket watermark = Tree::kNoWatermark;

  friend bool operator==(const TreeFacts&, const TreeFacts&) = default;
};

enum class AttributeKind : std::uint8_t { kExpiry, kPrecision };

struct SharedMutation {
  SharedType type = SharedType::kEntry;
  CellName cell = {};
  std::uint64_t epoch = 0;  // kEpoch: the new one; others: the one it was made under
  // kEntry; and a kTree of a snapshot: what the snapshot has of it is to be thrown away
  bool gone = false;
  Lsn birth = 0;
  Decimal sum = {};
  bool lazy = false;   // of the lazy origin (own log only: a frame is of one origin)
  float rate = 0;      // how much it grows in a second, as its owner sees it (lazy frames only)
  Decimal delta = {};  // what was added just now, 0 if nothing was (own log only; for audit)
  // kReset; the version's origin is the log's
  crdt::Observation observation = {};
  // kAttribute
  AttributeKind attribute = AttributeKind::kExpiry;
  crdt::Version version = {};
  WallMs expires_at = 0;   // 0: never
  Decimal precision = {};  // negative: the default
  // kTree
  TreeFacts tree = {};
  // kClose, kFold, kFolded, kUpTo (the LSN only)
  crdt::OriginIndex origin = 0;
  Lsn lsn = 0;
  Lsn end = 0;  // kFold: the last of the folded origin; nobody may apply it who does not know all
  // kCell
  crdt::Cell state = {};
};

// Writes origins by id, or by their place in a dictionary that it collects.
class SharedWriter {
 public:
  explicit SharedWriter(const crdt::OriginTable& origins, bool with_dictionary)
      : origins_(origins), with_dictionary_(with_dictionary) {}

  void Write(const SharedMutation& mutation, std::string& out);
  void WriteEntry(const CellName& cell, std::uint64_t epoch, bool gone, Lsn birth,
                  const Decimal& sum, std::string& out, bool lazy = false, float rate = 0,
                  const Decimal& delta = {});
  // The same for a counter with an integer, as in a log.
  static void WriteInteger(std::string_view name, std::uint64_t epoch, Lsn birth, std::int64_t sum,
                           std::int64_t delta, std::string& out);
  void WriteCell(const CellName& cell, std::uint64_t epoch, const crdt::Cell& state,
                 std::string& out);
  // The ids that the dictionary numbers refer to, in order.
  const std::vector<OriginId>& dictionary() const { return dictionary_; }

 private:
  void PutName(const CellName& cell, std::string& out);
  void PutIndex(crdt::OriginIndex origin, std::string& out) { PutId(origins_.IdOf(origin), out); }
  void PutId(const OriginId& id, std::string& out);
  void PutVersion(const crdt::Version& version, std::string& out);
  void PutObservation(const crdt::Observation& observation, std::string& out);
  void PutTree(const TreeFacts& tree, std::string& out);
  void PutState(const crdt::Cell& state, std::string& out);

  const crdt::OriginTable& origins_;
  bool with_dictionary_;
  std::vector<OriginId> dictionary_;
  std::string last_name_, last_key_;
};

// Reads what SharedWriter wrote. Origins that are not in the table are added to it.
class SharedReader {
 public:
  explicit SharedReader(crdt::OriginTable& origins, const std::vector<OriginId>* dictionary)
      : origins_(origins), dictionary_(dictionary) {}

  static bool IsShared(const ByteReader& in) {
    return in.ok() && !in.AtEnd() && *in.Position() >= 6 && *in.Position() <= 15;
  }
  // The names in `mutation` are valid until the next call. Fails the reader on anything that the
  // writer cannot have written.
  void Read(ByteReader& in, SharedMutation& mutation);

  // The short way for what most frames consist of: an entry of a counter that is there and has no
  // rate. False, and nothing was read, if the next mutation is something else. Fails the reader as
  // Read does.
  struct CounterEntry {
    std::string_view name;  // valid until the next call
    Lsn birth = 0;
    Decimal sum;
  };
  bool ReadCounter(ByteReader& in, CounterEntry& entry);

 private:
  crdt::OriginIndex GetIndex(ByteReader& in);
  OriginId GetId(ByteReader& in);
  crdt::Version GetVersion(ByteReader& in);
  void GetObservation(ByteReader& in, crdt::Observation& observation);
  TreeFacts GetTree(ByteReader& in);
  void GetState(ByteReader& in, crdt::Cell& state);

  crdt::OriginTable& origins_;
  const std::vector<OriginId>* dictionary_;  // null: ids in full
  std::string last_name_, last_key_;
};

}  // namespace jeton::engine
