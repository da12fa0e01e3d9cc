// Replica: recovery, snapshots and state transfer.
#include <algorithm>
#include <mutex>

#include "engine/replica_internal.h"
#include "engine/tree.h"

namespace jeton::engine {

namespace {

constexpr std::uint8_t kControlVersion = 1;
constexpr std::uint64_t kMapMax = 1u << 20;
constexpr std::size_t kNamesAtOnce = 1024;
constexpr std::size_t kStateRecordBytes = 4096;  // then another record begins

void PutNode(const NodeId& node, std::string& out) {
  out.append(reinterpret_cast<const char*>(node.data()), node.size());
}

NodeId GetNode(ByteReader& in) {
  NodeId node{};
  const std::string_view bytes = in.Take(node.size());
  std::copy(bytes.begin(), bytes.end(), node.begin());
  return node;
}

template <typename Map, typename PutItem>
void PutMap(const Map& map, std::string& out, PutItem put) {
  PutVarint(out, map.size());
  for (const auto& item : map) put(item);
}

template <typename GetItem>
void GetMap(ByteReader& in, GetItem get) {
  const std::uint64_t count = in.Varint();
  if (count > kMapMax) in.Fail();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) get();
}

}  // namespace

// ---- runs

void Replica::WriteClustered(std::string& log) const {
  SharedWriter(origins_, false).Write({.type = SharedType::kClustered, .epoch = epoch_}, log);
}

void Replica::BeginAs(const OriginId& home, Lsn lsn) {
  BeginOwn(home);
  home_ = own_;
  sent_ = lsn;
  AdvanceOwn(home, lsn);
}

void Replica::NextRun(const OriginId& own, Lsn last) {
  Lsn& end = run_ends_[this->own()];
  end = std::max({end, last, applied_.Get(this->own())});
  known_.Set(own_, sent_);
  known_.Set(lazy_, applied_.Get(lazy()));
  for (auto& partition : partitions_) partition->Clean();
  dirty_cells_.store(0, std::memory_order_relaxed);
  controls_.clear();
  for (auto& partition : partitions_) partition->lazy.clear();
  ClearLazyDirty();
  lazy_cells_.store(0, std::memory_order_relaxed);
  BeginOwn(own);
  from_disk_ = applied_;
  sent_ = 0;
  ever_freed_ = false;
  sweeps_.assign(Keyspace::kPartitions, std::nullopt);
  fold_cursor_.reset();
}

bool Replica::Replay(std::string_view unit, Lsn lsn, WallMs now) {
  touched_now_ = now;
  ByteReader in(unit);
  SharedReader reader(origins_, nullptr);
  SharedMutation mutation;
  Touched touched;
  const bool uncut = lsn > sent_;
  while (in.ok() && !in.AtEnd()) {
    const char* begin = in.Position();
    if (!SharedReader::IsShared(in)) return false;
    reader.Read(in, mutation);
    if (!in.ok()) return false;
    const bool is_lazy = mutation.type == SharedType::kEntry && mutation.lazy;
    Apply(mutation, is_lazy ? lazy_ : own_, lsn, touched);
    if (is_lazy) {
      lazy_used_.store(true, std::memory_order_relaxed);
      ever_freed_ = ever_freed_ || mutation.gone;
      if (lsn > applied_.Get(lazy())) MarkDirtyLazy(keyspace_.MakeKey(mutation.cell.name));
    } else if (mutation.type == SharedType::kEntry) {
      ever_freed_ = ever_freed_ || mutation.gone;
      if (uncut) MarkDirty(mutation.cell, keyspace_.MakeKey(mutation.cell.name));
    } else if (uncut && mutation.type != SharedType::kClustered) {
      controls_.append(begin, static_cast<std::size_t>(in.Position() - begin));
    }
  }
  Show(touched, now);
  return in.ok();
}

void Replica::ReplayOwnFrame(const crdt::Frame& frame) {
  if (frame.origin == lazy()) {
    if (frame.to <= applied_.Get(frame.origin)) return;
    AdvanceOwn(frame.origin, frame.to);
    lazy_used_.store(true, std::memory_order_relaxed);
    if (IsPartial(frame)) return;
    for (auto& partition : partitions_) partition->lazy.clear();
    lazy_cells_.store(0, std::memory_order_relaxed);
    return ClearLazyDirty();
  }
  if (frame.to <= sent_) return;
  sent_ = frame.to;
  AdvanceOwn(own(), frame.to);
  rows_[options_.node] = frame.row;
  if (IsPartial(frame)) return;  // the next one, or one that is cut anew, has all of it
  for (auto& partition : partitions_) partition->Clean();
  dirty_cells_.store(0, std::memory_order_relaxed);
  controls_.clear();
}

