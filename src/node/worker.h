// Worker: runs the requests of its connections in turns. One thread; many connections.
//
//   for each readable connection:  InputSpace -> (bytes) -> Received
//   RunTurn                        parse, prefetch, execute in batches, gate the replies
//   for each in sendable():        send out[sent, sendable), then Sent
//   Release                        when the log has become safe further on
//   Tick                           about every 100 ms: subscriptions, idle clients
//
// Whoever calls holds the TurnLock shared (the Post functions excepted): sessions and settings are
// read by other threads that hold it exclusively. It is given up while the loop waits for events.
//
// Nothing leaves before the record that it depends on is as safe as the policy promises: a turn's
// output waits behind a gate with the log's LSN at the end of the turn, reads included, so that
// nobody is shown a value that a crash could take back.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "command/dispatcher.h"
#include "command/karma_requests.h"
#include "node/connection.h"

namespace jeton::node {

class Node;

class Worker {
 public:
  // Requests of one connection that run in one turn; the rest waits for the next, so that a deep
  // pipeline does not hold up the others.
  static constexpr std::size_t kRequestsPerTurn = 4096;
  // Input of all connections that one turn takes in before it runs.
  static constexpr std::size_t kArenaBytes = 4u << 20;
  static constexpr std::size_t kReadBytes = 64u << 10;  // of one connection at once
  // Lines that wait for this worker's monitors.
  static constexpr std::size_t kMonitorLinesMax = 100'000;

  Worker(Node& node, int index, command::WorkerStats& stats);
  ~Worker();

  struct Peer {
    std::string address;
    std::string local_address;
    bool from_loopback = true;
    command::Dialect dialect = command::Dialect::kDiscnt;
    int fd = -1;
  };
  // A new client. If it may not come in (too many, protected mode), its output says why and it
  // closes once that is sent.
  Connection& Open(const Peer& peer, Now now);
  // The transport is gone; the reference is dead afterwards.
  void Close(Connection& connection);

  // Room for the next bytes of `connection`; empty if the arena is used up: run the turn first.
  std::span<char> InputSpace(Connection& connection);
  void Received(Connection& connection, std::size_t size, Now now);
  // The client will send nothing more; it is closed once its requests are answered.
  void InputEnded(Connection& connection);

  void RunTurn(Now now);
  bool HasWork() const { return !queued_.empty(); }
  // When a query that waits has had enough; far away if there is none.
  MonoNs next_deadline_ns() const;
  // Opens gates up to the log's safe LSN.
  void Release();
  void Tick(Now now);
  // The log has failed: answers what waits with an error, since its outcome is unknown. From then
  // on reads are served from memory (`on-disk-error readonly`), writes are refused.
  void FailGates();

  // Connections that have bytes to send or must be closed (`close_when_sent` and nothing left, or
  // `dead`). The caller sends, calls Sent, and Close where due. One that `is_peer` is taken over,
  // with its `pending` bytes, and closed here without being closed.
  std::vector<Connection*>& sendable() { return sendable_; }
  void Sent(Connection& connection, std::size_t size);
  void MakeSendable(Connection& connection);
  static bool Finished(const Connection& c) {
    return c.dead || (c.close_when_sent && c.sent == c.out.size());
  }

  // From any thread: lines for this worker's monitors; a note to look at the sessions' flags.
  void PostMonitorLine(std::string_view line);
  void PostCheckSessions() { check_sessions_.store(true, std::memory_order_release); }

  std::size_t connection_count() const { return connections_.size(); }
  bool HasGates() const { return !gated_.empty(); }
  int index() const { return index_; }

 private:
  // Requests that are parsed before they run: enough to hide the memory's latency, few enough that
  // they and their names are still in the first cache then.
  static constexpr std::size_t kBatch = 128;
  static_assert(kBatch <= command::HotPath::kRunMax);

  struct Request {
    Connection* connection = nullptr;
    const command::Command* command = nullptr;
    std::size_t input_end = 0;  // how much input is used up once it has run
    std::uint32_t first_argument = 0;
    std::uint32_t argument_count = 0;
    bool alike = false;  // of two arguments, only the first is in arguments_: see TakeAlike
  };
  struct Pattern;

  void Queue(Connection& connection);
  bool Recognise(Connection& connection);
  void RecognisePeer(Connection& connection);
  void ParseResp(Connection& connection, Now now);
  void TakeAlike(Connection& connection, const Pattern& pattern);
  void AddRequest(Connection& connection, std::size_t first_argument, std::size_t input_end,
                  const command::Command* command);
  std::span<const std::string_view> ArgumentsOf(std::size_t request);
  const command::Command* CommandOf(std::span<const std::string_view> args) const;
  void ExecuteAll(Now now);
  void FetchSlots();
  bool ChangesKey(std::size_t i) const;
  void FetchRecords(std::size_t next);
  void FetchRecordsUpTo(std::size_t end);
  void RunBatch(Now now);
  std::size_t RunHot(std::size_t first, Now now);
  void ExecuteOne(std::size_t i, Now now);
  void FinishTurn(Now now);
  bool ContinueQuery(Connection& connection, Now now);
  void ServeHttp(Connection& connection, Now now);
  void ServeJson(Connection& connection, Now now);
  void KeepRest(Connection& connection);
  // Whatever is in `out` now may leave once the log is safe up to where it is now.
  void Gate(Connection& connection);
  bool WithinOutputLimit(Connection& connection);
  void CheckMemory();
  void Cut(Connection& connection, std::string_view why);
  void DeliverMonitorLines();
  void CheckSessions();
  void ReleaseHeldBack();
  void QueueOverdue(MonoNs now);
  void PushSubscriptions(Connection& connection, Now now);

  Node& node_;
  const int index_;
  command::WorkerStats& stats_;
  command::Dispatcher dispatcher_;
  command::KarmaRequests karma_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;  // by session id
  std::vector<Connection*> queued_;  // have input for the next turn
  std::vector<Connection*> turn_;    // take part in the running turn
  std::vector<Connection*> gated_;   // have closed gates
  std::vector<Connection*> sendable_;
  std::vector<Connection*> subscribers_;
  std::vector<Connection*> timed_;           // have an idle query with a deadline
  std::vector<std::string_view> arguments_;  // of all requests of the batch
  std::array<std::string_view, 2> alike_arguments_;
  std::size_t request_count_ = 0;  // in the batch
  std::array<Request, kBatch> requests_;
  std::array<engine::Key, kBatch> keys_;  // the first key of each of them
  std::size_t slots_fetched_ = 0;         // of keys_: how many have their slots fetched ahead ...
  std::size_t records_fetched_ = 0;       // ... and how many their records, which come later
  bool gates_failed_ = false;
  std::size_t held_back_ = 0;  // how often a request had to wait for the end of a CLIENT PAUSE
  std::unique_ptr<char[]> arena_;
  std::size_t arena_used_ = 0;

  std::mutex mailbox_mutex_;
  std::deque<std::string> monitor_lines_;
  std::atomic<bool> has_monitor_lines_{false};
  std::atomic<bool> check_sessions_{false};
};

}  // namespace jeton::node
