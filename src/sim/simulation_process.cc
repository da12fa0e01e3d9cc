// The life of the simulated process: start, recovery, crash, orderly end; and what has to be there
// afterwards.
#include <algorithm>

#include "engine/tree_mutation.h"
#include "sim/environment.h"
#include "sim/lying_disk.h"
#include "sim/oracle_internal.h"
#include "sim/simulated_client.h"
#include "sim/simulation.h"

namespace jeton::sim {
namespace {

constexpr int kFaultyStartsMax = 3;
constexpr std::uint64_t kStartEvent = 0x51;
constexpr std::uint64_t kCrashEvent = 0x52;

}  // namespace

node::Environment Simulation::MakeEnvironment() {
  node::Environment env = EnvironmentOfSimulator(prng_);
  env.directory = directory_.get();
  env.settings = &settings_;
  env.fresh.wall_ms = wall_ms_;
  env.workers = swarm_.workers;
  env.log_options =
      LogOptions{.segment_size = swarm_.segment_size, .staged_bytes_max = swarm_.staged_bytes_max};
  env.mono_now = [this] { return mono_ns_; };
  env.wall_now = [this] { return NodeNow().wall_ms; };
  env.say = [this](node::LogLevel, std::string_view line) {
    Event(kStartEvent, HashBytes(line, 13), [&] { return "  node: " + std::string(line); });
  };
  env.wake_log = [this] { log_wanted_ = true; };
  env.on_disk_failure = [this](const Error&) { disk_failure_ = true; };
  return env;
}

// ---- start

// Recovery may fail or die because of a fault that was armed for it, a few times; then it gets its
// chance without any, and must succeed.
void Simulation::Start() {
  for (int attempt = 0; node_ == nullptr && !failed(); ++attempt) {
    (void)TryStart(attempt < kFaultyStartsMax);
  }
}

bool Simulation::TryStart(bool with_faults) {
  bool armed = false;
  disk_.FailRead(SimDisk::kNever);
  if (with_faults && swarm_.Has(Feature::kReadErrors) && prng_.Chance(0.2)) {
    disk_.FailRead(prng_.Below(30));
    armed = true;
  }
  if (with_faults && swarm_.Has(Feature::kFaultyRecovery) && prng_.Chance(0.3)) {
    disk_.DieAt(prng_.Below(60));
    armed = true;
  }
  if (!with_faults) {
    disk_.SetCapacity(SimDisk::kNever);
    disk_limited_ = false;
  }
  armed = armed || disk_limited_;
  directory_ = MakeLyingDirectory(disk_.Mount(), options_.canary);
  auto opened = node::Node::Open(MakeEnvironment());
  Event(kStartEvent, opened.ok() ? 1 : 0,
        [&] { return "start" + (opened ? std::string() : ": " + opened.error().text); });
  if (!opened) {
    if (!armed) Fail("the data directory does not open: " + opened.error().text);
    Shut(DrawCrash());
    return false;
  }
  node_ = std::move(opened).value();
  if (prng_.Chance(0.1)) {
    Client& early = *clients_.front();
    Write(early);
    for (int i = 0; i < 10; ++i) Deliver(early);
    Turn(early.worker);
  }
  const auto report = node_->Recover();
  Event(kStartEvent, report ? report->log_records : 0, [&] {
    if (!report) return "recovery: " + report.error().text;
    return "recovered snapshot " + std::to_string(report->snapshot) + " and " +
           std::to_string(report->log_records) + " records, torn " +
           std::to_string(report->torn_bytes) + (report->fell_back ? ", fell back" : "");
  });
  disk_.FailRead(SimDisk::kNever);
  if (!report || disk_.died()) {
    ++result_.counts.failed_recoveries;
    if (!armed) {
      Fail("recovery failed: " + (report ? "the process died" : report.error().text));
    }
    Shut(DrawCrash());
    return false;
  }
  if (report->fell_back && !armed) Fail("recovery fell back to an older generation");
  ++result_.counts.recoveries;
  PlantAfterRecovery();
  CheckRecovered();
  return true;
}

// The state must be the one after some step, after none earlier than was promised.
void Simulation::CheckRecovered() {
  std::string trouble;
  const State found = ReadState(trouble);
  if (!trouble.empty()) return Fail("trees after recovery: " + trouble);
  const std::size_t least = power_was_lost_ ? must_survive_power_ : must_survive_kill_;
  const auto match = history_.Match(found, least);
  if (!match) {
    const auto earlier = history_.Match(found, 0);
    std::string text = "after recovery ";
    if (earlier) {
      text += "there are " + std::to_string(*earlier) + " of " + std::to_string(history_.size()) +
              " changes, of which " + std::to_string(least) + " were promised: ";
    } else {
      text += "the state is not one that ever was (" + std::to_string(history_.size()) +
              " changes, " + std::to_string(least) + " promised): ";
    }
    return Fail(text + Difference(history_.StateAfter(earlier ? least : history_.size()), found));
  }
  result_.counts.lost_steps += history_.size() - *match;
  Event(kStartEvent, *match, [&] {
    return "after recovery there are " + std::to_string(*match) + " of " +
           std::to_string(history_.size()) + " changes, " + std::to_string(least) +
           " were promised";
  });
  history_.CutTo(*match);
  oracle_.Recovered(wall_ms_);
  for (auto& client : clients_) {
    for (Expected& expected : client->session.expected) expected.steps = 0;
  }
  seen_steps_ = must_survive_kill_ = must_survive_power_ = 0;
  power_was_lost_ = false;
  ready_ = true;
}

void Simulation::PlantAfterRecovery() {
  engine::Keyspace& keyspace = node_->keyspace();
  std::string trouble;
  const State state = ReadState(trouble);
  if (state.empty()) return;
  const auto apply = [&](const engine::Mutation& mutation) {
    keyspace.Apply(mutation, keyspace.MakeKey(mutation.name), wall_ms_);
  };
  const auto& [name, cell] = *state.begin();
  switch (options_.canary) {
    case Canary::kRecoveryForgets:
      return apply({.type = engine::MutationType::kDrop, .name = name});
    case Canary::kRecoveryDoubles:
      return apply({.type = engine::MutationType::kCounter,
                    .name = name,
                    .value = Decimal::Add(cell.value, 1).value_or(0)});
    case Canary::kRecoveryLosesExpiry:
      return apply({.type = engine::MutationType::kExpire, .name = name, .expires_at = 0});
    case Canary::kHalfUnit: {
      const auto& steps = history_.steps();
      const auto unit = std::find_if(steps.rbegin(), steps.rend(), [](const auto& step) {
        return step.changes.size() > 1 && step.changes.front().name != step.changes.back().name;
      });
      if (unit == steps.rend()) return;
      const History::Change& change = unit->changes.back();
      if (change.before && change.before->tree) return;
      if (!change.before) return apply({.type = engine::MutationType::kDrop, .name = change.name});
      return apply({.type = engine::MutationType::kCounter,
                    .name = change.name,
                    .value = change.before->value});
    }
    case Canary::kTreeForgetsWatermark:
    case Canary::kTreeLosesBucket:
    case Canary::kHalfBatch:
      for (const auto& [tree_name, tree_cell] : state) {
        if (tree_cell.tree) PlantInTree(tree_name, *tree_cell.tree);
      }
      return;
    default:
      return;
  }
}

void Simulation::PlantInTree(const std::string& name, const TreeModel& tree) {
  engine::Keyspace& keyspace = node_->keyspace();
  const engine::Key key = keyspace.MakeKey(name);
  const auto apply = [&](engine::TreeMutation mutation, const std::string& tree_key) {
    mutation.tree = name;
    mutation.key = keyspace.FindTree(key, 0)->MakeKey(tree_key);
    keyspace.Apply(mutation, key);
  };
  if (tree.keys.empty()) return;
  const auto& [first_key, first_buckets] = *tree.keys.begin();
  if (options_.canary == Canary::kTreeLosesBucket) {
    const Bucket bucket = first_buckets.begin()->first;
    return apply({.type = engine::TreeMutationType::kClear, .range = {bucket, bucket}}, first_key);
  }
  if (options_.canary == Canary::kHalfBatch) {
    const auto& steps = history_.steps();
    if (steps.empty() || steps.back().changes.size() != 1) return;
    const History::Change& change = steps.back().changes.back();
    if (change.name != name || !change.before || !change.before->tree || !change.after) return;
    if (!change.after->tree || KeysChanged(*change.before->tree, *change.after->tree).size() < 2) {
      return;
    }
    const std::string undone = *KeysChanged(*change.before->tree, *change.after->tree).begin();
    apply({.type = engine::TreeMutationType::kResetKey}, undone);
    const auto before = change.before->tree->keys.find(undone);
    if (before == change.before->tree->keys.end()) return;
    for (const auto& [bucket, value] : before->second) {
      apply({.type = engine::TreeMutationType::kBucket, .range = {bucket, bucket}, .value = value},
            undone);
    }
    return;
  }
  const WallMs expires_at = history_.Find(name) == nullptr ? 0 : history_.Find(name)->expires_at;
  if (expires_at != 0) return;
  keyspace.Apply({.type = engine::MutationType::kDrop, .name = name}, key, wall_ms_);
  const engine::TreeMutation create{
      .type = engine::TreeMutationType::kCreate, .tree = name, .settings = tree.settings};
  keyspace.Apply(create, key);
  for (const auto& [tree_key, buckets] : tree.keys) {
    for (const auto& [bucket, value] : buckets) {
      apply({.type = engine::TreeMutationType::kBucket, .range = {bucket, bucket}, .value = value},
            tree_key);
    }
  }
}

// ---- the end

std::size_t Simulation::StepsPromised(CrashKind kind) const {
  const LogWriter& log = node_->store().log();
  const std::size_t durable = history_.StepsUpTo(log.durable_lsn());
  const std::size_t written = history_.StepsUpTo(log.written_lsn());
  const bool always = swarm_.fsync == command::FsyncPolicy::kAlways;
  if (kind == CrashKind::kPowerLoss) return always ? std::max(durable, seen_steps_) : durable;
  return std::max(written, seen_steps_);
}

Simulation::CrashKind Simulation::DrawCrash() {
  const bool kill = swarm_.Has(Feature::kKill) || !swarm_.Has(Feature::kPowerLoss);
  const bool power = swarm_.Has(Feature::kPowerLoss);
  return power && (!kill || prng_.Chance(0.5)) ? CrashKind::kPowerLoss : CrashKind::kKill;
}

void Simulation::Crash(CrashKind kind) {
  if (ready_) {
    must_survive_kill_ = StepsPromised(CrashKind::kKill);
    must_survive_power_ = StepsPromised(CrashKind::kPowerLoss);
  }
  Shut(kind);
}

void Simulation::Shut(CrashKind kind) {
  const bool kill = kind == CrashKind::kKill;
  ++result_.counts.crashes;
  Event(kCrashEvent, kill ? 1 : 2, [&] { return kill ? "the process is gone" : "power loss"; });
  power_was_lost_ = power_was_lost_ || !kill;
  for (auto& client : clients_) Disconnect(*client);
  disk_.Crash(disk_prng_, kill);
  node_.reset();
  directory_.reset();
  ready_ = disk_failure_ = gates_failed_ = log_wanted_ = false;
}

void Simulation::HandleDeath() {
  Crash(DrawCrash());
}

void Simulation::ShutDown() {
  for (int i = 0; i < swarm_.workers && !failed(); ++i) Turn(i);
  Flush();
  for (int i = 0; i < swarm_.workers && !failed(); ++i) Send(i);
  if (failed()) return;
  const bool save = swarm_.Has(Feature::kSnapshots) && prng_.Chance(0.3);
  const Status ended = node_->Shutdown(save ? command::Host::ShutdownSave::kSave
                                            : command::Host::ShutdownSave::kDefault);
  Event(kCrashEvent, ended.ok() ? 3 : 4,
        [&] { return "orderly end" + (ended ? std::string() : ": " + ended.error().text); });
  if (disk_.died()) return HandleDeath();
  must_survive_kill_ = StepsPromised(CrashKind::kKill);
  must_survive_power_ = StepsPromised(CrashKind::kPowerLoss);
  if (ended) must_survive_kill_ = must_survive_power_ = history_.size();
  Shut(DrawCrash());
}

// What waited for the log is answered with an error, since nobody can know its outcome; then the
// process ends, now or a little later.
void Simulation::FailGates() {
  for (auto& client : clients_) {
    if (client->connection == nullptr) continue;
    node::Connection& connection = *client->connection;
    if (options_.canary == Canary::kErrorAcknowledged) {
      connection.gates.clear();
      connection.sendable = connection.out.size();
    }
    const std::string bytes =
        connection.out.substr(connection.sent, connection.sendable - connection.sent);
    node_->worker(client->worker).Sent(connection, bytes.size());
    Receive(*client, bytes);
    if (failed()) return;
    auto& expected = client->session.expected;
    // A query that goes on in slices has said nothing yet, and goes on.
    std::optional<Expected> going_on;
    if (client->session.query) {
      going_on = std::move(expected.back());
      expected.pop_back();
    }
    const auto requests = static_cast<std::size_t>(std::count_if(
        expected.begin(), expected.end(), [](const Expected& e) { return e.ends_request; }));
    expected.assign(requests,
                    {.kind = Expected::Kind::kErrorLike, .value = Failure("ERR the disk failed")});
    if (going_on) expected.push_back(std::move(*going_on));
  }
  for (int i = 0; i < swarm_.workers; ++i) node_->worker(i).FailGates();
  gates_failed_ = true;
  if (prng_.Chance(0.7)) return;
  ++result_.counts.disk_failures;
  Crash(DrawCrash());
}

}  // namespace jeton::sim
