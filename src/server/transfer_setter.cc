#include "server/transfer_setter.h"

#include <fmt/format.h>

#include "base/text.h"

namespace jeton::server {

Status BucketSetter::Set(BucketRow row) {
  if (client_.Full()) {
    // Half of them stay under way, so that the server does not wait for us.
    for (const std::size_t left = client_.pending() / 2; client_.pending() > left;) {
      if (Status taken = TakeReply(); !taken) return taken;
    }
  }
  client_.Queue({"TREE.SET", row.tree, row.key, row.bucket, row.value});
  outstanding_.push_back(std::move(row));
  return {};
}

Status BucketSetter::Finish() {
  while (client_.pending() > 0) {
    if (Status taken = TakeReply(); !taken) return taken;
  }
  return {};
}

Status BucketSetter::TakeReply() {
  auto reply = client_.Next();
  if (!reply) return reply.error();
  const BucketRow row = std::move(outstanding_.front());
  outstanding_.pop_front();
  if (!reply->IsError()) {
    ++count_;
    return {};
  }
  const std::string line = row.line == 0 ? "" : fmt::format("line {}: ", row.line);
  return Error{ErrorKind::kInvalid, fmt::format("{}tree {}, key {}, bucket {}, value {}: {}", line,
                                                QuoteForLog(row.tree), QuoteForLog(row.key),
                                                QuoteForLog(row.bucket), row.value, reply->text)};
}

}  // namespace jeton::server
