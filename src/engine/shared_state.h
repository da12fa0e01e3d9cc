// What a partition keeps beside its keyspace once the node has peers: for each name the CRDT state
// that its visible value follows from. A name (or bucket) that is not here but is visible is
// *implicit*: one entry of the home origin, with the visible value as its sum. So a counter that
// only its first node ever wrote costs nothing more than on a lone node.
//
// Threads: the partition's lock, as for the keyspace.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "crdt/cell.h"
#include "engine/dirty_set.h"
#include "engine/keyspace.h"
#include "engine/lazy.h"
#include "engine/shared_mutation.h"

namespace jeton::engine {

struct SharedCell {
  crdt::Cell cell;
  bool hidden = false;     // a zero that was removed from view; any change shows it again
  bool candidate = false;  // of the sweep for entries that may be freed; any own change clears it
};

// Expiry and precision; each is the one with the greatest version.
struct Attributes {
  crdt::Version expiry_version;
  WallMs expires_at = 0;
  crdt::Version precision_version;
  Decimal precision = Decimal(-1);
  bool candidate = false;  // of the sweep, as in SharedCell
};

struct SharedTree {
  TreeFacts facts;
  std::uint64_t emptied = 0;  // the number of the last copy that had begun when it last was
  // Explicit cells only.
  std::map<std::string, std::map<Bucket, SharedCell>, std::less<>> keys;
};

// Nothing below the watermark is known of a tree, whether it is in view or not.
void ForgetTrimmed(SharedTree& tree);

struct SharedName {
  std::unique_ptr<SharedCell> counter;  // null: implicit, or nothing
  std::unique_ptr<Attributes> attributes;
  std::unique_ptr<SharedTree> tree;

  bool empty() const { return !counter && !attributes && !tree; }
};

// The names of one partition, ordered so that a scan can go on where it was.
class SharedPartition {
 public:
  SharedName* Find(const Key& key) {
    const auto found = names_.find(key.name);
    return found == names_.end() ? nullptr : &found->second;
  }
  SharedName& Make(const Key& key) {
    const auto found = names_.find(key.name);
    if (found != names_.end()) return found->second;
    return names_.emplace(std::string(key.name), SharedName()).first->second;
  }
  void Erase(const Key& key) {
    const auto found = names_.find(key.name);
    if (found != names_.end()) names_.erase(found);
  }
  void Clear() {
    names_.clear();
    dirty.Clear();
    lazy.clear();
    heard.clear();
  }

  using Names = std::map<std::string, SharedName, std::less<>>;
  Names& names() { return names_; }

  DirtySet dirty;       // ids as EncodeCellId makes them
  std::string scratch;  // for an id, reused
  // By counter: what this node tells late, and what it was told of others' growth.
  std::map<std::string, LazyCell, std::less<>> lazy;
  std::map<std::string, std::vector<HeardRate>, std::less<>> heard;

 private:
  Names names_;
};

// The bytes by which a cell is known in a DirtySet.
void EncodeCellId(const CellName& cell, std::string& out);
CellName DecodeCellId(std::string_view id);

}  // namespace jeton::engine
