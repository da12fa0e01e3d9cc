#include "base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace jeton {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // 0x1EDC6F41 with its bits reversed

using Table = std::array<std::uint32_t, 256>;

// Slicing by 8 (Kounavis and Berry, "A Systematic Approach to Building High Performance
// Software-based CRC Generators", 2005): table k advances a byte that is k bytes further back.
constexpr std::array<Table, 8> MakeTables() {
  std::array<Table, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr std::array<Table, 8> kTables = MakeTables();

std::uint64_t Load64(const char* bytes) {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t Crc32cHardware(std::string_view bytes,
                                                               std::uint32_t previous) {
  const char* next = bytes.data();
  const char* const end = next + bytes.size();
  std::uint64_t crc = ~previous;
  for (; end - next >= 8; next += 8) crc = _mm_crc32_u64(crc, Load64(next));
  auto crc32 = static_cast<std::uint32_t>(crc);
  for (; next != end; ++next) crc32 = _mm_crc32_u8(crc32, static_cast<unsigned char>(*next));
  return ~crc32;
}
#endif

}  // namespace

std::uint32_t Crc32cPortable(std::string_view bytes, std::uint32_t previous) {
  const char* next = bytes.data();
  const char* const end = next + bytes.size();
  std::uint32_t crc = ~previous;
  for (; end - next >= 8; next += 8) {
    const std::uint64_t word = Load64(next) ^ crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; next != end; ++next) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<unsigned char>(*next)) & 0xff];
  }
  return ~crc;
}

std::uint32_t Crc32c(std::string_view bytes, std::uint32_t previous) {
#if defined(__x86_64__)
  // A load and a test of what the runtime found out at start: no pointer of ours to initialise.
  if (__builtin_cpu_supports("sse4.2")) [[likely]]
    return Crc32cHardware(bytes, previous);
#endif
  return Crc32cPortable(bytes, previous);
}

}  // namespace jeton
