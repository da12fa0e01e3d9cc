// Context: all that a handler may touch while it runs one command. The dispatcher has looked the
// command up, checked arity, authentication, permission and state, and holds the locks of its keys
// (or everything, for kExclusive).
#pragma once

#include <span>
#include <string_view>

#include "command/server_state.h"
#include "engine/unit.h"
#include "protocol/reply.h"

namespace jeton::command {

class Dispatcher;

struct Context {
  Session& session;
  ServerState& server;
  engine::Keyspace& keyspace;
  engine::Unit& unit;  // changes go through it; the dispatcher logs them after the handler
  Reply& reply;
  WorkerStats& stats;
  Dispatcher& dispatcher;  // for EXEC
  const Command& command;
  std::span<const std::string_view> args;  // args[0] is the command's name as sent
  Now now;
  engine::Key first_key = {};  // of the first key argument, already hashed; empty name if none
  std::span<const engine::Key> keys = {};  // all of them, in order, if the command has several

  bool redis() const { return session.dialect == Dialect::kRedis; }
  engine::Key Key(std::size_t argument) const {
    if (Names(first_key, args[argument]) && first_key.hash != 0) return first_key;
    if (!keys.empty()) {
      std::size_t i = argument - static_cast<std::size_t>(command.first_key);
      if (command.key_step > 1) i /= static_cast<std::size_t>(command.key_step);
      if (i < keys.size() && Names(keys[i], args[argument])) [[likely]]
        return keys[i];
    }
    return keyspace.MakeKey(args[argument]);
  }

 private:
  // The size too: an empty argument may begin where the next one does.
  static bool Names(const engine::Key& key, std::string_view argument) {
    return key.name.data() == argument.data() && key.name.size() == argument.size();
  }
};

}  // namespace jeton::command
