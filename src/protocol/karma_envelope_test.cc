#include "protocol/karma_envelope.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace jeton {
namespace {

template <typename Write>
std::string Enveloped(KarmaVersion version, Write write, std::optional<bool> idempotent = {}) {
  std::string out = "before|";
  KarmaEnvelope envelope(out, version);
  Reply reply(out, ReplyFormat::kJson);
  write(reply);
  envelope.Finish(reply, idempotent);
  return out;
}

TEST(KarmaEnvelope, WritesV1) {
  EXPECT_EQ(Enveloped(KarmaVersion::kV1, [](Reply& r) { r.Integer(1); }),
            "before|{\"success\":true,\"response\":1}\r\n");
  EXPECT_EQ(Enveloped(KarmaVersion::kV1, [](Reply& r) { r.Bulk("Tree \"a\" saved"); }),
            "before|{\"success\":true,\"response\":\"Tree \\\"a\\\" saved\"}\r\n");
  EXPECT_EQ(Enveloped(KarmaVersion::kV1, [](Reply& r) { r.Error("ERR Tree \"a\" not exists"); }),
            "before|{\"success\":false,\"response\":\"Tree \\\"a\\\" not exists\"}\r\n");
  EXPECT_EQ(Enveloped(KarmaVersion::kUnknown, [](Reply& r) { r.Error("ERR bad"); }),
            "before|{\"success\":false,\"response\":\"bad\"}\r\n");
}

TEST(KarmaEnvelope, WritesV2) {
  const auto one = [](Reply& r) {
    r.Map(1);
    r.Bulk("total");
    r.Integer(3);
  };
  EXPECT_EQ(Enveloped(KarmaVersion::kV2, one),
            "before|{\"protocol_version\":2,\"success\":true,\"response\":{\"total\":3},"
            "\"error_code\":null}\n");
  EXPECT_EQ(Enveloped(KarmaVersion::kV2, one, true),
            "before|{\"protocol_version\":2,\"success\":true,\"response\":{\"total\":3},"
            "\"idempotent\":true,\"error_code\":null}\n");
  EXPECT_EQ(Enveloped(KarmaVersion::kV2, one, false),
            "before|{\"protocol_version\":2,\"success\":true,\"response\":{\"total\":3},"
            "\"idempotent\":false,\"error_code\":null}\n");
  EXPECT_EQ(Enveloped(KarmaVersion::kV2,
                      [](Reply& r) {
                        r.Error({ErrorKind::kNotFound, "Tree \"x\" not found"});
                      }),
            "before|{\"protocol_version\":2,\"success\":false,"
            "\"response\":\"Tree \\\"x\\\" not found\",\"error_code\":\"not_found\"}\n");
}

TEST(KarmaEnvelope, WritesFailuresWithTheirOwnCodes) {
  std::string out;
  AppendKarmaFailure(out, KarmaVersion::kV2, "Unknown command x", "unknown_command");
  AppendKarmaFailure(out, KarmaVersion::kV1, "Unknown command x", "unknown_command");
  EXPECT_EQ(out,
            "{\"protocol_version\":2,\"success\":false,\"response\":\"Unknown command x\","
            "\"error_code\":\"unknown_command\"}\n"
            "{\"success\":false,\"response\":\"Unknown command x\"}\r\n");
}

TEST(KarmaEnvelope, MapsErrors) {
  EXPECT_EQ(KarmaErrorCode({ErrorKind::kInvalid, "ERR x"}), "validation_error");
  EXPECT_EQ(KarmaErrorCode({ErrorKind::kDenied, "NOAUTH x"}), "unauthorized");
  EXPECT_EQ(KarmaErrorCode({ErrorKind::kDenied, "NOPERM x"}), "forbidden");
  EXPECT_EQ(KarmaErrorCode({ErrorKind::kNoSpace, "NOSPACE x"}), "internal_error");
}

}  // namespace
}  // namespace jeton
