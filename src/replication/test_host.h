// For tests: a Host whose database is one sum per origin. A frame's body lists the amount of every
// LSN and the origins that it closes, and only what is new is added, so that a hole or a repetition
// shows at once: after every step the sum of each origin has to be the ledger's at exactly the LSN
// that the vector names.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/prng.h"
#include "crdt/clock.h"
#include "replication/replicator.h"

namespace jeton::replication::test {

inline NodeId NodeNumber(unsigned number) {
  NodeId node{};
  node[0] = static_cast<std::uint8_t>(number >> 8);
  node[1] = static_cast<std::uint8_t>(number);
  return node;
}
inline OriginId OriginNumber(unsigned number) {
  OriginId origin{};
  origin[4] = static_cast<std::uint8_t>(number >> 8);
  origin[5] = static_cast<std::uint8_t>(number);
  origin[6] = origin[4];
  origin[7] = origin[5];
  return origin;
}
inline ClusterId ClusterNumber(unsigned number) {
  ClusterId cluster{};
  cluster[0] = static_cast<std::uint8_t>(number);
  return cluster;
}

// What every origin ever did, known to nobody in the test but the checker.
struct Ledger {
  std::map<OriginId, std::vector<std::uint64_t>> sums;  // [lsn] is the sum up to it

  std::uint64_t At(const OriginId& origin, Lsn lsn) const {
    const auto found = sums.find(origin);
    if (lsn == 0) return 0;
    ASSERT(found != sums.end() && lsn < found->second.size());
    return found->second[lsn];
  }
};

// What survives a crash.
struct Disk {
  NodeId node{};
  ClusterId cluster{};
  std::vector<OriginId> origins;  // own ones
  std::map<OriginId, std::pair<Lsn, std::uint64_t>> sums;
  std::set<OriginId> closed;
  std::map<OriginId, std::map<Lsn, std::shared_ptr<const std::string>>> log;  // by `to`
  std::vector<Member> members;
  bool joining = false;
  std::uint64_t states_taken = 0;  // over all processes
  std::uint64_t frames_applied = 0;
};

class TestHost : public Host {
 public:
  TestHost(Disk& disk, Ledger& ledger, OriginId origin, std::uint64_t seed)
      : disk_(disk), ledger_(ledger), origin_(origin), prng_(seed) {
    closed_ = disk.closed;
    sums_ = disk.sums;
    for (const auto& [known, sum] : sums_) {
      applied_.Advance(known, sum.first);
      durable_.Advance(known, sum.first);
    }
    // The first record of a new process closes its former ones.
    for (const OriginId& former : disk.origins) {
      if (sums_.contains(former) && !closed_.contains(former)) closing_.push_back(former);
    }
    disk.origins.push_back(origin);
    ledger.sums[origin] = {0};
    if (!closing_.empty()) Increment(0);
  }

  // --- the clients
  bool Increment(std::uint64_t amount) {
    if (held) return false;
    std::vector<std::uint64_t>& sums = ledger_.sums[origin_];
    sums.push_back(sums.back() + amount);
    ++head_;
    return true;
  }
  std::uint64_t Total() const {
    std::uint64_t total = 0;
    for (const auto& [origin, sum] : sums_) total += sum.second;
    return total;
  }
  // The own log up to the head as one frame, durable or not; null if there is nothing new.
  std::shared_ptr<const std::string> Cut(bool durably, std::size_t padding = 0) {
    const Lsn from = applied_.Get(origin_);
    if (from == head_) return nullptr;
    std::string body;
    PutVarint(body, closing_.size());
    for (const OriginId& closed : closing_) crdt::PutOrigin(body, closed);
    for (Lsn lsn = from + 1; lsn <= head_; ++lsn) {
      PutVarint(body, ledger_.At(origin_, lsn) - ledger_.At(origin_, lsn - 1));
    }
    body.append(padding, '\0');
    crdt::Frame frame{.origin = origin_,
                      .from = from,
                      .to = head_,
                      .clock = clock_.last(),
                      .row = durable_,
                      .body = body};
    auto bytes = std::make_shared<const std::string>(crdt::EncodeFrame(frame));
    for (const OriginId& closed : closing_) closed_.insert(closed);
    closing_.clear();
    Know(origin_, head_, ledger_.At(origin_, head_));
    unsynced_.emplace_back(origin_, head_, bytes);
    if (durably) Sync();
    return bytes;
  }
  void Sync() {
    for (auto& [origin, to, bytes] : unsynced_) disk_.log[origin][to] = bytes;
    unsynced_.clear();
    disk_.sums = sums_;
    disk_.closed = closed_;
    durable_ = applied_;
  }
  void Check() const {
    for (const auto& [origin, sum] : sums_) {
      ASSERT(applied_.Get(origin) == sum.first);
      ASSERT(ledger_.At(origin, sum.first) == sum.second);
    }
    ASSERT(applied_.Covers(durable_));
  }

