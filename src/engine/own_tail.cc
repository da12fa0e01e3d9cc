#include "engine/own_tail.h"

#include <algorithm>

#include "crdt/version_vector.h"
#include "engine/frame_body.h"
#include "engine/shared_state.h"

namespace jeton::engine {

namespace {

// Units of a node alone are in another form; what they have done everybody has as a state.
bool HasSharedUnits(const LogRecord& record) {
  return record.type == RecordType::kCommit && SharedReader::IsShared(ByteReader(record.payload));
}

std::string IdOf(const CellName& cell) {
  std::string id;
  EncodeCellId(cell, id);
  return id;
}

}  // namespace

std::string EncodeInjected(const Injected& injected) {
  std::string payload(1, kInjectedControl);
  crdt::PutOrigin(payload, injected.run);
  PutVarint(payload, injected.upto);
  PutVarint(payload, injected.cells);
  injected.amount.EncodeTo(payload);
  payload.append(injected.unit);
  return payload;
}

std::optional<Injected> DecodeInjected(std::string_view payload) {
  ByteReader in(payload);
  if (in.Fixed<char>() != kInjectedControl || !in.ok()) return std::nullopt;
  Injected injected;
  injected.run = crdt::GetOrigin(in);
  injected.upto = in.Varint();
  injected.cells = in.Varint();
  injected.amount = Decimal::Decode(in);
  injected.unit = in.Take(in.Remaining());
  if (!in.ok()) return std::nullopt;
  return injected;
}

// A run that has left a cluster and joined again writes as another origin.
void OwnTail::FollowOwn(const LogRecord& record) {
  if (record.origin != run_) {
    run_ = own_ = record.origin;
    begun_ = false;
    if (const auto as = begun_as_.find(run_); as != begun_as_.end()) own_ = as->second;
  }
  if (record.type != RecordType::kControl || record.payload.empty()) return;
  if (record.payload.front() != kClusteredControl) return;
  ByteReader in(record.payload.substr(1));
  (void)in.Varint();
  const std::uint64_t membership = in.AtEnd() ? 0 : in.Varint();
  if (in.ok()) own_ = MembershipOf(run_, static_cast<unsigned>(membership));
  begun_ = true;
}

// What was before it was alone is nobody's business; and its first frame says what it writes as.
void OwnTail::LookAtOwn(const LogRecord& record) {
  if (record.type == RecordType::kControl && !record.payload.empty() &&
      record.payload.front() == kAloneControl) {
    runs_.clear();
    begun_ = true;
  }
  if (record.type != RecordType::kFrame || begun_) return;
  ByteReader in(record.payload);
  const crdt::Frame frame = crdt::DecodeFrame(in);
  if (!in.ok() || !OfOneRun(frame.origin, run_)) return;
  begun_ = true;
  const OriginId as = IsLazy(frame.origin) ? LazyOf(frame.origin) : frame.origin;
  if (as == own_) return;
  if (auto node = runs_.extract(own_)) {
    node.key() = as;
    runs_.insert(std::move(node));
  }
  begun_as_[run_] = own_ = as;
}

template <typename Visit>
bool OwnTail::ForEachMutation(const LogRecord& record, Visit visit) {
  FollowOwn(record);
  std::string_view units = record.payload;
  if (record.type == RecordType::kControl) {
    const auto injected = DecodeInjected(record.payload);
    if (!injected) return true;
    units = injected->unit;
  } else if (!HasSharedUnits(record)) {
    return true;
  }
  ByteReader in(units);
  SharedReader reader(origins_, nullptr);
  SharedMutation mutation;
  while (in.ok() && !in.AtEnd()) {
    if (!SharedReader::IsShared(in)) return false;
    reader.Read(in, mutation);
    if (!in.ok()) return false;
    ++seen_;
    visit(mutation);
  }
  return in.ok();
}

bool OwnTail::Look(const LogRecord& record) {
  logged_.insert(record.origin);
  FollowOwn(record);
  LookAtOwn(record);
  return ForEachMutation(record, [&](const SharedMutation& mutation) {
    if (mutation.type != SharedType::kEntry || mutation.delta.IsZero()) return;
    Run& run = runs_[own_];
    (mutation.lazy ? run.last_added_late : run.last_added) = record.lsn;
  });
}

bool OwnTail::IsOwnRun(const OriginId& origin) const {
  return runs_.contains(origin) || runs_.contains(LazyOf(origin));
}

Lsn OwnTail::FinalOf(const OriginId& origin) const {
  const auto found = finals_.find(origin);
  return found == finals_.end() ? 0 : found->second;
}

bool OwnTail::Survey(const LogRecord& record) {
  if (record.type == RecordType::kFrame) return SurveyFrame(record);
  return ForEachMutation(record,
                         [&](const SharedMutation& mutation) { SurveyMutation(record, mutation); });
}

bool OwnTail::SurveyFrame(const LogRecord& record) {
  ByteReader in(record.payload);
  const crdt::Frame frame = crdt::DecodeFrame(in);
  if (!in.ok()) return false;
  if (!IsOwnRun(frame.origin)) return true;
  const Lsn final = FinalOf(frame.origin);
  // What was before the first frame that is here was cut into others.
  if (framed_.insert(frame.origin).second && frame.from > final && !IsLazy(frame.origin)) {
    gap_ = frame.origin;
  }
  if (frame.to > final) return true;
  Told& told = told_[frame.origin];
  ByteReader body(frame.body);
  const BodyHead head = GetHead(body);
  if (!body.ok()) return false;
  if (!head.partial) {
    told = {.end = frame.to, .base = frame.to, .ahead = {}, .at = 0};
    return true;
  }
  if (told.ahead.empty()) told.base = frame.from;
  told.end = frame.to;
  told.at = seen_;
  SharedReader reader(origins_, &head.dictionary);
  SharedMutation mutation;
  while (body.ok() && !body.AtEnd()) {
    reader.Read(body, mutation);
    if (body.ok() && mutation.type == SharedType::kEntry) told.ahead.insert(IdOf(mutation.cell));
  }
  return body.ok();
}

void OwnTail::SurveyMutation(const LogRecord& record, const SharedMutation& mutation) {
  const bool told = record.lsn <= FinalOf(own_);
  switch (mutation.type) {
    case SharedType::kEpoch:
      epoch_ = std::max(epoch_, mutation.epoch);
      break;
    case SharedType::kReset:
      resets_[IdOf(mutation.cell)] = seen_;
      break;
    case SharedType::kTree: {
      TreeState& state = tree_states_[std::string(mutation.cell.name)];
      if (mutation.tree.epoch > state.epoch) state = {.epoch = mutation.tree.epoch};
      state.watermark = std::max(state.watermark, mutation.tree.watermark);
      if (!told) trees_[std::string(mutation.cell.name)] = mutation.tree;
      break;
    }
    case SharedType::kAttribute:
      break;
    default:
      return;
  }
  if (!told) ++ignored_;
}

bool OwnTail::IsInTail(const OriginId& origin, Lsn lsn, const std::string& cell) const {
  const Lsn final = FinalOf(origin);
  const auto found = told_.find(origin);
  // They may have a last frame that the log has lost.
  if (found == told_.end() || found->second.end != final) return lsn > final;
  const Told& told = found->second;
  if (lsn <= told.base) return false;
  return seen_ > told.at || !told.ahead.contains(cell);
}

bool OwnTail::IsCancelled(const SharedMutation& mutation, const std::string& cell) const {
  if (mutation.epoch < epoch_) return true;
  if (const auto reset = resets_.find(cell); reset != resets_.end() && seen_ < reset->second) {
    return true;
  }
  if (!mutation.cell.in_tree) return false;
  const auto tree = tree_states_.find(mutation.cell.name);
  if (tree == tree_states_.end()) return false;
  return mutation.cell.tree_epoch < tree->second.epoch ||
         (mutation.cell.tree_epoch == tree->second.epoch &&
          mutation.cell.bucket < tree->second.watermark);
}

bool OwnTail::Collect(const LogRecord& record, const Finals& done, const Emit& emit) {
  FollowOwn(record);
  if (own_ != chunk_.run || chunk_.cells.size() >= kChunkCells) FlushChunk(emit);
  const auto before = done.find(own_);
  const Lsn after = before == done.end() ? 0 : before->second;
  chunk_.run = own_;
  return ForEachMutation(record, [&](const SharedMutation& mutation) {
    if (mutation.type != SharedType::kEntry || mutation.delta.IsZero()) return;
    if (!runs_.contains(own_)) return;
    const OriginId origin = mutation.lazy ? LazyOf(own_) : own_;
    std::string cell = IdOf(mutation.cell);
    if (record.lsn <= after || !IsInTail(origin, record.lsn, cell)) return;
    if (IsCancelled(mutation, cell)) return;
    chunk_.upto = record.lsn;
    const auto [place, is_new] = places_.try_emplace(cell, chunk_.cells.size());
    if (is_new) chunk_.cells.push_back({std::move(cell), mutation.epoch, {}});
    chunk_.cells[place->second].amount.Add(mutation.delta);
  });
}

void OwnTail::FlushChunk(const Emit& emit) {
  if (!chunk_.cells.empty()) emit(std::move(chunk_));
  chunk_ = {};
  places_.clear();
}

}  // namespace jeton::engine
