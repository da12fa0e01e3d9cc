#include "bench/reply_counter.h"

#include <algorithm>
#include <cstring>

namespace jeton::bench {
namespace {

// GCC's portable vectors: SSE2 on x86-64, NEON on aarch64.
using Bytes16 = signed char __attribute__((vector_size(16)));
// A lane counts up to 127 before it must be added up.
constexpr std::size_t kBlocksPerSum = 127;

Bytes16 Load(const char* from) {
  Bytes16 bytes;
  std::memcpy(&bytes, from, sizeof(bytes));
  return bytes;
}

std::uint64_t SumLanes(Bytes16 lanes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < sizeof(lanes); ++i) sum += static_cast<unsigned char>(lanes[i]);
  return sum;
}

}  // namespace

LineScan ScanLines(std::string_view bytes, bool at_line_start, char first) {
  LineScan scan;
  if (bytes.empty()) return scan;
  scan.ends += bytes[0] == '\n';
  scan.others += at_line_start && bytes[0] != first;
  std::size_t at = 1;
  const Bytes16 zero{};
  while (bytes.size() - at >= sizeof(Bytes16)) {
    const std::size_t blocks = std::min(kBlocksPerSum, (bytes.size() - at) / sizeof(Bytes16));
    Bytes16 ends{};
    Bytes16 others{};
    for (std::size_t i = 0; i < blocks; ++i, at += sizeof(Bytes16)) {
      const Bytes16 here = Load(bytes.data() + at);
      const Bytes16 before = Load(bytes.data() + at - 1);
      // A comparison yields -1 in the lanes where it holds.
      ends -= static_cast<Bytes16>(here == (zero + '\n'));
      others -= static_cast<Bytes16>((before == (zero + '\n')) & (here != (zero + first)));
    }
    scan.ends += SumLanes(ends);
    scan.others += SumLanes(others);
  }
  for (; at < bytes.size(); ++at) {
    scan.ends += bytes[at] == '\n';
    scan.others += bytes[at - 1] == '\n' && bytes[at] != first;
  }
  return scan;
}

bool ReplyCounter::Feed(std::string_view bytes) {
  if (broken_) return false;
  if (bytes.empty()) return true;
  if (framing_ != ReplyFraming::kResp) return FeedLines(bytes);
  return FeedScanned(bytes) || FeedResp(bytes);
}

bool ReplyCounter::FeedScanned(std::string_view bytes) {
  if (scan_type_ == 0 || replies_ < kParsedReplies) return false;
  const bool at_start = at_ == At::kType;
  // Within a line of another type, or within an array: not the stream that was seen so far.
  if (long_ || (!at_start && (at_ != At::kLine || type_ != scan_type_))) return false;
  const LineScan scan = ScanLines(bytes, at_start, scan_type_);
  if (scan.others != 0) return false;
  replies_ += scan.ends;
  at_ = bytes.back() == '\n' ? At::kType : At::kLine;
  type_ = scan_type_;
  return true;
}

bool ReplyCounter::FeedResp(std::string_view bytes) {
  while (!bytes.empty() && !broken_) {
    std::size_t taken = 0;
    switch (at_) {
      case At::kType:
        taken = TakeType(bytes);
        break;
      case At::kLine:
        taken = TakeLine(bytes);
        break;
      case At::kLength:
        taken = TakeLength(bytes);
        break;
      case At::kBulk:
        taken = TakeBulk(bytes);
        break;
    }
    bytes.remove_prefix(taken);
  }
  return !broken_;
}

std::size_t ReplyCounter::TakeType(std::string_view bytes) {
  type_ = bytes[0];
  length_ = 0;
  negative_ = false;
  if (std::string_view(":+-,(#_").find(type_) != std::string_view::npos) {
    at_ = At::kLine;
  } else if (std::string_view("$*%~>=!").find(type_) != std::string_view::npos) {
    at_ = At::kLength;
  } else {
    broken_ = true;
  }
  failed_ |= type_ == '-' || type_ == '!';
  return 1;
}