void Replica::Clear() {
  SwitchEpoch(0);
  controls_.clear();
  known_ = {};
  PlantBugs(bugs_);
  applied_ = {};
  rows_.clear();
  writers_.clear();
  closed_.clear();
  claims_.clear();
  folded_.clear();
  retired_.clear();
  retiring_.clear();
  fold_cursor_.reset();
  TellBytes();
  BeginOwn(own());
}

// ---- control state

std::string Replica::EncodeControl(Lsn end) const {
  std::string out;
  out.push_back(static_cast<char>(kControlVersion));
  crdt::PutOrigin(out, own());
  PutVarint(out, end);
  PutVarint(out, sent_);
  crdt::PutOrigin(out, origins_.IdOf(home_));
  PutVarint(out, epoch_);
  PutVarint(out, clock());
  out.push_back(static_cast<char>(ever_freed_));
  applied_.EncodeTo(out);
  PutMap(rows_, out, [&](const auto& item) {
    PutNode(item.first, out);
    item.second.EncodeTo(out);
  });
  std::size_t claims = 0;
  for (const auto& [closed, all] : claims_) claims += all.size();
  PutVarint(out, claims);
  for (const auto& [closed, all] : claims_) {
    for (const auto& [by, at] : all) {
      crdt::PutOrigin(out, closed);
      crdt::PutOrigin(out, by);
      PutVarint(out, at);
    }
  }
  PutMap(folded_, out, [&](const auto& item) {
    crdt::PutOrigin(out, item.first);
    PutVarint(out, item.second);
  });
  PutMap(retiring_, out, [&](const auto& item) {
    crdt::PutOrigin(out, item.first);
    item.second.EncodeTo(out);
  });
  PutMap(writers_, out, [&](const auto& item) {
    crdt::PutOrigin(out, item.first);
    PutNode(item.second, out);
  });
  return out;
}

void Replica::LoadControlMaps(ByteReader& in) {
  GetMap(in, [&] {
    const NodeId node = GetNode(in);
    rows_[node] = crdt::VersionVector::Decode(in);
  });
  GetMap(in, [&] {
    const OriginId closed = crdt::GetOrigin(in);
    const OriginId by = crdt::GetOrigin(in);
    claims_[closed][by] = in.Varint();
  });
  GetMap(in, [&] {
    const OriginId folded = crdt::GetOrigin(in);
    const Lsn end = in.Varint();
    folded_[folded] = end;
    if (const auto index = origins_.Add(folded)) known_.Set(*index, end);
  });
  GetMap(in, [&] {
    const OriginId origin = crdt::GetOrigin(in);
    retiring_[origin] = crdt::VersionVector::Decode(in);
  });
  GetMap(in, [&] {
    const OriginId origin = crdt::GetOrigin(in);
    writers_[origin] = GetNode(in);
  });
  for (const auto& [closed, claims] : claims_) ChooseCloser(closed);
  // Whatever is folded and waits for nothing is known to everybody.
  for (const auto& [origin, end] : folded_) {
    const auto index = origins_.Add(origin);
    if (!index || retiring_.contains(origin)) continue;
    if (*index >= retired_.size()) retired_.resize(std::size_t{*index} + 1);
    retired_[*index] = true;
  }
}

std::optional<Replica::ControlFacts> Replica::FactsOfControl(std::string_view bytes) {
  ByteReader in(bytes);
  if (in.Fixed<std::uint8_t>() != kControlVersion) return std::nullopt;
  ControlFacts facts;
  (void)crdt::GetOrigin(in);
  (void)in.Varint();
  (void)in.Varint();
  (void)crdt::GetOrigin(in);
  facts.epoch = in.Varint();
  (void)in.Varint();
  (void)in.Fixed<std::uint8_t>();
  (void)crdt::VersionVector::Decode(in);
  GetMap(in, [&] {
    (void)GetNode(in);
    (void)crdt::VersionVector::Decode(in);
  });
  GetMap(in, [&] {
    (void)crdt::GetOrigin(in);
    (void)crdt::GetOrigin(in);
    (void)in.Varint();
  });
  GetMap(in, [&] {
    const OriginId folded = crdt::GetOrigin(in);
    facts.folded[folded] = in.Varint();
  });
  if (!in.ok()) return std::nullopt;
  return facts;
}

