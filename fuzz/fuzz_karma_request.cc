// Lines of Karma's JSON out of any bytes, through the binder and the dispatcher onto a keyspace in
// memory. Every line gets exactly one line back, which is JSON, and the log alone rebuilds the
// state.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "command/test_server.h"
#include "protocol/json.h"

namespace {

constexpr std::size_t kLengthMax = 64 << 10;
constexpr std::size_t kLinesMax = 200;

void CheckReply(std::string_view reply) {
  ASSERT(!reply.empty());
  ASSERT(reply.find('\n') == std::string_view::npos);
  jeton::JsonDocument document;
  ASSERT(document.Parse(reply).ok());
  const auto success = document.Root().Find("success");
  ASSERT(success && success->type() == jeton::JsonType::kBool);
  ASSERT(document.Root().Find("response"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > kLengthMax) return 0;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  jeton::command::TestServer server;
  for (std::size_t lines = 0; lines < kLinesMax && !input.empty(); ++lines) {
    const std::size_t end = input.find('\n');
    const std::string_view line = input.substr(0, end);
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    if (!line.empty()) CheckReply(server.RunJson(server.session(), line));
  }
  ASSERT(server.CheckReplay().empty());
  ASSERT(server.lock_errors().empty());
  return 0;
}
