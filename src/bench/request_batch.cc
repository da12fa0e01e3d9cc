#include "bench/request_batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace jeton::bench {
namespace {

constexpr std::string_view kKey = "%key%";
// With a mix of reads and writes, this many commands are laid out: the ratio is met to 1/1024.
constexpr std::size_t kMixedCommands = 1024;

std::size_t DigitsOf(std::uint64_t number) {
  return std::to_string(number).size();
}

// Eight digits at once (after P. Khuong, "How to print integers really fast", 2017): pairs of
// four, two and one digits are split in one register by multiplication.
std::uint64_t EightDigits(std::uint64_t number) {
  std::uint64_t x = number / 10'000 | (number % 10'000) << 32;
  const std::uint64_t hundreds = (x * 10'486 >> 20) & 0x7f0000007fULL;
  x = hundreds | (x - 100 * hundreds) << 16;
  const std::uint64_t tens = (x * 103 >> 10) & 0x000f000f000f000fULL;
  x = tens | (x - 10 * tens) << 8;
  return x | 0x3030303030303030ULL;  // the most significant digit is the first byte
}

std::string RepeatWords(std::string_view head, std::string_view words, std::size_t times) {
  std::string text(head);
  for (std::size_t i = 0; i < times; ++i) text += words;
  return text;
}

std::string Karma(std::string_view command, std::string_view tree) {
  return fmt::format(R"({{"command":"{}","tree_name":"{}","key":{}}})", command, tree, kKey);
}

// Appends `text` with a key for each %key%, and notes where the keys' digits are.
void AppendWithKeys(EncodedCommand& command, std::string_view text, const KeyFormat& format) {
  while (true) {
    const std::size_t at = text.find(kKey);
    command.bytes += text.substr(0, at);
    if (at == std::string_view::npos) return;
    command.keys.push_back(command.bytes.size() + format.prefix().size());
    command.bytes += format.Name(0);
    text.remove_prefix(at + kKey.size());
  }
}

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::size_t EncodedSize(std::string_view word, const KeyFormat& format) {
  std::size_t keys = 0;
  for (std::size_t at = word.find(kKey); at != std::string_view::npos;
       at = word.find(kKey, at + kKey.size())) {
    ++keys;
  }
  return word.size() - keys * kKey.size() + keys * format.Name(0).size();
}

}  // namespace