std::size_t ReplyCounter::TakeLine(std::string_view bytes) {
  const std::size_t end = bytes.find('\n');
  if (type_ == '-') KeepErrorText(bytes.substr(0, end));
  if (end == std::string_view::npos) return bytes.size();
  EndValue();
  return end + 1;
}

std::size_t ReplyCounter::TakeLength(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (c == '\n') {
      EndLength();
      return i + 1;
    }
    if (c >= '0' && c <= '9' && length_ <= kValuesMax) {
      length_ = length_ * 10 + static_cast<std::uint64_t>(c - '0');
    } else if (c == '-' && length_ == 0) {
      negative_ = true;
    } else if (c != '\r') {
      broken_ = true;
      return i + 1;
    }
  }
  return bytes.size();
}

void ReplyCounter::EndLength() {
  long_ = true;
  if (negative_) return EndValue();  // null
  if (type_ == '$' || type_ == '=' || type_ == '!') {
    length_ += 2;  // the line end behind the bytes
    at_ = At::kBulk;
    return;
  }
  values_left_ += type_ == '%' ? 2 * length_ : length_;
  broken_ = values_left_ > kValuesMax;
  EndValue();
}

std::size_t ReplyCounter::TakeBulk(std::string_view bytes) {
  const std::size_t taken = std::min<std::uint64_t>(length_, bytes.size());
  if (type_ == '!') KeepErrorText(bytes.substr(0, taken));
  length_ -= taken;
  if (length_ == 0) EndValue();
  return taken;
}

void ReplyCounter::EndValue() {
  at_ = At::kType;
  if (--values_left_ > 0) return;
  values_left_ = 1;
  const bool line = !long_ && (type_ == ':' || type_ == '+');
  // An error is the exception that the scan finds, not another kind of stream.
  if (!failed_) scan_type_ = line && (replies_ == errors_ || scan_type_ == type_) ? type_ : char{0};
  ++replies_;
  errors_ += failed_;
  failed_ = false;
  long_ = false;
}

void ReplyCounter::KeepErrorText(std::string_view bytes) {
  if (errors_ > 0 || first_error_.size() >= kErrorTextMax) return;
  while (!bytes.empty() && (bytes.back() == '\r' || bytes.back() == '\n')) bytes.remove_suffix(1);
  first_error_ += bytes.substr(0, kErrorTextMax - first_error_.size());
}

bool ReplyCounter::FeedLines(std::string_view bytes) {
  if (!line_.empty()) {
    const std::size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    broken_ = line_.size() > kLineMax;
    if (end == std::string_view::npos) return !broken_;
    CountLine(line_);
    line_.clear();
    bytes.remove_prefix(end + 1);
  }
  const std::size_t last = bytes.rfind('\n');
  const std::string_view whole = bytes.substr(0, last == std::string_view::npos ? 0 : last + 1);
  line_ = bytes.substr(whole.size());
  // A success of Karma has no `f` unless a name has one: then every line is looked at.
  if (framing_ == ReplyFraming::kJsonLines && whole.find('f') == std::string_view::npos) {
    replies_ += ScanLines(whole, false, 0).ends;
    return true;
  }
  for (std::size_t at = 0; at < whole.size();) {
    const std::size_t end = whole.find('\n', at);
    CountLine(whole.substr(at, end - at));
    at = end + 1;
  }
  return true;
}

void ReplyCounter::CountLine(std::string_view line) {
  ++replies_;
  const bool failed = framing_ == ReplyFraming::kJsonLines
                          ? line.find("\"success\":false") != std::string_view::npos
                          : !line.starts_with("STORED") &&
                                (line.empty() || line.front() < '0' || line.front() > '9');
  if (failed) KeepErrorText(line);
  errors_ += failed;
}

}  // namespace jeton::bench
