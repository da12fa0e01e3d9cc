#include "command/node_address.h"

#include <gtest/gtest.h>

namespace jeton::command {
namespace {

std::string Shown(std::string_view bind, std::string_view local) {
  return ShownAddress(bind, 5262, local).ToString();
}

TEST(NodeAddress, IsTheFirstBoundOne) {
  EXPECT_EQ(Shown("10.0.0.1 127.0.0.1", "127.0.0.1:5262"), "10.0.0.1:5262");
  EXPECT_EQ(Shown("-10.0.0.1", ""), "10.0.0.1:5262");
}

TEST(NodeAddress, IsTheClientsOwnWhereAllAreBound) {
  EXPECT_EQ(Shown("0.0.0.0", "192.168.1.2:5262"), "192.168.1.2:5262");
  EXPECT_EQ(Shown("* -::*", "[::1]:6379"), "::1:5262");
  EXPECT_EQ(Shown("", "10.1.1.1:6379"), "10.1.1.1:5262");
}

TEST(NodeAddress, IsLoopbackBehindAUnixSocket) {
  EXPECT_EQ(Shown("*", "/run/jeton.sock:0"), "127.0.0.1:5262");
  EXPECT_EQ(Shown("*", ""), "127.0.0.1:5262");
}

}  // namespace
}  // namespace jeton::command
