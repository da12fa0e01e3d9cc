// OwnTail: what a node's own runs have added to counters after what other nodes know of them, read
// from the node's log. It is what a node that was forgotten brings along when it comes back as a
// new member: ordinary increments, each counted once.
//
// Three passes over the same records, all of the log that is there, in its order:
//   Look       which runs have added anything, and up to where: runs()
//   Survey     after SetFinals: what the others know, and what the runs themselves have cancelled
//   Collect    the amounts, in chunks that each end with a record of the log
// Amounts of LSN l of run o are in the tail if l is above the end of the last frame of o that the
// others have. A reset, drop, trim or flush of the node itself cancels what the tail has of it up
// to there, and is otherwise left out (ignored()): it had observed a state that is gone.
//
// Not thread-safe. No I/O: whoever reads the log hands the records in.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/sum.h"
#include "crdt/frame.h"
#include "engine/log_control.h"
#include "engine/shared_mutation.h"
#include "storage/log_reader.h"

namespace jeton::engine {

// A CONTROL record of the log (docs/formats/log.md): some of a tail that was brought along, added
// by this run. What is applied and up to where the tail is done are one record, so that a crash
// leaves both or none.
struct Injected {
  OriginId run{};
  Lsn upto = 0;                // of that run: done
  std::uint64_t cells = 0;     // counters and buckets so far, in all of its records
  Decimal amount = {};         // the sum of what was added, likewise
  std::string_view unit = {};  // ordinary changes of the run that writes the record
};
std::string EncodeInjected(const Injected& injected);
// Empty: it is another kind of CONTROL record, or does not decode.
std::optional<Injected> DecodeInjected(std::string_view payload);

class OwnTail {
 public:
  struct Run {
    Lsn last_added = 0;       // 0: nothing was added
    Lsn last_added_late = 0;  // to the lazy origin
  };
  struct Added {
    std::string cell;         // as EncodeCellId makes it
    std::uint64_t epoch = 0;  // of the keyspace, when it was added
    Sum amount;
  };
  struct Chunk {
    OriginId run{};
    Lsn upto = 0;
    std::vector<Added> cells;
  };
  using Finals = std::map<OriginId, Lsn>;

  // Before the first record of a pass.
  void BeginPass() {
    seen_ = 0;
    run_ = own_ = {};
  }
  // False: a record that verifies does not decode.
  bool Look(const LogRecord& record);
  const std::map<OriginId, Run>& runs() const { return runs_; }
  // Every run of which the log has any record.
  const std::set<OriginId>& logged() const { return logged_; }

  // How much the others have of each run, and of its lazy origin. One that is not there: nothing.
  void SetFinals(Finals finals) { finals_ = std::move(finals); }
  bool Survey(const LogRecord& record);
  // Own changes beyond the finals that are no additions.
  std::uint64_t ignored() const { return ignored_; }
  // A run of which the log has lost something that the others do not have; empty: none.
  std::optional<OriginId> gap() const { return gap_; }
  // The trees that the tail has made: the last word of each.
  const std::map<std::string, TreeFacts, std::less<>>& trees() const { return trees_; }

  // A chunk has about `cells_max` cells, or what one record has. What is at or below `done` of its
  // run is left out. Call FlushChunk at the end.
  static constexpr std::size_t kChunkCells = 4096;
  using Emit = std::function<void(Chunk&&)>;
  bool Collect(const LogRecord& record, const Finals& done, const Emit& emit);
  void FlushChunk(const Emit& emit);

 private:
  // The last frame of an origin that the others have. When more had changed than a frame holds,
  // the ones before the last of a cut have some cells as they were at its end.
  struct Told {
    Lsn end = 0;  // of that frame
    Lsn base = 0;
    std::set<std::string> ahead;  // cells
    std::uint64_t at = 0;         // mutations that were before
  };
  struct TreeState {
    std::uint64_t epoch = 0;
    Bucket watermark = Tree::kNoWatermark;
  };

  void FollowOwn(const LogRecord& record);
  void LookAtOwn(const LogRecord& record);
  template <typename Visit>
  bool ForEachMutation(const LogRecord& record, Visit visit);
  bool SurveyFrame(const LogRecord& record);
  void SurveyMutation(const LogRecord& record, const SharedMutation& mutation);
  Lsn FinalOf(const OriginId& origin) const;
  bool IsInTail(const OriginId& origin, Lsn lsn, const std::string& cell) const;
  bool IsCancelled(const SharedMutation& mutation, const std::string& cell) const;
  bool IsOwnRun(const OriginId& origin) const;

  crdt::OriginTable origins_;
  OriginId run_{}, own_{};  // whose record it is, and what it writes as
  // What a run wrote as where the log begins, if it had left a cluster before.
  std::map<OriginId, OriginId> begun_as_;
  bool begun_ = false;
  std::map<OriginId, Run> runs_;  // by what they wrote as
  std::set<OriginId> logged_;
  Finals finals_;
  std::map<OriginId, Told> told_;
  std::set<OriginId> framed_;                              // a frame of it was seen
  std::uint64_t seen_ = 0;                                 // mutations in this pass
  std::unordered_map<std::string, std::uint64_t> resets_;  // cell: the last one's number
  std::map<std::string, TreeState, std::less<>> tree_states_;
  std::map<std::string, TreeFacts, std::less<>> trees_;
  std::uint64_t epoch_ = 0;
  std::uint64_t ignored_ = 0;
  std::optional<OriginId> gap_;

  Chunk chunk_;
  std::unordered_map<std::string, std::size_t> places_;  // in chunk_.cells
};

}  // namespace jeton::engine
