#include "sim/replica/model_node.h"

#include <algorithm>

#include "base/assert.h"

namespace jeton::sim {

using engine::Keyspace;
using engine::Replica;

namespace {

constexpr std::size_t kSliceBytes = 256;

crdt::Frame Decode(std::string_view bytes) {
  ByteReader in(bytes);
  const crdt::Frame frame = crdt::DecodeFrame(in);
  ASSERT(in.ok());
  return frame;
}

}  // namespace

void ModelNode::MakeKeyspace() {
  unit_.reset();
  replica_.reset();
  keyspace_ = std::make_unique<Keyspace>(Keyspace::Options{.hash_seed = options_.hash_seed});
  watches_ = std::make_unique<engine::WatchTable>();
  unit_ = std::make_unique<engine::Unit>(*keyspace_, *watches_);
  unit_->set_now(now_);
}

void ModelNode::MakeReplica(const OriginId& own) {
  replica_ = std::make_unique<Replica>(*keyspace_, watches_.get(),
                                       Replica::Options{.node = options_.id,
                                                        .own = own,
                                                        .close_record =
                                                            [this] {
                                                              open_ = false;
                                                              return lsn_;
                                                            },
                                                        .wall_now = [this] { return now_; }});
  replica_->PlantBugs(options_.bugs);
  replica_->SetPrediction(options_.default_precision, 3);
  replica_->SetMembers(members_);
  keyspace_->set_replica(replica_.get());
}

void ModelNode::BeginAlone(const OriginId& own, Lsn lsn, std::vector<NodeId> members) {
  members_ = std::move(members);
  MakeReplica(own);
  replica_->BeginAs(own, lsn);
  run_ = own;
  lsn_ = lsn;
  runs_ = {own};
  Snapshot();
}

// ---- the log

void ModelNode::Append(bool is_frame, std::string_view bytes) {
  if (!open_ || is_frame || !options_.merges_units) {
    log_.push_back({run_, ++lsn_, is_frame, {}});
    open_ = !is_frame;
  }
  log_.back().bytes += bytes;
}

Lsn ModelNode::Commit() {
  if (!unit_->empty()) Append(false, unit_->bytes());
  unit_->Clear();
  return lsn_;
}

void ModelNode::StoreFrame(std::string bytes) {
  const crdt::Frame frame = Decode(bytes);
  Append(true, bytes);
  frames_[frame.origin].push_back({.from = frame.from,
                                   .to = frame.to,
                                   .bytes = std::make_shared<const std::string>(std::move(bytes)),
                                   .record = log_.size()});
}

bool ModelNode::Cut(bool row_too) {
  open_ = false;
  auto bytes = replica_->Cut(lsn_, durable_row_, row_too);
  if (!bytes) return false;
  StoreFrame(std::move(*bytes));
  return true;
}

bool ModelNode::CutLazy() {
  open_ = false;
  auto bytes = replica_->CutLazy(lsn_);
  if (!bytes) return false;
  StoreFrame(std::move(*bytes));
  return true;
}

void ModelNode::Persist() {
  open_ = false;
  durable_ = log_.size();
  durable_row_ = replica_->applied();
  replica_->AddOwnTo(durable_row_, lsn_);
  replica_->AddFoldedTo(durable_row_);
}

// ---- snapshots

void ModelNode::EncodeSlices(Stored& stored) {
  for (Keyspace::PartitionId id = 0; id < Keyspace::kPartitions; ++id) {
    Keyspace::SliceCursor cursor;
    while (!cursor.done) {
      keyspace_->EncodeSlice(id, cursor, kSliceBytes,
                             [&](std::string_view bytes) { stored.records.emplace_back(bytes); });
    }
  }
}

void ModelNode::EncodeStates(Stored& stored) {
  for (Keyspace::PartitionId id = 0; id < Keyspace::kPartitions; ++id) {
    Replica::StateCursor cursor{.copy = stored.copy.number, .name = {}, .key = {}};
    while (!cursor.done) {
      replica_->EncodeState(id, cursor, kSliceBytes,
                            [&](std::string_view bytes) { stored.states.emplace_back(bytes); });
    }
  }
}

void ModelNode::BeginFuzzySnapshot() {
  Cut(false);
  CutLazy();
  Persist();
  fuzzy_ = Stored{.position = log_.size(),
                  .run = run_,
                  .lsn = lsn_,
                  .copy = replica_->BeginCopy(),
                  .control = replica_->EncodeControl(lsn_),
                  .records = {},
                  .states = {}};
  EncodeSlices(*fuzzy_);
}

void ModelNode::EndFuzzySnapshot() {
  EncodeStates(*fuzzy_);
  fuzzy_->copy = {};
  Persist();
  snapshot_ = std::move(*fuzzy_);
  fuzzy_.reset();
}

void ModelNode::Snapshot() {
  BeginFuzzySnapshot();
  EndFuzzySnapshot();
}

std::string ModelNode::Load(const Stored& stored) {
  if (!replica_->DecodeControl(stored.control, false)) return "the control state does not decode";
  for (const std::string& record : stored.records) {
    if (!keyspace_->ApplyEncoded(record, now_)) return "a record does not decode";
  }
  for (const std::string& state : stored.states) {
    if (!replica_->LoadState(state, now_)) return "a state record does not decode";
  }
  return {};
}

// ---- folding and freeing

void ModelNode::Fold(std::size_t cells) {
  Cut(false);
  std::string log;
  replica_->FoldSome(cells, log);
  if (!log.empty()) Append(false, log);
  Cut(false);
}

void ModelNode::Free() {
  std::string log;
  for (unsigned i = 0; i < Keyspace::kPartitions; ++i) replica_->FreeSome(log);
  if (!log.empty()) Append(false, log);
}

// ---- frames

Replica::Outcome ModelNode::Receive(const StoredFrame& stored) {
  const crdt::Frame frame = Decode(*stored.bytes);
  std::string why;
  const auto outcome = replica_->ApplyFrame(frame, now_, &why);
  if (outcome != Replica::Outcome::kApplied) return outcome;
  StoreFrame(*stored.bytes);
  return outcome;
}

crdt::VersionVector ModelNode::KnownVector() const {
  crdt::VersionVector known = replica_->applied();
  for (const auto& [origin, end] : replica_->folded()) known.Advance(origin, end);
  return known;
}

bool ModelNode::TakeState(ModelNode& donor) {
  donor.Cut(false);
  donor.CutLazy();
  if (HasUncut() || fuzzy_) return false;
  const crdt::VersionVector theirs = donor.KnownVector();
  if (theirs.Get(run_) != replica_->applied().Get(run_) || !theirs.Covers(KnownVector())) {
    return false;
  }
  Stored state;
  state.control = donor.replica_->EncodeControl(donor.lsn_);
  donor.EncodeSlices(state);
  donor.EncodeStates(state);
  replica_->Clear();
  if (!replica_->DecodeControl(state.control, true)) return false;
  for (const std::string& record : state.records) keyspace_->ApplyEncoded(record, now_);
  for (const std::string& states : state.states) replica_->LoadState(states, now_);
  frames_ = donor.frames_;
  for (auto& [origin, frames] : frames_) {
    for (StoredFrame& frame : frames) frame.record = 0;
  }
  Snapshot();
  return true;
}

// ---- crash and recovery

void ModelNode::Crash(std::size_t kept) {
  up_ = false;
  fuzzy_.reset();
  log_.resize(durable_ + kept);
  durable_ = log_.size();
  for (auto& [origin, frames] : frames_) {
    std::erase_if(frames, [&](const StoredFrame& frame) { return frame.record > log_.size(); });
  }
}

// What the run has in the log and in no frame is its last frame.
void ModelNode::CutRest() {
  crdt::VersionVector row = replica_->applied();
  replica_->AddOwnTo(row, lsn_);
  replica_->AddFoldedTo(row);
  auto rest = replica_->Cut(lsn_, row, false);
  if (rest) rests_[run_] = std::move(*rest);
  auto lazy = replica_->CutLazy(lsn_);
  if (lazy) rests_[LazyOf(run_)] = std::move(*lazy);
}

std::string ModelNode::ReplayLog() {
  for (std::size_t i = snapshot_.position; i < log_.size(); ++i) {
    const Record& record = log_[i];
    if (record.run != run_) {
      CutRest();
      replica_->NextRun(record.run, lsn_);
      run_ = record.run;
    }
    lsn_ = record.lsn;
    if (!record.is_frame) {
      if (!replica_->Replay(record.bytes, record.lsn, now_)) return "a unit does not decode";
      continue;
    }
    const crdt::Frame frame = Decode(record.bytes);
    if (replica_->IsOwn(frame.origin)) {
      replica_->ReplayOwnFrame(frame);
      continue;
    }
    const auto rest = rests_.find(frame.origin);
    if (rest != rests_.end() && Decode(rest->second).to <= frame.to) rests_.erase(rest);
    std::string why;
    const auto outcome = replica_->ApplyFrame(frame, now_, &why);
    if (outcome == Replica::Outcome::kGap) return "a gap in the own log";
    if (outcome == Replica::Outcome::kRefused) return why;
  }
  return {};
}

// The new run sees to it that the earlier ones are folded, and to what those had to fold.
void ModelNode::CloseOldRuns() {
  std::vector<OriginId> closing;
  const auto is_own = [&](const OriginId& origin) {
    const auto is_it = [&](const OriginId& run) { return run == origin || LazyOf(run) == origin; };
    return !replica_->IsOwn(origin) && std::any_of(runs_.begin(), runs_.end(), is_it);
  };
  for (const auto& [origin, lsn] : replica_->applied()) {
    if (is_own(origin) && !replica_->closed().contains(origin)) closing.push_back(origin);
  }
  for (const auto& [origin, by] : replica_->closed()) {
    if (is_own(by.by)) closing.push_back(origin);
  }
  std::string log;
  for (const OriginId& origin : closing) replica_->Close(origin, log);
  if (!log.empty()) Append(false, log);
}

std::string ModelNode::Start(const OriginId& own) {
  up_ = true;
  rests_.clear();
  MakeKeyspace();
  run_ = snapshot_.run;
  lsn_ = snapshot_.lsn;
  MakeReplica(run_);
  if (std::string why = Load(snapshot_); !why.empty()) return why;
  if (std::string why = ReplayLog(); !why.empty()) return why;
  if (!options_.bugs.reuse_origin) {
    CutRest();
    replica_->NextRun(own, lsn_);
    run_ = own;
    lsn_ = 0;
    runs_.push_back(own);
  }
  open_ = false;
  for (auto& [origin, rest] : rests_) StoreFrame(std::move(rest));
  if (!options_.bugs.reuse_origin) CloseOldRuns();
  Persist();
  Cut(false);
  return {};
}

}  // namespace jeton::sim
