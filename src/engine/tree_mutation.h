// TreeMutation: the facts about trees; see mutation.h for what a mutation is. A unit about many
// keys of one tree names it once: an encoded mutation can say "the same tree as the last one's".
//
// Bytes: docs/formats/mutation.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/calendar.h"
#include "base/decimal.h"
#include "engine/key_record.h"
#include "engine/tree.h"
#include "engine/tree_key.h"

namespace jeton::engine {

enum class TreeMutationType : std::uint8_t {
  kCreate = 16,    // `tree` is there, with `settings`
  kBucket = 17,    // `range.first` of `key` is `value`; `delta` was added (for audit)
  kCells = 18,     // the `cells` of `key` have these values; others are not touched
  kClear = 19,     // the buckets of `key` in `range` are gone
  kResetKey = 20,  // `key` is gone
  kTrim = 21,      // buckets before `range.first` are gone and will not come back
  kReset = 22,     // all keys are gone; settings and watermark stay
};

// A kCells mutation holds at most this many; a key with more takes several.
constexpr std::size_t kMaxCellsPerMutation = 1024;

struct TreeMutation {
  TreeMutationType type = TreeMutationType::kBucket;
  std::string_view tree = {};
  TreeKey key = {};  // its hash is not set by the decoder
  BucketRange range = {};
  Decimal value = {};
  Decimal delta = {};
  TreeSettings settings = {};
  std::vector<Cell> cells = {};  // ascending
};

// `same_tree`: leave the name out, as it is that of the last tree mutation before this one.
void EncodeTreeMutation(const TreeMutation& mutation, bool same_tree, std::string& out);

// The frequent one, without a TreeMutation: a bucket's new value.
void EncodeTreeBucket(std::string_view tree, bool same_tree, const TreeKey& key, Bucket bucket,
                      const Decimal& value, const Decimal& delta, std::string& out);

// The same for an integer of a key that is a number, in the tree of the last mutation: what a
// command over many keys consists of. Into room for kMaxNumberBucketBytes; returns where it ends.
constexpr std::size_t kMaxNumberBucketBytes = 2 + 10 + 10 + 2 * Decimal::kMaxEncodedInteger;
char* EncodeNumberBucket(std::uint64_t key, Bucket bucket, std::int64_t value, std::int64_t delta,
                         char* out);

// Whether the next mutation is one about a tree.
bool IsTreeMutation(const ByteReader& in);

// Reads one into `mutation`, whose `tree` comes in as that of the last one (empty at first: such a
// tree cannot be named "the same"). Views point into the reader's bytes. Fails the reader on
// anything that EncodeTreeMutation cannot have written.
void DecodeTreeMutation(ByteReader& in, bool has_last, TreeMutation& mutation);

}  // namespace jeton::engine
