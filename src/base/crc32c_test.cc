#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "base/prng.h"

namespace jeton {
namespace {

// RFC 3720, appendix B.4.
TEST(Crc32c, GivesTheVectorsOfTheRfc) {
  std::string rising(32, '\0');
  std::iota(rising.begin(), rising.end(), '\0');
  const std::string falling(rising.rbegin(), rising.rend());
  const unsigned char scsi_read[48] = {0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
                                       0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
                                       0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0};
  for (auto* sum : {&Crc32c, &Crc32cPortable}) {
    EXPECT_EQ(sum("", 0), 0u);
    EXPECT_EQ(sum("123456789", 0), 0xe3069283u);
    EXPECT_EQ(sum(std::string(32, '\0'), 0), 0x8a9136aau);
    EXPECT_EQ(sum(std::string(32, '\xff'), 0), 0x62a8ab43u);
    EXPECT_EQ(sum(rising, 0), 0x46dd794eu);
    EXPECT_EQ(sum(falling, 0), 0x113fdb5cu);
    EXPECT_EQ(sum({reinterpret_cast<const char*>(scsi_read), sizeof(scsi_read)}, 0), 0xd9963a56u);
  }
}

TEST(Crc32c, TheInstructionAndTheTablesAgree) {
  Prng prng(1);
  std::string bytes(300, '\0');
  for (char& c : bytes) c = static_cast<char>(prng.Next());
  for (std::size_t begin = 0; begin < 9; ++begin) {
    for (std::size_t size = 0; begin + size <= bytes.size(); ++size) {
      const auto part = std::string_view(bytes).substr(begin, size);
      ASSERT_EQ(Crc32c(part), Crc32cPortable(part)) << begin << " " << size;
    }
  }
}

TEST(Crc32c, ContinuesASum) {
  const std::string text = "one currency, decided once";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Crc32c(text.substr(cut), Crc32c(text.substr(0, cut))), Crc32c(text));
    EXPECT_EQ(Crc32cPortable(text.substr(cut), Crc32c(text.substr(0, cut))), Crc32c(text));
  }
}

}  // namespace
}  // namespace jeton
