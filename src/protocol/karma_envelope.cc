#include "protocol/karma_envelope.h"

#include "protocol/json_text.h"

namespace jeton {
namespace {

constexpr std::string_view kV1Success = "{\"success\":true,\"response\":";
constexpr std::string_view kV1Failure = "{\"success\":false,\"response\":";
constexpr std::string_view kV2Success = "{\"protocol_version\":2,\"success\":true,\"response\":";
constexpr std::string_view kV2Failure = "{\"protocol_version\":2,\"success\":false,\"response\":";

}  // namespace

KarmaEnvelope::KarmaEnvelope(std::string& out, KarmaVersion version)
    : out_(out), version_(version), start_(out.size()) {
  AppendKarmaSuccessBegin(out_, version);
}

void KarmaEnvelope::Finish(const Reply& reply, std::optional<bool> idempotent) {
  if (reply.failed()) {
    out_.resize(start_);
    AppendKarmaFailure(out_, version_, *reply.error());
    return;
  }
  if (version_ != KarmaVersion::kV2) {
    out_.append("}\r\n");
    return;
  }
  if (idempotent) out_.append(*idempotent ? ",\"idempotent\":true" : ",\"idempotent\":false");
  out_.append(",\"error_code\":null}\n");
}

void AppendKarmaSuccessBegin(std::string& out, KarmaVersion version) {
  out.append(version == KarmaVersion::kV2 ? kV2Success : kV1Success);
}

void AppendKarmaSuccessEnd(std::string& out, KarmaVersion version) {
  out.append(version == KarmaVersion::kV2 ? ",\"error_code\":null}\n" : "}\r\n");
}

void AppendKarmaFailure(std::string& out, KarmaVersion version, std::string_view message,
                        std::string_view error_code) {
  out.append(version == KarmaVersion::kV2 ? kV2Failure : kV1Failure);
  AppendJsonString(out, message);
  if (version == KarmaVersion::kV2) {
    out.append(",\"error_code\":");
    AppendJsonString(out, error_code);
    out.append("}\n");
  } else {
    out.append("}\r\n");
  }
}

void AppendKarmaFailure(std::string& out, KarmaVersion version, const Error& error) {
  AppendKarmaFailure(out, version, ErrorMessage(error.text), KarmaErrorCode(error));
}

std::string_view KarmaErrorCode(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kNotFound:
      return "not_found";
    case ErrorKind::kInvalid:
    case ErrorKind::kWrongType:
    case ErrorKind::kRange:
    case ErrorKind::kConflict:
      return "validation_error";
    case ErrorKind::kDenied:
      return ErrorCode(error.text) == "NOPERM" ? "forbidden" : "unauthorized";
    case ErrorKind::kNoSpace:
    case ErrorKind::kIo:
    case ErrorKind::kCorrupt:
    case ErrorKind::kUnavailable:
      break;
  }
  return "internal_error";
}

}  // namespace jeton
