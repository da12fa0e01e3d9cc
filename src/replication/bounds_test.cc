// Every named maximum is reached, and bytes from strangers never do harm.
#include <gtest/gtest.h>

#include "replication/message.h"
#include "replication/test_network.h"

namespace jeton::replication::test {
namespace {

// One Replicator whose peers are played by the test.
class Bounds : public testing::Test {
 protected:
  Bounds() : network(1) {
    Settings settings;
    settings.link_bytes_max = 1'000;
    settings.need_bytes = 500;
    settings.ring_bytes_max = 1 << 20;
    network.Add(settings);
    // No connections: outputs are looked at here.
    disk.node = NodeNumber(50);
  }

  Replicator& replicator() { return *network.nodes[0]->replicator; }
  TestHost& host() { return *network.nodes[0]->host; }
  Now now() { return network.NowOf(0); }

  static std::string Message(MessageType type, std::string_view payload, std::uint8_t flags = 0,
                             std::uint32_t stream = 0) {
    std::string bytes;
    PutMessage(bytes, type, flags, stream, payload);
    return bytes;
  }

  // Of our outputs for `link`: what was sent, and whether it was closed.
  struct Seen {
    std::vector<std::pair<Header, std::string>> messages;
    std::string closed;
    std::size_t Count(MessageType type) const {
      std::size_t count = 0;
      for (const auto& [header, payload] : messages) count += header.type == type ? 1 : 0;
      return count;
    }
  };
  Seen Look(LinkId link) {
    Seen seen;
    for (const Output& output : replicator().TakeOutputs()) {
      if (const auto* close = std::get_if<Close>(&output); close && close->link == link) {
        seen.closed = close->reason;
      }
      const auto* send = std::get_if<Send>(&output);
      if (send == nullptr || send->link != link) continue;
      for (std::string_view rest = send->bytes; !rest.empty();) {
        const Result<Header> header = GetHeader(rest);
        seen.messages.emplace_back(*header, rest.substr(kHeaderBytes, header->length));
        rest.remove_prefix(kHeaderBytes + header->length);
      }
    }
    return seen;
  }

  LinkId LinkUp(unsigned number) {
    const LinkId link = replicator().Accepted(now(), "10.0.0.9");
    Hello hello;
    hello.adoptable = hello.meet = true;
    hello.cluster = ClusterNumber(9);
    hello.node = NodeNumber(number);
    hello.origin = OriginNumber(number);
    hello.version = {1, hello.origin};
    replicator().Receive(now(), link, Message(MessageType::kHello, EncodeHello(hello)));
    replicator().Receive(now(), link, Message(MessageType::kWelcome, std::string(32, '\0')));
    Member member;
    member.node = hello.node;
    member.origin = hello.origin;
    member.version = hello.version;
    std::string members;
    PutMembers(members, {member});
    replicator().Receive(now(), link, Message(MessageType::kMembers, members));
    EXPECT_EQ(Look(link).closed, "");
    return link;
  }

