// Requests that are ready to send: a batch of commands is encoded once, and before each use only
// the digits of its keys are written anew. A key is a number within a text of fixed length
// (KeyFormat), so that nothing ever moves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bench/key_source.h"

namespace jeton::bench {

enum class Protocol : unsigned char { kResp, kKarma, kMemcached };

// "articles:%08d" is `articles:` and the key's index in eight digits. "%d" numbers the keys from
// the power of ten on that gives all of them the same length: 1000000 to 1999999 for a million.
class KeyFormat {
 public:
  // More digits than any number of keys needs.
  static constexpr std::size_t kDigitsMax = 16;

  static Result<KeyFormat> Parse(std::string_view text, std::uint64_t keys);

  // The name of a key as it is sent.
  std::string Name(std::uint64_t index) const;
  const std::string& prefix() const { return prefix_; }
  std::size_t digits() const { return digits_; }
  std::uint64_t first() const { return first_; }

 private:
  std::string prefix_;
  std::string suffix_;
  std::size_t digits_ = 0;
  std::uint64_t first_ = 0;  // the number of key 0
};

// Writes `number`, which has at most `digits` digits, with leading zeros.
void WriteDigits(char* to, std::size_t digits, std::uint64_t number);

struct EncodedCommand {
  std::string bytes;
  std::vector<std::size_t> keys;  // where the digits of each key begin
};

// `text` is words between blanks for RESP, a line for the other protocols; %key% stands for a key.
EncodedCommand EncodeCommand(Protocol protocol, std::string_view text, const KeyFormat& format);

// The text of a command of the generator's own: incr, get, set, mget, mincrby, msum. `items` is the
// number of keys of the last three; `tree` names the tree of mincrby, msum and Karma. An error for
// one that the protocol does not have. A text with %key% or a blank in it is returned as it is.
Result<std::string> CommandText(Protocol protocol, std::string_view name, std::size_t items,
                                std::string_view tree);

class RequestBatch {
 public:
  // A batch and its variants are kept below this.
  static constexpr std::size_t kBytesMax = std::size_t{256} << 20;

  struct Mix {
    EncodedCommand write{};
    EncodedCommand read{};
    double read_ratio = 0;  // of the commands that are `read`
  };

  // kInvalid if `commands` of them take more than kBytesMax.
  static Result<RequestBatch> Make(const Mix& mix, std::size_t commands, const KeyFormat& format);

  // `commands` commands (at most those of Make) about keys of `source`. Valid until the next call.
  std::string_view Next(std::size_t commands, KeySource& source);

 private:
  // The same commands in another order of reads and writes.
  struct Variant {
    std::string bytes;
    std::vector<std::size_t> ends;      // of each command in `bytes`
    std::vector<std::size_t> keys;      // of all commands
    std::vector<std::size_t> key_ends;  // how many of `keys` belong to the commands so far
  };

  RequestBatch(std::size_t digits, std::uint64_t first) : digits_(digits), first_(first) {}

  static void Append(Variant& variant, const EncodedCommand& command);

  std::size_t digits_;
  std::uint64_t first_;
  std::vector<Variant> variants_;
  std::size_t next_ = 0;
};

}  // namespace jeton::bench
