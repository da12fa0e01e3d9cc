// History: what the state of a node must be, as the serial order of everything that was executed.
// A node's commands run one after the other, so there is one order; a crash may cut its tail off,
// and nothing else. After recovery the state found must be the state after some step, not before
// the last one that somebody was promised.
//
// A step is one unit: all changes of a command, of an EXEC, or of one sweep of a partition.
// Physical state: counters that have expired and were not swept yet are part of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/decimal.h"
#include "base/time.h"
#include "sim/tree_model.h"
#include "storage/log_format.h"

namespace jeton::sim {

// What a name holds: a counter, or a tree, which has no value of its own.
struct Cell {
  Decimal value;
  WallMs expires_at = 0;  // 0: never
  std::optional<Decimal> precision;
  TreeRef tree = nullptr;

  friend bool operator==(const Cell& a, const Cell& b) {
    const bool same_tree = a.tree == b.tree || (a.tree && b.tree && *a.tree == *b.tree);
    return same_tree && a.value == b.value && a.expires_at == b.expires_at &&
           a.precision == b.precision;
  }
};

using State = std::map<std::string, Cell, std::less<>>;

std::string Describe(const State& state);
// The first few names in which they differ.
std::string Difference(const State& expected, const State& found);

class History {
 public:
  struct Change {
    std::string name;
    std::optional<Cell> before, after;
  };
  struct Step {
    std::vector<Change> changes;
    std::uint64_t fingerprint = 0;  // of the state after it
    Lsn lsn = 0;                    // the log holds it once it holds this record
    MonoNs at = 0;
  };

  const State& state() const { return state_; }
  const Cell* Find(std::string_view name) const;

  // Changes gather in the open step; CloseStep keeps it unless it is empty.
  void Set(std::string_view name, const std::optional<Cell>& cell);
  void CloseStep(MonoNs at);
  // The steps since the last call were appended to the log, at most up to this LSN.
  void Stamp(Lsn appended);

  std::size_t size() const { return steps_.size(); }
  const std::vector<Step>& steps() const { return steps_; }
  // How many steps lie in the log up to `lsn`.
  std::size_t StepsUpTo(Lsn lsn) const;
  // How many steps are older than `at`.
  std::size_t StepsBefore(MonoNs at) const;

  // The number of steps after which the state is `found`, at least `least`; empty if there is none.
  std::optional<std::size_t> Match(const State& found, std::size_t least) const;
  State StateAfter(std::size_t steps) const;
  // The node has recovered with the first `steps` steps: they are the new beginning.
  void CutTo(std::size_t steps);

 private:
  static std::uint64_t HashOf(std::string_view name, const Cell& cell);
  static std::uint64_t Fingerprint(const State& state);

  State base_;
  State state_;
  std::uint64_t base_fingerprint_ = 0;
  std::uint64_t fingerprint_ = 0;
  std::vector<Step> steps_;
  std::size_t stamped_ = 0;
  Step open_;
};

}  // namespace jeton::sim
