// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected; RFC 3720 appendix B.4).
// `Crc32c(bytes, previous)` continues a checksum: Crc32c(b, Crc32c(a)) == Crc32c(a + b).
// Uses the SSE4.2 instruction where the processor has it, decided at run time. Thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

namespace jeton {

std::uint32_t Crc32c(std::string_view bytes, std::uint32_t previous = 0);

// The same sums without the instruction; for processors that lack it, and for the test that holds
// the two against each other.
std::uint32_t Crc32cPortable(std::string_view bytes, std::uint32_t previous = 0);

}  // namespace jeton
