// Karma's lines and JSON out of any bytes. What was accepted is written by Reply and must then be
// accepted again and be written the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "protocol/json.h"
#include "protocol/reply.h"

namespace {

// A reply may nest less deep than a request.
bool Fits(const jeton::JsonValue& value, std::size_t depth) {
  if (depth > jeton::Reply::kMaxDepth) return false;
  for (const auto item : value.Items()) {
    if (!Fits(item, depth + 1)) return false;
  }
  for (const auto field : value.Fields()) {
    if (!Fits(field.value, depth + 1)) return false;
  }
  return true;
}

void Write(jeton::Reply& reply, const jeton::JsonValue& value) {
  switch (value.type()) {
    case jeton::JsonType::kArray:
      reply.Array(value.size());
      for (const auto item : value.Items()) Write(reply, item);
      return;
    case jeton::JsonType::kObject: {
      const auto pos = reply.DeferMap();
      for (const auto field : value.Fields()) {
        reply.Bulk(field.name);
        Write(reply, field.value);
      }
      return reply.SetDeferred(pos, value.size());
    }
    case jeton::JsonType::kString:
      return reply.Bulk(value.Text());
    default:
      return reply.Raw(value.Text());
  }
}

std::string Written(const jeton::JsonValue& value) {
  std::string out;
  jeton::Reply reply(out, jeton::ReplyFormat::kJson);
  Write(reply, value);
  return out;
}

void CheckDocument(std::string_view text) {
  jeton::JsonDocument document;
  if (!document.Parse(text).ok() || !Fits(document.Root(), 0)) return;
  const std::string once = Written(document.Root());
  jeton::JsonDocument again;
  ASSERT(again.Parse(once).ok());
  ASSERT(Written(again.Root()) == once);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  CheckDocument(bytes);

  jeton::JsonLineParser lines(256);
  jeton::JsonRequest request;
  std::string_view input = bytes;
  std::size_t consumed = 0;
  std::string_view line;
  while (lines.Next(input, consumed, line) == jeton::JsonLineParser::Outcome::kLine) {
    if (request.Parse(line).ok()) {
      (void)request.Int64("key");
      (void)request.DecimalText("value");
    }
    input.remove_prefix(consumed);
  }
  return 0;
}
