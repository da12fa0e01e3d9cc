// One port serves every protocol; the first bytes of a connection say which it is.
//
//   0x16                              TLS (the record type of a ClientHello)
//   `{`                               Karma JSON lines
//   `JTN1`                            another node (docs/formats/links.md)
//   `GET /path HTTP/1.` and the like  HTTP
//   `*`, or any other text            RESP2, or an inline RESP command
//
// `GET name` is an inline command, so a line that begins like HTTP is undecided until its third
// word, its end, or kDetectMaxBytes. Blank lines in front mean nothing in any of the protocols and
// are passed over.
#pragma once

#include <cstddef>
#include <string_view>

namespace jeton {

enum class Protocol : unsigned char { kNeedMore, kResp, kJson, kHttp, kTls, kPeer };

// A request line that is longer than this is no HTTP request that we would accept.
inline constexpr std::size_t kDetectMaxBytes = 16 * 1024;

// Pure, and the answer for a longer prefix never contradicts an earlier one other than kNeedMore.
// With kDetectMaxBytes or more the answer is never kNeedMore.
Protocol Detect(std::string_view first_bytes);

}  // namespace jeton
