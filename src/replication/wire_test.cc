// The wire: messages, member records, the nodes file, the ring, proofs.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/crc32c.h"
#include "replication/message.h"
#include "replication/ring.h"
#include "replication/secret.h"
#include "replication/test_host.h"

namespace jeton::replication::test {
namespace {

Member MakeMember(unsigned number, std::uint64_t clock, MemberState state = MemberState::kMember) {
  Member member;
  member.node = NodeNumber(number);
  member.address = {"10.0.0." + std::to_string(number), 7000};
  member.origin = OriginNumber(number);
  member.state = state;
  member.version = {clock, OriginNumber(number)};
  return member;
}

TEST(Members, TheNewerRecordWinsAndForgottenStays) {
  EXPECT_TRUE(Supersedes(MakeMember(1, 5), MakeMember(1, 4)));
  EXPECT_FALSE(Supersedes(MakeMember(1, 4), MakeMember(1, 4)));
  EXPECT_TRUE(Supersedes(MakeMember(1, 1, MemberState::kForgotten), MakeMember(1, 9)));
  EXPECT_FALSE(Supersedes(MakeMember(1, 9), MakeMember(1, 1, MemberState::kForgotten)));
}

TEST(Members, TheNodesFileIsRefusedWithAReason) {
  const std::vector<Member> members = {MakeMember(1, 4), MakeMember(2, 7, MemberState::kForgotten)};
  const std::string file = EncodeNodes({members});
  ASSERT_TRUE(DecodeNodes(file).ok());
  EXPECT_EQ(DecodeNodes(file)->members, members);
  EXPECT_FALSE(DecodeNodes(file)->joining);
  EXPECT_TRUE(DecodeNodes(EncodeNodes({members, true}))->joining);
  for (std::size_t i = 0; i < file.size(); ++i) {
    std::string damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(DecodeNodes(damaged).ok()) << i;
    EXPECT_FALSE(DecodeNodes(std::string_view(file).substr(0, i)).ok()) << i;
  }
  EXPECT_EQ(DecodeNodes("{}").error().text, "nodes file: does not begin with JTNNODES");
  std::string later = file.substr(0, file.size() - 4);
  later[8] = 9;
  PutFixed<std::uint32_t>(later, Crc32c(later));
  EXPECT_EQ(DecodeNodes(later).error().text,
            "nodes file: version 9 is unknown; this program reads version 1");
}

TEST(Messages, AHeaderSaysWhatIsWrongWithIt) {
  std::string message;
  PutMessage(message, MessageType::kDelta, kLast, 77, "payload");
  const Result<Header> header = GetHeader(message);
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->type, MessageType::kDelta);
  EXPECT_EQ(header->flags, kLast);
  EXPECT_EQ(header->stream, 77U);
  EXPECT_EQ(header->length, 7U);
  EXPECT_EQ(header->payload_crc, Crc32c("payload"));
  for (std::size_t i = 0; i < kHeaderBytes; ++i) {
    std::string damaged = message;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_FALSE(GetHeader(damaged).ok()) << i;
  }
  EXPECT_EQ(GetHeader("GET / HTTP/1.1\r\nHost: x\r\n").error().text,
            "a message does not begin with JTN1");
  std::string unknown;
  PutMessage(unknown, static_cast<MessageType>(99), 0, 0, "");
  EXPECT_EQ(GetHeader(unknown).error().text, "message type 99 is unknown");
  std::string longer;
  PutMessage(longer, MessageType::kDelta, 0, 0, std::string(kPayloadBytesMax + 1, 'x'));
  EXPECT_EQ(GetHeader(longer).error().text,
            "a message of 1048577 bytes; at most 1048576 may come at once");
}

Hello MakeHello() {
  Hello hello;
  hello.features = 5;
  hello.adoptable = hello.meet = hello.has_peers = true;
  hello.cluster = ClusterNumber(3);
  hello.node = NodeNumber(4);
  hello.origin = OriginNumber(5);
  hello.version = {77, OriginNumber(5)};
  hello.nonce[31] = 9;
  hello.address = {"here", 7000};
  hello.seen_host = "there";
  hello.origins = {OriginNumber(4), OriginNumber(5)};
  return hello;
}

TEST(Messages, WhatIsEncodedDecodesToTheSame) {
  const std::string hello = EncodeHello(MakeHello());
  ByteReader in(hello);
  EXPECT_EQ(EncodeHello(DecodeHello(in)), hello);
  EXPECT_TRUE(in.ok());

  Refuse refuse{RefuseReason::kForgotten, "gone", {}};
  refuse.finals.Advance(OriginNumber(1), 9);
  const std::string refused = EncodeRefuse(refuse);
  ByteReader refused_in(refused);
  EXPECT_EQ(EncodeRefuse(DecodeRefuse(refused_in)), refused);

  Ping ping{.stamp = 1, .wall_ms = -2, .clock = 3, .head = 4, .members_digest = 5, .heads = {}};
  ping.heads.push_back({NodeNumber(1), OriginNumber(1), 4, 100});
  const std::string pinged = EncodePing(ping);
  ByteReader pinged_in(pinged);
  EXPECT_EQ(EncodePing(DecodePing(pinged_in)), pinged);
}

TEST(Messages, MoreThanTheMaximumIsRefused) {
  Hello hello = MakeHello();
  hello.origins.assign(kOwnOriginsMax + 1, OriginId{});
  const std::string many_origins = EncodeHello(hello);
  ByteReader in(many_origins);
  DecodeHello(in);
  EXPECT_FALSE(in.ok());

  hello = MakeHello();
  hello.address.host.assign(kHostBytesMax + 1, 'h');
  const std::string long_host = EncodeHello(hello);
  ByteReader long_in(long_host);
  DecodeHello(long_in);
  EXPECT_FALSE(long_in.ok());

  std::string members;
  PutMembers(members, std::vector<Member>(kMembersMax + 1, MakeMember(1, 1)));
  ByteReader members_in(members);
  GetMembers(members_in);
  EXPECT_FALSE(members_in.ok());

  Ping ping;
  ping.heads.resize(kHeadsPerPing + 1);
  const std::string pinged = EncodePing(ping);
  ByteReader pinged_in(pinged);
  DecodePing(pinged_in);
  EXPECT_FALSE(pinged_in.ok());
}

RC_GTEST_PROP(Messages, AnyBytesDecodeOrFail, (const std::string& bytes)) {
  ByteReader hello(bytes), refuse(bytes), vector(bytes), need(bytes), miss(bytes), ping(bytes),
      members(bytes);
  DecodeHello(hello);
  DecodeRefuse(refuse);
  DecodeVector(vector);
  DecodeNeed(need);
  DecodeMiss(miss);
  DecodePing(ping);
  GetMembers(members);
  (void)DecodeNodes(bytes);
}

TEST(Secret, AProofIsForOneHandshakeRoleAndContent) {
  const Transcript transcript{"dialer's", "acceptor's"};
  const auto proof = [&](std::string_view secret, bool dialer, MessageType type, Transcript of,
                         std::string_view said) { return ProofOf(secret, dialer, type, of, said); };
  const Mac mac = proof("s", true, MessageType::kWelcome, transcript, "");
  const std::string text(reinterpret_cast<const char*>(mac.data()), mac.size());
  EXPECT_TRUE(SameMac(text, mac));
  EXPECT_FALSE(SameMac(text, proof("t", true, MessageType::kWelcome, transcript, "")));
  EXPECT_FALSE(SameMac(text, proof("s", false, MessageType::kWelcome, transcript, "")));
  EXPECT_FALSE(SameMac(text, proof("s", true, MessageType::kRefuse, transcript, "")));
  EXPECT_FALSE(
      SameMac(text, proof("s", true, MessageType::kWelcome, {"dialer'", "sacceptor's"}, "")));
  EXPECT_FALSE(SameMac(text, proof("s", true, MessageType::kWelcome, transcript, "x")));
  EXPECT_FALSE(SameMac(text.substr(1), mac));
  EXPECT_EQ(proof("", true, MessageType::kWelcome, transcript, ""), Mac{});
}

std::shared_ptr<const std::string> Bytes(std::size_t size) {
  return std::make_shared<const std::string>(size, 'x');
}

TEST(Ring, FindsTheFrameThatGoesOnFromAnyLsn) {
  Ring ring;
  const OriginId origin = OriginNumber(1);
  EXPECT_TRUE(ring.Add(origin, 0, 5, Bytes(10), 1));
  EXPECT_TRUE(ring.Add(origin, 5, 8, Bytes(10), 2));
  EXPECT_TRUE(ring.Add(origin, 3, 9, Bytes(10), 3)) << "frames may overlap";
  EXPECT_FALSE(ring.Add(origin, 5, 9, Bytes(10), 4)) << "nothing new";
  EXPECT_EQ(ring.Find(origin, 0)->to, 5U);
  EXPECT_EQ(ring.Find(origin, 4)->to, 5U);
  EXPECT_EQ(ring.Find(origin, 5)->to, 8U);
  EXPECT_EQ(ring.Find(origin, 8)->to, 9U);
  EXPECT_EQ(ring.Find(origin, 9), nullptr);
  EXPECT_EQ(ring.Find(OriginNumber(2), 0), nullptr);
  const Ring::Pending pending = ring.After(origin, 5);
  EXPECT_EQ(pending.frames, 2U);
  EXPECT_EQ(pending.bytes, 20U);
  EXPECT_EQ(pending.oldest, 2);
}

TEST(Ring, AHoleEmptiesTheOriginsPart) {
  Ring ring;
  ring.Add(OriginNumber(1), 0, 5, Bytes(10), 1);
  ring.Add(OriginNumber(1), 6, 8, Bytes(10), 2);
  EXPECT_EQ(ring.Find(OriginNumber(1), 0), nullptr);
  EXPECT_EQ(ring.Find(OriginNumber(1), 6)->to, 8U);
  EXPECT_EQ(ring.bytes(), 10U);
  EXPECT_EQ(ring.frames(), 1U);
  ring.Shrink(0);
  EXPECT_EQ(ring.frames(), 1U) << "the newest stays";
}

TEST(Ring, NeverHoldsMoreThanItsMaximum) {
  Ring ring;
  Prng prng(1);
  Lsn ends[4] = {0, 0, 0, 0};
  for (int i = 0; i < 5'000; ++i) {
    const auto which = static_cast<unsigned>(prng.Below(4));
    const Lsn from = ends[which] + (prng.Chance(0.02) ? 1 : 0);
    ends[which] = from + 1 + prng.Below(3);
    ring.Add(OriginNumber(which), from, ends[which], Bytes(1 + prng.Below(100)), i);
    ring.Shrink(1'000);
    ASSERT_LE(ring.bytes(), 1'000U);
    if (prng.Chance(0.05)) {
      ring.Trim(200, [&](const OriginId&, Lsn) { return prng.Chance(0.9); });
    }
    std::size_t bytes = 0, frames = 0;
    for (const auto& [origin, entries] : ring.origins()) {
      for (const Ring::Entry& entry : entries) bytes += entry.bytes->size();
      frames += entries.size();
    }
    ASSERT_EQ(bytes, ring.bytes());
    ASSERT_EQ(frames, ring.frames());
    // Whatever is in it can be had without a hole, up to the end.
    const OriginId origin = OriginNumber(which);
    for (Lsn at = ring.origins().at(origin).front().from; at < ends[which];) {
      const Ring::Entry* entry = ring.Find(origin, at);
      ASSERT_NE(entry, nullptr);
      at = entry->to;
    }
  }
}

}  // namespace
}  // namespace jeton::replication::test
