#include "command/test_server.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/text.h"
#include "base/version.h"
#include "command/tree_upkeep.h"
#include "engine/mutation.h"
#include "engine/tree_mutation.h"
#include "protocol/resp_parser.h"
#include "protocol/resp_value.h"

namespace jeton::command {

Status FakeHost::StartSnapshot() {
  ++snapshots;
  return {};
}

Status FakeHost::SaveNow() {
  ++snapshots;
  return {};
}

void FakeHost::RequestShutdown(ShutdownSave save) {
  shutdown_requested = true;
  shutdown_save = save;
}

Status FakeHost::WriteConfigFile(std::string_view text) {
  config_text = text;
  return {};
}

int FakeCluster::AckedBy(Lsn lsn) const {
  int count = 0;
  for (const PeerStatus& peer : state.peers) count += peer.acked_lsn >= lsn ? 1 : 0;
  return count;
}

Result<ClusterHost::Wish> FakeCluster::Meet(std::string_view host, std::int64_t port) {
  asked.push_back("meet " + std::string(host) + " " + std::to_string(port));
  return asked.size();
}

Result<ClusterHost::Wish> FakeCluster::Forget(std::string_view id) {
  asked.push_back("forget " + std::string(id));
  return asked.size();
}

Result<ClusterHost::Wish> FakeCluster::Reset(bool hard) {
  asked.emplace_back(hard ? "reset hard" : "reset soft");
  return asked.size();
}

Result<ClusterHost::Wish> FakeCluster::SaveConfig() {
  asked.emplace_back("saveconfig");
  return asked.size();
}

std::optional<Status> FakeCluster::TakeOutcome(Wish) {
  return outcome;
}

Estimate FakeCluster::EstimateOf(const engine::Key&, const Decimal& known, const Decimal& precision,
                                 Now) const {
  const Decimal value = Decimal::Add(known, predicted).value_or(known);
  return {.known = known,
          .value = value,
          .lower = Decimal::Subtract(known, precision).value_or(known),
          .upper = Decimal::Add(value, precision).value_or(value)};
}

Status FakeHost::Sleep(double seconds) {
  mono_ns += static_cast<MonoNs>(seconds * static_cast<double>(kNsPerSecond));
  return {};
}

// Keeps units in memory, and checks the locks of the names in them.
class TestServer::MemoryLog : public LogSink {
 public:
  void Append(std::string_view unit) override {
    units.emplace_back(unit);
    if (!exclusive && keyspace != nullptr) CheckLocks(unit);
  }
  Lsn last_lsn() const override { return units.size(); }

  std::vector<std::string> units;
  std::string errors;
  engine::Keyspace* keyspace = nullptr;  // the one that the units come from
  bool exclusive = false;                // the running command holds everything

 private:
  void CheckLocks(std::string_view unit) {
    ByteReader reader(unit);
    engine::TreeMutation of_tree;
    bool has_tree = false;
    while (reader.ok() && !reader.AtEnd()) {
      if (engine::IsTreeMutation(reader)) {
        engine::DecodeTreeMutation(reader, has_tree, of_tree);
        has_tree = true;
        if (reader.ok()) CheckLock(of_tree.tree);
        continue;
      }
      const engine::Mutation mutation = engine::DecodeMutation(reader);
      if (!reader.ok()) break;
      if (mutation.type == engine::MutationType::kFlush) {
        errors += "a flush was logged without exclusive access\n";
      } else {
        CheckLock(mutation.name);
      }
    }
    if (!reader.ok()) errors += "a unit that does not decode was logged\n";
  }

