#include "command/settings.h"

#include <gtest/gtest.h>

namespace jeton::command {
namespace {

std::string ErrorOf(const Status& status) {
  return status.ok() ? "ok" : status.error().text;
}

Status Load(Settings& settings, std::string_view text) {
  return settings.LoadText(text, "jeton.conf", nullptr);
}

std::string Get(const Settings& settings, std::string_view name) {
  const std::string_view globs[] = {name};
  const auto found = settings.Get(globs);
  return found.size() == 1 ? found[0].second : std::to_string(found.size()) + " settings";
}

std::string ConfigSet(Settings& settings, std::string_view name, std::string_view value) {
  const std::pair<std::string_view, std::string_view> pairs[] = {{name, value}};
  return ErrorOf(settings.ConfigSet(pairs));
}

TEST(Settings, ReadsAFileWithCommentsQuotesAndUnits) {
  Settings settings;
  EXPECT_EQ(ErrorOf(Load(settings,
                         "# a comment\n\n  port 7000\r\nBIND 127.0.0.1 ::1\n"
                         "requirepass \"a b\\x41\"\nmaxmemory 64mb\nfsync everysec\n"
                         "zero-counters keep\nunixsocketperm 755\nlogfile ''\n"
                         "default-precision 0.5\n")),
            "ok");
  EXPECT_EQ(settings.values().port, 7000);
  EXPECT_EQ(settings.values().bind, "127.0.0.1 ::1");
  EXPECT_EQ(settings.values().requirepass, "a bA");
  EXPECT_EQ(settings.values().maxmemory, 64 << 20);
  EXPECT_EQ(settings.values().fsync, FsyncPolicy::kEverySecond);
  EXPECT_FALSE(settings.values().zero_counters_drop);
  EXPECT_EQ(settings.values().unixsocketperm, 0755);
  EXPECT_EQ(Get(settings, "unixsocketperm"), "755");
  EXPECT_EQ(Get(settings, "default-precision"), "0.5");
}

TEST(Settings, ErrorsNameFileLineValueAndWhatIsRight) {
  Settings settings;
  EXPECT_EQ(ErrorOf(Load(settings, "\nport 70000\n")),
            "jeton.conf:2: port: '70000' is not an integer from 0 to 65535");
  EXPECT_EQ(ErrorOf(Load(settings, "prot 1\n")),
            "jeton.conf:1: unknown setting 'prot'; is 'port' meant?");
  EXPECT_EQ(ErrorOf(Load(settings, "cluster-replica-validity-factor 10\n")),
            "jeton.conf:1: unknown setting 'cluster-replica-validity-factor'");
  EXPECT_EQ(ErrorOf(Load(settings, "port\n")),
            "jeton.conf:1: port needs a value: an integer from 0 to 65535");
  EXPECT_EQ(ErrorOf(Load(settings, "port 1 2\n")),
            "jeton.conf:1: port takes one value, not 2 (quote it if it has blanks)");
  EXPECT_EQ(ErrorOf(Load(settings, "dir \"x\n")), "jeton.conf:1: unbalanced quotes");
  EXPECT_EQ(ErrorOf(Load(settings, "fsync sometimes\n")),
            "jeton.conf:1: fsync: 'sometimes' is not one of always, everysec, no");
  EXPECT_EQ(ErrorOf(Load(settings, "appendonly no\n")),
            "jeton.conf:1: appendonly: 'no' is not 'yes', the only value here");
  EXPECT_EQ(
      ErrorOf(Load(settings, "maxmemory 1tib\n")),
      "jeton.conf:1: maxmemory: '1tib' is not a size in bytes (such as 512, 64kb, 1gb) from 0 "
      "up");
  const std::string environment[] = {"PATH=/bin", "JETON_PORT=x"};
  EXPECT_EQ(ErrorOf(settings.LoadEnvironment(environment)),
            "environment variable JETON_PORT: port: 'x' is not an integer from 0 to 65535");
}

TEST(Settings, AStrongerSourceWinsInAnyOrder) {
  Settings settings;
  EXPECT_EQ(ErrorOf(settings.Set("port", "1", Source::kFlag)), "ok");
  const std::string environment[] = {"JETON_PORT=2", "JETON_LOG_SEGMENT_SIZE=1mb"};
  EXPECT_EQ(ErrorOf(settings.LoadEnvironment(environment)), "ok");
  EXPECT_EQ(ErrorOf(Load(settings, "port 3\nlog-segment-size 2mb\nmaxclients 5\n")), "ok");
  EXPECT_EQ(settings.values().port, 1);
  EXPECT_EQ(settings.values().log_segment_size, 1 << 20);
  EXPECT_EQ(settings.values().maxclients, 5);
}

TEST(Settings, IncludesFilesNextToTheIncludingOne) {
  Settings settings;
  std::string asked;
  const Settings::FileReader reader = [&](const std::string& path) -> Result<std::string> {
    asked = path;
    return std::string("port 9\nbad\n");
  };
  EXPECT_EQ(ErrorOf(settings.LoadText("include more.conf\n", "/etc/jeton.conf", reader)),
            "/etc/more.conf:2: unknown setting 'bad'; is 'bind' meant?");
  EXPECT_EQ(asked, "/etc/more.conf");
  EXPECT_EQ(settings.values().port, 9);
}

TEST(Settings, IncludesAreBounded) {
  Settings settings;
  const Settings::FileReader reader = [](const std::string&) -> Result<std::string> {
    return std::string("include a\n");
  };
  EXPECT_EQ(ErrorOf(settings.LoadText("include a\n", "a", reader)),
            "a:1: include: files include one another more than 8 deep");
}

TEST(Settings, SavePointsAddUpInAFileAndAreReplacedElsewhere) {
  Settings settings;
  EXPECT_EQ(Get(settings, "save"), "3600 1 300 100 60 10000");
  EXPECT_EQ(ErrorOf(Load(settings, "save 900 1\nsave 300 10\n")), "ok");
  EXPECT_EQ(Get(settings, "save"), "900 1 300 10");
  EXPECT_EQ(ConfigSet(settings, "save", ""), "ok");
  EXPECT_EQ(Get(settings, "save"), "");
  EXPECT_EQ(
      ConfigSet(settings, "save", "5"),
      "ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters");
}

TEST(Settings, AnyThreadMayAskForFsync) {
  Settings settings;
  EXPECT_EQ(settings.fsync(), FsyncPolicy::kAlways);
  EXPECT_EQ(ErrorOf(Load(settings, "fsync everysec\n")), "ok");
  EXPECT_EQ(settings.fsync(), FsyncPolicy::kEverySecond);
  EXPECT_EQ(ConfigSet(settings, "fsync", "no"), "ok");
  EXPECT_EQ(settings.fsync(), FsyncPolicy::kNo);
}

TEST(Settings, ConfigSetIsAllOrNothingInTheWordsOfRedis) {
  Settings settings;
  std::vector<std::string> told;
  settings.on_change = [&](std::span<const std::string_view> names) {
    told.assign(names.begin(), names.end());
  };
  using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;
  EXPECT_EQ(ErrorOf(settings.ConfigSet(Pairs{{"timeout", "5"}, {"appendfsync", "no"}})), "ok");
  EXPECT_EQ(told, (std::vector<std::string>{"timeout", "fsync"}));
  EXPECT_EQ(ErrorOf(settings.ConfigSet(Pairs{{"timeout", "9"}, {"maxclients", "0"}})),
            "ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be "
            "between 1 and 1000000 inclusive");
  EXPECT_EQ(settings.values().timeout, 5);
  EXPECT_EQ(ErrorOf(settings.ConfigSet(Pairs{{"fsync", "no"}, {"appendfsync", "no"}})),
            "ERR CONFIG SET failed (possibly related to argument 'appendfsync') - duplicate "
            "parameter");
  EXPECT_EQ(ConfigSet(settings, "nope", "1"),
            "ERR Unknown option or number of arguments for CONFIG SET - 'nope'");
  EXPECT_EQ(ConfigSet(settings, "port", "1"),
            "ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable "
            "config");
}

TEST(Settings, OutputLimitsAlsoInTheFormOfRedis) {
  Settings settings;
  EXPECT_EQ(ConfigSet(settings, "client-output-buffer-limit", "pubsub 1mb 0 0"), "ok");
  EXPECT_EQ(Get(settings, "client-output-buffer-limit"),
            "normal 268435456 0 0 slave 0 0 0 pubsub 1048576 0 0");
  EXPECT_EQ(Get(settings, "output-buffer-limit-pubsub"), "1048576");
  EXPECT_NE(ConfigSet(settings, "client-output-buffer-limit", "pubsub 32mb 8mb 60"), "ok");
}

TEST(Settings, RewriteKeepsCommentsOrderAndForms) {
  Settings settings;
  const std::string_view text =
      "# my file\nport 5262\n\nmaxmemory 64mb\nsave 900 1\nsave 300 10\n# end\n";
  EXPECT_EQ(ErrorOf(Load(settings, text)), "ok");
  EXPECT_EQ(ConfigSet(settings, "timeout", "7"), "ok");
  EXPECT_EQ(ConfigSet(settings, "requirepass", "a \"b\""), "ok");
  const std::string rewritten = settings.RewriteText(text);
  EXPECT_EQ(rewritten,
            "# my file\nport 5262\n\nmaxmemory 64mb\nsave 900 1 300 10\n# end\n"
            "# Generated by CONFIG REWRITE\ntimeout 7\nrequirepass \"a \\\"b\\\"\"\n");
  Settings again;
  EXPECT_EQ(ErrorOf(Load(again, rewritten)), "ok");
  EXPECT_EQ(again.values().requirepass, "a \"b\"");
  EXPECT_EQ(again.RewriteText(rewritten), rewritten);
}

TEST(Settings, EveryDefaultIsAValueOfItsSetting) {
  for (const auto& description : Settings::Describe()) {
    Settings settings;
    EXPECT_EQ(ErrorOf(settings.Set(description.name, description.default_value, Source::kFlag)),
              "ok");
    EXPECT_EQ(Get(settings, description.name), description.default_value);
  }
}

TEST(ClusterSettings, TheSecretIsNotShownButRewritten) {
  Settings settings;
  ASSERT_TRUE(settings.Set("cluster-secret", "s3cret", Source::kFlag).ok());
  const std::string_view name = "cluster-secret";
  EXPECT_EQ(settings.Get({&name, 1}).at(0).second, "(hidden)");
  EXPECT_NE(settings.RewriteText("").find("cluster-secret s3cret"), std::string::npos);
}

// D22: sizes that would crash or overflow are refused.
TEST(ClusterSettings, RangesAreChecked) {
  Settings settings;
  EXPECT_FALSE(settings.Set("history-size", "0", Source::kFlag).ok());
  EXPECT_FALSE(settings.Set("history-size", "1001", Source::kFlag).ok());
  EXPECT_TRUE(settings.Set("history-size", "1000", Source::kFlag).ok());
  EXPECT_FALSE(settings.Set("cluster-join", "10.0.0.2", Source::kFlag).ok());
  EXPECT_TRUE(settings.Set("cluster-join", "10.0.0.2:5262,b:1", Source::kFlag).ok());
  EXPECT_FALSE(settings.Set("cluster-announce-ip", "a b", Source::kFlag).ok());
}

}  // namespace
}  // namespace jeton::command
