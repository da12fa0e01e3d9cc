// WAIT: until so many other nodes hold durably what this connection wrote. It holds up nothing but
// the connection: it looks again when the node has heard of an acknowledgement, and when its time
// is up.
#include "base/text.h"
#include "command/cluster_host.h"
#include "command/dispatcher.h"
#include "command/errors.h"

namespace jeton::command {

namespace {

// Far beyond any clock, and still addable.
constexpr std::int64_t kTimeoutMaxMs = std::int64_t{1} << 40;

int AckedBy(const ServerState& server, Lsn lsn) {
  const ClusterHost* cluster = server.host.cluster();
  return cluster == nullptr ? 0 : cluster->AckedBy(lsn);
}

class AckQuery final : public LongQuery {
 public:
  AckQuery(ServerState& server, Lsn lsn, std::int64_t wanted, MonoNs deadline_ns)
      : server_(server), lsn_(lsn), wanted_(wanted), deadline_ns_(deadline_ns) {
    // Before the first look: an acknowledgement that comes after it wakes us.
    server_.ack_waiters.fetch_add(1);
  }
  ~AckQuery() override { server_.ack_waiters.fetch_sub(1); }

  bool Step(Context& context) override {
    const int acked = AckedBy(server_, lsn_);
    const bool late = deadline_ns_ != 0 && context.now.mono_ns >= deadline_ns_;
    if (acked < wanted_ && !late) return false;
    context.reply.Integer(acked);
    return true;
  }
  bool IsIdle() const override { return true; }
  MonoNs DeadlineNs() const override { return deadline_ns_; }

 private:
  ServerState& server_;  // outlives every session
  const Lsn lsn_;
  const std::int64_t wanted_;
  const MonoNs deadline_ns_;  // 0: never
};

void Wait(Context& context) {
  const auto wanted = ParseInt64(context.args[1]);
  if (!wanted) return context.reply.Error(kNotAnInteger);
  const auto timeout = ParseInt64(context.args[2]);
  if (!timeout || *timeout > kTimeoutMaxMs) {
    return context.reply.Error("ERR timeout is not an integer or out of range");
  }
  if (*timeout < 0) return context.reply.Error("ERR timeout is negative");
  const Lsn lsn = context.session.last_write_lsn;
  const int acked = AckedBy(context.server, lsn);
  if (acked >= *wanted || context.dispatcher.in_exec()) return context.reply.Integer(acked);
  const MonoNs deadline = *timeout == 0 ? 0 : context.now.mono_ns + *timeout * kNsPerMs;
  context.session.query = std::make_unique<AckQuery>(context.server, lsn, *wanted, deadline);
}

}  // namespace

void AddWaitCommand(CommandTable& table) {
  table.Add({.name = "wait",
             .summary = "Waits until so many other nodes hold on disk what this connection wrote, "
                        "or the time (in ms; 0 for none) is up; replies how many do.",
             .group = "server",
             .flags = kNoScript,
             .arguments = {{.name = "numreplicas", .type = ArgumentType::kInteger},
                           {.name = "timeout", .type = ArgumentType::kInteger}},
             .errors = {kNotAnInteger, "ERR timeout is not an integer or out of range",
                        "ERR timeout is negative"},
             .examples = {{"WAIT 0 100", "(integer) 0"}},
             .handler = Wait});
}

}  // namespace jeton::command
