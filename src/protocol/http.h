// HTTP/1.0 and 1.1 requests out of bytes, and responses into bytes. No sockets, no routes.
//
// Every byte given is used up at once (the parser keeps what it needs), save those of the next
// request, so that pipelined requests are answered in order. Chunked bodies are joined. What we
// never serve is refused here with its status: a method other than GET, HEAD, POST, PUT, DELETE and
// OPTIONS (501), headers beyond kHttpMaxHeaderBytes (431), bodies beyond kHttpMaxBodyBytes (413),
// anything malformed (400). `Upgrade` is ignored, as RFC 9110 section 7.8 allows.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace jeton {

inline constexpr std::size_t kHttpMaxHeaderBytes = 16 * 1024;  // request line and all headers
inline constexpr std::size_t kHttpMaxBodyBytes = 16 * 1024 * 1024;

struct HttpRequest {
  std::string method;  // "GET"
  std::string target;  // as sent: "/api/x?y=1"
  std::string path;    // the target up to `?`, as sent (see DecodePercent)
  std::string query;   // after `?`, as sent
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case, in order
  std::string body;
  bool keep_alive = true;        // whether the connection stays open after the response
  bool expect_continue = false;  // the client waits for `100 Continue` before it sends the body

  bool IsHead() const { return method == "HEAD"; }
  // The first header of this name (lower case), empty if there is none.
  std::string_view Header(std::string_view lower_case_name) const;
  // The decoded value of a query parameter; empty if it is absent.
  std::string QueryParameter(std::string_view name) const;
};

class HttpParser {
 public:
  enum class Outcome : unsigned char { kNeedMore, kRequest, kError };

  HttpParser();
  ~HttpParser();
  HttpParser(HttpParser&&) noexcept;
  HttpParser& operator=(HttpParser&&) noexcept;

  // `consumed` is set on every outcome; drop these bytes from the front of `input`.
  // kError: answer with error_status() and error(), then close. Call nothing more.
  Outcome Next(std::string_view input, std::size_t& consumed, HttpRequest& request);

  // True once, after kNeedMore, when the client waits for `HTTP/1.1 100 Continue\r\n\r\n`.
  bool TakeContinue();

  int error_status() const;
  const std::string& error() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct HttpResponse {
  int status = 200;
  std::string_view content_type = "text/plain; charset=utf-8";
  std::string_view body = {};
  bool keep_alive = true;
  bool head = false;  // the request was HEAD: the length is told, the body is not sent
  // Further headers. Names and values are ours, never a client's bytes.
  std::vector<std::pair<std::string_view, std::string_view>> headers = {};
};

void AppendHttpResponse(std::string& out, const HttpResponse& response);

// "Not Found" of 404; "Unknown" for a status that has no entry.
std::string_view HttpReason(int status);

// `%41` and `+` (a blank) decoded; a broken escape is kept as it is.
std::string DecodePercent(std::string_view text);

}  // namespace jeton
