#include "server/server.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "command/host_port.h"
#include "command/info.h"
#include "command/settings.h"
#include "server/process.h"
#include "server/serve.h"
#include "storage/posix_file_system.h"

namespace jeton::server {
namespace {

constexpr auto kUpkeepInterval = std::chrono::milliseconds(100);
constexpr int kUpkeepNice = 10;
constexpr auto kSnapshotPauseMax = std::chrono::milliseconds(10);  // between two of its slices

Result<std::string> ReadTextFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{ErrorKind::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Status ReplaceTextFile(const std::string& path, std::string_view text) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  auto directory = OpenPosixDirectory(folder, false);
  if (!directory) return directory.error();
  return ReplaceFile(**directory, slash == std::string::npos ? path : path.substr(slash + 1), text);
}

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

sigset_t HandledSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
  return set;
}

}  // namespace

Server::Server(command::Settings& settings, Logger& logger)
    : settings_(settings), logger_(logger) {}

Server::~Server() {
  StopThreads();
}

Status Server::Start() {
  // Every thread inherits this: signals are taken by WaitAndStop alone.
  const sigset_t signals = HandledSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const std::size_t files = RaiseOpenFileLimit();
  const auto wanted = static_cast<std::size_t>(settings_.values().maxclients) + 64;
  if (files < wanted) {
    logger_.Say(node::LogLevel::kWarning,
                fmt::format("maxclients {} needs {} open files, the limit of this process is {}",
                            settings_.values().maxclients, wanted, files));
  }
  if (Status opened = OpenDirectory(); !opened) return opened;
  auto node = node::Node::Open(MakeEnvironment());
  if (!node) return node.error();
  node_ = std::move(node).value();
  exit_on_disk_failure_.store(settings_.values().on_disk_error_exit);
  settings_.on_change = [this](std::span<const std::string_view>) {
    logger_.SetLevel(settings_.values().loglevel);
    exit_on_disk_failure_.store(settings_.values().on_disk_error_exit);
    if (peer_loop_ != nullptr) peer_loop_->Wake();
    node_->keyspace().set_drop_zero_counters(settings_.values().zero_counters_drop);
  };
  for (int i = 0; i < node_->worker_count(); ++i) {
    loops_.push_back(std::make_unique<net::WorkerLoop>(*node_, node_->worker(i)));
    if (Status prepared = loops_.back()->Prepare(); !prepared) return prepared;
    loops_.back()->set_peer_handler([this](net::FileDescriptor fd, std::string first_bytes) {
      TakePeer(std::move(fd), std::move(first_bytes));
    });
  }
  if (Status prepared = PrepareForPeers(); !prepared) return prepared;
  if (Status listening = OpenListeners(); !listening) return listening;
  StartThreads();
  return {};
}

Status Server::OpenDirectory() {
  auto directory = OpenPosixDirectory(settings_.values().dir, true);
  if (!directory) return directory.error();
  directory_ = std::move(directory).value();
  return {};
}

