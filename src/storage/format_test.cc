// The small formats: what was encoded decodes to the same, anything else is refused.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "storage/envelope.h"
#include "storage/identity.h"
#include "storage/log_format.h"
#include "storage/manifest.h"

namespace jeton {
namespace {

template <typename Decode>
void ExpectEveryChangeIsFound(const std::string& bytes, Decode decode) {
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ (1 << at % 8));
    EXPECT_FALSE(decode(changed).ok()) << at;
    EXPECT_FALSE(decode(bytes.substr(0, at)).ok()) << at;
  }
}

TEST(Formats, ManifestRoundTrip) {
  const Manifest manifest{7, 3, 42};
  const std::string bytes = EncodeManifest(manifest);
  EXPECT_EQ(*DecodeManifest(bytes), manifest);
  ExpectEveryChangeIsFound(bytes, [](std::string_view b) { return DecodeManifest(b); });
  EXPECT_FALSE(DecodeManifest(bytes + "x").ok());
}

TEST(Formats, IdentityRoundTrip) {
  Identity identity;
  identity.node[3] = 9;
  identity.cluster[15] = 255;
  identity.hash_seed = 12345;
  identity.origins = {OriginId{1}, OriginId{2}};
  const std::string bytes = EncodeIdentity(identity);
  EXPECT_EQ(*DecodeIdentity(bytes), identity);
  ExpectEveryChangeIsFound(bytes, [](std::string_view b) { return DecodeIdentity(b); });
}

TEST(Formats, AnIdentityRemembersTheLastStarts) {
  Identity identity;
  identity.origins.resize(kOriginsMax + 1);
  identity.origins.back() = OriginId{7};
  const auto back = DecodeIdentity(EncodeIdentity(identity));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->origins.size(), kOriginsMax);
  EXPECT_EQ(back->origins.back(), OriginId{7});
}

TEST(Formats, ANewerVersionIsRefusedByName) {
  const EnvelopeKind newer{"JTNMANI1", kManifestFormatVersion + 1, "manifest"};
  const auto refused = DecodeManifest(EncodeEnvelope(newer, std::string(24, '\1')));
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(refused.error().text,
            "manifest format 2 is newer than this program, which reads up to 1");
}

TEST(Formats, SegmentHeaderRoundTrip) {
  const SegmentHeader header{77, OriginId{1, 2, 3}, 9, 1000, 0};
  const std::string bytes = EncodeSegmentHeader(header);
  ASSERT_EQ(bytes.size(), kSegmentHeaderSize);
  const auto back = DecodeSegmentHeader(bytes);
  EXPECT_EQ(back->seed, 77u);
  EXPECT_EQ(back->origin, header.origin);
  EXPECT_EQ(back->seq, 9u);
  EXPECT_EQ(back->first_lsn, 1000u);
  ExpectEveryChangeIsFound(bytes, [](std::string_view b) { return DecodeSegmentHeader(b); });
}

RC_GTEST_PROP(Formats, RecordsVerifyOnlyWithTheirSeedAndUnchanged, (const std::string& payload)) {
  const auto seed = *rc::gen::arbitrary<std::uint32_t>();
  std::string record(RecordSpace(payload.size()), '\0');
  record.replace(kRecordHeaderSize, payload.size(), payload);
  RecordHeader header;
  header.size = static_cast<std::uint32_t>(payload.size());
  header.lsn = 5;
  header.prev = *rc::gen::arbitrary<std::uint32_t>();
  SealRecord(record.data(), seed, header);
  RecordHeader back;
  RC_ASSERT(DecodeRecordHeader(record, seed, back) && VerifyRecord(record, back));
  RC_ASSERT(back.prev == header.prev && back.lsn == 5 && back.size == payload.size());
  RC_ASSERT(!DecodeRecordHeader(record, seed + 1, back));
  const auto at = *rc::gen::inRange<std::size_t>(0, record.size());
  record[at] = static_cast<char>(record[at] ^ 0x10);
  RC_ASSERT(!(DecodeRecordHeader(record, seed, back) && VerifyRecord(record, back)));
}

}  // namespace
}  // namespace jeton
