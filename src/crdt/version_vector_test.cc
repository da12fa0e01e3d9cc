#include "crdt/version_vector.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "crdt/clock.h"
#include "crdt/frame.h"

namespace jeton::crdt {
namespace {

VersionVector Make(const std::vector<std::pair<std::uint8_t, Lsn>>& known) {
  VersionVector vector;
  for (const auto& [origin, lsn] : known) vector.Advance(OriginId{origin}, lsn);
  return vector;
}

using Known = std::vector<std::pair<std::uint8_t, Lsn>>;

RC_GTEST_PROP(VersionVector, JoinIsCommutativeAssociativeIdempotentAndMonotone,
              (const Known& a, const Known& b, const Known& c)) {
  VersionVector ab = Make(a), ba = Make(b);
  ab.Join(Make(b));
  ba.Join(Make(a));
  RC_ASSERT(ab == ba);
  RC_ASSERT(ab.Covers(Make(a)) && ab.Covers(Make(b)));
  VersionVector left = ab, right = Make(b);
  left.Join(Make(c));
  right.Join(Make(c));
  VersionVector first = Make(a);
  first.Join(right);
  RC_ASSERT(left == first);
  ab.Join(ba);
  RC_ASSERT(ab == ba);
}

RC_GTEST_PROP(VersionVector, DecodesWhatItEncodes, (const Known& known)) {
  std::string bytes;
  Make(known).EncodeTo(bytes);
  ByteReader in(bytes);
  RC_ASSERT(VersionVector::Decode(in) == Make(known));
  RC_ASSERT(in.ok() && in.AtEnd());
}

TEST(VersionVector, RefusesDisorderAndZeros) {
  std::string bytes;
  PutVarint(bytes, 2);
  for (const std::uint8_t origin : {std::uint8_t{2}, std::uint8_t{1}}) {
    PutOrigin(bytes, OriginId{origin});
    PutVarint(bytes, 1);
  }
  ByteReader in(bytes);
  VersionVector::Decode(in);
  EXPECT_FALSE(in.ok());
}

TEST(Frame, RoundTripAndEmptyRangeRefused) {
  Frame frame{.origin = {7}, .from = 3, .to = 9, .clock = 55, .row = Make({{1, 2}}), .body = "abc"};
  const std::string bytes = EncodeFrame(frame);
  ByteReader in(bytes);
  const Frame read = DecodeFrame(in);
  ASSERT_TRUE(in.ok() && in.AtEnd());
  EXPECT_EQ(read.origin, frame.origin);
  EXPECT_EQ(read.from, 3u);
  EXPECT_EQ(read.to, 9u);
  EXPECT_EQ(read.row, frame.row);
  EXPECT_EQ(read.body, "abc");

  frame.to = 3;
  const std::string empty = EncodeFrame(frame);
  ByteReader bad(empty);
  DecodeFrame(bad);
  EXPECT_FALSE(bad.ok());
}

TEST(HybridClock, NeverGoesBackWhenTheWallClockDoes) {
  HybridClock clock;
  const std::uint64_t first = clock.Next(1000);
  EXPECT_GT(clock.Next(500), first);
  clock.Saw(first + (1u << 20));
  EXPECT_GT(clock.Next(1000), first + (1u << 20));
}

}  // namespace
}  // namespace jeton::crdt