  // --- Host
  NodeId node_id() const override { return disk_.node; }
  ClusterId cluster() const override { return disk_.cluster; }
  OriginId origin() const override { return origin_; }
  std::vector<OriginId> OwnOrigins() const override { return disk_.origins; }
  bool IsEmpty() const override { return sums_.empty() && head_ == 0; }
  Status AdoptCluster(const ClusterId& cluster) override {
    disk_.cluster = cluster;
    return {};
  }
  const crdt::VersionVector& applied() const override { return applied_; }
  const crdt::VersionVector& durable() const override { return durable_; }
  Lsn Head() const override { return head_; }

  ApplyOutcome ApplyFrame(const crdt::Frame& frame, std::string_view bytes) override {
    ASSERT(!staging);
    const Lsn known = applied_.Get(frame.origin);
    ASSERT(frame.from <= known && known < frame.to);
    if (busy) return ApplyOutcome::kBusy;
    ByteReader in(frame.body);
    std::vector<OriginId> closes(std::min<std::uint64_t>(in.Varint(), 1000));
    for (OriginId& closed : closes) closed = crdt::GetOrigin(in);
    std::uint64_t sum = sums_[frame.origin].second;
    for (Lsn lsn = frame.from + 1; lsn <= frame.to && in.ok(); ++lsn) {
      const std::uint64_t amount = in.Varint();
      if (lsn > known) sum += amount;
    }
    if (!in.ok()) {
      if (known == 0) sums_.erase(frame.origin);
      return ApplyOutcome::kRefused;
    }
    closed_.insert(closes.begin(), closes.end());
    Know(frame.origin, frame.to, sum);
    unsynced_.emplace_back(frame.origin, frame.to, std::make_shared<const std::string>(bytes));
    ++frames_applied;
    ++disk_.frames_applied;
    return ApplyOutcome::kApplied;
  }
  std::shared_ptr<const std::string> OldFrame(const OriginId& origin, Lsn after) override {
    if (logs == Logs::kNone) return nullptr;
    const auto& own = disk_.origins;
    if (logs == Logs::kOwn && std::find(own.begin(), own.end(), origin) == own.end())
      return nullptr;
    const auto found = disk_.log.find(origin);
    if (found == disk_.log.end()) return nullptr;
    const auto frame = found->second.upper_bound(after);
    return frame == found->second.end() ? nullptr : frame->second;
  }
  bool IsClosed(const OriginId& origin) const override { return closed_.contains(origin); }
  std::optional<Lsn> FoldedAt(const OriginId& origin) const override {
    const auto found = folded.find(origin);
    return found == folded.end() ? std::nullopt : std::optional<Lsn>(found->second);
  }
  void MembersChanged(const std::vector<Member>& members) override { disk_.members = members; }
  void JoiningChanged(bool joining) override { disk_.joining = joining; }
  bool FoldedWithout(const crdt::VersionVector& holds) const override {
    return (folded_without && !holds.empty()) ||
           std::any_of(folded.begin(), folded.end(),
                       [&](const auto& item) { return holds.Get(item.first) > item.second; });
  }
  void WeWereForgotten(const Forgetter&, const crdt::VersionVector& finals) override {
    ++forgotten_calls;
    forgotten_finals.Join(finals);
  }
  void WeWereFenced(Lsn known) override {
    fenced = true;
    fenced_at = known;
  }
  std::uint64_t NextClock(Now now) override { return clock_.Next(now.wall_ms); }
  void SawClock(std::uint64_t clock) override { clock_.Saw(clock); }
  void RandomBytes(std::uint8_t* out, std::size_t size) override {
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(prng_.Next());
  }

