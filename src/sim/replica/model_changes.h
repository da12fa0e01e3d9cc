// What clients of the model do: one change by Unit, and its words in the ledger.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "sim/replica/ledger.h"
#include "sim/replica/model_node.h"

namespace jeton::sim {

struct ChangeContext {
  ModelNode& node;
  Ledger& ledger;
  int origin;  // the node's, in the ledger
  Prng& prng;
  std::string trouble = {};
};

enum class Change : unsigned {
  kAdd,
  kSet,
  kDrop,
  kExpire,
  kPrecision,
  kSweep,
  kHideZeros,
  kFlush,
  kTreeAdd,
  kTreeSet,
  kTreeClear,
  kTreeTrim,
  kTreeReset,
  kTreeDrop,
  kTreeAlter,
  kCount
};

using ChangeWeights = std::array<double, static_cast<std::size_t>(Change::kCount)>;

ChangeWeights DrawChangeWeights(Prng& prng);
std::vector<LedgerCell> ModelCells();
// What a node that is still alone holds; to be called before it has a Replica.
void MakeAloneContents(ChangeContext& context);
// What was done, as text. Nothing is committed yet.
std::string ChangeSomething(ChangeContext& context, const ChangeWeights& weights);

// What readers see, expired or not; empty if the cell is hidden by something else of its name.
std::optional<Decimal> ShownValue(ModelNode& node, const LedgerCell& cell);
Ledger::Scope ScopeOf(ModelNode& node, const LedgerCell& cell);
// A name with another expiry, precision, kind or settings; empty if there is none.
std::string DifferentAttributes(ModelNode& a, ModelNode& b);

}  // namespace jeton::sim
