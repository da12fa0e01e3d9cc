// TreeModel: what a tree must hold, as simply as it can be said: a map of maps of decimals. It
// shares the calendar and the arithmetic with the node, nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/calendar.h"
#include "base/decimal.h"
#include "engine/tree.h"

namespace jeton::sim {

struct TreeModel {
  using Buckets = std::map<Bucket, Decimal>;

  engine::TreeSettings settings;
  Bucket watermark = engine::Tree::kNoWatermark;
  std::map<std::string, Buckets> keys = {};  // none without a bucket

  bool Has(const std::string& key) const { return keys.count(key) != 0; }
  Decimal Get(const std::string& key, Bucket bucket) const;
  Decimal Sum(const std::string& key, const BucketRange& range) const;
  Decimal Sum(const BucketRange& range) const;
  std::uint64_t buckets() const;

  std::uint64_t Clear(const std::string& key, const BucketRange& range);  // how many went
  std::uint64_t Clear(const BucketRange& range);
  std::uint64_t Trim(Bucket first_live);

  std::uint64_t Hash() const;
  friend bool operator==(const TreeModel&, const TreeModel&) = default;
};

// Never changed once it is in a state: a change makes another one.
using TreeRef = std::shared_ptr<const TreeModel>;

std::string Describe(const TreeModel& tree);
// The keys whose buckets are not the same in both.
std::set<std::string> KeysChanged(const TreeModel& a, const TreeModel& b);
std::string Difference(const TreeModel& expected, const TreeModel& found);

// Numbers first, in their order, then the other keys by their bytes.
bool KeyPrecedes(const std::string& a, const std::string& b);

// What the node has; `trouble` gets what does not agree with itself: figures and sums that are not
// those of the buckets.
TreeModel ReadTree(const engine::Tree& tree, std::string& trouble);

}  // namespace jeton::sim
