// `jeton import karma` and `jeton import csv`: sets buckets of a running server, pipelined, in
// bounded memory. Whatever can be looked at beforehand is, so that a damaged file changes nothing.
// Each returns the summary for the user; errors name file, byte or line.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "server/transfer_client.h"

namespace jeton::server {

struct KarmaImport {
  std::vector<std::string> paths;  // files, and folders: the newest dump of each tree is taken
  bool replace = false;            // trees that are there are dropped first; otherwise an error
};

// All files are verified, and all trees looked for, before the first one is touched.
Result<std::string> ImportKarma(const ServerAddress& address, const KarmaImport& options);

struct CsvImport {
  std::string file;      // "-": standard input, which cannot be looked at beforehand
  std::string tree;      // for rows without one; with four columns the only one allowed
  std::string bucket;    // width and zone of trees that have to be made; if they are given, those
  std::string timezone;  // that are there must have them too, unless they are replaced
  bool replace = false;  // empties each tree before its first row
};

Result<std::string> ImportCsv(const ServerAddress& address, const CsvImport& options);

}  // namespace jeton::server
