// The HTTP side of the port: what a monitoring system or a person with a browser asks for.
//   GET /metrics   Prometheus text
//   GET /healthz   200 while the process runs
//   GET /readyz    200 once the data is loaded and writes are accepted, else 503 with the reason
#pragma once

#include <string>

#include "base/time.h"
#include "protocol/http.h"

namespace jeton::node {

class Node;

// Appends the response to one request. The caller holds the TurnLock shared.
void AnswerHttp(Node& node, const HttpRequest& request, Now now, std::string& out);

// The text of /metrics.
std::string MetricsText(Node& node, Now now);

}  // namespace jeton::node