  TestNetwork network;
  Disk disk;
};

TEST_F(Bounds, StrangersAreFew) {
  for (std::size_t i = 0; i < kStrangersMax; ++i) {
    EXPECT_NE(replicator().Accepted(now(), "10.0.0.9"), 0U);
  }
  EXPECT_EQ(replicator().Accepted(now(), "10.0.0.9"), 0U);
  network.Run(6'000);
  EXPECT_NE(replicator().Accepted(now(), "10.0.0.9"), 0U) << "those who said nothing are gone";
}

TEST_F(Bounds, AStrangerIsReadOnlySoFar) {
  const LinkId link = replicator().Accepted(now(), "10.0.0.9");
  replicator().Receive(now(), link,
                       Message(MessageType::kHello, std::string(kHandshakeBytesMax + 1, 'x')));
  EXPECT_EQ(Look(link).closed, "a handshake of 65537 bytes; at most 65536 are read");
}

TEST_F(Bounds, NothingButAHandshakeFromAStranger) {
  for (const MessageType type : {MessageType::kMembers, MessageType::kDelta, MessageType::kNeed,
                                 MessageType::kStateBegin, MessageType::kPing}) {
    const LinkId link = replicator().Accepted(now(), "10.0.0.9");
    replicator().Receive(now(), link, Message(type, "x"));
    EXPECT_EQ(Look(link).closed, "a message before the handshake was over");
  }
  EXPECT_EQ(replicator().members().size(), 1U);
}

TEST_F(Bounds, BytesThatAreNotOursCloseTheLink) {
  const LinkId link = LinkUp(2);
  replicator().Receive(now(), link, std::string(100, 'z'));
  EXPECT_EQ(Look(link).closed, "a message does not begin with JTN1");
  const LinkId second = LinkUp(3);
  std::string message = Message(MessageType::kPing, "abcdefgh");
  message.back() = 'x';
  replicator().Receive(now(), second, message);
  EXPECT_EQ(Look(second).closed, "the checksum of a message's payload does not match");
}

TEST_F(Bounds, ContentInPiecesIsNotEndless) {
  const LinkId link = LinkUp(2);
  const std::string piece(kPayloadBytesMax, 'x');
  std::string closed;
  for (std::size_t sent = 0; closed.empty() && sent <= kContentBytesMax; sent += piece.size()) {
    replicator().Receive(now(), link, Message(MessageType::kDelta, piece, kMore));
    closed = Look(link).closed;
  }
  EXPECT_EQ(closed, "content of more than 20971520 bytes");
}

TEST_F(Bounds, PiecesOfTwoContentsAreNotMixed) {
  const LinkId link = LinkUp(2);
  replicator().Receive(now(), link, Message(MessageType::kDelta, "x", kMore, 1));
  replicator().Receive(now(), link, Message(MessageType::kDigest, "x", kMore, 1));
  EXPECT_EQ(Look(link).closed, "pieces of two contents are mixed");
}

TEST_F(Bounds, ALongFrameGoesInPiecesAndAnEndlessOneIsRefused) {
  EXPECT_FALSE(replicator()
                   .AddFrame(now(), std::make_shared<const std::string>(kFrameBytesMax + 1, 'x'))
                   .ok());
  TestNetwork two(2);
  two.Add({});
  two.Add({});
  two.Meet(0, 1);
  two.Run(500);
  two.nodes[0]->host->Increment(5);
  two.Publish(0, two.nodes[0]->host->Cut(true, std::size_t{3} << 20));
  EXPECT_TRUE(two.RunUntil(1'000, [&] { return two.nodes[1]->host->Total() == 5; }));
}

TEST_F(Bounds, ASlowPeerCostsNoMoreThanItsWindow) {
  const LinkId link = LinkUp(2);
  replicator().Receive(now(), link, Message(MessageType::kVector, EncodeVector({})));
  std::size_t unsent = 0;
  for (int i = 0; i < 1'000; ++i) {
    host().Increment(1);
    network.Publish(0, host().Cut(true, 200));
    replicator().Tick(now());
    for (const Output& output : replicator().TakeOutputs()) {
      if (const auto* send = std::get_if<Send>(&output)) unsent += send->bytes.size();
    }
  }
  EXPECT_LT(unsent, 2'000U);
  // And when it reads again, it gets the rest by asking.
  replicator().Backlog(now(), link, 0);
  replicator().Receive(
      now(), link, Message(MessageType::kNeed, EncodeNeed({host().origin(), 3, 1 << 30}), 0, 7));
  const Seen seen = Look(link);
  EXPECT_GE(seen.Count(MessageType::kDelta), 2U);
  EXPECT_LE(seen.Count(MessageType::kDelta), 3U) << "need_bytes";
  EXPECT_EQ(seen.messages.back().first.flags, kLast);
  EXPECT_EQ(seen.messages.back().first.stream, 7U);
}

TEST_F(Bounds, WhoAsksAndDoesNotReadIsClosed) {
  const LinkId link = LinkUp(2);
  const std::string ping = Message(MessageType::kPing, EncodePing({}));
  std::string closed;
  for (int i = 0; i < 1'000'000 && closed.empty(); ++i) {
    replicator().Receive(now(), link, ping);
    if (i % 1'000 == 0) closed = Look(link).closed;
  }
  EXPECT_TRUE(closed.ends_with("are unsent: it does not read")) << closed;
}

TEST_F(Bounds, NeedsThatWaitAreFew) {
  const LinkId link = LinkUp(2);
  host().Increment(1);
  network.Publish(0, host().Cut(true, 2'000));
  replicator().Backlog(now(), link, 10'000);
  for (std::uint32_t i = 1; i <= kNeedsPerLinkMax + 5; ++i) {
    replicator().Receive(now(), link,
                         Message(MessageType::kNeed, EncodeNeed({host().origin(), 0, 100}), 0, i));
  }
  const Seen busy = Look(link);
  EXPECT_EQ(busy.Count(MessageType::kMiss), 5U);
  EXPECT_EQ(busy.Count(MessageType::kDelta), 0U);
  replicator().Backlog(now(), link, 0);
  EXPECT_EQ(Look(link).Count(MessageType::kDelta), 1U) << "then the window is full again";
}

TEST_F(Bounds, PullsAreFewPerLink) {
  const LinkId link = LinkUp(2);
  VectorUpdate update;
  for (unsigned i = 100; i < 200; ++i) update.durable.Advance(OriginNumber(i), 5);
  replicator().Receive(now(), link, Message(MessageType::kVector, EncodeVector(update)));
  EXPECT_EQ(Look(link).Count(MessageType::kNeed), kNeedsPerLinkMax);
  EXPECT_EQ(network.StatusOf(0).needs_outstanding, kNeedsPerLinkMax);
}

TEST_F(Bounds, MembersAreAtMostAThousand) {
  const LinkId link = LinkUp(2);
  for (unsigned batch = 0; batch < 2; ++batch) {
    std::vector<Member> members;
    for (unsigned i = 0; i < kMembersMax; ++i) {
      Member member;
      member.node = NodeNumber(1'000 + batch * 1'024 + i);
      member.origin = OriginNumber(1'000 + batch * 1'024 + i);
      member.version = {1, member.origin};
      members.push_back(member);
    }
    std::string payload;
    PutMembers(payload, members);
    replicator().Receive(now(), link, Message(MessageType::kMembers, payload));
  }
  EXPECT_EQ(replicator().members().size(), kMembersMax);
  EXPECT_EQ(network.StatusOf(0).alarms[0], "more than 1024 nodes are gossiped");
}

TEST_F(Bounds, StatesAreServedToFew) {
  host().Increment(1);
  network.Publish(0, host().Cut(true));
  host().chunk_padding = 5'000;
  std::vector<LinkId> links;
  for (unsigned i = 0; i <= kDonationsMax; ++i) {
    links.push_back(LinkUp(10 + i));
    replicator().Backlog(now(), links.back(), 5'000);
    replicator().Receive(now(), links.back(),
                         Message(MessageType::kNeed, EncodeVectored({}, {}), kWantState, 1));
  }
  EXPECT_EQ(host().donations(), kDonationsMax);
  EXPECT_EQ(Look(links.back()).Count(MessageType::kMiss), 1U);
  replicator().Closed(now(), links[0], "gone");
  EXPECT_EQ(host().donations(), kDonationsMax - 1);
  // Paced: nothing of it is read ahead of what the link takes.
  EXPECT_EQ(Look(links[1]).Count(MessageType::kStateChunk), 0U);
  replicator().Backlog(now(), links[1], 0);
  EXPECT_EQ(Look(links[1]).Count(MessageType::kStateChunk), 1U);
}

TEST_F(Bounds, MeetTargetsAreFew) {
  for (std::uint16_t i = 1; i <= kMeetTargetsMax; ++i) {
    EXPECT_TRUE(replicator().Meet(now(), {"host", i}, false).ok());
  }
  EXPECT_FALSE(replicator().Meet(now(), {"host", 999}, false).ok());
  EXPECT_FALSE(replicator().Meet(now(), {"host", 0}, false).ok());
  EXPECT_FALSE(replicator().Meet(now(), {"", 5}, false).ok());
}

TEST_F(Bounds, EventsThatNobodyFetchesAreFew) {
  for (std::size_t i = 0; i < kEventsMax + 100; ++i) {
    const LinkId link = replicator().Accepted(now(), "10.0.0.9");
    replicator().Receive(now(), link, std::string(100, 'z'));
    (void)replicator().TakeOutputs();
  }
  EXPECT_EQ(replicator().TakeEvents().size(), kEventsMax);
}

}  // namespace
}  // namespace jeton::replication::test
