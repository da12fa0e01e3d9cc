#include "command/karma_requests.h"

#include "base/text.h"
#include "protocol/karma_envelope.h"

namespace jeton::command {
namespace {

// Takes the same time for every candidate of the same length.
bool SameToken(std::string_view given, std::string_view wanted) {
  if (wanted.empty()) return false;
  unsigned difference = given.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    difference |= static_cast<unsigned char>(given[i] ^ wanted[i % wanted.size()]);
  }
  return difference == 0;
}

// Karma's code for an error that the dispatcher or a handler gave. What the state of the server
// refuses may work later: clients repeat a request on internal_error.
std::string_view CodeOf(const Error& error) {
  const std::string_view code = ErrorCode(error.text);
  if (code == "LOADING" || code == "NOSPACE" || code == "MISCONF" || code == "OOM") {
    return "internal_error";
  }
  if (code == "UNKNOWN") return "unknown_command";
  if (code == "PROTOCOL") return "unsupported_protocol";
  if (code == "TOOLARGE") return "response_too_large";
  return KarmaErrorCode(error);
}

KarmaVersion VersionOf(const Session& session) {
  return session.karma_version == 2 ? KarmaVersion::kV2 : KarmaVersion::kV1;
}

}  // namespace

void KarmaRequests::Fail(const Session& session, const Error& error, std::string& out) const {
  AppendKarmaFailure(out, VersionOf(session), ErrorMessage(error.text), CodeOf(error));
}

Result<const Command*> KarmaRequests::Lookup() {
  const bool v2 = request_.version() == KarmaVersion::kV2;
  if (v2) {
    const auto version = request_.Field("v");
    if (!version) return Error{ErrorKind::kInvalid, "PROTOCOL Field v is required: 2"};
    if (version->Int64() != 2) {
      return Error{ErrorKind::kInvalid, "PROTOCOL Unsupported protocol version " +
                                            std::string(version->Text().substr(0, 32))};
    }
  }
  const std::string_view field = v2 ? "op" : "command";
  auto name = request_.String(field);
  if (!name) return name.error();
  if (!*name) return Error{ErrorKind::kInvalid, "Field " + std::string(field) + " is required"};
  const Command* command = server_.commands.FindJson(v2 ? 2 : 1, **name);
  if (command != nullptr) return command;
  return Error{ErrorKind::kInvalid,
               "UNKNOWN Unknown command " + std::string((*name)->substr(0, 128))};
}

Status KarmaRequests::Authorise(Session& session, const Command& command) {
  const Values& values = server_.settings.values();
  session.authenticated = true;
  const auto token = request_.String("token");
  const std::string_view given = token.ok() && *token ? **token : std::string_view();
  if (values.auth_token.empty() && values.read_auth_token.empty()) {
    if (values.requirepass.empty() || SameToken(given, values.requirepass)) return {};
    return Error{ErrorKind::kDenied, "NOAUTH Unauthorized"};
  }
  if (SameToken(given, values.auth_token)) return {};
  if (!SameToken(given, values.read_auth_token)) {
    return Error{ErrorKind::kDenied, "NOAUTH Unauthorized"};
  }
  if ((command.flags & (kWrite | kAdmin)) == 0) return {};
  return Error{ErrorKind::kDenied,
               "NOPERM Read-only token cannot execute command " + std::string(command.json_op)};
}

KarmaRequests::Outcome KarmaRequests::Execute(Session& session, std::string_view line, Now now,
                                              std::string& out) {
  if (Status parsed = request_.Parse(line); !parsed) {
    AppendKarmaFailure(out, VersionOf(session), parsed.error().text, "invalid_json");
    return Outcome::kDone;
  }
  // From its first request of version 2 on a connection is answered in its envelope where a request
  // does not say what it is.
  const bool v1 = request_.version() == KarmaVersion::kV1;
  const int before = session.karma_version;
  session.karma_version = v1 ? 1 : request_.version() == KarmaVersion::kV2 ? 2 : before;
  const bool spoke_v2 = session.karma_spoke_v2 || session.karma_version == 2;
  session.karma_spoke_v2 = spoke_v2;
  const auto done = [&] {
    if (spoke_v2 && session.query == nullptr) session.karma_version = 2;
    return Outcome::kDone;
  };

  const auto command = Lookup();
  if (!command) {
    Fail(session, command.error(), out);
    return done();
  }
  if (Status allowed = Authorise(session, **command); !allowed) {
    Fail(session, allowed.error(), out);
    return done();
  }
  if (dispatcher_.MustPause(session, *command, now)) return Outcome::kPaused;
  if (Status bound = binder_.Bind(**command, request_); !bound) {
    Fail(session, bound.error(), out);
    return done();
  }
  const std::size_t start = out.size();
  KarmaEnvelope envelope(out, VersionOf(session));
  const std::size_t begun = out.size();
  Reply reply(out, ReplyFormat::kJson);
  dispatcher_.Execute(session, binder_.words(), now, reply, *command);
  if (session.query != nullptr) {
    session.karma_reply_begun = out.size() > begun;
    if (!session.karma_reply_begun) out.resize(start);
    return Outcome::kGoesOn;
  }
  if (reply.failed()) {
    out.resize(start);
    Fail(session, *reply.error(), out);
  } else {
    envelope.Finish(reply);
  }
  return done();
}

bool KarmaRequests::Continue(Session& session, Now now, std::string& out) {
  const std::size_t start = out.size();
  const KarmaVersion version = VersionOf(session);
  const bool begun_before = session.karma_reply_begun;
  if (!begun_before) AppendKarmaSuccessBegin(out, version);
  const std::size_t begun = out.size();
  Reply reply(out, ReplyFormat::kJson);
  const bool done = dispatcher_.Continue(session, now, reply);
  if (!done) {
    session.karma_reply_begun = begun_before || out.size() > begun;
    if (!session.karma_reply_begun) out.resize(start);
    return false;
  }
  if (reply.failed()) {
    ASSERT(!begun_before);  // a query that has begun its reply has nothing left that can fail
    out.resize(start);
    Fail(session, *reply.error(), out);
  } else {
    AppendKarmaSuccessEnd(out, version);
  }
  session.karma_reply_begun = false;
  if (session.karma_spoke_v2) session.karma_version = 2;
  return true;
}

void AppendKarmaTooLong(const Session& session, std::string& out) {
  AppendKarmaFailure(out, VersionOf(session),
                     "Request is longer than " + std::to_string(kJsonMaxLineBytes) + " bytes",
                     "request_too_large");
}

void AppendKarmaDiskFailed(const Session& session, std::string& out) {
  AppendKarmaFailure(out, VersionOf(session),
                     "The disk failed while this command was being stored: its outcome is unknown",
                     "internal_error");
}

}  // namespace jeton::command
