#include "engine/mutation.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace jeton::engine {
namespace {

std::string Encoded(const Mutation& mutation) {
  std::string bytes;
  EncodeMutation(mutation, bytes);
  return bytes;
}

void ExpectRoundTrip(const Mutation& mutation) {
  const std::string bytes = Encoded(mutation);
  ByteReader in(bytes);
  const Mutation read = DecodeMutation(in);
  ASSERT_TRUE(in.ok());
  EXPECT_TRUE(in.AtEnd());
  EXPECT_EQ(read.type, mutation.type);
  EXPECT_EQ(read.name, mutation.name);
  EXPECT_EQ(read.value, mutation.value);
  EXPECT_EQ(read.delta, mutation.delta);
  EXPECT_EQ(read.expires_at, mutation.expires_at);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ByteReader cut(std::string_view(bytes).substr(0, size));
    DecodeMutation(cut);
    EXPECT_FALSE(cut.ok()) << "of " << bytes.size() << " bytes, " << size << " were enough";
  }
}

bool Decodes(std::string_view bytes) {
  ByteReader in(bytes);
  DecodeMutation(in);
  return in.ok() && in.AtEnd();
}

TEST(MutationTest, AnIncrementByOneCostsThreeBytesAndItsName) {
  EXPECT_EQ(
      Encoded({.type = MutationType::kCounter, .name = "visits", .value = 7, .delta = 1}).size(),
      3 + 6);
}

RC_GTEST_PROP(MutationTest, IntegersHaveTheSameBytesOnTheShortWay,
              (std::string name, std::int64_t value, std::int64_t delta)) {
  for (const std::int64_t v : {value, value % 10'000, std::int64_t{INT64_MIN}}) {
    for (const std::int64_t d : {delta, delta % 3}) {
      std::string bytes;
      EncodeIntegerMutation(name, v, d, bytes);
      RC_ASSERT(bytes ==
                Encoded({.type = MutationType::kCounter, .name = name, .value = v, .delta = d}));
    }
  }
}

TEST(MutationTest, AnIntegerOfALongNameHasTheSameBytesOnTheShortWay) {
  for (const std::size_t size : {126, 127, 128, 5000}) {
    const std::string name(size, 'x');
    std::string bytes;
    EncodeIntegerMutation(name, 5, 2, bytes);
    EXPECT_EQ(bytes,
              Encoded({.type = MutationType::kCounter, .name = name, .value = 5, .delta = 2}));
  }
}

TEST(MutationTest, EveryTypeComesBack) {
  const Decimal tenth = Decimal::Parse("0.1").value();
  for (const Decimal& delta :
       {Decimal(0), Decimal(1), Decimal(-1), Decimal(2), Decimal(INT64_MIN), tenth}) {
    ExpectRoundTrip({.type = MutationType::kCounter, .name = "n", .value = tenth, .delta = delta});
  }
  ExpectRoundTrip({.type = MutationType::kDrop, .name = std::string_view("\0\xff", 2)});
  ExpectRoundTrip({.type = MutationType::kExpire, .name = "", .expires_at = 0});
  ExpectRoundTrip({.type = MutationType::kExpire, .name = "n", .expires_at = 1'700'000'000'000});
  ExpectRoundTrip({.type = MutationType::kPrecision, .name = "n", .value = -1});
  ExpectRoundTrip({.type = MutationType::kPrecision, .name = "n", .value = tenth});
  ExpectRoundTrip({.type = MutationType::kFlush});
}

TEST(MutationTest, LongNamesUpToTheLimit) {
  const std::string longest(kMaxNameBytes, 'x');
  EXPECT_TRUE(Decodes(Encoded({.type = MutationType::kDrop, .name = longest})));
  EXPECT_FALSE(Decodes(Encoded({.type = MutationType::kDrop, .name = longest + "x"})));
}

TEST(MutationTest, RefusesWhatItWouldNotWrite) {
  using namespace std::string_literals;
  EXPECT_FALSE(Decodes("\0"s));                 // no type 0
  EXPECT_FALSE(Decodes("\x06\x01n"s));          // no type 6
  EXPECT_FALSE(Decodes("\x42\x01n"s));          // a delta form on a drop
  EXPECT_FALSE(Decodes("\x02\x81\0n"s));        // a varint longer than needed
  EXPECT_FALSE(Decodes("\x01\x01n\x0e\x02"s));  // a delta of 1 has its own form
  EXPECT_TRUE(Decodes("\x01\x01n\x0e\x04"s));   // a delta of 2 has not
  EXPECT_FALSE(Decodes("\x04\x01n\x03"s));      // precision -2: the default is -1
}

RC_GTEST_PROP(MutationTest, WhatDecodesEncodesToTheSameBytes, ()) {
  auto bytes = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
  if (!bytes.empty()) bytes[0] = static_cast<char>((bytes[0] & 0xc7) | *rc::gen::inRange(1, 6));
  ByteReader in(bytes);
  const Mutation mutation = DecodeMutation(in);
  if (!in.ok()) return;
  RC_ASSERT(Encoded(mutation) == bytes.substr(0, bytes.size() - in.Remaining()));
}

}  // namespace
}  // namespace jeton::engine