node::Environment Server::MakeEnvironment() {
  node::Environment env;
  env.directory = directory_.get();
  env.settings = &settings_;
  if (auto fresh = MakeFreshBytes()) env.fresh = *fresh;
  env.owner = ProcessOwner();
  const auto threads = static_cast<int>(settings_.values().threads);
  env.workers =
      threads > 0 ? threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  // Nobody is served meanwhile: every core may load. More than a few wait for the memory.
  env.load_threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 8u));
  env.mono_now = MonotonicNow;
  env.wall_now = WallNow;
  env.say = [this](node::LogLevel level, std::string_view line) { logger_.Say(level, line); };
  env.wake_worker = [this](int worker) { loops_[static_cast<std::size_t>(worker)]->Wake(); };
  env.wake_log = [this] {
    int idle = 0;
    if (log_note_.compare_exchange_strong(idle, 1)) log_note_.notify_one();
  };
  env.wake_upkeep = [this] {
    std::lock_guard guard(upkeep_mutex_);
    upkeep_woken_ = true;
    upkeep_wakes_.notify_one();
  };
  env.wake_cluster = [this] {
    if (peer_loop_ != nullptr) peer_loop_->Wake();
  };
  env.random_bytes = RandomBytes;
  env.request_shutdown = [this](command::Host::ShutdownSave save) {
    RequestEnd(End::kShutdown, save);
  };
  env.request_restart = [this] { RequestEnd(End::kRestart); };
  env.on_disk_failure = [this](const Error&) {
    for (auto& loop : loops_) loop->Wake();
    if (exit_on_disk_failure_.load()) RequestEnd(End::kDiskFailed);
  };
  env.process_facts = ReadProcessFacts;
  env.sleep = [](double seconds) -> Status {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    return {};
  };
  env.read_config = [this] { return ReadTextFile(settings_.config_file); };
  env.write_config = [this](std::string_view text) {
    return ReplaceTextFile(settings_.config_file, text);
  };
  return env;
}

// ---- listeners

Status Server::OpenListeners() {
  const command::Values& values = settings_.values();
  if (values.port != 0) {
    if (Status s = Listen(static_cast<int>(values.port), command::Dialect::kDiscnt); !s) return s;
  }
  if (values.redis_port != 0) {
    if (Status s = Listen(static_cast<int>(values.redis_port), command::Dialect::kRedis); !s)
      return s;
  }
  if (values.karma_port != 0) {
    if (Status s = Listen(static_cast<int>(values.karma_port), command::Dialect::kDiscnt); !s)
      return s;
  }
  if (!values.unixsocket.empty()) {
    auto fd = net::ListenUnix(values.unixsocket, static_cast<int>(values.unixsocketperm),
                              static_cast<int>(values.tcp_backlog));
    if (!fd) return fd.error();
    return AddListener(std::move(fd).value(), command::Dialect::kDiscnt);
  }
  return {};
}

Status Server::Listen(int port, command::Dialect dialect) {
  for (const std::string& address : Words(settings_.values().bind)) {
    auto fd = net::ListenTcp(address, port, static_cast<int>(settings_.values().tcp_backlog));
    if (!fd) return fd.error();
    if (Status added = AddListener(std::move(fd).value(), dialect); !added) return added;
    logger_.Say(node::LogLevel::kNotice,
                fmt::format("Listening on {} port {} ({} replies)", address, port,
                            dialect == command::Dialect::kRedis ? "redis" : "discnt"));
    if (!net::IsLoopbackAddress(address) && settings_.values().requirepass.empty()) {
      logger_.Say(node::LogLevel::kWarning,
                  settings_.values().protected_mode
                      ? "No password is set: only clients of this host are served (protected-mode)"
                      : "No password is set and protected-mode is off: anybody who reaches this "
                        "port can change and delete everything");
    }
  }
  return {};
}

Status Server::AddListener(net::FileDescriptor fd, command::Dialect dialect) {
  return loops_.front()->AddListener(std::move(fd), dialect,
                                     [this](net::FileDescriptor client, command::Dialect spoken) {
                                       loops_[next_loop_]->Adopt(std::move(client), spoken);
                                       next_loop_ = (next_loop_ + 1) % loops_.size();
                                     });
}

// ---- other nodes

Status Server::PrepareForPeers() {
  if (node_->peers() == nullptr) return {};
  auto now = [this] { return node_->now(); };
  auto loop = std::make_unique<net::PeerLoop>(*node_->peers(), net::PeerLoop::Environment{now});
  if (Status prepared = loop->Prepare(); !prepared) return prepared;
  peer_loop_ = std::move(loop);
  return {};
}