  Result<StateStart> StateBegin(const NodeId&) override {
    if (refuse_states) return Error{ErrorKind::kUnavailable, "no state today"};
    std::string chunks;
    Donated& donated = donations_[next_handle_];
    for (const auto& [origin, sum] : sums_) donated.sums.emplace_back(origin, sum);
    for (const OriginId& closed : closed_) donated.closed.push_back(closed);
    donated.vector = applied_;
    return StateStart{next_handle_++, applied_, std::string(head_bytes, 'h'), 12'345};
  }
  Result<StateChunk> NextStateChunk(std::uint64_t handle, std::size_t bytes_max) override {
    ASSERT(donations_.contains(handle));
    Donated& donated = donations_[handle];
    if (donated.fail_after > 0 && ++donated.chunks > donated.fail_after) {
      return Error{ErrorKind::kIo, "the donor's disk failed"};
    }
    StateChunk chunk;
    if (donated.next < donated.sums.size()) {
      const auto& [origin, sum] = donated.sums[donated.next++];
      crdt::PutOrigin(chunk.bytes, origin);
      PutVarint(chunk.bytes, sum.first);
      PutVarint(chunk.bytes, sum.second);
      chunk.bytes.append(std::min(chunk_padding, bytes_max), 'p');
      return chunk;
    }
    chunk.end = true;
    chunk.end_vector = donated.vector;
    for (const OriginId& closed : donated.closed) crdt::PutOrigin(chunk.bytes, closed);
    chunk.bytes.insert(0, 1, 'c');
    return chunk;
  }
  void StateEnd(std::uint64_t handle) override { ASSERT(donations_.erase(handle) == 1); }

  bool JoinsStates() const override { return joins; }
  void HoldWrites(bool hold) override {
    ASSERT(hold != held && !joins);
    held = hold;
  }
  Status BeginState(std::string_view) override {
    ASSERT(held != joins && !staging);
    if (refuse_states) return Error{ErrorKind::kNoSpace, "no room for a state"};
    staging = true;
    staged_.clear();
    staged_closed_.clear();
    return {};
  }
  Status AddStateChunk(std::string_view bytes) override {
    ASSERT(staging);
    ByteReader in(bytes);
    if (bytes.starts_with('c')) {
      in.Take(1);
      while (!in.AtEnd()) staged_closed_.insert(crdt::GetOrigin(in));
    } else {
      const OriginId origin = crdt::GetOrigin(in);
      const Lsn lsn = in.Varint();
      staged_[origin] = {lsn, in.Varint()};
    }
    if (!in.ok()) return Error{ErrorKind::kCorrupt, "a chunk that does not decode"};
    return {};
  }
  Status FinishState(const crdt::VersionVector& end) override {
    ASSERT(staging && held != joins);
    staging = false;
    crdt::VersionVector staged;
    for (const auto& [origin, sum] : staged_) staged.Advance(origin, sum.first);
    if (staged != end) return Error{ErrorKind::kCorrupt, "the state is not what its end says"};
    for (const OriginId& origin : gives_up) {
      sums_.erase(origin);
      applied_.Remove(origin);
    }
    // Nothing else may go back.
    ASSERT(joins || (end.Covers(applied_) && end.Get(origin_) == head_));
    for (const auto& [origin, sum] : staged_) {
      if (sum.first > applied_.Get(origin)) Know(origin, sum.first, sum.second);
    }
    closed_.insert(staged_closed_.begin(), staged_closed_.end());
    Sync();
    ++states_taken;
    ++disk_.states_taken;
    return {};
  }
  void AbortState() override {
    ASSERT(staging);
    staging = false;
  }
  std::string Digest() override {
    std::string digest;
    if (!digests) return digest;
    applied_.EncodeTo(digest);
    PutFixed<std::uint64_t>(digest, Total() ^ flipped);
    return digest;
  }
  DigestOutcome CompareDigest(std::string_view digest) override {
    ByteReader in(digest);
    if (crdt::VersionVector::Decode(in) != applied_) return DigestOutcome::kNotComparable;
    return digest == Digest() ? DigestOutcome::kEqual : DigestOutcome::kDifferent;
  }

  // Test code turns these.
  bool busy = false;
  enum class Logs { kNone, kOwn, kAll };  // what OldFrame finds
  Logs logs = Logs::kNone;
  bool refuse_states = false;
  bool joins = false;
  bool digests = false;
  std::uint64_t flipped = 0;  // bits, in what the digest is of
  std::size_t chunk_padding = 0;
  std::size_t head_bytes = 0;
  std::map<OriginId, Lsn> folded;
  std::set<OriginId> gives_up;  // with the next state
  bool folded_without = false;  // something, without asking its peers
  // And looks at these.
  bool held = false;
  bool staging = false;
  bool fenced = false;
  Lsn fenced_at = 0;
  int forgotten_calls = 0;
  crdt::VersionVector forgotten_finals;
  int states_taken = 0;
  int frames_applied = 0;

  std::map<OriginId, std::pair<Lsn, std::uint64_t>>& sums() { return sums_; }
  std::size_t donations() const { return donations_.size(); }
  void FailDonations(int after) {
    for (auto& [handle, donated] : donations_) donated.fail_after = after;
  }
  void Close(const OriginId& origin) { closed_.insert(origin); }

 private:
  struct Donated {
    std::vector<std::pair<OriginId, std::pair<Lsn, std::uint64_t>>> sums;
    std::vector<OriginId> closed;
    crdt::VersionVector vector;
    std::size_t next = 0;
    int fail_after = 0;
    int chunks = 0;
  };

  void Know(const OriginId& origin, Lsn lsn, std::uint64_t sum) {
    sums_[origin] = {lsn, sum};
    applied_.Advance(origin, lsn);
  }

  Disk& disk_;
  Ledger& ledger_;
  OriginId origin_;
  Prng prng_;
  crdt::HybridClock clock_;
  Lsn head_ = 0;
  std::map<OriginId, std::pair<Lsn, std::uint64_t>> sums_;
  crdt::VersionVector applied_;
  crdt::VersionVector durable_;
  std::set<OriginId> closed_;
  std::vector<OriginId> closing_;
  std::vector<std::tuple<OriginId, Lsn, std::shared_ptr<const std::string>>> unsynced_;
  std::map<std::uint64_t, Donated> donations_;
  std::uint64_t next_handle_ = 1;
  std::map<OriginId, std::pair<Lsn, std::uint64_t>> staged_;
  std::set<OriginId> staged_closed_;
};

}  // namespace jeton::replication::test
