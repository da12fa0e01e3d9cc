#include "protocol/detect.h"

#include <algorithm>

namespace jeton {
namespace {

constexpr std::string_view kMethods[] = {"GET ", "POST ", "PUT ", "DELETE ", "HEAD ", "OPTIONS "};
constexpr std::string_view kPeerMagic = "JTN1";
constexpr std::string_view kVersion = " HTTP/1.";

// `line` begins with the target of what looks like an HTTP request line.
Protocol DetectTarget(std::string_view line) {
  const std::size_t line_end = line.find_first_of("\r\n");
  const std::string_view text = line.substr(0, line_end);
  const std::size_t target_size = std::min(text.find(' '), text.size());
  // A path, or the `*` of OPTIONS, or the whole URL that is sent to a proxy.
  if (target_size == 0 && !text.empty()) return Protocol::kResp;
  const std::string_view rest = text.substr(target_size);
  if (target_size > 0 && rest.starts_with(kVersion)) return Protocol::kHttp;
  const bool may_become_http = line_end == std::string_view::npos && kVersion.starts_with(rest);
  return may_become_http ? Protocol::kNeedMore : Protocol::kResp;
}

Protocol DetectLine(std::string_view bytes) {
  switch (bytes.front()) {
    case '*':
      return Protocol::kResp;
    case '{':
      return Protocol::kJson;
    case 0x16:
      return Protocol::kTls;
    default:
      break;
  }
  if (bytes.starts_with(kPeerMagic)) return Protocol::kPeer;
  if (kPeerMagic.starts_with(bytes)) return Protocol::kNeedMore;
  for (const std::string_view method : kMethods) {
    if (bytes.starts_with(method)) return DetectTarget(bytes.substr(method.size()));
    if (method.starts_with(bytes)) return Protocol::kNeedMore;
  }
  return Protocol::kResp;
}

}  // namespace

Protocol Detect(std::string_view first_bytes) {
  const std::string_view bytes = first_bytes.substr(0, kDetectMaxBytes);
  const std::size_t begin = bytes.find_first_not_of("\r\n");
  const Protocol found =
      begin == std::string_view::npos ? Protocol::kNeedMore : DetectLine(bytes.substr(begin));
  if (found == Protocol::kNeedMore && bytes.size() == kDetectMaxBytes) return Protocol::kResp;
  return found;
}

}  // namespace jeton
