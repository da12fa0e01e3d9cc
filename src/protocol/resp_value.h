// The client's side of RESP2 and RESP3: replies as value trees. For tests, transcripts, the
// simulator's clients and tools; the server itself reads requests with RespParser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace jeton {

struct RespValue {
  enum class Type : unsigned char {
    kSimple,
    kError,  // `-` and `!`
    kInteger,
    kBulk,
    kNull,  // `$-1`, `*-1` and `_`
    kArray,
    kMap,  // items: key, value, key, value ...
    kSet,
    kPush,
    kDouble,
    kBool,
    kBigNumber,
    kVerbatim,  // text without its format
  };

  Type type = Type::kNull;
  std::int64_t integer = 0;      // kInteger; kBool: 0 or 1
  std::string text;              // of strings and errors; of doubles and big numbers as received
  std::vector<RespValue> items;  // of containers

  bool IsError() const { return type == Type::kError; }
  bool IsNull() const { return type == Type::kNull; }

  // As redis-cli prints it, one line each, without a line end at the end:
  //   OK | (integer) 3 | "abc" | (nil) | (error) ERR ... | (double) 1.5 | (true)
  //   1) "a"                  arrays; sets have 1~, maps 1# "key" => value, pushes 1>
  //   2) 1) (integer) 1       nested ones are indented
  //   (empty array)
  std::string ToText() const;

  friend bool operator==(const RespValue&, const RespValue&) = default;
};

enum class RespValueOutcome : unsigned char { kNeedMore, kValue, kError };

// Containers nest at most so deep; one container has at most so many items.
inline constexpr int kRespValueMaxDepth = 32;
inline constexpr std::size_t kRespValueMaxItems = 16 * 1024 * 1024;
inline constexpr std::size_t kRespValueMaxBytes = 512 * 1024 * 1024;

// Parses one reply from the front of `input`. On kValue, `consumed` bytes belong to it. kError:
// the bytes are not RESP. An attribute (`|`) is skipped. Starts over on each call: not for large
// replies in very small pieces.
RespValueOutcome ParseRespValue(std::string_view input, std::size_t& consumed, RespValue& value);

// All replies in `input`; an error if it does not end with a complete one.
Result<std::vector<RespValue>> ParseRespValues(std::string_view input);

// A request as clients send it: an array of bulk strings.
void AppendRespRequest(std::string& out, const std::vector<std::string_view>& args);

}  // namespace jeton