bool Replica::DecodeControl(std::string_view bytes, bool as_guest) {
  ByteReader in(bytes);
  if (in.Fixed<std::uint8_t>() != kControlVersion) return false;
  const OriginId own = crdt::GetOrigin(in);
  const Lsn end = in.Varint();
  const Lsn sent = in.Varint();
  const OriginId home = crdt::GetOrigin(in);
  const std::uint64_t epoch = in.Varint();
  const std::uint64_t clock = in.Varint();
  const bool ever_freed = in.Fixed<std::uint8_t>() != 0;
  const crdt::VersionVector applied = crdt::VersionVector::Decode(in);
  if (!in.ok()) return false;
  if (as_guest) {
    from_disk_.reset();
  } else {
    BeginOwn(own);
    sent_ = sent;
    ever_freed_ = ever_freed;
    run_ends_[own] = end;
  }
  home_ = *origins_.Add(home);
  epoch_ = epoch;
  SawClock(clock);
  for (const auto& [origin, lsn] : applied) {
    const auto index = origins_.Add(origin);
    if (!index) return false;
    known_.Set(*index, lsn);
    applied_.Advance(origin, lsn);
  }
  LoadControlMaps(in);
  BeginOwn(this->own());
  return in.ok() && in.AtEnd();
}

// ---- names

// All about a name but its tree's buckets.
void Replica::EncodeName(const SharedName& shared, std::uint64_t copy, std::string& out) const {
  SharedWriter writer(origins_, false);
  const CellName name{.name = shared.name()};
  if (const SharedTree* tree = shared.tree()) {
    // `gone`: what the copy has of it may be of before it was emptied.
    writer.Write({.type = SharedType::kTree,
                  .cell = name,
                  .epoch = epoch_,
                  .gone = tree->emptied >= copy,
                  .tree = tree->facts},
                 out);
  }
  if (const SharedCell* counter = shared.counter()) {
    writer.WriteCell(name, epoch_, counter->cell, out);
  }
  const Attributes* attributes = shared.attributes();
  if (attributes == nullptr) return;
  writer.Write({.type = SharedType::kAttribute,
                .cell = name,
                .epoch = epoch_,
                .attribute = AttributeKind::kExpiry,
                .version = attributes->expiry_version,
                .expires_at = attributes->expires_at},
               out);
  writer.Write({.type = SharedType::kAttribute,
                .cell = name,
                .epoch = epoch_,
                .attribute = AttributeKind::kPrecision,
                .version = attributes->precision_version,
                .precision = attributes->precision},
               out);
}

void Replica::EncodeState(Keyspace::PartitionId id, StateCursor& cursor, std::size_t max_bytes,
                          const std::function<void(std::string_view)>& emit) {
  const std::lock_guard guard(keyspace_.LockOf(id));
  std::string out;
  std::size_t written = 0;
  const auto flush = [&] {
    if (!out.empty()) emit(out);
    written += out.size();
    out.clear();
  };
  const auto flush_if_full = [&] {
    if (out.size() >= kStateRecordBytes) flush();
    return written + out.size() < max_bytes;
  };
  const auto encode = [&](SharedName& name, std::string& key) {
    if (!flush_if_full()) return false;
    if (key.empty()) EncodeName(name, cursor.copy, out);
    return ForEachBucket(name, key, [&](const CellName& cell, const SharedCell& shared) {
      SharedWriter(origins_, false).WriteCell(cell, epoch_, shared.cell, out);
      return flush_if_full();
    });
  };
  while (!cursor.done && written + out.size() < max_bytes) {
    cursor.done = WalkNames(id, cursor, kNamesAtOnce, encode);
  }
  flush();
}

