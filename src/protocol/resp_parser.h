// The server's side of RESP: requests out of a buffer of bytes, incremental and without copying.
//
// A request is an array of bulk strings, or an inline command (a line of words, quotes as in Redis'
// sdssplitargs). Errors have the texts of Redis 7.0. Stricter than Redis in one point: the bytes
// after a length or a bulk must be CR LF, for otherwise the stream has lost its frame, and what
// follows would be executed as commands.
//
// The outcome never depends on how the bytes were cut into pieces, and the work is linear in the
// bytes however small the pieces are: the parser remembers how far it got in an unfinished request.
// One parser per connection; not thread-safe. Parsing allocates nothing, apart from `args` and the
// rare cases (an inline command with quotes, a request that is cut).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace jeton {

class RespParser {
 public:
  enum class Outcome : unsigned char { kNeedMore, kRequest, kError };

  struct Limits {
    std::size_t inline_bytes = 64 * 1024;       // an inline command, or the line of a length
    std::size_t arguments = 1024 * 1024;        // of one request
    std::size_t bulk_bytes = 16 * 1024 * 1024;  // one argument; Redis' proto-max-bulk-len
    // As Redis does, a client that has yet to authenticate gets 10 arguments of 16 KiB.
    bool unauthenticated = false;
  };

  RespParser() { SetLimits(Limits()); }
  explicit RespParser(const Limits& limits) { SetLimits(limits); }

  // Takes effect with the next length that is read.
  void SetLimits(const Limits& limits);
  const Limits& limits() const { return limits_; }

  // Parses one request from the front of `input`.
  //
  // `consumed` is set on every outcome, and these bytes must be gone from the front of `input` at
  // the next call: on kNeedMore too, where it counts empty lines and empty arrays (else a client
  // that sends nothing but these would fill the buffer).
  //
  // kRequest: one or more arguments were appended to `args`: views into `input`, or, for an inline
  //   command with quotes, into storage that stays valid until ReleaseScratch().
  // kNeedMore: call again with the same front (perhaps at another address) and more behind it.
  // kError: error() is the text to send; then close. Call nothing more.
  Outcome Next(std::string_view input, std::size_t& consumed, std::vector<std::string_view>& args);

  // "Protocol error: invalid bulk length": to be sent after "-ERR ".
  const std::string& error() const { return error_; }

  // Whether an unfinished request is pending (in the bytes after the last `consumed`).
  bool InRequest() const { return in_multibulk_ || scanned_ > 0; }

  // How many bytes the front needs before Next can say more than kNeedMore, as far as is known:
  // for a large bulk a hint for how much to read at once. 0 if nothing is known.
  std::size_t NeededBytes() const { return needed_; }

  // Frees the storage of quoted inline arguments. Call it when no view is in use any more, such as
  // after a batch.
  void ReleaseScratch() { scratch_.clear(); }

 private:
  struct Span {
    std::size_t offset;
    std::size_t size;
  };

  enum class Step : unsigned char { kNeedMore, kDone, kEmpty, kError };

  Outcome NextSlow(std::string_view input, std::size_t& consumed,
                   std::vector<std::string_view>& args);
  Step Inline(std::string_view input, std::vector<std::string_view>& args);
  Step BeginMultibulk(std::string_view input);
  Step Multibulk(std::string_view input);
  Step BulkLength(std::string_view input);
  Step LengthLine(std::string_view input, std::string_view too_big, std::string_view& line);
  void EndMultibulk(std::string_view input, std::vector<std::string_view>& args);
  bool SplitQuoted(std::string_view line, std::vector<std::string_view>& args);
  Step Fail(std::string_view text);

  Limits limits_;
  std::size_t short_arguments_ = 0;  // how many the fast path may take within the limits
  // An unfinished request; all positions count from the front of `input`.
  bool in_multibulk_ = false;
  std::size_t missing_ = 0;  // arguments still to come
  std::size_t pos_ = 0;      // where the next length line, or the next bulk, begins
  std::size_t scanned_ = 0;  // bytes from pos_ on that are known to hold no line end
  std::size_t needed_ = 0;
  std::int64_t bulk_size_ = -1;  // of the bulk at pos_; -1: its length line comes first
  std::vector<Span> spans_;      // the arguments so far
  std::vector<std::unique_ptr<char[]>> scratch_;
  std::string error_;
};

}  // namespace jeton
