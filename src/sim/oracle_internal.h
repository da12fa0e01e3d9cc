// What oracle.cc and oracle_commands.cc share.
#pragma once

#include <utility>

#include "sim/oracle.h"

namespace jeton::sim {

struct Oracle::Call {
  OracleSession& session;
  const Words& args;
  Now now;
  std::vector<Expected>& replies;
  bool in_exec = false;
  bool goes_on = false;

  void Reply(RespValue value) {
    replies.push_back({.kind = Expected::Kind::kExact, .value = std::move(value)});
  }
  void Reply(Expected::Kind kind, RespValue value = {}) {
    replies.push_back({.kind = kind, .value = std::move(value)});
  }
};

struct Oracle::Rule {
  Handler handler = nullptr;
  bool writes = false;
  bool while_subscribed = false;
  bool while_loading = false;
  bool immediate = false;  // runs inside MULTI
  bool never_in_multi = false;
};

inline RespValue Text(std::string_view text) {
  return {.type = RespValue::Type::kBulk, .integer = 0, .text = std::string(text), .items = {}};
}
inline RespValue Simple(std::string_view text) {
  return {.type = RespValue::Type::kSimple, .integer = 0, .text = std::string(text), .items = {}};
}
// An error is one line: what would end it is replaced.
inline RespValue Failure(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (c == '\r' || c == '\n') c = ' ';
  }
  return {.type = RespValue::Type::kError, .integer = 0, .text = std::move(line), .items = {}};
}
inline RespValue Number(std::int64_t value) {
  return {.type = RespValue::Type::kInteger, .integer = value, .text = {}, .items = {}};
}
inline RespValue Nothing() {
  return {};
}
inline RespValue List(std::vector<RespValue> items) {
  return {.type = RespValue::Type::kArray, .integer = 0, .text = {}, .items = std::move(items)};
}
inline RespValue Bulk(const Decimal& value) {
  return Text(value.ToString());
}
// As INCR replies it.
inline RespValue Counter(bool redis, const Decimal& value) {
  return redis && value.IsInt64() ? Number(value.Int64()) : Bulk(value);
}
// A map as RESP3 has it, flat in RESP2.
inline RespValue MapOf(int resp, std::vector<RespValue> items) {
  RespValue value = List(std::move(items));
  if (resp == 3) value.type = RespValue::Type::kMap;
  return value;
}
inline RespValue PushOf(int resp, std::vector<RespValue> items) {
  RespValue value = List(std::move(items));
  if (resp == 3) value.type = RespValue::Type::kPush;
  return value;
}

}  // namespace jeton::sim
