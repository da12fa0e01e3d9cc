// Replica: cutting frames.
#include <algorithm>
#include <mutex>

#include "engine/frame_body.h"
#include "engine/replica_internal.h"

namespace jeton::engine {

bool Replica::HasUncut() const {
  const std::lock_guard guard(control_lock_);
  return dirty_cells() > 0 || !controls_.empty();
}

bool Replica::KnowsNames() const {
  const auto has_names = [](const auto& partition) { return !partition->empty(); };
  return epoch_ != 0 || std::any_of(partitions_.begin(), partitions_.end(), has_names);
}

// The own entry, or that there is none (any more). `shared` is null for an implicit cell, or one of
// which nothing is left here.
void Replica::EncodeOwn(const CellName& cell, const SharedCell* shared, SharedWriter& writer,
                        std::string& out) {
  crdt::Entry entry;
  bool there = false;
  if (shared != nullptr) {
    if (const auto own = shared->cell.FindEntry(own_)) entry = *own;
    there = shared->cell.HasEntry(own_);
  } else {
    const Key key = keyspace_.MakeKey(cell.name);
    const auto value = cell.in_tree ? ViewOf(key, cell.key, cell.bucket) : ViewOf(key);
    there = own_ == home_ && value;
    if (there) entry.sum = *value;
  }
  writer.WriteEntry(cell, epoch_, !there, entry.birth, entry.sum, out);
}

// One of a DirtySet.
void Replica::EncodeId(const CellName& cell, std::string& told_tree, SharedWriter& writer,
                       std::string& out) {
  if (IsCurrent(cell, epoch_)) return EncodeOwn(cell, CellOf(cell, false), writer, out);
  // Emptied or trimmed away meanwhile, by what a receiver may not know yet.
  if (!cell.in_tree || cell.name == told_tree) return;
  told_tree = cell.name;
  writer.Write({.type = SharedType::kTree,
                .cell = {.name = cell.name},
                .epoch = epoch_,
                .tree = FactsOf(keyspace_.MakeKey(cell.name))},
               out);
}

// False, and the rest stays, when there is enough for one frame.
bool Replica::EncodeDirtyOf(SharedPartition& partition, SharedWriter& writer, std::string& out) {
  constexpr std::size_t kAhead = 8;
  const auto& names = partition.dirty_names();
  std::size_t done = 0;
  for (; done < names.size() && out.size() < kCutBytes; ++done) {
    if (done + kAhead < names.size()) __builtin_prefetch(names[done + kAhead]);
    if (done + kAhead / 2 < names.size()) names[done + kAhead / 2]->Prefetch();
    EncodeOwn({.name = names[done]->name()}, names[done]->counter(), writer, out);
  }
  const bool all_names = done == names.size();
  partition.CleanNames(done);
  if (!all_names) return false;
  std::string told_tree;
  for (std::size_t i = 0; i < partition.dirty.size(); ++i) {
    if (out.size() >= kCutBytes) {
      partition.dirty.DropFirst(i);
      return false;
    }
    EncodeId(DecodeCellId(partition.dirty[i]), told_tree, writer, out);
  }
  partition.dirty.Clear();
  return true;
}

std::string Replica::EncodeDirty(SharedWriter& writer, bool& all) {
  std::string out, forgotten;
  if (bugs_.partial_cut) [[unlikely]]
    forgotten = ForgetOneDirty();
  for (Keyspace::PartitionId id = 0; id < Keyspace::kPartitions && all; ++id) {
    if (partitions_[id]->dirty_size() > 0) all = EncodeDirtyOf(*partitions_[id], writer, out);
  }
  std::size_t rest = 0;
  if (!all) {
    for (const auto& partition : partitions_) rest += partition->dirty_size();
  }
  dirty_cells_.store(rest, std::memory_order_relaxed);
  if (!forgotten.empty()) {
    const CellName cell = DecodeCellId(forgotten);
    MarkDirty(cell, keyspace_.MakeKey(cell.name));
  }
  return out;
}

// For the trap: takes one out, if there are several.
std::string Replica::ForgetOneDirty() {
  std::string id;
  if (dirty_cells() < 2) return id;
  for (auto& partition : partitions_) {
    if (!partition->dirty_names().empty()) {
      EncodeCellId({.name = partition->dirty_names().front()->name()}, id);
      partition->CleanNames(1);
      return id;
    }
    if (partition->dirty.empty()) continue;
    id = partition->dirty[0];
    partition->dirty.DropFirst(1);
    return id;
  }
  return id;
}

std::optional<std::string> Replica::Cut(Lsn to, const crdt::VersionVector& row, bool row_too) {
  if (to <= sent_ || (!HasUncut() && !row_too)) return std::nullopt;
  std::string controls;
  std::uint64_t clock;
  {
    const std::lock_guard guard(control_lock_);
    controls.swap(controls_);
    clock = clock_.last();
  }
  SharedWriter writer(origins_, true);
  std::string body, rest;
  bool all = true;
  // Sections in the order of their types; entries stand between trees and resets. What cancels
  // waits for all of what it cancels.
  for (int type = static_cast<int>(SharedType::kEpoch);
       type <= static_cast<int>(SharedType::kFolded); ++type) {
    if (type == static_cast<int>(SharedType::kEntry)) {
      body += EncodeDirty(writer, all);
      continue;
    }
    ByteReader in(controls);
    SharedReader reader(origins_, nullptr);
    SharedMutation mutation;
    while (in.ok() && !in.AtEnd()) {
      const char* begin = in.Position();
      reader.Read(in, mutation);
      if (static_cast<int>(mutation.type) != type) continue;
      all = all && body.size() < kCutBytes;
      if (all || type < static_cast<int>(SharedType::kEntry)) {
        writer.Write(mutation, body);
      } else {
        rest.append(begin, static_cast<std::size_t>(in.Position() - begin));
      }
    }
  }
  if (!all) {
    to = sent_ + 1;
    const std::lock_guard guard(control_lock_);
    controls_.insert(0, rest);
  }
  std::string head;
  PutHead(
      {.node = options_.node, .partial = !all, .epoch = epoch_, .dictionary = writer.dictionary()},
      head);
  body.insert(0, head);
  const crdt::Frame frame{
      .origin = own(), .from = sent_, .to = to, .clock = clock, .row = row, .body = body};
  TellBytes();
  sent_ = to;
  AdvanceOwn(own(), to);
  rows_[options_.node] = row;
  return crdt::EncodeFrame(frame);
}

bool Replica::IsPartial(const crdt::Frame& frame) {
  ByteReader in(frame.body);
  return GetHead(in).partial;
}

bool Replica::HasContent(const crdt::Frame& frame) {
  ByteReader in(frame.body);
  GetHead(in);
  return !in.AtEnd();
}

}  // namespace jeton::engine
