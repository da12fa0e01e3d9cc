#include "bench/request_batch.h"

#include <gtest/gtest.h>

#include "base/prng.h"

namespace jeton::bench {
namespace {

KeyFormat Format(std::string_view text, std::uint64_t keys) {
  auto format = KeyFormat::Parse(text, keys);
  EXPECT_TRUE(format.ok());
  return *format;
}

TEST(WriteDigits, AgreesWithPrintf) {
  Prng prng(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto digits = static_cast<std::size_t>(prng.Between(1, 16));
    std::uint64_t bound = 1;
    for (std::size_t d = 0; d < digits; ++d) bound *= 10;
    const std::uint64_t number = prng.Below(bound);
    std::string text(digits, '?');
    WriteDigits(text.data(), digits, number);
    std::string expected = std::to_string(number);
    expected.insert(0, digits - expected.size(), '0');
    ASSERT_EQ(text, expected);
  }
}

TEST(KeyFormat, KeepsOneLengthForAllKeys) {
  const KeyFormat zeros = Format("articles:%08d", 1'000'000);
  EXPECT_EQ(zeros.Name(0), "articles:00000000");
  EXPECT_EQ(zeros.Name(999'999), "articles:00999999");
  const KeyFormat plain = Format("a%dz", 1'000'000);
  EXPECT_EQ(plain.Name(0), "a1000000z");
  EXPECT_EQ(plain.Name(999'999), "a1999999z");
  EXPECT_EQ(Format("%d", 1).Name(0), "1");
  EXPECT_EQ(Format("%d", 9).Name(8), "9");
  EXPECT_EQ(Format("%d", 10).Name(9), "19");
}

TEST(KeyFormat, RefusesWhatCannotHoldTheKeys) {
  for (const std::string_view text :
       {"articles", "%s", "%8d", "%05d", "%099d", "%d%d", "a b%d", "%d %", "%"}) {
    EXPECT_FALSE(KeyFormat::Parse(text, 1'000'000).ok()) << text;
  }
}

TEST(EncodeCommand, FramesWordsOfRespAndLinesOfTheOthers) {
  const KeyFormat format = Format("k%02d", 10);
  EXPECT_EQ(EncodeCommand(Protocol::kResp, "INCRBY %key%  5", format).bytes,
            "*3\r\n$6\r\nINCRBY\r\n$3\r\nk00\r\n$1\r\n5\r\n");
  const auto two = EncodeCommand(Protocol::kResp, "GET a:%key%:%key%", format);
  EXPECT_EQ(two.bytes, "*2\r\n$3\r\nGET\r\n$9\r\na:k00:k00\r\n");
  EXPECT_EQ(two.keys.size(), 2u);
  EXPECT_EQ(EncodeCommand(Protocol::kMemcached, "incr %key% 1", format).bytes, "incr k00 1\r\n");
  EXPECT_EQ(EncodeCommand(Protocol::kKarma, *CommandText(Protocol::kKarma, "incr", 1, "t"),
                          Format("%d", 10))
                .bytes,
            "{\"command\":\"increment\",\"tree_name\":\"t\",\"key\":10}\n");
}

TEST(CommandText, KnowsTheCommandsOfEachProtocol) {
  EXPECT_EQ(*CommandText(Protocol::kResp, "mget", 2, "t"), "MGET %key% %key%");
  EXPECT_EQ(*CommandText(Protocol::kResp, "mincrby", 2, "t"), "TREE.MINCRBY t %key% 1 %key% 1");
  EXPECT_EQ(*CommandText(Protocol::kResp, "msum", 1, "t"), "TREE.MSUM t KEYS %key%");
  EXPECT_EQ(*CommandText(Protocol::kResp, "DECR %key%", 1, "t"), "DECR %key%");
  EXPECT_FALSE(CommandText(Protocol::kKarma, "mget", 1, "t").ok());
  EXPECT_FALSE(CommandText(Protocol::kResp, "  ", 1, "t").ok());
  EXPECT_FALSE(CommandText(Protocol::kMemcached, "nonsense", 1, "t").ok());
}

TEST(RequestBatch, WritesTheKeysOfTheSourceInOrder) {
  const KeyFormat format = Format("k%02d", 10);
  const RequestBatch::Mix mix{.write = EncodeCommand(Protocol::kMemcached, "i %key%", format)};
  auto batch = RequestBatch::Make(mix, 3, format);
  ASSERT_TRUE(batch.ok());
  KeySource source(Distribution::kSequential, 10, 1);
  EXPECT_EQ(batch->Next(3, source), "i k00\r\ni k01\r\ni k02\r\n");
  EXPECT_EQ(batch->Next(1, source), "i k03\r\n");
  EXPECT_EQ(batch->Next(2, source), "i k04\r\ni k05\r\n");
}

TEST(RequestBatch, MixesReadsAndWritesInTheRatio) {
  const KeyFormat format = Format("%03d", 10);
  const RequestBatch::Mix mix{.write = EncodeCommand(Protocol::kMemcached, "w%key%", format),
                              .read = EncodeCommand(Protocol::kMemcached, "r%key%", format),
                              .read_ratio = 0.9};
  for (const std::size_t commands : {1u, 16u}) {
    auto batch = RequestBatch::Make(mix, commands, format);
    ASSERT_TRUE(batch.ok());
    KeySource source(Distribution::kUniform, 10, 1);
    std::size_t reads = 0;
    std::size_t all = 0;
    while (all < 1024) {
      const std::string_view bytes = batch->Next(commands, source);
      reads += static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), 'r'));
      all += commands;
    }
    EXPECT_NEAR(static_cast<double>(reads), 0.9 * 1024, 2) << commands;
  }
}

TEST(RequestBatch, RefusesMoreBytesThanItsMaximum) {
  const KeyFormat format = Format("%d", 10);
  const RequestBatch::Mix mix{.write = EncodeCommand(Protocol::kResp, "PING", format)};
  EXPECT_FALSE(RequestBatch::Make(mix, RequestBatch::kBytesMax, format).ok());
}

}  // namespace
}  // namespace jeton::bench
