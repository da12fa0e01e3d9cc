// TransferClient: import's and export's side of a connection to a server, RESP2 after HELLO.
// Requests are pipelined: Queue adds one, Next takes the replies in their order and sends what is
// queued while it waits, so that neither side can wait for the other for ever.
//
// One thread. After an error of Next or Call the connection is of no more use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bench/connect.h"
#include "protocol/resp_value.h"

namespace jeton::server {

struct ServerAddress {
  std::string host = "127.0.0.1";
  int port = 5262;
  std::string password;  // empty: none
};

class TransferClient {
 public:
  static constexpr std::size_t kPipelineMax = 1024;         // requests without a reply
  static constexpr std::size_t kQueuedBytesMax = 1u << 20;  // not sent yet
  static constexpr std::size_t kReadBytes = 256u << 10;     // at once
  static constexpr int kReplyTimeoutMs = 60'000;            // without a byte in either direction

  static Result<TransferClient> Connect(const ServerAddress& address);

  // The caller takes replies when Full, before it queues more.
  void Queue(const std::vector<std::string_view>& args);
  bool Full() const { return pending_ >= kPipelineMax || out_.size() - out_at_ >= kQueuedBytesMax; }
  std::size_t pending() const { return pending_; }
  // The reply to the oldest request that has none yet. Error replies are values.
  Result<RespValue> Next();

  // One request and its reply, when none is pending. An error reply is an Error with its text.
  Result<RespValue> Call(const std::vector<std::string_view>& args);

 private:
  TransferClient(bench::Socket socket, std::string where)
      : socket_(std::move(socket)), where_(std::move(where)) {}

  Status Exchange();
  Status SendSome();
  Status ReceiveSome();
  Error Failed(std::string_view what) const;

  bench::Socket socket_;
  std::string where_;  // "127.0.0.1:5262", for errors
  std::string out_;
  std::size_t out_at_ = 0;
  std::string in_;
  std::size_t in_at_ = 0;
  std::size_t pending_ = 0;
};

struct TreeInfo {
  std::string bucket;  // the width's name
  std::string timezone;
  std::uint64_t keys = 0;
};

// Empty if there is no such tree. None may be pending.
Result<std::optional<TreeInfo>> FindTree(TransferClient& client, std::string_view tree);

}  // namespace jeton::server
