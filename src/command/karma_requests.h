// KarmaRequests: serves Karma's JSON lines. A line is parsed, its operation looked up in the
// command table, its fields bound to words, and the dispatcher runs them like any other request;
// the reply leaves in the envelope of the request's own protocol version.
//
// Who may do what: with auth-token or read-auth-token set, every request carries one of them as
// "token"; read-auth-token is enough for what changes nothing. With neither, the requests of a
// server that has a password (requirepass) carry that. Of RESP clients the tokens ask nothing.
//
// One per worker; not thread-safe. The caller holds the TurnLock shared, as for the dispatcher.
#pragma once

#include <string>
#include <string_view>

#include "command/dispatcher.h"
#include "command/karma_binder.h"
#include "protocol/json.h"

namespace jeton::command {

class KarmaRequests {
 public:
  KarmaRequests(ServerState& server, Dispatcher& dispatcher)
      : server_(server), dispatcher_(dispatcher) {}

  enum class Outcome : std::uint8_t {
    kDone,    // its reply is in `out`
    kGoesOn,  // session.query has more to do: call Continue
    kPaused   // CLIENT PAUSE: nothing was done, come again with the same line
  };
  Outcome Execute(Session& session, std::string_view line, Now now, std::string& out);
  // One more slice. True when the reply is complete.
  bool Continue(Session& session, Now now, std::string& out);

 private:
  void Fail(const Session& session, const Error& error, std::string& out) const;
  // The operation that the request names, or the error.
  Result<const Command*> Lookup();
  // Whether the request may run it; sets session.authenticated for the dispatcher's check.
  Status Authorise(Session& session, const Command& command);

  ServerState& server_;
  Dispatcher& dispatcher_;
  JsonRequest request_;
  KarmaBinder binder_;
};

// The line for a request that is longer than the server takes.
void AppendKarmaTooLong(const Session& session, std::string& out);
// The line for a request whose outcome is unknown because the disk failed.
void AppendKarmaDiskFailed(const Session& session, std::string& out);

}  // namespace jeton::command
