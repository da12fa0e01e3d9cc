#include "command/host_port.h"

#include <gtest/gtest.h>

namespace jeton::command {
namespace {

TEST(HostPort, TellsAddressesFromOtherText) {
  for (const char* good :
       {"10.0.0.2", "localhost", "node-2.example.org", "fd00::2", "::1", "a_b"}) {
    EXPECT_TRUE(IsHost(good)) << good;
  }
  for (const char* bad :
       {"", "10.0.0", "10.0.0.256", "1.2.3.4.5", "12", "-a", ".a", "a b", "a/b", "10.0.0.0002"}) {
    EXPECT_FALSE(IsHost(bad)) << bad;
  }
  EXPECT_FALSE(IsHost(std::string(254, 'a')));
}

TEST(HostPort, ReadsOne) {
  EXPECT_EQ(ParseHostPort("10.0.0.2:5262"), (HostPort{"10.0.0.2", 5262}));
  EXPECT_EQ(ParseHostPort("[fd00::2]:5262"), (HostPort{"fd00::2", 5262}));
  for (const char* bad : {"10.0.0.2", "10.0.0.2:", "10.0.0.2:0", "10.0.0.2:65536", "fd00::2:5262",
                          "[10.0.0.2]:5262", ":5262", "[]:1", "a:b"}) {
    EXPECT_FALSE(ParseHostPort(bad)) << bad;
  }
}

TEST(HostPort, ReadsLists) {
  EXPECT_EQ(ParseHostPorts("")->size(), 0u);
  const auto list = ParseHostPorts("a:1, [::1]:2,c:3");
  ASSERT_TRUE(list);
  EXPECT_EQ(*list, (std::vector<HostPort>{{"a", 1}, {"::1", 2}, {"c", 3}}));
  EXPECT_FALSE(ParseHostPorts("a:1,b"));
}

}  // namespace
}  // namespace jeton::command
