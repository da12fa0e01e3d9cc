#include "bench/report.h"

#include <fmt/format.h>

#include "base/text.h"

namespace jeton::bench {
namespace {

double Microseconds(std::int64_t ns) {
  return static_cast<double>(ns) / 1000;
}

std::string_view NameOf(Protocol protocol) {
  switch (protocol) {
    case Protocol::kResp:
      return "RESP";
    case Protocol::kKarma:
      return "Karma JSON";
    case Protocol::kMemcached:
      return "memcached";
  }
  return "";
}

std::string JsonText(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    }
  }
  return out + '"';
}

}  // namespace

std::string TableReport(const LoadOptions& options, const LoadResult& result) {
  std::string out = fmt::format(
      "{} {} on {} keys, {} connections, pipeline {}, {} threads, {}\n\n", NameOf(options.protocol),
      options.command, options.keys, options.connections, options.pipeline, options.threads,
      options.rate > 0 ? fmt::format("open loop at {:.0f}/s", options.rate) : "closed loop");
  out += fmt::format("{:>14} {:>12} {:>10} {:>10} {:>10} {:>10}", "commands", "commands/s",
                     "p50 us", "p99 us", "p99.9 us", "max us");
  if (result.server_cpu_us) out += fmt::format(" {:>12}", "server us/cmd");
  const Histogram& latency = result.latency;
  out += fmt::format("\n{:>14} {:>12.0f} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f}", result.measured,
                     result.rate(), Microseconds(latency.Percentile(50)),
                     Microseconds(latency.Percentile(99)), Microseconds(latency.Percentile(99.9)),
                     Microseconds(latency.max()));
  if (result.server_cpu_us) out += fmt::format(" {:>13.3f}", *result.server_cpu_us);
  out += '\n';
  if (result.errors > 0) {
    out += fmt::format("\n{} of {} replies are errors; the first: {}\n", result.errors, result.sent,
                       QuoteForLog(result.first_error));
  }
  return out;
}

std::string JsonReport(const LoadResult& result) {
  const Histogram& latency = result.latency;
  std::string out = fmt::format(
      R"({{"rate":{:.1f},"seconds":{:.6f},"measured":{},"sent":{},"errors":{},"p50_us":{:.1f},)"
      R"("p99_us":{:.1f},"p999_us":{:.1f},"max_us":{:.1f},"mean_us":{:.1f},"first_error":{})",
      result.rate(), result.seconds, result.measured, result.sent, result.errors,
      Microseconds(latency.Percentile(50)), Microseconds(latency.Percentile(99)),
      Microseconds(latency.Percentile(99.9)), Microseconds(latency.max()), latency.mean() / 1000,
      JsonText(result.first_error));
  if (result.server_cpu_us) out += fmt::format(R"(,"server_cpu_us":{:.4f})", *result.server_cpu_us);
  return out + "}\n";
}

}  // namespace jeton::bench
