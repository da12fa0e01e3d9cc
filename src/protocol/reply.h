// The one sink that command handlers write their reply to. The same calls give RESP2, RESP3 or JSON
// (the value of `response` in a Karma envelope), appended to a string that the caller owns.
//
//   reply.Array(2);
//   reply.Bulk(name);
//   reply.Decimal(total);
//
// A container is announced with its size and then filled by exactly that many values (for a map, a
// key and a value in turn); there is no call to end it. Where the size is known only afterwards:
//
//   const auto pos = reply.DeferArray();
//   ... any number of values ...
//   reply.SetDeferred(pos, count);      // the innermost first
//
// JSON: bulk and simple strings are JSON strings, map keys too, whatever they were written with.
// Bytes that are not UTF-8 become \ufffd, one for each byte. Containers nest up to kMaxDepth. An
// error at top level is not written but recorded, so that the caller can make the envelope of it
// (see failed()); within a container it is written as {"error":"text"}.
//
// Cheap to construct: make one for each request. Not thread-safe. `out` outlives the Reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/decimal.h"
#include "base/result.h"

namespace jeton {

enum class ReplyFormat : unsigned char { kResp2, kResp3, kJson };

class Reply {
 public:
  static constexpr std::size_t kMaxDepth = 16;

  Reply(std::string& out, ReplyFormat format) : out_(&out), format_(format) {}

  ReplyFormat format() const { return format_; }
  bool IsJson() const { return format_ == ReplyFormat::kJson; }
  std::string& out() { return *out_; }

  // --- Scalars ---
  // A short text of ours; line ends in it become blanks.
  void Simple(std::string_view text);
  void Ok();
  void Bulk(std::string_view bytes);
  void Integer(std::int64_t value);
  // A RESP integer where it is integral and fits in 64 bits, else a bulk string. JSON: a number,
  // with all its digits.
  void Decimal(const jeton::Decimal& value);
  // Always a bulk string. JSON: a string.
  void DecimalBulk(const jeton::Decimal& value);
  // The same for several integers, each a value of its own; best for kIntegersAtOnce.
  static constexpr std::size_t kIntegersAtOnce = 64;
  void IntegerBulks(std::span<const std::int64_t> values);
  void Null();                // RESP2 `$-1`
  void NullArray();           // RESP2 `*-1`
  void Bool(bool value);      // RESP2 `:1`, `:0`
  void Double(double value);  // RESP2 bulk; JSON number, null if not finite. The shortest text.
  // A text with its three-letter format ("txt", "mkd"); RESP2 bulk.
  void Verbatim(std::string_view format, std::string_view text);
  // Decimal digits with an optional sign; RESP2 bulk, JSON number.
  void BigNumber(std::string_view digits);

  // --- Containers ---
  void Array(std::size_t size);
  void Map(std::size_t pairs);  // RESP2: a flat array of 2 * pairs
  void Set(std::size_t size);   // RESP2, JSON: array
  void Push(std::size_t size);  // RESP2, JSON: array
  std::size_t DeferArray();
  std::size_t DeferMap();
  // `size` counts elements; for a map, pairs.
  void SetDeferred(std::size_t pos, std::size_t size);

  // --- Errors ---
  // The text begins with its code ("ERR ...", "WRONGTYPE ..."); line ends in it become blanks.
  void Error(const jeton::Error& error) { Error(error.text, error.kind); }
  void Error(std::string_view text, ErrorKind kind = ErrorKind::kInvalid);

  // One complete value in the format of this reply, such as one that was rendered before.
  void Raw(std::string_view bytes);

  // The first error of this reply (of any depth), or null. Its code is ErrorCode(error()->text).
  const jeton::Error* error() const { return has_error_ ? &error_ : nullptr; }
  // JSON: the whole reply is an error, and nothing was written for it.
  bool failed() const { return failed_; }

 private:
  struct Frame {
    std::size_t remaining;  // values still to come; kOpen in a deferred container
    std::size_t written;
    bool map;
  };
  static constexpr std::size_t kOpen = static_cast<std::size_t>(-1);

  void Line(char type, std::int64_t value);
  void Line(char type, std::string_view text);
  void Container(char type, char resp2_type, std::size_t size, std::size_t values);
  std::size_t Defer(char type);
  // JSON: what stands before a value (comma, colon) and after it (closing brackets). A map's key
  // must be a string: BeginJson says whether this value is one.
  bool BeginJson();
  void EndJson();
  void JsonString(std::string_view text);
  void JsonBare(std::string_view text);
  void OpenJson(bool map, std::size_t values);
  void CloseJson();
  void JsonError(std::string_view text);

  std::string* out_;
  ReplyFormat format_;
  bool has_error_ = false;
  bool failed_ = false;
  std::uint8_t depth_ = 0;
  jeton::Error error_;
  Frame frames_[kMaxDepth];  // left uninitialised: only JSON uses it
};

// The bytes of Integer and of a bulk with an integer's digits in RESP, into room for
// kIntegerReplyMax bytes; they return where it ends.
constexpr std::size_t kIntegerReplyMax = 32;
char* PutIntegerReply(std::int64_t value, char* out);
char* PutIntegerBulk(std::int64_t value, char* out);

// "WRONGTYPE" of "WRONGTYPE Operation against ..."; "ERR" if the text has no code in front.
std::string_view ErrorCode(std::string_view error_text);
// The text without its code, for dialects that have none.
std::string_view ErrorMessage(std::string_view error_text);

}  // namespace jeton
