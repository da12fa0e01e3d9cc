#include "node/http_api.h"

#include "command/cluster_host.h"
#include "node/node.h"

namespace jeton::node {
namespace {

// Why the node would refuse a write now; empty if it would not.
std::string_view NotReadyReason(Node& node) {
  const command::ServerState& state = node.state();
  if (!node.ready()) return "loading\n";
  if (const command::ClusterHost* cluster = node.cluster()) {
    if (cluster->status()->copying_state) return "copying the state of another node\n";
  }
  if (state.shutting_down.load()) return "shutting down\n";
  if (state.disk_failed.load()) return "disk failed\n";
  if (state.disk_full.load()) return "disk full\n";
  return {};
}

}  // namespace

void AnswerHttp(Node& node, const HttpRequest& request, Now now, std::string& out) {
  HttpResponse response{.keep_alive = request.keep_alive, .head = request.IsHead()};
  std::string body;
  if (request.method != "GET" && !request.IsHead()) {
    response.status = 405;
    response.headers.emplace_back("Allow", "GET, HEAD");
    body = "Only GET and HEAD are served here\n";
  } else if (request.path == "/metrics") {
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    body = MetricsText(node, now);
  } else if (request.path == "/healthz") {
    body = "ok\n";
  } else if (request.path == "/readyz") {
    const std::string_view reason = NotReadyReason(node);
    response.status = reason.empty() ? 200 : 503;
    body = reason.empty() ? "ready\n" : std::string(reason);
  } else {
    response.status = 404;
    body = "Nothing is here. Try /metrics, /healthz or /readyz\n";
  }
  response.body = body;
  AppendHttpResponse(out, response);
}

}  // namespace jeton::node
