// `jeton export csv|jsonl`: every bucket of a tree, or of all trees, one row each, tree after tree,
// in no particular order of keys, the buckets of a key ascending. Streams, while clients go on:
// each key is as it was at one moment. Buckets that are 0, and keys without any other, are left
// out, as TREE.RANGE leaves them out.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "server/transfer_client.h"

namespace jeton::server {

struct Export {
  enum class Format : unsigned char { kCsv, kJsonLines };
  Format format = Format::kCsv;
  std::optional<std::string> tree;  // none: all
  std::string output;               // empty: standard output
};

// The summary for the user. A file appears under its name, or is replaced, once all of it is
// written.
Result<std::string> ExportRows(const ServerAddress& address, const Export& options);

}  // namespace jeton::server
