// Requests out of any bytes: whole and in pieces they must come out the same. The bytes are then
// read as replies too.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "protocol/detect.h"
#include "protocol/resp_parser.h"
#include "protocol/resp_value.h"

namespace {

using jeton::RespParser;

// Every argument behind its size, every request's end, and the error.
std::string Requests(std::string_view bytes, std::size_t piece) {
  RespParser parser({.inline_bytes = 64, .arguments = 32, .bulk_bytes = 128});
  std::string found;
  std::string buffer;
  std::vector<std::string_view> args;
  while (true) {
    args.clear();
    std::size_t consumed = 0;
    const auto outcome = parser.Next(buffer, consumed, args);
    ASSERT(consumed <= buffer.size());
    if (outcome == RespParser::Outcome::kError) return found + parser.error();
    for (const std::string_view arg : args) {
      found.append(std::to_string(arg.size())).append(":").append(arg);
    }
    if (outcome == RespParser::Outcome::kRequest) found += '\n';
    buffer.erase(0, consumed);
    parser.ReleaseScratch();
    if (outcome == RespParser::Outcome::kRequest) continue;
    if (bytes.empty()) return found;
    buffer += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  jeton::Detect(bytes);
  const std::string whole = Requests(bytes, size + 1);
  ASSERT(Requests(bytes, 1) == whole);
  ASSERT(Requests(bytes, 7) == whole);

  jeton::RespValue value;
  std::size_t consumed = 0;
  if (jeton::ParseRespValue(bytes, consumed, value) == jeton::RespValueOutcome::kValue) {
    ASSERT(consumed <= size);
    value.ToText();
  }
  return 0;
}
