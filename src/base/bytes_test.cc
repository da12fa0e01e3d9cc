#include "base/bytes.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

namespace jeton {
namespace {

TEST(Bytes, ReadsBackWhatWasPut) {
  EXPECT_TRUE(rc::check([](std::uint64_t u, std::int64_t s, std::uint16_t f, const std::string& b) {
    std::string out;
    PutVarint(out, u);
    PutSignedVarint(out, s);
    PutFixed(out, f);
    PutBytes(out, b);
    ByteReader in(out);
    RC_ASSERT(in.Varint() == u);
    RC_ASSERT(in.SignedVarint() == s);
    RC_ASSERT(in.Fixed<std::uint16_t>() == f);
    RC_ASSERT(in.Bytes() == b);
    RC_ASSERT(in.ok() && in.AtEnd());
  }));
}

TEST(Bytes, TheLimitsSurvive) {
  for (const std::int64_t value : {INT64_MIN, INT64_MAX, std::int64_t{0}, std::int64_t{-1}}) {
    std::string out;
    PutSignedVarint(out, value);
    ByteReader in(out);
    EXPECT_EQ(in.SignedVarint(), value);
    EXPECT_TRUE(in.ok() && in.AtEnd());
  }
}

TEST(Bytes, AShortOrOverlongInputFailsOnceAndForGood) {
  ByteReader cut("\x80\x80");
  EXPECT_EQ(cut.Varint(), 0u);
  EXPECT_FALSE(cut.ok());
  EXPECT_EQ(cut.Fixed<std::uint8_t>(), 0);
  EXPECT_EQ(cut.Take(1), "");

  ByteReader overlong(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
  overlong.Varint();
  EXPECT_FALSE(overlong.ok());

  for (std::string_view longer : {std::string_view("\x80\0", 2), std::string_view("\xff\0", 2)}) {
    ByteReader in(longer);
    in.Varint();
    EXPECT_FALSE(in.ok());
  }

  ByteReader lying(
      "\x05"
      "abc");
  EXPECT_EQ(lying.Bytes(), "");
  EXPECT_FALSE(lying.ok());
}

TEST(Bytes, GarbageNeverReadsPastTheEnd) {
  EXPECT_TRUE(rc::check([](const std::string& garbage) {
    ByteReader in(garbage);
    while (in.ok() && !in.AtEnd()) {
      in.Bytes();
      in.Varint();
      in.Fixed<std::uint32_t>();
    }
  }));
}

}  // namespace
}  // namespace jeton
