// The line around a Karma reply, byte for byte as the two versions of Karma write it:
//
//   v1   {"success":true,"response":R}\r\n
//        {"success":false,"response":"message"}\r\n
//   v2   {"protocol_version":2,"success":true,"response":R,"error_code":null}\n
//        {"protocol_version":2,"success":true,"response":R,"idempotent":true,"error_code":null}\n
//        {"protocol_version":2,"success":false,"response":"message","error_code":"code"}\n
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/json.h"
#include "protocol/reply.h"

namespace jeton {

// Around one Reply:
//
//   KarmaEnvelope envelope(out, request.version());
//   Reply reply(out, ReplyFormat::kJson);
//   ... the handler writes one value or an error ...
//   envelope.Finish(reply);
//
// A value becomes a success; a recorded error takes back what was written and becomes a failure.
// kUnknown is written as v1.
class KarmaEnvelope {
 public:
  KarmaEnvelope(std::string& out, KarmaVersion version);

  // `idempotent` is written by v2 only, for operations that had an idempotency key.
  void Finish(const Reply& reply, std::optional<bool> idempotent = std::nullopt);

 private:
  std::string& out_;
  KarmaVersion version_;
  std::size_t start_;
};

// What stands before and behind the value of a success, where no Reply writes it.
void AppendKarmaSuccessBegin(std::string& out, KarmaVersion version);
void AppendKarmaSuccessEnd(std::string& out, KarmaVersion version);

// The whole line of a failure. `message` is for a person, without a RESP error code in front;
// `error_code` is v2's ("validation_error", ...) and is not in v1.
void AppendKarmaFailure(std::string& out, KarmaVersion version, std::string_view message,
                        std::string_view error_code);
// The same from an error of a handler: its code is taken off, v2's derived from its kind.
void AppendKarmaFailure(std::string& out, KarmaVersion version, const Error& error);

// v2's error code for an error. Clients repeat a request on internal_error.
std::string_view KarmaErrorCode(const Error& error);

}  // namespace jeton
