#include "protocol/http.h"

#include <http_parser.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "base/text.h"

namespace jeton {
namespace {

bool IsServed(unsigned method) {
  return method == HTTP_GET || method == HTTP_HEAD || method == HTTP_POST || method == HTTP_PUT ||
         method == HTTP_DELETE || method == HTTP_OPTIONS;
}

int HexDigit(char c) {
  const char lower = ToLower(c);
  if (lower >= '0' && lower <= '9') return lower - '0';
  if (lower >= 'a' && lower <= 'f') return lower - 'a' + 10;
  return -1;
}

}  // namespace

// On the heap, since the C parser points back at it.
struct HttpParser::State {
  http_parser parser;
  HttpRequest request;
  std::size_t header_bytes = 0;
  bool complete = false;
  bool in_value = false;  // the last header's value has begun
  bool wants_continue = false;
  int status = 0;
  std::string error;

  State() {
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = this;
  }

  void Begin() {
    request = HttpRequest();
    header_bytes = 0;
    complete = false;
    in_value = false;
    wants_continue = false;
  }

  // A callback's answer that stops the parser.
  int Fail(int code, std::string_view text) {
    status = code;
    error = text;
    return 1;
  }

  int CountHeader(std::size_t size) {
    header_bytes += size;
    if (header_bytes <= kHttpMaxHeaderBytes) return 0;
    return Fail(431, "the headers are larger than 16 KiB");
  }

  int Url(std::string_view part) {
    request.target.append(part);
    return CountHeader(part.size());
  }

  int HeaderName(std::string_view part) {
    // Each header also costs what we keep for it.
    std::size_t size = part.size();
    if (request.headers.empty() || in_value) {
      request.headers.emplace_back();
      size += 4;
    }
    in_value = false;
    std::string& name = request.headers.back().first;
    std::transform(part.begin(), part.end(), std::back_inserter(name),
                   [](char c) { return ToLower(c); });
    return CountHeader(size);
  }

  int HeaderValue(std::string_view part) {
    in_value = true;
    request.headers.back().second.append(part);
    return CountHeader(part.size());
  }

  int HeadersComplete() {
    const auto method = static_cast<http_method>(parser.method);
    if (!IsServed(method)) {
      return Fail(501, std::string("the method ") + http_method_str(method) + " is not supported");
    }
    request.method = http_method_str(method);
    SplitTarget();
    for (auto& [name, value] : request.headers) {
      value.erase(value.find_last_not_of(" \t") + 1);
    }
    parser.upgrade = 0;  // we never switch protocols, and may ignore the wish
    if (parser.content_length != UINT64_MAX && parser.content_length > kHttpMaxBodyBytes) {
      return BodyTooLarge();
    }
    request.expect_continue =
        parser.http_minor >= 1 && EqualsIgnoreCase(request.Header("expect"), "100-continue");
    wants_continue = request.expect_continue;
    return 0;
  }

  // "http://host/path?query" (as sent to a proxy) has the same path as "/path?query".
  void SplitTarget() {
    std::string_view rest = request.target;
    if (const std::size_t scheme = rest.find("://");
        !rest.starts_with('/') && scheme != std::string_view::npos) {
      rest.remove_prefix(scheme + 3);
      rest.remove_prefix(std::min(rest.find_first_of("/?"), rest.size()));
    }
    rest = rest.substr(0, rest.find('#'));
    const std::size_t mark = std::min(rest.find('?'), rest.size());
    request.path = rest.substr(0, mark);
    request.query = rest.substr(std::min(mark + 1, rest.size()));
    if (request.path.empty()) request.path = "/";
  }

  int Body(std::string_view part) {
    wants_continue = false;
    if (request.body.size() + part.size() > kHttpMaxBodyBytes) return BodyTooLarge();
    request.body.append(part);
    return 0;
  }

  int BodyTooLarge() { return Fail(413, "the body is larger than 16 MiB"); }

  int MessageComplete() {
    request.keep_alive = http_should_keep_alive(&parser) != 0;
    wants_continue = false;
    complete = true;
    http_parser_pause(&parser, 1);  // the next request is for the next call
    return 0;
  }

