#include "sim/simulation.h"

#include <algorithm>
#include <limits>
#include <set>
#include <shared_mutex>

#include "sim/oracle_internal.h"
#include "sim/simulated_client.h"

namespace jeton::sim {
namespace {

constexpr std::size_t kEventsKept = 4000;
constexpr int kRequestsWaitingMax = 200;  // of one client

enum Kind : std::uint64_t {
  kWrite = 1,
  kDeliver,
  kTurn,
  kFlush,
  kSend,
  kReply,
  kTick,
  kUpkeep,
  kSnapshot,
  kTime,
  kChurn,
  kBreak,
  kStart,
  kCrash,
  kEnd,
  kDisk
};

}  // namespace

Simulation::Simulation(const RunOptions& options)
    : options_(options),
      swarm_(DrawSwarm(options.seed, options.features_off)),
      prng_(options.seed),
      disk_prng_(options.seed * 31 + 7),
      wall_ms_(swarm_.start_ms),
      oracle_(history_),
      workload_(swarm_, prng_),
      queues_(static_cast<std::size_t>(swarm_.workers)) {
  constexpr std::string_view kPolicies[] = {"always", "everysec", "no"};
  const auto set = [&](std::string_view name, std::string_view value) {
    if (Status s = settings_.Set(name, value, command::Source::kFlag); !s) Fail(s.error().text);
  };
  set("fsync", kPolicies[static_cast<unsigned>(swarm_.fsync)]);
  set("zero-counters", swarm_.drop_zeros ? "drop" : "keep");
  set("save", swarm_.Has(Feature::kSavePoints) ? "2 10 30 1" : "");
  disk_.SetOperationHook([this](DiskOperation operation, std::string_view path) {
    Event(kDisk, static_cast<std::uint64_t>(operation) ^ HashBytes(path, 3), [&] {
      return "  disk: operation " + std::to_string(static_cast<int>(operation)) + " on " +
             std::string(path);
    });
  });
  for (int i = 0; i < swarm_.clients; ++i) {
    clients_.push_back(std::make_unique<Client>());
    clients_.back()->index = i;
  }
}

Simulation::~Simulation() {
  // What is destroyed still tidies up on the disk.
  disk_.SetOperationHook({});
  node_.reset();
}

void Simulation::Event(std::uint64_t kind, std::uint64_t detail,
                       const std::function<std::string()>& text) {
  Mix(kind << 56 ^ detail);
  if (!options_.trace) return;
  events_.push_back(std::to_string(step_) + " " + text());
  if (events_.size() > kEventsKept) events_.pop_front();
}

void Simulation::Fail(const std::string& reason) {
  if (failed()) return;
  result_.ok = false;
  result_.reason = reason;
  result_.failed_at = step_;
}

Now Simulation::NodeNow() const {
  const WallMs late = options_.canary == Canary::kLateClock ? 40 : 0;
  return {.wall_ms = wall_ms_ - late, .mono_ns = mono_ns_};
}

RunResult Simulation::Run() {
  Start();
  for (step_ = 1; step_ <= options_.steps && !failed(); ++step_) Step();
  if (!failed()) Settle();
  result_.last_events.assign(events_.begin(), events_.end());
  return result_;
}

void Simulation::Step() {
  if (node_ == nullptr) return Start();
  if (disk_.died()) return HandleDeath();
  if (prng_.Chance(swarm_.crash_rate)) {
    if (swarm_.Has(Feature::kShutdown) && prng_.Chance(0.3)) return ShutDown();
    return Crash(DrawCrash());
  }
  if (prng_.Chance(swarm_.fault_rate)) return BreakSomething();
  Client& client = *clients_[prng_.Below(clients_.size())];
  const int worker = static_cast<int>(prng_.Below(static_cast<std::uint64_t>(swarm_.workers)));
  const std::uint64_t action = prng_.Below(100);
  if (action < 25) {
    Write(client);
  } else if (action < 45) {
    Deliver(client);
  } else if (action < 60) {
    Turn(worker);
  } else if (action < (swarm_.Has(Feature::kSlowLog) ? 63u : 72u)) {
    if (log_wanted_ || prng_.Chance(0.1)) Flush();
  } else if (action < 84) {
    Send(worker);
  } else if (action < 88) {
    PassTime();
  } else if (action < 91) {
    Tick(worker);
  } else if (action < 95) {
    Upkeep();
  } else if (action < 98) {
    Snapshot();
  } else {
    Churn();
  }
  if (disk_failure_ && !disk_.died()) FailGates();
}

// ---- clients

void Simulation::Connect(Client& client) {
  client.worker = static_cast<int>(prng_.Below(static_cast<std::uint64_t>(swarm_.workers)));
  const bool redis = prng_.Chance(0.5);
  client.session = {};
  client.session.redis = client.session.listener_redis = redis;
  client.state = {};
  client.unsent.clear();
  client.received.clear();
  client.requests.clear();
  client.written = client.delivered = 0;
  client.queued = false;
  client.connection =
      &node_->worker(client.worker)
           .Open({.address = "sim:" + std::to_string(client.index),
                  .local_address = "sim:0",
                  .dialect = redis ? command::Dialect::kRedis : command::Dialect::kDiscnt},
                 NodeNow());
  client.connection->transport = &client;
  oracle_.Add(client.session);
}

void Simulation::Disconnect(Client& client) {
  if (client.connection == nullptr) return;
  oracle_.Remove(client.session);
  auto& queue = queues_[static_cast<std::size_t>(client.worker)];
  std::erase(queue, &client);
  client.connection = nullptr;
  client.queued = false;
}

Simulation::Client* Simulation::Owner(const node::Connection& connection) {
  return static_cast<Client*>(connection.transport);
}

void Simulation::Churn() {
  if (!swarm_.Has(Feature::kChurn)) return;
  Client& client = *clients_[prng_.Below(clients_.size())];
  Event(kChurn, static_cast<std::uint64_t>(client.index),
        [&] { return "client " + std::to_string(client.index) + " reconnects"; });
  if (client.connection != nullptr) {
    node::Connection& connection = *client.connection;
    Disconnect(client);
    node_->worker(client.worker).Close(connection);
  }
  Connect(client);
}

void Simulation::Write(Client& client) {
  if (client.connection == nullptr) Connect(client);
  if (client.requests.size() + client.session.expected.size() > kRequestsWaitingMax) return;
  const std::uint64_t most = swarm_.Has(Feature::kPipelines) ? 12 : 2;
  for (std::uint64_t n = 1 + prng_.Below(most); n > 0; --n) {
    const Words words = workload_.Next(client.state, wall_ms_);
    const std::vector<std::string_view> views(words.begin(), words.end());
    const std::size_t before = client.unsent.size();
    const bool is_plain = words.size() == 2 && words[1].size() < 4;
    if (is_plain && prng_.Chance(0.2)) {
      client.unsent += words[0] + " " + words[1] + "\r\n";  // an inline command
    } else {
      AppendRespRequest(client.unsent, views);
    }
    client.written += client.unsent.size() - before;
    client.requests.emplace_back(client.written, words);
    ++result_.counts.requests;
    Event(kWrite, HashBytes(std::string_view(client.unsent).substr(before), 5), [&] {
      std::string text = "client " + std::to_string(client.index) + " writes";
      for (const std::string& word : words) text += " " + word;
      return text;
    });
  }
}

void Simulation::Deliver(Client& client) {
  if (client.connection == nullptr || client.unsent.empty()) return;
  node::Worker& worker = node_->worker(client.worker);
  const std::span<char> space = worker.InputSpace(*client.connection);
  if (space.empty()) return;
  std::size_t size = std::min(space.size(), client.unsent.size());
  if (prng_.Chance(0.5)) size = 1 + prng_.Below(size);
  std::copy_n(client.unsent.begin(), size, space.begin());
  worker.Received(*client.connection, size, NodeNow());
  client.unsent.erase(0, size);
  client.delivered += size;
  if (!client.queued) {
    client.queued = true;
    queues_[static_cast<std::size_t>(client.worker)].push_back(&client);
  }
  Event(kDeliver, size, [&] {
    return std::to_string(size) + " bytes of client " + std::to_string(client.index) + " arrive";
  });
}

// The node executes what has arrived completely, client by client in the order of their arrival; so
// does the oracle.
void Simulation::Turn(int index) {
  const command::ServerState& state = node_->state();
  const Refusals refusals{.loading = state.loading.load(),
                          .disk_full = state.disk_full.load(),
                          .disk_failed = state.disk_failed.load()};
  std::vector<Client*> turn;
  turn.swap(queues_[static_cast<std::size_t>(index)]);
  Event(kTurn, static_cast<std::uint64_t>(index), [&] {
    return "turn of worker " + std::to_string(index) + ", " + std::to_string(turn.size()) +
           " clients";
  });
  std::vector<std::uint64_t> before;
  for (const Client* client : turn) before.push_back(client->connection->session.commands);
  {
    std::shared_lock held(node_->state().turn_lock);
    node_->worker(index).RunTurn(NodeNow());
  }
  const auto waits = [](const Client& client) {
    return client.connection->session.query != nullptr;
  };
  // Queries that went on in slices had their turn before all requests.
  for (std::size_t i = 0; i < turn.size(); ++i) {
    const bool ended = !waits(*turn[i]) || turn[i]->connection->session.commands != before[i];
    if (turn[i]->session.query && ended) oracle_.EndQuery(turn[i]->session);
  }
  for (std::size_t i = 0; i < turn.size(); ++i) {
    Client* client = turn[i];
    std::uint64_t ran = client->connection->session.commands - before[i];
    client->queued = waits(*client);
    if (client->queued) queues_[static_cast<std::size_t>(index)].push_back(client);
    while (!client->requests.empty() && client->requests.front().first <= client->delivered) {
      if (waits(*client) && ran-- == 0) break;
      const Words words = std::move(client->requests.front().second);
      client->requests.pop_front();
      Event(kTurn, 99, [&] {
        return "  executes " + words[0] + (words.size() > 1 ? " " + words[1] : "") + " of client " +
               std::to_string(client->index);
      });
      const bool goes_on = waits(*client) && ran == 0;
      oracle_.Execute(client->session, words, {.wall_ms = wall_ms_, .mono_ns = mono_ns_}, refusals,
                      goes_on);
      if (goes_on) ++result_.counts.sliced;
      if (goes_on && !client->session.query) Fail(words[0] + " goes on in slices for no reason");
    }
  }
  // A node that died in the middle has refused the rest of the turn, which nobody will hear of.
  history_.Stamp(disk_.died() ? std::numeric_limits<Lsn>::max() : node_->appended_lsn());
  if (ready_ && !disk_failure_) CompareState("after a turn");
}

void Simulation::Flush() {
  log_wanted_ = false;
  const Status flushed = node_->FlushLog(true);
  Event(kFlush, flushed.ok() ? 1 : 0, [&] {
    return "flush: " + (flushed
                            ? "durable up to " + std::to_string(node_->store().log().durable_lsn())
                            : flushed.error().text);
  });
}

void Simulation::Send(int index) {
  node::Worker& worker = node_->worker(index);
  if (options_.canary == Canary::kEarlyReply) {
    for (auto& client : clients_) {
      if (client->connection == nullptr || client->worker != index) continue;
      if (client->connection->gates.empty()) continue;
      client->connection->gates.clear();
      client->connection->sendable = client->connection->out.size();
      worker.MakeSendable(*client->connection);
    }
  }
  worker.Release();
  std::vector<node::Connection*> sending;
  sending.swap(worker.sendable());
  for (node::Connection* connection : sending) {
    connection->in_send_list = false;
    Client& client = *Owner(*connection);
    if (!connection->dead) {
      std::size_t size = connection->sendable - connection->sent;
      if (prng_.Chance(0.2)) size = prng_.Below(size + 1);  // a slow client
      const std::string bytes = connection->out.substr(connection->sent, size);
      worker.Sent(*connection, size);
      Receive(client, bytes);
      if (failed()) return;
      if (connection->sent < connection->sendable) worker.MakeSendable(*connection);
    }
    if (node::Worker::Finished(*connection)) {
      if (connection->dead) Fail("a client was cut");
      Disconnect(client);
      worker.Close(*connection);
    }
  }
}

void Simulation::Receive(Client& client, std::string_view bytes) {
  Event(kSend, HashBytes(bytes, 7), [&] {
    return std::to_string(bytes.size()) + " bytes leave for client " + std::to_string(client.index);
  });
  client.received += bytes;
  std::size_t position = 0;
  while (!failed()) {
    std::size_t consumed = 0;
    RespValue value;
    const auto rest = std::string_view(client.received).substr(position);
    const RespValueOutcome outcome = ParseRespValue(rest, consumed, value);
    if (outcome == RespValueOutcome::kNeedMore) break;
    if (outcome == RespValueOutcome::kError) return Fail("a reply is not RESP");
    position += consumed;
    OnReply(client, value);
  }
  client.received.erase(0, position);
}

void Simulation::OnReply(Client& client, const RespValue& reply) {
  ++result_.counts.replies;
  Event(kReply, HashBytes(reply.ToText(), 11),
        [&] { return "client " + std::to_string(client.index) + " gets " + reply.ToText(); });
  auto& expected = client.session.expected;
  if (expected.empty())
    return Fail("client " + std::to_string(client.index) +
                " gets a reply too many: " + reply.ToText());
  const std::string mismatch = Mismatch(expected.front(), reply);
  if (!mismatch.empty()) {
    return Fail("client " + std::to_string(client.index) + ": " + mismatch);
  }
  if (!gates_failed_) seen_steps_ = std::max(seen_steps_, expected.front().steps);
  expected.pop_front();
}

bool Simulation::AllAnswered() const {
  return std::all_of(clients_.begin(), clients_.end(), [](const auto& client) {
    return client->connection == nullptr ||
           (client->session.expected.empty() && client->requests.empty());
  });
}

// ---- time

void Simulation::PassTime() {
  constexpr std::int64_t kSpans[] = {1, 10, 100, 1000, 5000};
  std::int64_t ms = 1 + static_cast<std::int64_t>(prng_.Below(kSpans[prng_.Below(5)]));
  if (swarm_.Has(Feature::kLongTimes) && prng_.Chance(0.15)) {
    constexpr std::int64_t kHourMs = 3'600'000;
    ms += prng_.Between(0, prng_.Chance(0.7) ? 30 : 24 * 9) * kHourMs;
  }
  mono_ns_ += ms * kNsPerMs;
  wall_ms_ += ms;
  if (swarm_.Has(Feature::kClockJumps) && prng_.Chance(0.05)) {
    wall_ms_ += prng_.Between(-3'600'000, 3'600'000);
    oracle_.ClockJumped();
  }
  Event(kTime, static_cast<std::uint64_t>(wall_ms_),
        [&] { return "time passes, now " + std::to_string(wall_ms_) + " ms"; });
}

void Simulation::Tick(int index) {
  Event(kTick, static_cast<std::uint64_t>(index),
        [&] { return "tick of worker " + std::to_string(index); });
  {
    std::shared_lock held(node_->state().turn_lock);
    node_->worker(index).Tick(NodeNow());
  }
  for (auto& client : clients_) {
    if (client->connection == nullptr || client->worker != index) continue;
    oracle_.Tick(client->session, {.wall_ms = wall_ms_, .mono_ns = mono_ns_});
  }
}

void Simulation::Upkeep() {
  Event(kUpkeep, 0, [] { return std::string("upkeep"); });
  const MonoNs began = mono_ns_;
  node_->Upkeep(NodeNow());
  if (disk_.died()) return NoteSweeps(false);
  NoteSweeps(true);
  const bool healthy = !node_->state().disk_full.load() && !disk_failure_;
  if (healthy && swarm_.fsync == command::FsyncPolicy::kEverySecond) {
    const std::size_t durable = history_.StepsUpTo(node_->store().log().durable_lsn());
    if (durable < history_.StepsBefore(began - kNsPerSecond)) {
      Fail("fsync everysec: a change that is older than a second is not durable after upkeep");
    }
  }
  if (healthy) CompareState("after upkeep");
}

// What the node has swept is gone for the oracle too, if it was right to sweep it.
void Simulation::NoteSweeps(bool checked) {
  std::map<unsigned, std::vector<std::string>> gone;  // by partition: the sweep's order and units
  engine::Keyspace& keyspace = node_->keyspace();
  for (const auto& [name, cell] : history_.state()) {
    const engine::Key key = keyspace.MakeKey(name);
    if (keyspace.Find(key, engine::kBeforeAnyExpiry)) continue;
    gone[engine::Keyspace::PartitionOf(key)].push_back(name);
    const bool expired = cell.expires_at != 0 && cell.expires_at <= wall_ms_;
    const bool idle = swarm_.drop_zeros && !cell.tree && cell.value.IsZero() &&
                      cell.expires_at == 0 && !cell.precision &&
                      oracle_.Untouched(name, wall_ms_, engine::Keyspace::kZeroLifetimeMs);
    if (checked && !expired && !idle)
      Fail("upkeep dropped what should stay: " + Describe({{name, cell}}));
  }
  for (const auto& [partition, names] : gone) {
    for (const std::string& name : names) oracle_.Sweep(name);
    history_.CloseStep(mono_ns_);
  }
  NoteTrims(checked);
  history_.Stamp(node_->appended_lsn());
}

// The same for the trees' old buckets.
void Simulation::NoteTrims(bool checked) {
  engine::Keyspace& keyspace = node_->keyspace();
  for (const std::string& name : keyspace.TreeNames(engine::kBeforeAnyExpiry)) {
    const engine::Tree* tree = keyspace.FindTree(keyspace.MakeKey(name), engine::kBeforeAnyExpiry);
    const Cell* cell = history_.Find(name);
    if (cell == nullptr || !cell->tree || cell->tree->watermark == tree->watermark()) continue;
    const std::string wrong = oracle_.Trim(name, tree->watermark(), wall_ms_, checked);
    history_.CloseStep(mono_ns_);
    if (!wrong.empty()) Fail(wrong);
  }
}

void Simulation::Snapshot() {
  if (!swarm_.Has(Feature::kSnapshots) && !swarm_.Has(Feature::kSavePoints)) return;
  if (!node_->snapshot_wanted()) {
    if (!swarm_.Has(Feature::kSnapshots) || prng_.Chance(0.5)) return;
    (void)node_->StartSnapshot();
  }
  const std::uint64_t slices = 1 + prng_.Below(prng_.Chance(0.3) ? 300 : 40);
  bool more = true;
  for (std::uint64_t i = 0; i < slices && more; ++i) more = node_->SnapshotStep();
  if (!more) ++result_.counts.snapshots;
  Event(kSnapshot, slices, [&] {
    return std::to_string(slices) + " slices of a snapshot" + (more ? "" : ", the last");
  });
}

void Simulation::BreakSomething() {
  Feature kinds[] = {Feature::kDiskFull,     Feature::kDiskFull,    Feature::kShortWrites,
                     Feature::kSyncErrors,   Feature::kWriteErrors, Feature::kDeathInMidAir,
                     Feature::kDeathInMidAir};
  const Feature kind = kinds[prng_.Below(std::size(kinds))];
  if (!swarm_.Has(kind)) return;
  const std::uint64_t in = prng_.Below(6);
  Event(kBreak, static_cast<std::uint64_t>(kind) << 8 ^ in,
        [&] { return "fault " + std::string(NameOf(kind)) + " in " + std::to_string(in); });
  switch (kind) {
    case Feature::kDiskFull:
      disk_limited_ = !disk_limited_;
      if (disk_limited_) ++result_.counts.full_disks;
      disk_.SetCapacity(disk_limited_ ? disk_.used_bytes() + prng_.Below(3000) : SimDisk::kNever);
      return;
    case Feature::kShortWrites:
      return disk_.ShortWrite(in);
    case Feature::kSyncErrors:
      return disk_.FailSync(in);
    case Feature::kWriteErrors:
      return disk_.FailWrite(in);
    default:
      return disk_.DieAt(prng_.Below(40));
  }
}

// ---- the state

State Simulation::ReadState(std::string& trouble) const {
  engine::Keyspace& keyspace = node_->keyspace();
  State state;
  std::vector<std::string> trees;
  std::uint64_t cursor = 0;
  do {
    cursor = keyspace
                 .Scan(cursor, 1000, engine::kBeforeAnyExpiry,
                       [&](std::string_view name, const engine::Entry& entry) {
                         state[std::string(name)] = {.value = entry.value,
                                                     .expires_at = entry.expires_at,
                                                     .precision = entry.precision};
                         if (entry.kind == engine::Kind::kTree) trees.emplace_back(name);
                       })
                 .next;
  } while (cursor != 0);
  for (const std::string& name : trees) {
    const engine::Tree* tree = keyspace.FindTree(keyspace.MakeKey(name), engine::kBeforeAnyExpiry);
    state[name].tree = std::make_shared<const TreeModel>(ReadTree(*tree, trouble));
  }
  return state;
}

void Simulation::CompareState(const char* when) {
  std::string trouble;
  const State found = ReadState(trouble);
  if (!trouble.empty()) return Fail(std::string("trees ") + when + ": " + trouble);
  if (found == history_.state()) return;
  Fail(std::string("the state ") + when +
       " is not the oracle's: " + Difference(history_.state(), found));
}

// ---- the end: faults stop, and everything has to come right

void Simulation::Settle() {
  if (node_ != nullptr && disk_.died()) HandleDeath();
  disk_.SetCapacity(SimDisk::kNever);
  disk_limited_ = false;
  const auto calm = [&] {
    disk_.FailSync(SimDisk::kNever);
    disk_.FailWrite(SimDisk::kNever);
    disk_.ShortWrite(SimDisk::kNever);
    disk_.DieAt(SimDisk::kNever);
  };
  calm();
  if (node_ != nullptr && disk_failure_) Crash(CrashKind::kKill);
  while (node_ == nullptr && !failed()) Start();
  calm();
  for (int round = 0; round < 60 && !failed(); ++round) {
    mono_ns_ += 200 * kNsPerMs;
    wall_ms_ += 200;
    Upkeep();
    for (auto& client : clients_) {
      for (int i = 0; i < 40 && !client->unsent.empty(); ++i) Deliver(*client);
    }
    for (int i = 0; i < swarm_.workers && !failed(); ++i) Turn(i);
    Flush();
    for (int i = 0; i < swarm_.workers && !failed(); ++i) Send(i);
    // A fault from before may have broken the log without anybody noticing until now.
    if (!disk_failure_) continue;
    Crash(CrashKind::kKill);
    while (node_ == nullptr && !failed()) Start();
    calm();
  }
  if (failed()) return;
  if (!AllAnswered()) return Fail("a healthy node did not answer everything");
  if (node_->state().disk_full.load()) return Fail("there is room again and writes are refused");
  CheckSwept();
  if (failed()) return;
  Crash(swarm_.Has(Feature::kPowerLoss) ? CrashKind::kPowerLoss : CrashKind::kKill);
  while (node_ == nullptr && !failed()) Start();
  if (!failed()) CompareState("at the end");
}

void Simulation::CheckSwept() {
  for (const auto& [name, cell] : history_.state()) {
    if (cell.expires_at != 0 && cell.expires_at <= wall_ms_ - 1000) {
      Fail(name + " has expired and was not swept");
    }
    if (cell.tree && cell.tree->settings.retain != 0) {
      const Bucket oldest = oracle_.OldestKept(*cell.tree, wall_ms_ - 1500);
      for (const auto& [key, buckets] : cell.tree->keys) {
        if (buckets.begin()->first < oldest) Fail(name + " keeps buckets that are too old");
      }
    }
    if (swarm_.drop_zeros && !cell.tree && cell.value.IsZero() && cell.expires_at == 0 &&
        !cell.precision) {
      Fail(name + " is 0, idle, and was not swept");
    }
  }
}

RunResult RunSeed(const RunOptions& options) {
  return Simulation(options).Run();
}

}  // namespace jeton::sim
