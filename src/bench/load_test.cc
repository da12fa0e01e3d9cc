#include "bench/load.h"

#include <gtest/gtest.h>

#include "bench/report.h"

namespace jeton::bench {
namespace {

TEST(CpuTicks, AddsUserAndSystemTimeBehindAnyName) {
  const std::string rest = " S 1 2 3 4 5 6 7 8 9 10 110 23 14 15 16 17\n";
  EXPECT_EQ(CpuTicks("42 (jeton)" + rest), 133u);
  EXPECT_EQ(CpuTicks("42 (a) 1 2 (b) S)" + rest), 133u);
  EXPECT_EQ(CpuTicks("42 (short) S 1 2 3"), std::nullopt);
  EXPECT_EQ(CpuTicks(""), std::nullopt);
}

// Each of these fails before anything is connected.
TEST(RunLoad, NamesTheOptionThatIsWrong) {
  const auto fails_with = [](const auto& change) {
    LoadOptions options;
    change(options);
    const auto result = RunLoad(options);
    return result ? std::string() : result.error().text;
  };
  EXPECT_EQ(fails_with([](LoadOptions& o) { o.pipeline = 0; }),
            "--pipeline 0: must be from 1 to 1000000");
  EXPECT_EQ(fails_with([](LoadOptions& o) { o.read_ratio = 1.5; }),
            "--read-ratio 1.5: must be from 0 to 1");
  EXPECT_EQ(fails_with([](LoadOptions& o) { o.threads = 60; }),
            "--threads 60: must be from 1 to 50");
  EXPECT_EQ(fails_with([](LoadOptions& o) { o.key_format = "%03d"; }),
            "1000000 keys need 6 to 16 digits in '%03d'");
  EXPECT_EQ(fails_with([](LoadOptions& o) { o.command = "push"; }),
            "'push' is no command of this protocol: one of incr, get, set, mget, mincrby, msum, or "
            "a text with %key%");
}

TEST(JsonReport, IsOneObjectWithEscapedText) {
  LoadResult result;
  result.latency.Record(1'500, 4);
  result.measured = result.sent = 4;
  result.seconds = 2;
  result.errors = 1;
  result.first_error = "a \"b\"\n";
  EXPECT_EQ(JsonReport(result),
            "{\"rate\":2.0,\"seconds\":2.000000,\"measured\":4,\"sent\":4,\"errors\":1,"
            "\"p50_us\":1.5,\"p99_us\":1.5,\"p999_us\":1.5,\"max_us\":1.5,\"mean_us\":1.5,"
            "\"first_error\":\"a \\\"b\\\"\\u000a\"}\n");
  result.server_cpu_us = 0.25;
  EXPECT_NE(JsonReport(result).find(",\"server_cpu_us\":0.2500}"), std::string::npos);
}

}  // namespace
}  // namespace jeton::bench