  void CheckLock(std::string_view name) {
    const engine::Key key = keyspace->MakeKey(name);
    SpinLock& lock = keyspace->LockOf(engine::Keyspace::PartitionOf(key));
    if (!lock.try_lock()) return;
    lock.unlock();
    errors += "'" + std::string(name) + "' was logged without its partition's lock\n";
  }
};

TestServer::TestServer(Dialect dialect, int resp)
    : dialect_(dialect), resp_(resp), log_(std::make_unique<MemoryLog>()) {
  host_.facts.operating_system = "Linux";
  host_.facts.process_id = 1;
  host_.status.last_save_ms = kStart;
  keyspace_ = std::make_unique<engine::Keyspace>(engine::Keyspace::Options{.hash_seed = 42});
  Build();
}

TestServer::~TestServer() {
  for (auto& session : sessions_) CloseSession(*state_, *session);
}

void TestServer::Build() {
  log_->keyspace = keyspace_.get();
  state_ = std::make_unique<ServerState>(host_, *log_, *keyspace_, settings_);
  state_->node_id = std::string(40, 'a');
  state_->run_id = std::string(40, 'b');
  state_->version = kVersion;
  state_->started_ms = now_.wall_ms;
  state_->stats_reset_ms = now_.wall_ms;
  stats_ = std::make_unique<WorkerStats>(state_->commands.size());
  state_->worker_stats = {stats_.get()};
  dispatcher_ = std::make_unique<Dispatcher>(*state_, *stats_);
  karma_ = std::make_unique<KarmaRequests>(*state_, *dispatcher_);
  if (directory_ != nullptr) UseDirectory(*directory_);
  NewSession();
}

void TestServer::UseDirectory(Directory& directory) {
  directory_ = &directory;
  dump_jobs_ = std::make_unique<KarmaDumpJobs>(
      *state_, directory, [this](bool, std::string_view line) { said_.emplace_back(line); });
  host_.dump_jobs = dump_jobs_.get();
  host_.wake_upkeep = [this] {
    while (dump_jobs_->Step(now_)) {
    }
  };
}

Session& TestServer::NewSession() {
  auto& session = sessions_.emplace_back(std::make_unique<Session>());
  session->listener_dialect = dialect_;
  session->resp = resp_;
  session->address = "127.0.0.1:" + std::to_string(50000 + sessions_.size());
  session->local_address = "127.0.0.1:5262";
  session->fd = static_cast<int>(7 + sessions_.size());
  OpenSession(*state_, *session, now_.wall_ms);
  return *session;
}

ServerState& TestServer::state() {
  return *state_;
}
engine::Keyspace& TestServer::keyspace() {
  return *keyspace_;
}
const std::vector<std::string>& TestServer::logged_units() const {
  return log_->units;
}
const std::string& TestServer::lock_errors() const {
  return log_->errors;
}

std::string TestServer::RunRaw(Session& session, std::span<const std::string_view> words) {
  std::string out;
  Reply reply(out, session.resp == 3 ? ReplyFormat::kResp3 : ReplyFormat::kResp2);
  const Command* command = dispatcher_->Resolve(words);
  log_->exclusive = command != nullptr && (command->flags & kExclusive) != 0;
  state_->turn_lock.lock_shared();
  dispatcher_->Execute(session, words, now_, reply);
  while (session.query != nullptr) {
    // Whoever it waits for is at rest in a test: it is the clock's turn.
    if (session.query->IsIdle()) AdvanceTo(session.query->DeadlineNs());
    dispatcher_->Continue(session, now_, reply);
  }
  state_->turn_lock.unlock_shared();
  log_->exclusive = false;
  return out;
}

std::string TestServer::RunJson(Session& session, std::string_view line) {
  std::string out;
  state_->turn_lock.lock_shared();
  bool done = karma_->Execute(session, line, now_, out) != KarmaRequests::Outcome::kGoesOn;
  while (!done) done = karma_->Continue(session, now_, out);
  state_->turn_lock.unlock_shared();
  while (out.ends_with('\n') || out.ends_with('\r')) out.pop_back();
  return out;
}

std::string TestServer::RunWords(Session& session, std::span<const std::string_view> words) {
  const std::string bytes = RunRaw(session, words);
  const auto values = ParseRespValues(bytes);
  if (!values.ok()) return "not RESP: " + values.error().text + ": " + QuoteForLog(bytes);
  std::string text;
  for (const RespValue& value : *values) {
    if (!text.empty()) text += "\n";
    text += value.ToText();
  }
  return text;
}

std::string TestServer::RunAs(Session& session, std::string_view line) {
  const std::string input = std::string(line) + "\r\n";
  RespParser parser;
  std::vector<std::string_view> words;
  std::size_t consumed = 0;
  if (parser.Next(input, consumed, words) != RespParser::Outcome::kRequest) {
    return "not a request: " + std::string(line);
  }
  return RunWords(session, words);
}

void TestServer::AdvanceTo(MonoNs deadline) {
  if (deadline > now_.mono_ns) Advance((deadline - now_.mono_ns + kNsPerMs - 1) / kNsPerMs);
}

void TestServer::Advance(WallMs milliseconds) {
  now_.wall_ms += milliseconds;
  now_.mono_ns += milliseconds * kNsPerMs;
  host_.mono_ns += milliseconds * kNsPerMs;
  Upkeep();
}

void TestServer::Upkeep() {
  constexpr std::size_t kAll = 1'000'000;
  for (unsigned partition = 0; partition < engine::Keyspace::kPartitions; ++partition) {
    for (const auto& name : keyspace_->CollectExpired(partition, now_.wall_ms, kAll)) {
      DropIf(name, true);
    }
    for (const auto& name : keyspace_->CollectZeros(partition, now_.wall_ms, kAll)) {
      DropIf(name, false);
    }
  }
  engine::Unit unit(*keyspace_, state_->watches);
  TendTrees(*state_, unit, now_.wall_ms);
}

void TestServer::DropIf(const std::string& name, bool expired) {
  const engine::Key key = keyspace_->MakeKey(name);
  std::lock_guard guard(keyspace_->LockOf(engine::Keyspace::PartitionOf(key)));
  const bool goes = expired ? !keyspace_->Find(key, now_.wall_ms).has_value()
                            : keyspace_->IsIdleZero(key, now_.wall_ms);
  if (!goes) return;
  engine::Unit unit(*keyspace_, state_->watches);
  unit.set_now(now_.wall_ms);
  unit.Drop(key);
  log_->Append(unit.bytes());
}

std::unique_ptr<engine::Keyspace> TestServer::Replay() {
  auto fresh = std::make_unique<engine::Keyspace>(engine::Keyspace::Options{
      .hash_seed = 7, .drop_zero_counters = settings_.values().zero_counters_drop});
  for (const std::string& unit : log_->units) {
    if (!fresh->ApplyEncoded(unit, now_.wall_ms)) return nullptr;
  }
  return fresh;
}

void TestServer::Restart() {
  for (auto& session : sessions_) CloseSession(*state_, *session);
  sessions_.clear();
  host_.dump_jobs = nullptr;
  dump_jobs_.reset();
  karma_.reset();
  dispatcher_.reset();
  state_.reset();
  keyspace_ = Replay();
  ASSERT(keyspace_ != nullptr);
  Build();
}

std::string TestServer::CheckReplay() {
  const auto fresh = Replay();
  if (fresh == nullptr) return "the log does not decode";
  const std::string live = Dump(*keyspace_, now_.wall_ms);
  const std::string replayed = Dump(*fresh, now_.wall_ms);
  if (live == replayed) return {};
  return "live:\n" + live + "replayed:\n" + replayed;
}

namespace {

// The tree's settings, and its keys with their buckets, sorted.
std::string DumpTree(engine::Keyspace& keyspace, std::string_view name, WallMs now) {
  const engine::Tree* tree = keyspace.FindTree(keyspace.MakeKey(name), now);
  if (tree == nullptr) return {};
  const engine::TreeSettings& settings = tree->settings();
  std::string text = " tree of " + std::string(WidthName(settings.width)) + " in " + settings.zone +
                     " retain " + std::to_string(settings.retain) + " from " +
                     std::to_string(tree->watermark()) + " keys " + std::to_string(tree->keys()) +
                     " buckets " + std::to_string(tree->buckets()) + " total " +
                     tree->Total().ToString();
  std::vector<std::string> keys;
  std::uint64_t cursor = 0;
  do {
    cursor = tree->Scan(cursor, 1000, [&](const engine::KeyView& key) {
      std::string& line = keys.emplace_back("\n  " + QuoteForLog(key.ToString()));
      key.ForEach([&](Bucket bucket, const Decimal& value) {
        line += " " + std::to_string(bucket) + ":" + value.ToString();
      });
    });
  } while (cursor != 0);
  std::sort(keys.begin(), keys.end());
  for (const std::string& key : keys) text += key;
  return text;
}

}  // namespace

std::string TestServer::Dump(engine::Keyspace& keyspace, WallMs now) {
  std::vector<std::string> lines;
  std::vector<std::string> trees;
  std::uint64_t cursor = 0;
  do {
    const auto step =
        keyspace.Scan(cursor, 1000, now, [&](std::string_view name, const engine::Entry& entry) {
          std::string line = QuoteForLog(name) + " " + entry.value.ToString();
          if (entry.expires_at != 0) line += " until " + std::to_string(entry.expires_at);
          if (entry.precision) line += " precision " + entry.precision->ToString();
          if (entry.kind == engine::Kind::kTree) trees.emplace_back(name);
          lines.push_back(line + "\n");
        });
    cursor = step.next;
  } while (cursor != 0);
  for (const std::string& name : trees) {
    lines.push_back(QuoteForLog(name) + DumpTree(keyspace, name, now) + "\n");
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

}  // namespace jeton::command