// States come in the order of their hashes, so the first ones tell how many there will be: a table
// that grows while it is filled from its front is crowded there.
void Replica::ReserveNames(const Key& key) {
  constexpr std::uint64_t kSample = 256;
  constexpr std::uint64_t kSpan = std::uint64_t{1} << 56;
  SharedPartition& partition = At(key);
  if (partition.size() != kSample) return;
  const std::uint64_t seen = std::max<std::uint64_t>(key.hash & (kSpan - 1), 1);
  const double all =
      static_cast<double>(kSample) * static_cast<double>(kSpan) / static_cast<double>(seen);
  const std::uint64_t in_view = keyspace_.NamesIn(Keyspace::PartitionOf(key));
  partition.Reserve(static_cast<std::uint64_t>(std::min(all, static_cast<double>(in_view))));
}

bool Replica::LoadState(std::string_view bytes, WallMs now) {
  touched_now_ = now;
  ByteReader in(bytes);
  SharedReader reader(origins_, nullptr);
  SharedMutation mutation;
  Touched touched;
  Key key;
  while (in.ok() && !in.AtEnd()) {
    if (!SharedReader::IsShared(in)) return false;
    reader.Read(in, mutation);
    if (!in.ok()) return false;
    // What was emptied since the state was begun follows in the log, or in frames: a later epoch
    // is told of there, and all that was changed in it.
    if (mutation.epoch > epoch_) continue;
    key = keyspace_.MakeKey(mutation.cell.name);
    if (mutation.type != SharedType::kTree) {
      Apply(mutation, own_, 0, touched);
      ReserveNames(key);
      continue;
    }
    // The view has what the tree has in this epoch already, unless it has become empty meanwhile.
    if (mutation.epoch != epoch_) continue;
    if (mutation.gone && keyspace_.HasTree(key)) {
      MakeAttributes(key);
      keyspace_.Apply({.type = MutationType::kDrop, .name = key.name}, key, now);
    }
    MakeTree(key).facts = mutation.tree;
    touched.trees.emplace_back(mutation.cell.name);
  }
  Show(touched, now);
  TellBytes();
  return in.ok();
}

std::string Replica::Describe(const CellName& cell) {
  const auto name_of = [&](crdt::OriginIndex index) {
    const OriginId& id = origins_.IdOf(index);
    std::string text;
    constexpr char kHex[] = "0123456789abcdef";
    for (std::size_t i = 4; i < 8; ++i) {
      text.push_back(kHex[id[i] >> 4]);
      text.push_back(kHex[id[i] & 15]);
    }
    return text;
  };
  const SharedCell* shared = Look(cell);
  std::map<std::string, std::string> entries;
  if (shared == nullptr) {
    const Key key = keyspace_.MakeKey(cell.name);
    const auto value = cell.in_tree ? ViewOf(key, cell.key, cell.bucket) : ViewOf(key);
    if (!value) return "nothing | ";
    return "entry " + name_of(home_) + " born 0 sum " + value->ToString() + "; | implicit";
  }
  for (const crdt::Entry& entry : shared->cell.entries()) {
    entries[name_of(entry.origin)] =
        " born " + std::to_string(entry.birth) + " sum " + entry.sum.ToString() + "; ";
  }
  std::string text;
  for (const auto& [name, entry] : entries) text += "entry " + name + entry;
  text += "| ";
  for (const crdt::Entry& entry : shared->cell.entries()) {
    text += "known " + name_of(entry.origin) +
            (entry.origin == own_ ? " all" : " " + std::to_string(known_.Of(entry.origin))) + "; ";
  }
  for (const crdt::Base& base : shared->cell.bases()) {
    const char* kinds[] = {"sum ", "absent ", "void "};
    text += "base " + name_of(base.origin) + " cut " + std::to_string(base.cut) + " stamp " +
            std::to_string(base.stamp) + " " + kinds[static_cast<int>(base.kind)] +
            base.sum.ToString() + "; ";
  }
  for (const crdt::Fold& fold : shared->cell.folds()) {
    text += "fold " + name_of(fold.closed) + " into " + name_of(fold.into) + " at " +
            std::to_string(fold.lsn) + "; ";
  }
  if (const crdt::SetRegister* set = shared->cell.set()) {
    text += "set " + set->value.ToString() + (set->present ? "" : " (gone)") + "; ";
  }
  return text + (shared->hidden ? "hidden" : "");
}

}  // namespace jeton::engine