Result<KeyFormat> KeyFormat::Parse(std::string_view text, std::uint64_t keys) {
  const Error wrong{ErrorKind::kInvalid,
                    fmt::format("the key format '{}' needs exactly one %d or %08d", text)};
  const std::size_t percent = text.find('%');
  const std::size_t end = text.find('d', percent);
  if (percent == std::string_view::npos || end == std::string_view::npos) return wrong;
  if (text.find('%', percent + 1) != std::string_view::npos) return wrong;
  if (text.find_first_of(" \r\n") != std::string_view::npos) return wrong;

  KeyFormat format;
  format.prefix_ = text.substr(0, percent);
  format.suffix_ = text.substr(end + 1);
  const std::string_view width = text.substr(percent + 1, end - percent - 1);
  if (width.empty()) {
    format.first_ = 1;
    while (format.first_ * 9 < keys) format.first_ *= 10;
    format.digits_ = DigitsOf(format.first_);
    return format;
  }
  if (width.size() > 3 || width.front() != '0' ||
      !std::all_of(width.begin(), width.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return wrong;
  }
  for (const char c : width) format.digits_ = format.digits_ * 10 + static_cast<unsigned>(c - '0');
  const std::size_t needed = DigitsOf(keys - 1);
  if (format.digits_ < needed || format.digits_ > kDigitsMax) {
    return Error{ErrorKind::kInvalid, fmt::format("{} keys need {} to {} digits in '{}'", keys,
                                                  needed, kDigitsMax, text)};
  }
  return format;
}

std::string KeyFormat::Name(std::uint64_t index) const {
  std::string digits(digits_, '0');
  WriteDigits(digits.data(), digits_, first_ + index);
  return prefix_ + digits + suffix_;
}

void WriteDigits(char* to, std::size_t digits, std::uint64_t number) {
  std::uint64_t last = EightDigits(number % 100'000'000);
  if (digits == 8) {
    std::memcpy(to, &last, 8);
  } else if (digits < 8) {
    last >>= 8 * (8 - digits);
    for (std::size_t i = 0; i < digits; ++i, last >>= 8) to[i] = static_cast<char>(last);
  } else {
    WriteDigits(to, digits - 8, number / 100'000'000);
    std::memcpy(to + digits - 8, &last, 8);
  }
}

EncodedCommand EncodeCommand(Protocol protocol, std::string_view text, const KeyFormat& format) {
  EncodedCommand command;
  if (protocol != Protocol::kResp) {
    AppendWithKeys(command, text, format);
    command.bytes += protocol == Protocol::kKarma ? "\n" : "\r\n";
    return command;
  }
  const auto words = Words(text);
  command.bytes = fmt::format("*{}\r\n", words.size());
  for (const std::string_view word : words) {
    command.bytes += fmt::format("${}\r\n", EncodedSize(word, format));
    AppendWithKeys(command, word, format);
    command.bytes += "\r\n";
  }
  return command;
}

Result<std::string> CommandText(Protocol protocol, std::string_view name, std::size_t items,
                                std::string_view tree) {
  if (Words(name).empty()) return Error{ErrorKind::kInvalid, "the command is empty"};
  if (name.find(kKey) != std::string_view::npos || name.find(' ') != std::string_view::npos) {
    return std::string(name);
  }
  if (protocol == Protocol::kKarma) {
    if (name == "incr") return Karma("increment", tree);
    if (name == "get") return Karma("sum", tree);
  } else if (protocol == Protocol::kMemcached) {
    if (name == "incr") return fmt::format("incr {} 1", kKey);
    if (name == "set") return fmt::format("set {} 0 0 1\r\n0", kKey);
  } else {
    if (name == "incr") return fmt::format("INCR {}", kKey);
    if (name == "get") return fmt::format("GET {}", kKey);
    if (name == "set") return fmt::format("SET {} 1", kKey);
    if (name == "mget") return RepeatWords("MGET", " %key%", items);
    if (name == "mincrby") {
      return RepeatWords(fmt::format("TREE.MINCRBY {}", tree), " %key% 1", items);
    }
    if (name == "msum") return RepeatWords(fmt::format("TREE.MSUM {} KEYS", tree), " %key%", items);
  }
  return Error{
      ErrorKind::kInvalid,
      fmt::format("'{}' is no command of this protocol: one of {}, or a text with %key%", name,
                  protocol == Protocol::kResp    ? "incr, get, set, mget, mincrby, msum"
                  : protocol == Protocol::kKarma ? "incr, get"
                                                 : "incr, set")};
}

void RequestBatch::Append(Variant& variant, const EncodedCommand& command) {
  for (const std::size_t key : command.keys) variant.keys.push_back(variant.bytes.size() + key);
  variant.bytes += command.bytes;
  variant.ends.push_back(variant.bytes.size());
  variant.key_ends.push_back(variant.keys.size());
}

Result<RequestBatch> RequestBatch::Make(const Mix& mix, std::size_t commands,
                                        const KeyFormat& format) {
  const bool mixed = mix.read_ratio > 0 && mix.read_ratio < 1;
  const std::size_t variants = mixed ? std::max<std::size_t>(1, kMixedCommands / commands) : 1;
  const std::size_t largest = std::max(mix.write.bytes.size(), mix.read.bytes.size());
  if (largest > kBytesMax / (variants * commands)) {
    return Error{ErrorKind::kInvalid,
                 fmt::format("{} commands of {} bytes in a pipeline are more than {} bytes",
                             commands, largest, kBytesMax)};
  }
  RequestBatch batch(format.digits(), format.first());
  batch.variants_.resize(variants);
  double reads = 0;  // the share that is due, spread evenly as Bresenham spreads steps
  for (Variant& variant : batch.variants_) {
    for (std::size_t i = 0; i < commands; ++i) {
      reads += mix.read_ratio;
      const bool read = reads >= 1;
      if (read) reads -= 1;
      Append(variant, read ? mix.read : mix.write);
    }
  }
  return batch;
}

std::string_view RequestBatch::Next(std::size_t commands, KeySource& source) {
  Variant& variant = variants_[next_];
  if (++next_ == variants_.size()) next_ = 0;
  ASSERT(commands > 0 && commands <= variant.ends.size());
  const std::size_t keys = variant.key_ends[commands - 1];
  for (std::size_t i = 0; i < keys; ++i) {
    WriteDigits(variant.bytes.data() + variant.keys[i], digits_, first_ + source.Next());
  }
  return std::string_view(variant.bytes).substr(0, variant.ends[commands - 1]);
}

}  // namespace jeton::bench
