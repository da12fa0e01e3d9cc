// LoadThread: one thread's epoll loop over its connections (see load.h for what it measures).
// Everything in it belongs to the thread that calls Run; the results are read after its end.
#pragma once

#include <atomic>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "bench/connect.h"
#include "bench/histogram.h"
#include "bench/key_source.h"
#include "bench/reply_counter.h"
#include "bench/request_batch.h"

namespace jeton::bench {

// What all threads of a run agree on.
struct Schedule {
  MonoNs start = 0;
  MonoNs measure_from = 0;
  MonoNs end = 0;  // nothing is sent from then on
  std::size_t pipeline = 1;
};

class LoadThread {
 public:
  struct Share {
    std::vector<Socket> sockets;
    std::uint64_t requests = 0;  // commands to send at most
    MonoNs batch_interval = 0;   // of an open loop; 0: closed
    ReplyFraming framing = ReplyFraming::kResp;
  };

  // `stop` ends the run early once another thread has failed; it outlives this.
  LoadThread(Share share, RequestBatch batch, KeySource keys, std::atomic<bool>& stop);

  Status Run(const Schedule& schedule);

  const Histogram& latency() const { return latency_; }
  std::uint64_t sent() const { return sent_; }
  MonoNs last_reply() const { return last_reply_; }
  std::uint64_t errors() const;
  std::string first_error() const;

 private:
  struct Connection {
    Socket socket;
    ReplyCounter replies{};
    std::uint64_t sent = 0;  // commands
    MonoNs due = 0;          // when the pipeline on the way was sent, or should have been
    std::string unsent{};    // what the socket did not take of it
    std::size_t unsent_at = 0;
  };

  Status Start();
  Status Loop();
  int Timeout(MonoNs now) const;
  bool MaySend(MonoNs now) const { return !stop_ && now < schedule_.end && sent_ < requests_; }
  // Whether there is nothing to wait for any more.
  bool Finished(MonoNs now) const;
  Status SendDue(MonoNs now);
  Status SendBatch(std::size_t index, MonoNs due);
  Status Write(Connection& connection, std::string_view bytes);
  Status Flush(std::size_t index);
  Status Read(std::size_t index);
  Status OnAnswered(std::size_t index, MonoNs now);
  void Watch(std::size_t index, bool writable);

  std::vector<Connection> connections_;
  std::uint64_t requests_;
  MonoNs batch_interval_;
  RequestBatch batch_;
  KeySource keys_;
  std::atomic<bool>& stop_;
  Schedule schedule_;
  Socket epoll_;
  std::vector<char> buffer_;

  std::deque<std::size_t> idle_;  // open loop: connections without a pipeline on the way
  MonoNs next_due_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t answered_ = 0;
  MonoNs last_reply_ = 0;
  Histogram latency_;
};

MonoNs MonotonicNow();

}  // namespace jeton::bench