  static State& Of(http_parser* parser) { return *static_cast<State*>(parser->data); }

  static http_parser_settings Settings() {
    http_parser_settings settings;
    http_parser_settings_init(&settings);
    settings.on_message_begin = [](http_parser* p) {
      Of(p).Begin();
      return 0;
    };
    settings.on_url = [](http_parser* p, const char* at, std::size_t size) {
      return Of(p).Url({at, size});
    };
    settings.on_header_field = [](http_parser* p, const char* at, std::size_t size) {
      return Of(p).HeaderName({at, size});
    };
    settings.on_header_value = [](http_parser* p, const char* at, std::size_t size) {
      return Of(p).HeaderValue({at, size});
    };
    settings.on_headers_complete = [](http_parser* p) {
      // 1 would mean "there is no body" here, and -1 is an error.
      return Of(p).HeadersComplete() == 0 ? 0 : -1;
    };
    settings.on_body = [](http_parser* p, const char* at, std::size_t size) {
      return Of(p).Body({at, size});
    };
    settings.on_message_complete = [](http_parser* p) { return Of(p).MessageComplete(); };
    return settings;
  }

  void FailFromParser() {
    if (status != 0) return;
    const http_errno code = HTTP_PARSER_ERRNO(&parser);
    status = code == HPE_INVALID_METHOD ? 501 : code == HPE_HEADER_OVERFLOW ? 431 : 400;
    error = std::string("not a valid HTTP request: ") + http_errno_description(code);
  }
};

HttpParser::HttpParser() : state_(std::make_unique<State>()) {}
HttpParser::~HttpParser() = default;
HttpParser::HttpParser(HttpParser&&) noexcept = default;
HttpParser& HttpParser::operator=(HttpParser&&) noexcept = default;

HttpParser::Outcome HttpParser::Next(std::string_view input, std::size_t& consumed,
                                     HttpRequest& request) {
  consumed = 0;
  if (state_->status != 0) return Outcome::kError;
  if (input.empty()) return Outcome::kNeedMore;  // to the C parser it would mean the end
  const http_parser_settings settings = State::Settings();
  consumed = http_parser_execute(&state_->parser, &settings, input.data(), input.size());
  if (state_->complete) {
    http_parser_pause(&state_->parser, 0);
    state_->complete = false;
    request = std::move(state_->request);
    return Outcome::kRequest;
  }
  if (HTTP_PARSER_ERRNO(&state_->parser) == HPE_OK) return Outcome::kNeedMore;
  state_->FailFromParser();
  return Outcome::kError;
}

bool HttpParser::TakeContinue() {
  return std::exchange(state_->wants_continue, false);
}
int HttpParser::error_status() const {
  return state_->status;
}
const std::string& HttpParser::error() const {
  return state_->error;
}

std::string_view HttpRequest::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

std::string HttpRequest::QueryParameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view part = rest.substr(0, end);
    const std::size_t equals = std::min(part.find('='), part.size());
    if (DecodePercent(part.substr(0, equals)) == name) {
      return DecodePercent(part.substr(std::min(equals + 1, part.size())));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

std::string DecodePercent(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
        HexDigit(text[i + 2]) >= 0) {
      out += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string_view HttpReason(int status) {
  switch (status) {
#define JETON_HTTP_REASON(number, name, text) \
  case number:                                \
    return #text;
    HTTP_STATUS_MAP(JETON_HTTP_REASON)
#undef JETON_HTTP_REASON
    default:
      return "Unknown";
  }
}

void AppendHttpResponse(std::string& out, const HttpResponse& response) {
  out.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  out.append(HttpReason(response.status)).append("\r\n");
  // A 204 and a 304 have neither a body nor its headers.
  const bool bodiless = response.status == 204 || response.status == 304;
  if (!bodiless) {
    out.append("Content-Type: ").append(response.content_type).append("\r\n");
    out.append("Content-Length: ").append(std::to_string(response.body.size())).append("\r\n");
  }
  for (const auto& [name, value] : response.headers) {
    out.append(name).append(": ").append(value).append("\r\n");
  }
  out.append(response.keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n");
  out.append("\r\n");
  if (!response.head && !bodiless) out.append(response.body);
}

}  // namespace jeton
