// TestServer: a whole server but for the disk and the sockets, in one thread, for tests: a real
// keyspace, state, table and dispatcher, a log that is kept in memory, and a clock that the test
// sets.
//
//   TestServer server(Dialect::kRedis);
//   server.Run("INCR a")                    // "(integer) 1", as redis-cli prints it
//   server.Advance(1500);
//   server.CheckReplay()                    // empty if the log rebuilds the same state
//
// The log checks that units arrive while their partitions are locked (or everything is at rest).
// Not thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "command/cluster_host.h"
#include "command/dispatcher.h"
#include "command/karma_dump_jobs.h"
#include "command/karma_requests.h"
#include "command/server_state.h"

namespace jeton::command {

// A cluster whose status the test sets; remembers what it was asked.
class FakeCluster final : public ClusterHost {
 public:
  std::shared_ptr<const ClusterStatus> status() const override {
    return std::make_shared<const ClusterStatus>(state);
  }
  int AckedBy(Lsn lsn) const override;
  Result<Wish> Meet(std::string_view host, std::int64_t port) override;
  Result<Wish> Forget(std::string_view id) override;
  Result<Wish> Reset(bool hard) override;
  Result<Wish> SaveConfig() override;
  std::optional<Status> TakeOutcome(Wish wish) override;
  Estimate EstimateOf(const engine::Key& key, const Decimal& known, const Decimal& precision,
                      Now now) const override;

  ClusterStatus state;
  std::optional<Status> outcome = Status();  // of all wishes
  Decimal predicted;  // is added to what is known of every counter that has a precision
  std::vector<std::string> asked;
};

// What commands ask of a node, with canned facts; remembers what it was asked.
class FakeHost : public Host {
 public:
  PersistenceStatus persistence() const override { return status; }
  Status StartSnapshot() override;
  Status SaveNow() override;
  void RequestShutdown(ShutdownSave save) override;
  void WakeWorkers() override { ++wakes; }
  KarmaDumpJobs* karma_dumps() override { return dump_jobs; }
  void WakeUpkeep() override { wake_upkeep(); }
  ClusterHost* cluster() override { return &fake_cluster; }
  void SendToMonitors(std::string_view line) override { monitored.emplace_back(line); }
  Result<std::string> ReadConfigFile() override { return config_text; }
  Status WriteConfigFile(std::string_view text) override;
  ProcessFacts process_facts() const override { return facts; }
  MonoNs MonotonicNow() const override { return mono_ns; }
  Status Sleep(double seconds) override;

  FakeCluster fake_cluster;
  KarmaDumpJobs* dump_jobs = nullptr;
  std::function<void()> wake_upkeep = [] {};
  PersistenceStatus status;
  ProcessFacts facts;
  MonoNs mono_ns = 0;
  int wakes = 0;
  int snapshots = 0;
  bool shutdown_requested = false;
  ShutdownSave shutdown_save = ShutdownSave::kDefault;
  std::vector<std::string> monitored;
  std::string config_text;
};

class TestServer {
 public:
  static constexpr WallMs kStart = 1'700'000'000'000;

  explicit TestServer(Dialect dialect = Dialect::kDiscnt, int resp = 2);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  // Runs a request, written as in redis-cli, as the first session. The reply as redis-cli prints
  // it; several replies (SUBSCRIBE a b) are one below the other; "" if there was none.
  std::string Run(std::string_view line) { return RunAs(session(), line); }
  std::string RunAs(Session& session, std::string_view line);
  std::string RunWords(Session& session, std::span<const std::string_view> words);
  // Runs a line of Karma's JSON to its end. The reply as it is, without its line end.
  std::string RunJson(Session& session, std::string_view line);
  // The bytes of the reply instead.
  std::string RunRaw(Session& session, std::span<const std::string_view> words);

  Session& session() { return *sessions_[0]; }
  Session& NewSession();  // with the dialect and the RESP version of the server
  ServerState& state();
  engine::Keyspace& keyspace();
  Dispatcher& dispatcher() { return *dispatcher_; }
  FakeHost& host() { return host_; }
  // From here on the server has Karma's dumps, in this directory, which outlives it; what they say
  // is collected.
  void UseDirectory(Directory& directory);
  const std::vector<std::string>& said() const { return said_; }
  Settings& settings() { return settings_; }
  Now now() const { return now_; }

  // Moves the clock and does the upkeep that a node does: expired and idle zero counters go.
  void Advance(WallMs milliseconds);
  // Builds a new keyspace out of the log alone, as a restart does. Sessions begin anew.
  void Restart();
  // Empty if the log rebuilds exactly the present state, else what differs.
  std::string CheckReplay();
  // Every live name with value, expiry and precision, and trees with all they hold, sorted.
  static std::string Dump(engine::Keyspace& keyspace, WallMs now);

  const std::vector<std::string>& logged_units() const;
  // What went wrong with locks so far; empty if nothing.
  const std::string& lock_errors() const;

 private:
  class MemoryLog;

  void Build();
  void AdvanceTo(MonoNs deadline);
  void Upkeep();
  void DropIf(const std::string& name, bool expired);
  std::unique_ptr<engine::Keyspace> Replay();

  Dialect dialect_;
  int resp_;
  Now now_{.wall_ms = kStart, .mono_ns = 0};
  FakeHost host_;
  Settings settings_;
  std::unique_ptr<MemoryLog> log_;
  std::unique_ptr<engine::Keyspace> keyspace_;
  std::unique_ptr<ServerState> state_;
  std::unique_ptr<WorkerStats> stats_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<KarmaRequests> karma_;
  Directory* directory_ = nullptr;
  std::unique_ptr<KarmaDumpJobs> dump_jobs_;
  std::vector<std::string> said_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

}  // namespace jeton::command
