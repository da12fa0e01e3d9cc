#include "protocol/karma_dump_name.h"

#include <gtest/gtest.h>

namespace jeton {
namespace {

using namespace std::string_literals;

TEST(KarmaDumpName, ParsesWhatFollowsTheFirstUnderscore) {
  const auto expect = [](std::string_view file, std::int64_t seconds, std::string_view tree) {
    const auto name = ParseKarmaDumpName(file);
    ASSERT_TRUE(name.ok()) << name.error().text;
    EXPECT_EQ(*name, (KarmaDumpName{.seconds = seconds, .tree = std::string(tree)}));
    EXPECT_EQ(FormatKarmaDumpName(*name).value(), file);
  };
  expect("1688496993_a.tree", 1688496993, "a");
  expect("1688496993_page_views_eu.tree", 1688496993, "page_views_eu");
  expect("1688496993__.tree", 1688496993, "_");
  expect("1688496993_a.tree.tree", 1688496993, "a.tree");
  expect("1688496993_...tree", 1688496993, "..");
  expect("0_ \n\xff.tree", 0, " \n\xff");
  expect("99999999999_later.tree", 99999999999, "later");  // past 2038
}

TEST(KarmaDumpName, RefusesWhatIsNoDump) {
  for (const std::string file :
       {"", "a.tree", "_a.tree", "1688496993.tree", "1688496993_.tree", "1688496993_a",
        "1688496993_a.tree.meta.json", "-1_a.tree", "01_a.tree", "+1_a.tree", "x1_a.tree",
        "99999999999999999999_a.tree", "1688496993_../a.tree", "/tmp/1688496993_a.tree"}) {
    const auto name = ParseKarmaDumpName(file);
    ASSERT_FALSE(name.ok()) << file;
    EXPECT_EQ(name.error().text, "file name \"" + file +
                                     "\" is not that of a Karma dump, as "
                                     "1688496993_articles.tree, without a folder");
  }
}

TEST(KarmaDumpName, SaysWhichTreesCannotBeDumped) {
  const auto why = [](const std::string& tree, Width width = Width::kDay) {
    const auto status = CheckKarmaTree(tree, width);
    return status.ok() ? "" : status.error().text;
  };
  EXPECT_EQ(why("page_views"), "");
  EXPECT_EQ(why(""), "tree \"\" cannot be the name of a file: it is empty");
  EXPECT_EQ(why("a/b"), "tree \"a/b\" cannot be the name of a file: it has a '/'");
  EXPECT_EQ(why("a\0b"s), "tree \"a\\x00b\" cannot be the name of a file: it has a NUL");
  EXPECT_EQ(why(std::string(239, 'x')), "");  // 10 digits, '_', ".tree"
  EXPECT_TRUE(why(std::string(240, 'x')).ends_with("with the time it has more than 255 bytes"));
  EXPECT_EQ(why("a", Width::kHour),
            "tree \"a\" has a bucket for every hour, but Karma's trees have one for every day");
}

}  // namespace
}  // namespace jeton
