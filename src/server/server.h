// Server: the threads around a node.
//
//   main      signals, start and end
//   worker i  a net::WorkerLoop each: sockets and commands
//   log       with fsync always: writes and syncs for all workers, then wakes them
//   upkeep    loads the data at the start; then expiry, save points, snapshots
//   peers     once the data is loaded: a net::PeerLoop, the links to other nodes
//
// The node decides everything; this file only says which thread calls what and when.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "net/peer_loop.h"
#include "net/worker_loop.h"
#include "node/node.h"
#include "server/logger.h"

namespace jeton::server {

class Server {
 public:
  Server(command::Settings& settings, Logger& logger);
  ~Server();

  // Opens the data directory and the listeners. Loading goes on in the background afterwards.
  Status Start();
  // Blocks until a signal, SHUTDOWN or a failure ends it; returns the exit status.
  int WaitAndStop();

 private:
  // Why the server ends.
  enum class End : int { kNone, kShutdown, kDiskFailed, kLoadFailed, kRestart };

  node::Environment MakeEnvironment();
  Status OpenDirectory();
  Status OpenListeners();
  Status Listen(int port, command::Dialect dialect);
  Status AddListener(net::FileDescriptor fd, command::Dialect dialect);
  void StartThreads();
  void StopThreads();
  void RunLog();
  void RunUpkeep();
  void RequestEnd(End end,
                  command::Host::ShutdownSave save = command::Host::ShutdownSave::kDefault);
  void OnSignal(int signal);
  Status PrepareForPeers();
  void StartPeers();
  void StopPeers();
  void TakePeer(net::FileDescriptor fd, std::string first_bytes);

  command::Settings& settings_;
  Logger& logger_;
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<node::Node> node_;
  std::vector<std::unique_ptr<net::WorkerLoop>> loops_;
  std::size_t next_loop_ = 0;  // used by the accepting loop only

  // Made before any thread starts; driven once the data is there.
  std::unique_ptr<net::PeerLoop> peer_loop_;
  std::atomic<bool> takes_peers_{false};

  std::vector<std::thread> worker_threads_;
  std::thread log_thread_;
  std::thread upkeep_thread_;
  std::thread peer_thread_;  // of the upkeep thread, until that has ended

  // A note to the log thread: something waits. 0: nothing, 1: work, 2: stop.
  std::atomic<int> log_note_{0};
  std::mutex upkeep_mutex_;
  std::condition_variable upkeep_wakes_;
  bool upkeep_woken_ = false;
  bool upkeep_stop_ = false;

  std::atomic<bool> exit_on_disk_failure_{
      true};  // `on-disk-error`, for threads without the TurnLock
  std::atomic<End> end_{End::kNone};
  bool dumps_at_end_ = false;  // of the thread that takes signals
  std::atomic<command::Host::ShutdownSave> save_{command::Host::ShutdownSave::kDefault};
};

}  // namespace jeton::server