void Server::StartPeers() {
  if (peer_loop_ == nullptr) return;
  const command::Values values = node_->values();
  const command::ShownAddress own = command::AnnouncedAddress(values);
  node::Cluster& cluster = *node_->peers();
  cluster.Announce(node_->now(), {own.host, static_cast<std::uint16_t>(own.port)});
  std::vector<replication::Address> join;
  // The setting was checked when it was set.
  const auto wanted = command::ParseHostPorts(values.cluster_join);
  for (const command::HostPort& one : *wanted) {
    if (one.host == own.host && one.port == own.port) continue;
    join.push_back({one.host, static_cast<std::uint16_t>(one.port)});
  }
  // Who rejoins knows whom, and it may not be these.
  if (!join.empty() && !cluster.rejoins()) cluster.Join(node_->now(), join);
  peer_thread_ = std::thread([this] { peer_loop_->Run(); });
  takes_peers_.store(true);
}

// When nobody writes any more: what was written last goes out, too.
void Server::StopPeers() {
  takes_peers_.store(false);
  if (!peer_thread_.joinable()) return;
  peer_loop_->Stop();
  peer_thread_.join();
}

// They come again by themselves when the data is there.
void Server::TakePeer(net::FileDescriptor fd, std::string first_bytes) {
  if (takes_peers_.load() && peer_loop_->Adopt(std::move(fd), std::move(first_bytes))) return;
  logger_.Say(node::LogLevel::kNotice, "A connection of another node is refused for now");
}

// ---- threads

void Server::StartThreads() {
  for (auto& loop : loops_) {
    worker_threads_.emplace_back([raw = loop.get()] { raw->Run(); });
  }
  log_thread_ = std::thread([this] { RunLog(); });
  upkeep_thread_ = std::thread([this] { RunUpkeep(); });
}

void Server::StopThreads() {
  {
    std::lock_guard guard(upkeep_mutex_);
    upkeep_stop_ = true;
    upkeep_wakes_.notify_one();
  }
  if (upkeep_thread_.joinable()) upkeep_thread_.join();
  // The workers first: they wait for the log thread to make their last replies safe.
  for (auto& loop : loops_) loop->Stop();
  for (auto& thread : worker_threads_) {
    if (thread.joinable()) thread.join();
  }
  StopPeers();
  log_note_.store(2);
  log_note_.notify_one();
  if (log_thread_.joinable()) log_thread_.join();
}

void Server::RunLog() {
  for (;;) {
    log_note_.wait(0);
    int note = 1;
    log_note_.compare_exchange_strong(note, 0);
    (void)node_->FlushLog(true);
    for (auto& loop : loops_) loop->Wake();
    if (note == 2) return;
  }
}

void Server::RunUpkeep() {
  if (auto report = node_->Recover(); !report) {
    if (end_.load() == End::kShutdown) return;
    logger_.Say(node::LogLevel::kWarning, "Cannot load the data: " + report.error().text);
    RequestEnd(End::kLoadFailed);
    return;
  }
  StartPeers();
  logger_.Say(node::LogLevel::kNotice, "Ready to accept connections");
  // Of this thread alone. Where cores are scarce a worker with requests goes before a snapshot.
  (void)setpriority(PRIO_PROCESS, 0, kUpkeepNice);
  auto next_upkeep = std::chrono::steady_clock::now();
  std::unique_lock lock(upkeep_mutex_);
  while (!upkeep_stop_) {
    if (!node_->snapshot_wanted()) {
      upkeep_wakes_.wait_until(lock, next_upkeep, [this] { return upkeep_woken_ || upkeep_stop_; });
    }
    upkeep_woken_ = false;
    lock.unlock();
    auto pause = std::chrono::steady_clock::duration::zero();
    if (node_->snapshot_wanted()) {
      const auto begin = std::chrono::steady_clock::now();
      node_->SnapshotStep();
      pause = std::min<std::chrono::steady_clock::duration>(
          std::chrono::steady_clock::now() - begin, kSnapshotPauseMax);
    }
    if (std::chrono::steady_clock::now() >= next_upkeep) {
      node_->Upkeep(node_->now());
      next_upkeep = std::chrono::steady_clock::now() + kUpkeepInterval;
    }
    lock.lock();
    // A snapshot takes half of a core at most: a worker may have to share it.
    if (pause.count() > 0) upkeep_wakes_.wait_for(lock, pause, [this] { return upkeep_stop_; });
  }
}

