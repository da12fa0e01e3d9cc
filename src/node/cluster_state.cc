// Cluster: recovery, snapshots, and copying a state from node to node.
#include <algorithm>
#include <mutex>
#include <shared_mutex>

#include "engine/loader.h"
#include "node/cluster.h"
#include "node/cluster_internal.h"
#include "node/node.h"

namespace jeton::node {

namespace {

const Error kNotDecoded{ErrorKind::kCorrupt, "a record verifies but does not decode"};
constexpr std::size_t kNodesFileMax = 16u << 20;
constexpr std::size_t kSliceBytes = 16 * 1024;

}  // namespace

// ---- recovery

bool Cluster::IsClusterRecord(std::string_view record) {
  return !record.empty() && (record.front() == kFrameRecord || record.front() == kInjectedRecord ||
                             engine::SharedReader::IsShared(ByteReader(record)));
}

// Workers refuse requests while all this is loaded, but prefetch their keys, also here.
Status Cluster::RestoreControl(std::string_view vector) {
  if (vector.empty()) return {};
  const std::lock_guard turn(node_.state().turn_lock);
  MakeReplica(node_.store().origin());
  if (replica_->DecodeControl(vector, false)) return {};
  return Error{ErrorKind::kCorrupt, "the head of the snapshot verifies but does not decode"};
}

void Cluster::RestoreReset() {
  node_.keyspace().set_replica(nullptr);
  replica_.reset();
  tails_.clear();
  injected_.clear();
  const std::lock_guard guard(frames_mutex_);
  kept_.Clear();
}

Status Cluster::RestoreRecord(std::string_view record, WallMs now) {
  if (!replica_) return kNotDecoded;
  if (record.front() == kInjectedRecord) {
    return RestoreInjected(record) ? Status() : Status(kNotDecoded);
  }
  if (record.front() != kFrameRecord) {
    return replica_->LoadState(record, now) ? Status() : Status(kNotDecoded);
  }
  ByteReader in(record.substr(1));
  const crdt::Frame frame = crdt::DecodeFrame(in);
  if (!in.ok()) return kNotDecoded;
  Keep(std::make_shared<const std::string>(record.substr(1)));
  return {};
}

Result<bool> Cluster::ReplayRecord(const LogRecord& record, WallMs now) {
  if (!replica_ && record.type != RecordType::kControl) return false;
  const std::lock_guard turn(node_.state().turn_lock);
  const auto injected =
      record.type == RecordType::kControl ? engine::DecodeInjected(record.payload) : std::nullopt;
  if (injected && !replica_) return kNotDecoded;
  if (record.type == RecordType::kControl && !injected) {
    ByteReader in(record.payload);
    const char kind = in.Fixed<char>();
    if (kind == kClusteredControl) {
      const Lsn lsn = in.Varint();
      const std::uint64_t membership = in.AtEnd() ? 0 : in.Varint();
      if (!in.ok() || membership >= kMembershipsPerRun) return kNotDecoded;
      const OriginId own = MembershipOf(record.origin, static_cast<unsigned>(membership));
      MakeReplica(own);
      replica_->BeginAs(own, lsn);
    } else if (kind == kAloneControl) {
      RestoreReset();
    } else {
      return kNotDecoded;
    }
    replayed_ = record.lsn;
    return true;
  }
  if (!OfOneRun(record.origin, replica_->own())) {
    // The next run. What the one before had not cut it found and cut at its start; the frame
    // follows, unless that start, too, was cut short.
    KeepTails();
    replica_->NextRun(record.origin, replayed_);
  }
  replayed_ = record.lsn;
  if (record.type == RecordType::kCommit) {
    if (!replica_->Replay(record.payload, record.lsn, now)) return kNotDecoded;
  } else if (injected) {
    if (!replica_->Replay(injected->unit, record.lsn, now)) return kNotDecoded;
    NoteInjected(*injected);
  } else if (record.type == RecordType::kFrame) {
    ByteReader in(record.payload);
    const crdt::Frame frame = crdt::DecodeFrame(in);
    if (!in.ok()) return kNotDecoded;
    if (replica_->IsOwn(frame.origin)) {
      replica_->ReplayOwnFrame(frame);
    } else if (replica_->ApplyFrame(frame, now) == engine::Replica::Outcome::kRefused) {
      return kNotDecoded;
    }
    std::erase_if(tails_, [&](const Tail& tail) {
      return tail.origin == frame.origin && tail.to <= frame.to;
    });
    Keep(std::make_shared<const std::string>(record.payload));
  }
  return true;
}

// What a run that is over has not cut. Nobody writes its log any more, so its end may be later than
// its last record.
std::optional<std::string> Cluster::CutTail() {
  const Lsn after = replica_->applied().Get(replica_->own()) + 1;
  crdt::VersionVector row = replica_->applied();
  replica_->AddFoldedTo(row);
  return replica_->Cut(std::max(replayed_, after), row, false);
}

void Cluster::KeepTails() {
  const OriginId origin = replica_->own();
  while (auto tail = CutTail()) {
    tails_.push_back({.origin = origin,
                      .to = replica_->applied().Get(origin),
                      .bytes = std::make_shared<const std::string>(std::move(*tail))});
  }
  const OriginId lazy = replica_->lazy();
  while (auto tail = CutLazyTail()) {
    tails_.push_back({.origin = lazy,
                      .to = replica_->applied().Get(lazy),
                      .bytes = std::make_shared<const std::string>(std::move(*tail))});
  }
}

std::optional<std::string> Cluster::CutLazyTail() {
  return replica_->CutLazy(std::max(replayed_, replica_->applied().Get(replica_->lazy()) + 1));
}

// The log may end with the header of a run that has died before its first record: what the one
// before it had not cut is still to be told.
Status Cluster::BeginRun() {
  recovering_ = false;
  if (!replica_) return {};
  if (!node_.environment().cluster_bugs.forget_tail) KeepTails();
  for (const Tail& tail : tails_) AppendFrame(tail.origin, tail.to, *tail.bytes, false);
  tails_.clear();
  replica_->NextRun(node_.store().origin(), replayed_);
  return {};
}

void Cluster::CloseOldRuns() {
  if (!replica_) return;
  std::string unit;
  CloseAbandoned(unit);
  if (!unit.empty()) node_.AppendRecord(RecordType::kCommit, unit);
  // All of it was read from the disk.
  durable_ = replica_->applied();
  replica_->AddFoldedTo(durable_);
  published_ = published_lazy_ = 0;
  RefreshVectors();
}

Status Cluster::Start(Now now) {
  now_ = now;
  bool joins = false;
  {
    const std::shared_lock turn(node_.state().turn_lock);
    const command::Values& values = node_.state().settings.values();
    joins = !values.cluster_join.empty();
    settings_.secret = values.cluster_secret;
    settings_.node_timeout_ms = values.cluster_node_timeout;
    settings_.ring_bytes_max = static_cast<std::size_t>(values.cluster_ring_size);
    settings_.digest_interval_ms = values.cluster_digest_interval;
    settings_.take_gaps = node_.environment().cluster_bugs.take_gaps;
  }
  std::uint64_t seed = 0;
  RandomBytes(reinterpret_cast<std::uint8_t*>(&seed), sizeof seed);
  replicator_ = std::make_unique<replication::Replicator>(*this, seed, settings_);
  // Before anything else is asked of the Replicator, which makes it write the file anew.
  auto file = ReadWholeFile(*node_.environment().directory, kNodesFile, kNodesFileMax);
  if (file) {
    auto nodes = replication::DecodeNodes(*file);
    if (!nodes) return nodes.error();
    joining_ = nodes->joining && (replica_ || nodes->members.size() > 1);
    nodes->joining = joining_;
    replicator_->Restore(now, *nodes);
  } else if (file.error().kind != ErrorKind::kNotFound) {
    return file.error();
  } else if (replica_) {
    // Alone in the belief that nobody else is there, it would fold what others still count on.
    return Error{ErrorKind::kCorrupt,
                 "the data belongs to a cluster, but the file 'nodes' with its members is missing: "
                 "bring it back, or start with an empty folder and join again"};
  }
  replicator_->Announce(now, announced_);
  if (Status loaded = LoadRejoin(now); !loaded) return loaded;
  joins = joins || awaiting_join_;
  // Whom it knows it says at once: CLUSTER FORGET would not find them.
  last_status_ = now.mono_ns - kStatusInterval;
  PublishStatus(now);
  if (joins && members_.size() <= 1) {
    // Until the first Tick knows better.
    auto status = std::make_shared<command::ClusterStatus>(*status_);
    status->copying_state = true;
    const std::lock_guard guard(status_mutex_);
    status_ = std::move(status);
  }
  started_ = true;
  std::vector<Bytes> kept;
  {
    const std::lock_guard guard(frames_mutex_);
    for (const auto& [origin, frames] : kept_.origins()) {
      for (const auto& frame : frames) kept.push_back(frame.bytes);
    }
  }
  for (const Bytes& bytes : kept) (void)replicator_->AddFrame(now, bytes);
  return {};
}

// ---- snapshots

std::string Cluster::CutForSnapshot() {
  if (!replica_) return {};
  CutLazy();
  CutFrame(false);
  return replica_->EncodeControl(node_.store().log().appended_lsn());
}

// ---- giving a state

Result<replication::StateStart> Cluster::StateBegin(const NodeId& receiver) {
  if (!replica_ || receiving_) return Error{ErrorKind::kUnavailable, "it is loading itself"};
  // What the peer would know of this run the next one may not find on the disk, not even that there
  // are peers: then it would count all of it again as its own.
  if (node_.store().log().state() == LogWriter::State::kFailed) {
    return Error{ErrorKind::kUnavailable, "its disk has failed"};
  }
  const std::lock_guard turn(node_.state().turn_lock);
  CutLazy();
  CutFrame(false);
  auto donation = std::make_unique<Donation>();
  donation->handle = next_handle_++;
  donation->copy = replica_->BeginCopy();
  donation->state.copy = donation->copy.number;
  donation->kept = LackedByOthersThan(receiver);
  replication::StateStart start{.handle = donation->handle,
                                .vector = replica_->applied(),
                                .head = replica_->EncodeControl(0)};
  donations_.push_back(std::move(donation));
  return start;
}

void Cluster::FillStateChunk(Donation& donation, std::size_t bytes_max, std::string& out) {
  const auto emit = [&](std::string_view record) { PutBytes(out, record); };
  const std::shared_lock turn(node_.state().turn_lock);
  while (out.size() < bytes_max && donation.partition < engine::Keyspace::kPartitions) {
    if (!donation.names.done) {
      node_.keyspace().EncodeSlice(donation.partition, donation.names, kSliceBytes, emit);
    } else if (!donation.state.done) {
      replica_->EncodeState(donation.partition, donation.state, kSliceBytes, emit);
    } else {
      ++donation.partition;
      donation.names = {};
      donation.state = {.copy = donation.copy.number, .name = {}, .key = {}};
    }
  }
}

Result<replication::StateChunk> Cluster::NextStateChunk(std::uint64_t handle,
                                                        std::size_t bytes_max) {
  const auto found = std::find_if(donations_.begin(), donations_.end(),
                                  [&](const auto& donation) { return donation->handle == handle; });
  if (found == donations_.end()) return Error{ErrorKind::kNotFound, "no such state transfer"};
  if (!replica_) return Error{ErrorKind::kUnavailable, "the node has left its cluster"};
  Donation& donation = **found;
  const auto is_overrun = [&] {
    const std::shared_lock turn(node_.state().turn_lock);
    return donation.overrun;
  };
  if (is_overrun()) {
    return Error{ErrorKind::kUnavailable, "more has changed than is kept while a state is given"};
  }
  replication::StateChunk chunk;
  // Records are small beside a chunk; a slice may go a little beyond.
  const std::size_t aim = bytes_max / 2;
  FillStateChunk(donation, aim, chunk.bytes);
  if (donation.partition < engine::Keyspace::kPartitions) return chunk;
  if (!donation.scanned) {
    const std::lock_guard turn(node_.state().turn_lock);
    CutLazy();
    CutFrame(false);
    donation.scanned = true;
    donation.frames_left = donation.frames.size();
    donation.end = replica_->applied();
  }
  const auto fits = [&](const Bytes& frame) {
    return chunk.bytes.empty() || chunk.bytes.size() + frame->size() + 16 < bytes_max;
  };
  while (!donation.kept.empty() && fits(donation.kept.front())) {
    PutBytes(chunk.bytes, kKeptRecord + *donation.kept.front());
    donation.kept.pop_front();
  }
  while (donation.kept.empty() && donation.frames_left > 0 && fits(donation.frames.front())) {
    PutBytes(chunk.bytes, kFrameRecord + *donation.frames.front());
    donation.frames.pop_front();
    --donation.frames_left;
  }
  chunk.end = donation.kept.empty() && donation.frames_left == 0;
  if (chunk.end) chunk.end_vector = donation.end;
  return chunk;
}

void Cluster::StateEnd(std::uint64_t handle) {
  const std::lock_guard turn(node_.state().turn_lock);
  std::erase_if(donations_, [&](const auto& donation) { return donation->handle == handle; });
}

// ---- taking a state

void Cluster::HoldWrites(bool hold) {
  held_ = hold;
  node_.state().loading.store(IsLoading());
  if (!hold || receiving_ || !replica_) return;
  node_.CancelSnapshot("the state of a peer will be copied");
  {
    const std::lock_guard turn(node_.state().turn_lock);
    CutLazy();
    CutFrame(false);
  }
  node_.CommitSoon();
}

Status Cluster::BeginState(std::string_view head) {
  if (!replica_) return Error{ErrorKind::kUnavailable, "the node is not part of a cluster"};
  if (Status lossless = LosesNothing(head); !lossless) return lossless;
  const std::lock_guard turn(node_.state().turn_lock);
  if (node_.state().disk_full.load() || node_.state().disk_failed.load()) {
    return Error{ErrorKind::kUnavailable, "the disk has no room for a state"};
  }
  if (!receiving_ && (replica_->HasUncut() || replica_->dirty_lazy() > 0)) {
    return Error{ErrorKind::kUnavailable, "there are changes that no peer has yet"};
  }
  receiving_ = true;
  staged_.clear();
  staged_bytes_ = 0;
  digest_.Changed();
  replica_->Clear();
  if (replica_->DecodeControl(head, true)) return {};
  return Error{ErrorKind::kCorrupt, "the head of the state does not decode"};
}

Status Cluster::LoadRecord(std::string_view record, engine::Loader& loader, WallMs now) {
  if (record.empty()) return kNotDecoded;
  if (record.front() == kKeptRecord) {
    ByteReader in(record.substr(1));
    (void)crdt::DecodeFrame(in);
    if (!in.ok()) return kNotDecoded;
    StageKept(record.substr(1));
    return {};
  }
  if (IsClusterRecord(record)) loader.Flush();
  if (record.front() == kFrameRecord) {
    ByteReader in(record.substr(1));
    const crdt::Frame frame = crdt::DecodeFrame(in);
    if (!in.ok()) return kNotDecoded;
    const auto outcome = replica_->ApplyFrame(frame, now);
    const bool good = outcome == engine::Replica::Outcome::kApplied ||
                      outcome == engine::Replica::Outcome::kKnown;
    if (good) StageKept(record.substr(1));
    return good ? Status() : Status(kNotDecoded);
  }
  if (IsClusterRecord(record)) {
    return replica_->LoadState(record, now) ? Status() : Status(kNotDecoded);
  }
  return loader.Apply(record) ? Status() : Status(kNotDecoded);
}

Status Cluster::AddStateChunk(std::string_view bytes) {
  if (!receiving_) return Error{ErrorKind::kInvalid, "no state is being copied"};
  const std::lock_guard turn(node_.state().turn_lock);
  ByteReader in(bytes);
  engine::Loader loader(node_.keyspace(), now_.wall_ms);
  while (in.ok() && !in.AtEnd()) {
    const std::string_view record = in.Bytes();
    if (!in.ok()) break;
    if (Status loaded = LoadRecord(record, loader, now_.wall_ms); !loaded) return loaded;
  }
  loader.Flush();
  return in.ok() ? Status() : Status(kNotDecoded);
}

// The snapshot makes it durable at once, and replaces what the disk still says.
Status Cluster::FinishState(const crdt::VersionVector& end) {
  if (!receiving_) return Error{ErrorKind::kInvalid, "no state is being copied"};
  const std::lock_guard turn(node_.state().turn_lock);
  if (!replica_->applied().Covers(end)) {
    return Error{ErrorKind::kCorrupt, "the state ends before the vector that it promised"};
  }
  {
    const std::lock_guard guard(frames_mutex_);
    unsafe_.clear();
  }
  for (Bytes& bytes : std::exchange(staged_, {})) Keep(std::move(bytes));
  staged_bytes_ = 0;
  // Nobody may hear that it is here before it is on the disk.
  if (Status saved = node_.SaveNow(); !saved) return saved;
  published_ = replica_->applied().Get(replica_->own());
  published_lazy_ = replica_->applied().Get(replica_->lazy());
  durable_ = replica_->applied();
  replica_->AddFoldedTo(durable_);
  RefreshVectors();
  receiving_ = false;
  awaiting_join_ = false;
  return {};
}

// Memory holds half of a state. Another try follows; until one succeeds nobody is served.
void Cluster::AbortState() {
  if (receiving_) {
    node_.Say(LogLevel::kWarning,
              "Copying the state of a peer was given up; it will be tried again");
  }
}

}  // namespace jeton::node
