// Any bytes: what decodes must encode to the same bytes, and applying it must rebuild a keyspace
// whose own encoding rebuilds it again.
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "engine/keyspace.h"
#include "engine/mutation.h"
#include "engine/tree_mutation.h"

namespace {

using namespace jeton;          // NOLINT: a fuzz target is one function
using namespace jeton::engine;  // NOLINT

std::string Contents(Keyspace& keyspace) {
  std::string contents;
  for (unsigned partition = 0; partition < Keyspace::kPartitions; ++partition) {
    Keyspace::SliceCursor cursor;
    while (!cursor.done) {
      keyspace.EncodeSlice(partition, cursor, 4096,
                           [&](std::string_view encoded) { contents += encoded; });
    }
  }
  return contents;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ByteReader in(bytes);
  std::string again;
  TreeMutation of_tree;
  std::string_view last_tree;
  bool has_last = false;
  while (in.ok() && !in.AtEnd()) {
    if (!IsTreeMutation(in)) {
      const Mutation mutation = DecodeMutation(in);
      if (in.ok()) EncodeMutation(mutation, again);
      continue;
    }
    DecodeTreeMutation(in, has_last, of_tree);
    if (!in.ok()) break;
    // Names are views: the same bytes if the name was left out.
    const bool same = has_last && of_tree.tree.data() == last_tree.data();
    EncodeTreeMutation(of_tree, same, again);
    last_tree = of_tree.tree;
    has_last = true;
  }
  ASSERT(bytes.starts_with(again));
  ASSERT(!in.ok() || again.size() == size);

  Keyspace keyspace({.hash_seed = 1});
  ASSERT(keyspace.ApplyEncoded(bytes, 0) == in.ok());
  const std::string contents = Contents(keyspace);
  Keyspace rebuilt({.hash_seed = 1});
  ASSERT(rebuilt.ApplyEncoded(contents, 0));
  ASSERT(Contents(rebuilt) == contents);
  return 0;
}
