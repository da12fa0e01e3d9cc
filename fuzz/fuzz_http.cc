// HTTP requests out of any bytes: whole and byte by byte they must come out the same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "protocol/http.h"

namespace {

std::string Requests(std::string_view bytes, std::size_t piece) {
  jeton::HttpParser parser;
  std::string found;
  std::string buffer;
  while (true) {
    std::size_t consumed = 0;
    jeton::HttpRequest request;
    const auto outcome = parser.Next(buffer, consumed, request);
    ASSERT(consumed <= buffer.size());
    if (outcome == jeton::HttpParser::Outcome::kError) {
      return found + std::to_string(parser.error_status());
    }
    buffer.erase(0, consumed);
    if (outcome == jeton::HttpParser::Outcome::kRequest) {
      found.append(request.method).append(request.target).append("\n").append(request.body);
      for (const auto& [name, value] : request.headers) found.append(name).append(":" + value);
      request.QueryParameter("name");
      if (!request.keep_alive) return found;
      continue;
    }
    ASSERT(buffer.empty());
    if (bytes.empty()) return found;
    buffer += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ASSERT(Requests(bytes, 1) == Requests(bytes, size + 1));
  return 0;
}
