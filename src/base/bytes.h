// Little-endian integers, LEB128 varints and zigzag, appended to a std::string and read back by a
// ByteReader that never reads past its end: a short or overlong input makes it fail, once and for
// good, and every later read returns zero or empty. Check ok() before you use what was read.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace jeton {

template <typename T>
void PutFixed(std::string& out, T value) {
  static_assert(std::is_integral_v<T>);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));  // every supported machine is little-endian
  out.append(bytes, sizeof(T));
}

template <typename T>
T GetFixed(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// Writes at most 10 bytes; returns their end.
inline char* PutVarintAt(char* out, std::uint64_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

inline void PutVarint(std::string& out, std::uint64_t value) {
  char bytes[10];
  out.append(bytes, static_cast<std::size_t>(PutVarintAt(bytes, value) - bytes));
}

inline std::uint64_t ZigZag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
inline std::int64_t UnZigZag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

inline void PutSignedVarint(std::string& out, std::int64_t value) {
  PutVarint(out, ZigZag(value));
}

// Length as varint, then the bytes.
inline void PutBytes(std::string& out, std::string_view bytes) {
  PutVarint(out, bytes.size());
  out.append(bytes);
}

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : next_(bytes.data()), end_(next_ + bytes.size()) {}

  bool ok() const { return ok_; }
  bool AtEnd() const { return next_ == end_; }
  std::size_t Remaining() const { return static_cast<std::size_t>(end_ - next_); }
  const char* Position() const { return next_; }

  template <typename T>
  T Fixed() {
    if (!Need(sizeof(T))) return T{};
    T value = GetFixed<T>(next_);
    next_ += sizeof(T);
    return value;
  }

  std::uint64_t Varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (!Need(1)) return 0;
      const auto byte = static_cast<unsigned char>(*next_++);
      if (shift == 63 && byte > 1) break;
      if (byte == 0 && shift > 0) break;  // a shorter encoding exists, and only one may pass
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    Fail();
    return 0;
  }

  std::int64_t SignedVarint() { return UnZigZag(Varint()); }

  std::string_view Take(std::size_t size) {
    if (!Need(size)) return {};
    std::string_view bytes(next_, size);
    next_ += size;
    return bytes;
  }

  std::string_view Bytes() {
    const std::uint64_t size = Varint();
    if (size > Remaining()) {
      Fail();
      return {};
    }
    return Take(size);
  }

  void Fail() {
    ok_ = false;
    next_ = end_;
  }

 private:
  bool Need(std::size_t size) {
    if (ok_ && size <= Remaining()) return true;
    Fail();
    return false;
  }

  const char* next_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace jeton
