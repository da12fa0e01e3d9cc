// Mutation: the one currency. A command is decided once, against the current state, and becomes
// mutations: facts ("counter x is now 7"), never commands to run again. The encoded mutation is the
// payload of the log, a record of a snapshot, and later the entry that travels to other masters;
// the one Keyspace::Apply consumes it. Facts are absolute, so applying a log onto a fuzzy snapshot
// that already holds some of it ends at the right state.
//
// Bytes: docs/formats/mutation.md. Values on disk never change their meaning.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/decimal.h"
#include "base/time.h"

namespace jeton::engine {

// A counter's or tree's name: any bytes, at most this many.
constexpr std::size_t kMaxNameBytes = 64 * 1024;

enum class MutationType : std::uint8_t {
  kCounter = 1,    // counter `name` has the value `value`; `delta` is what was added (for audit)
  kDrop = 2,       // `name` is gone, counter or tree, with all that belongs to it
  kExpire = 3,     // `name` goes at `expires_at`; 0 means never
  kPrecision = 4,  // the precision of counter `name` is `value`; a negative value means "default"
  kFlush = 5,      // everything is gone
  // 16 to 31: trees, see engine/tree_mutation.h.
};

struct Mutation {
  MutationType type = MutationType::kCounter;
  std::string_view name = {};
  Decimal value = {};
  Decimal delta = {};
  WallMs expires_at = 0;
};

void EncodeMutation(const Mutation& mutation, std::string& out);
// The same bytes for a kCounter whose value and delta are integers: nearly every mutation.
void EncodeIntegerMutation(std::string_view name, std::int64_t value, std::int64_t delta,
                           std::string& out);
// And for a name of at most kShortName bytes: at `out`, which has room for kIntegerMutationMax.
// Returns where they end.
constexpr std::size_t kShortName = 127;  // its length is one byte
constexpr std::size_t kIntegerMutationMax = 2 + kShortName + 2 * Decimal::kMaxEncodedInteger;
char* PutIntegerMutation(std::string_view name, std::int64_t value, std::int64_t delta, char* out);

// Reads one mutation; the views in it point into the reader's bytes. Fails the reader on anything
// that EncodeMutation cannot have written.
Mutation DecodeMutation(ByteReader& in);

}  // namespace jeton::engine