// ---- the end

void Server::RequestEnd(End end, command::Host::ShutdownSave save) {
  End none = End::kNone;
  save_.store(save);
  node_->state().shutting_down.store(true);
  if (end_.compare_exchange_strong(none, end)) kill(getpid(), SIGUSR2);  // wakes WaitAndStop
}

void Server::OnSignal(int signal) {
  if (signal == SIGUSR1) {
    logger_.Say(node::LogLevel::kNotice, "SIGUSR1: writing a snapshot");
    if (Status started = node_->StartSnapshot(); !started) {
      logger_.Say(node::LogLevel::kWarning, started.error().text);
    }
    node_->StartKarmaDumps();
  } else if (signal == SIGINT || signal == SIGTERM) {
    logger_.Say(node::LogLevel::kNotice,
                fmt::format("{}: shutting down", signal == SIGINT ? "SIGINT" : "SIGTERM"));
    // As Karma does it: an interrupted server leaves everything in files.
    dumps_at_end_ = signal == SIGINT;
    RequestEnd(End::kShutdown, signal == SIGINT ? command::Host::ShutdownSave::kSave
                                                : command::Host::ShutdownSave::kDefault);
  }
}

int Server::WaitAndStop() {
  const sigset_t signals = HandledSignals();
  while (end_.load() == End::kNone) {
    int signal = 0;
    if (sigwait(&signals, &signal) == 0) OnSignal(signal);
  }
  StopThreads();
  if (end_.load() == End::kDiskFailed) return kExitDiskFailed;
  if (end_.load() == End::kLoadFailed) return kExitFailed;
  if (dumps_at_end_) node_->WriteKarmaDumps();
  if (Status ended = node_->Shutdown(save_.load()); !ended) {
    logger_.Say(node::LogLevel::kWarning, "The end is not in order: " + ended.error().text);
    return kExitFailed;
  }
  logger_.Say(node::LogLevel::kNotice, "Everything is on disk. Goodbye");
  return end_.load() == End::kRestart ? kStartAgain : kExitOk;
}

namespace {

// The same program with the same arguments, under the same process id, so that whoever supervises
// it sees no end.
Status StartAgain() {
  auto line = ReadTextFile("/proc/self/cmdline");
  if (!line) return line.error();
  std::vector<char*> words;
  for (std::size_t at = 0; at < line->size(); at = line->find('\0', at) + 1) {
    words.push_back(line->data() + at);
  }
  words.push_back(nullptr);
  execv("/proc/self/exe", words.data());
  return Error{ErrorKind::kIo, fmt::format("/proc/self/exe: {}", std::strerror(errno))};
}

int Run(command::Settings& settings, Logger& logger) {
  Server server(settings, logger);
  if (Status started = server.Start(); !started) {
    logger.Say(node::LogLevel::kWarning, started.error().text);
    fmt::print(stderr, "{}\n", started.error().text);
    return kExitFailed;
  }
  return server.WaitAndStop();
}

}  // namespace

int Serve(command::Settings& settings) {
  auto logger = Logger::Open(settings.values());
  if (!logger) {
    fmt::print(stderr, "{}\n", logger.error().text);
    return kExitFailed;
  }
  const int status = Run(settings, **logger);
  if (status != kStartAgain) return status;
  (*logger)->Say(node::LogLevel::kNotice, "Starting again");
  const Status failed = StartAgain();
  (*logger)->Say(node::LogLevel::kWarning,
                 "This server cannot start itself again; start it: " + failed.error().text);
  return kExitFailed;
}

}  // namespace jeton::server
