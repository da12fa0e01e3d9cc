// WorkerLoop: one thread with one epoll, moving bytes between sockets and a node::Worker. It
// decides nothing: what to run, what may leave and who is cut is the worker's business.
//
//   wait -> receive from every ready socket -> RunTurn -> Release -> send -> close what is finished
//
// The first loop also accepts and hands connections out in turn, so that they spread evenly.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "command/session.h"
#include "net/socket.h"
#include "node/node.h"

namespace jeton::net {

class WorkerLoop {
 public:
  WorkerLoop(node::Node& node, node::Worker& worker);
  ~WorkerLoop();

  // ---- before Run
  Status Prepare();
  using AcceptHandler = std::function<void(FileDescriptor, command::Dialect)>;
  Status AddListener(FileDescriptor listener, command::Dialect dialect, AcceptHandler on_accept);

  // Takes over a connection of another node, with what it has sent. Without one they are cut.
  using PeerHandler = std::function<void(FileDescriptor, std::string first_bytes)>;
  void set_peer_handler(PeerHandler handler) { on_peer_ = std::move(handler); }

  // Serves until Stop, then answers what has been received, waits for its gates (bounded) and
  // returns.
  void Run();

  // ---- any thread
  void Adopt(FileDescriptor client, command::Dialect dialect);
  void Wake();
  void Stop();

 private:
  struct Listener {
    FileDescriptor fd;
    command::Dialect dialect;
    AcceptHandler on_accept;
    bool resting = false;  // out of file descriptors: tries again at the next tick
  };
  struct Client {
    FileDescriptor fd;
    node::Connection* connection = nullptr;
    std::uint32_t events = 0;  // that epoll watches
  };

  void Iterate(int timeout_ms);
  void OnListener(Listener& listener);
  void OnReadable(Client& client, Now now);
  void TakeAdopted();
  void SendAll();
  // False if the client's connection is gone afterwards.
  bool SendTo(Client& client);
  void Watch(Client& client, std::uint32_t events);
  void CloseClient(Client& client);
  void HandOver(Client& client);
  void TickIfDue(Now now);
  void RestListeners(bool rest);
  void Drain();
  int TimeoutMs() const;

  node::Node& node_;
  node::Worker& worker_;
  FileDescriptor epoll_;
  FileDescriptor wake_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_map<Client*, std::unique_ptr<Client>> clients_;
  PeerHandler on_peer_;
  MonoNs next_tick_ns_ = 0;
  std::vector<node::Connection*> sending_;
  std::vector<Client*> unread_;  // ready, but the arena was used up

  std::atomic<bool> stop_{false};
  std::atomic<bool> woken_{false};
  std::mutex adopted_mutex_;
  std::vector<std::pair<FileDescriptor, command::Dialect>> adopted_;
};

}  // namespace jeton::net
