// BucketSetter: TREE.SET, pipelined. Remembers what each outstanding request was about, so that an
// error reply can be told with its row. Rows that were sent after that one may be set all the same:
// at most TransferClient::kPipelineMax.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "server/transfer_client.h"

namespace jeton::server {

struct BucketRow {
  std::string tree;
  std::string key;
  std::string bucket;
  std::string value;
  std::uint64_t line = 0;  // of the file; 0: it has none
};

class BucketSetter {
 public:
  // The client must outlive it, and nobody else uses it until Finish.
  explicit BucketSetter(TransferClient& client) : client_(client) {}

  Status Set(BucketRow row);
  // Waits for all replies.
  Status Finish();
  std::uint64_t count() const { return count_; }  // that the server has confirmed

 private:
  Status TakeReply();

  TransferClient& client_;
  std::deque<BucketRow> outstanding_;
  std::uint64_t count_ = 0;
};

}  // namespace jeton::server
