#include "engine/shared_mutation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "crdt/version_vector.h"
#include "engine/mutation.h"

namespace jeton::engine {

namespace {

constexpr std::size_t kTextMax = kMaxNameBytes;
constexpr std::size_t kZoneMax = 256;
constexpr std::uint64_t kListMax = crdt::OriginTable::kMax;

// Flags.
constexpr unsigned kInTree = 1;
constexpr unsigned kGone = 2;
constexpr unsigned kHasBirth = 4;
constexpr unsigned kPresent = 8;
constexpr unsigned kExists = 16;
constexpr unsigned kLazy = 32;
constexpr unsigned kHasRate = 64;
constexpr unsigned kHasDelta = 128;

// In an entry, which is present anyway: one was added, and so it is not written.
constexpr unsigned kAddedOne = kPresent;

std::size_t SharedPrefix(std::string_view a, std::string_view b) {
  const std::size_t size = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(size), b.begin()).first -
      a.begin());
}

void PutText(std::string_view text, std::string& last, bool compress, std::string& out) {
  const std::size_t shared = compress ? SharedPrefix(text, last) : 0;
  PutVarint(out, shared);
  PutBytes(out, text.substr(shared));
  if (compress) last.assign(text);
}

std::string_view GetText(ByteReader& in, std::string& last) {
  const std::uint64_t shared = in.Varint();
  const std::string_view rest = in.Bytes();
  if (shared > last.size() || shared + rest.size() > kTextMax) in.Fail();
  if (!in.ok()) return {};
  last.resize(shared);
  last.append(rest);
  return last;
}

}  // namespace

// ---- writing

void SharedWriter::PutId(const OriginId& id, std::string& out) {
  if (!with_dictionary_) return crdt::PutOrigin(out, id);
  auto found = std::find(dictionary_.begin(), dictionary_.end(), id);
  if (found == dictionary_.end()) found = dictionary_.insert(dictionary_.end(), id);
  PutVarint(out, static_cast<std::uint64_t>(found - dictionary_.begin()));
}

void SharedWriter::PutVersion(const crdt::Version& version, std::string& out) {
  PutVarint(out, version.clock);
  if (version.clock != 0) PutId(version.origin, out);
}

void SharedWriter::PutName(const CellName& cell, std::string& out) {
  PutText(cell.name, last_name_, with_dictionary_, out);
  if (!cell.in_tree) return;
  PutVarint(out, cell.tree_epoch);
  PutText(cell.key, last_key_, with_dictionary_, out);
  PutSignedVarint(out, cell.bucket);
}

void SharedWriter::PutObservation(const crdt::Observation& observation, std::string& out) {
  PutVarint(out, observation.components.size());
  for (const auto& seen : observation.components) {
    PutIndex(seen.origin, out);
    PutVarint(out, seen.cut);
    out.push_back(static_cast<char>(seen.present));
    if (seen.present) seen.sum.EncodeTo(out);
  }
  PutVersion(observation.set.version, out);
  observation.set.value.EncodeTo(out);
}

void SharedWriter::PutTree(const TreeFacts& tree, std::string& out) {
  PutVarint(out, tree.epoch);
  PutVersion(tree.version, out);
  out.push_back(static_cast<char>(tree.settings.width));
  PutBytes(out, tree.settings.zone);
  PutVarint(out, tree.settings.retain);
  PutSignedVarint(out, tree.watermark);
}

void SharedWriter::PutState(const crdt::Cell& state, std::string& out) {
  PutVarint(out, state.entries().size());
  for (const crdt::Entry& entry : state.entries()) {
    PutIndex(entry.origin, out);
    PutVarint(out, entry.birth);
    entry.sum.EncodeTo(out);
  }
  PutVarint(out, state.bases().size());
  for (const crdt::Base& base : state.bases()) {
    PutIndex(base.origin, out);
    out.push_back(static_cast<char>(base.kind));
    PutVarint(out, base.cut);
    PutVarint(out, base.stamp);
    base.sum.EncodeTo(out);
  }
  PutVarint(out, state.folds().size());
  for (const crdt::Fold& fold : state.folds()) {
    PutIndex(fold.closed, out);
    PutIndex(fold.into, out);
    PutVarint(out, fold.lsn);
  }
  const crdt::SetRegister* set = state.set();
  PutVersion(set != nullptr ? set->version : crdt::Version(), out);
  if (set == nullptr) return;
  set->value.EncodeTo(out);
  out.push_back(static_cast<char>(set->present));
}

void SharedWriter::WriteEntry(const CellName& cell, std::uint64_t epoch, bool gone, Lsn birth,
                              const Decimal& sum, std::string& out, bool lazy, float rate,
                              const Decimal& delta) {
  const unsigned added = delta.IsZero() ? 0u : delta == Decimal(1) ? kAddedOne : kHasDelta;
  out.push_back(static_cast<char>(SharedType::kEntry));
  out.push_back(static_cast<char>((cell.in_tree ? kInTree : 0u) | (gone ? kGone : 0u) |
                                  (birth != 0 ? kHasBirth : 0u) | (lazy ? kLazy : 0u) |
                                  (rate != 0 ? kHasRate : 0u) | added));
  if (!with_dictionary_) PutVarint(out, epoch);
  PutName(cell, out);
  if (birth != 0) PutVarint(out, birth);
  if (!gone) sum.EncodeTo(out);
  if (rate != 0) PutFixed(out, std::bit_cast<std::uint32_t>(rate));
  if (added == kHasDelta) delta.EncodeTo(out);
}

void SharedWriter::WriteInteger(std::string_view name, std::uint64_t epoch, Lsn birth,
                                std::int64_t sum, std::int64_t delta, std::string& out) {
  constexpr std::size_t kVarint = 10;
  char bytes[4 + kShortName + 2 * kVarint + 2 * Decimal::kMaxEncodedInteger];
  const unsigned added = delta == 0 ? 0u : delta == 1 ? kAddedOne : kHasDelta;
  bytes[0] = static_cast<char>(SharedType::kEntry);
  bytes[1] = static_cast<char>((birth != 0 ? kHasBirth : 0u) | added);
  char* end = PutVarintAt(bytes + 2, epoch);
  *end++ = 0;  // the name is whole
  end = PutVarintAt(end, name.size());
  const bool is_short = name.size() <= kShortName;
  if (is_short) {
    std::memcpy(end, name.data(), name.size());
    end += name.size();
  } else {
    out.append(bytes, static_cast<std::size_t>(end - bytes));
    out.append(name);
    end = bytes;
  }
  if (birth != 0) end = PutVarintAt(end, birth);
  end = Decimal::EncodeInteger(sum, end);
  if (added == kHasDelta) end = Decimal::EncodeInteger(delta, end);
  out.append(bytes, static_cast<std::size_t>(end - bytes));
}

void SharedWriter::WriteCell(const CellName& cell, std::uint64_t epoch, const crdt::Cell& state,
                             std::string& out) {
  out.push_back(static_cast<char>(SharedType::kCell));
  out.push_back(static_cast<char>(cell.in_tree ? kInTree : 0u));
  PutVarint(out, epoch);
  PutName(cell, out);
  PutState(state, out);
}

void SharedWriter::Write(const SharedMutation& mutation, std::string& out) {
  const CellName& cell = mutation.cell;
  const unsigned in_tree = cell.in_tree ? kInTree : 0u;
  if (mutation.type == SharedType::kEntry) {
    return WriteEntry(cell, mutation.epoch, mutation.gone, mutation.birth, mutation.sum, out,
                      mutation.lazy, mutation.rate, mutation.delta);
  }
  if (mutation.type == SharedType::kCell) {
    return WriteCell(cell, mutation.epoch, mutation.state, out);
  }
  out.push_back(static_cast<char>(mutation.type));
  const unsigned present =
      mutation.type == SharedType::kReset && mutation.observation.set.present ? kPresent : 0u;
  const bool is_tree = mutation.type == SharedType::kTree;
  const unsigned exists =
      (is_tree && mutation.tree.exists ? kExists : 0u) | (is_tree && mutation.gone ? kGone : 0u);
  out.push_back(static_cast<char>(in_tree | present | exists));
  PutVarint(out, mutation.epoch);
  switch (mutation.type) {
    case SharedType::kTree:
      PutText(cell.name, last_name_, with_dictionary_, out);
      return PutTree(mutation.tree, out);
    case SharedType::kReset:
      PutName(cell, out);
      return PutObservation(mutation.observation, out);
    case SharedType::kAttribute:
      PutText(cell.name, last_name_, with_dictionary_, out);
      out.push_back(static_cast<char>(mutation.attribute));
      PutVersion(mutation.version, out);
      PutSignedVarint(out, mutation.expires_at);
      return mutation.precision.EncodeTo(out);
    case SharedType::kFold:
      PutName(cell, out);
      PutIndex(mutation.origin, out);
      PutVarint(out, mutation.lsn);
      return PutVarint(out, mutation.end);
    case SharedType::kClose:
    case SharedType::kFolded:
      PutIndex(mutation.origin, out);
      return PutVarint(out, mutation.lsn);
    case SharedType::kUpTo:
      return PutVarint(out, mutation.lsn);
    case SharedType::kEpoch:
    case SharedType::kClustered:
    case SharedType::kEntry:
    case SharedType::kCell:
      return;
  }
}

// ---- reading

OriginId SharedReader::GetId(ByteReader& in) {
  if (dictionary_ == nullptr) return crdt::GetOrigin(in);
  const std::uint64_t index = in.Varint();
  if (index >= dictionary_->size()) in.Fail();
  return in.ok() ? (*dictionary_)[index] : OriginId{};
}

crdt::OriginIndex SharedReader::GetIndex(ByteReader& in) {
  const OriginId id = GetId(in);
  if (!in.ok()) return 0;
  const auto index = origins_.Add(id);
  if (!index) in.Fail();
  return index.value_or(0);
}

crdt::Version SharedReader::GetVersion(ByteReader& in) {
  crdt::Version version{.clock = in.Varint(), .origin = {}};
  if (version.clock != 0) version.origin = GetId(in);
  return version;
}

void SharedReader::GetObservation(ByteReader& in, crdt::Observation& observation) {
  const std::uint64_t count = in.Varint();
  if (count > kListMax) in.Fail();
  observation = {};
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    crdt::Observation::Component seen;
    seen.origin = GetIndex(in);
    seen.cut = in.Varint();
    seen.present = in.Fixed<std::uint8_t>() != 0;
    if (seen.present) seen.sum = Decimal::Decode(in);
    observation.components.push_back(seen);
  }
  observation.set.version = GetVersion(in);
  observation.set.value = Decimal::Decode(in);
}

TreeFacts SharedReader::GetTree(ByteReader& in) {
  TreeFacts tree;
  tree.epoch = in.Varint();
  tree.version = GetVersion(in);
  const auto width = in.Fixed<std::uint8_t>();
  if (width > static_cast<std::uint8_t>(Width::kYear)) in.Fail();
  tree.settings.width = static_cast<Width>(width);
  const std::string_view zone = in.Bytes();
  if (zone.size() > kZoneMax) in.Fail();
  const std::uint64_t retain = in.Varint();
  if (retain > UINT32_MAX) in.Fail();
  tree.watermark = in.SignedVarint();
  if (!in.ok()) return {};
  tree.settings.zone = zone;
  tree.settings.retain = static_cast<std::uint32_t>(retain);
  return tree;
}

void SharedReader::GetState(ByteReader& in, crdt::Cell& state) {
  state = {};
  const std::uint64_t entries = in.Varint();
  for (std::uint64_t i = 0; i < entries && in.ok(); ++i) {
    crdt::Entry entry;
    entry.origin = GetIndex(in);
    entry.birth = in.Varint();
    entry.sum = Decimal::Decode(in);
    if (in.ok()) state.PutEntry(entry);
  }
  const std::uint64_t bases = in.Varint();
  for (std::uint64_t i = 0; i < bases && in.ok(); ++i) {
    crdt::Base base;
    base.origin = GetIndex(in);
    const auto kind = in.Fixed<std::uint8_t>();
    if (kind > static_cast<std::uint8_t>(crdt::Base::Kind::kVoid)) in.Fail();
    base.kind = static_cast<crdt::Base::Kind>(kind);
    base.cut = in.Varint();
    base.stamp = in.Varint();
    base.sum = Decimal::Decode(in);
    if (in.ok()) state.PutBase(base);
  }
  const std::uint64_t folds = in.Varint();
  for (std::uint64_t i = 0; i < folds && in.ok(); ++i) {
    crdt::Fold fold;
    fold.closed = GetIndex(in);
    fold.into = GetIndex(in);
    fold.lsn = in.Varint();
    if (in.ok()) state.PutFold(fold);
  }
  crdt::SetRegister set{.version = GetVersion(in), .value = 0, .present = false};
  if (set.version.clock == 0) return;
  set.value = Decimal::Decode(in);
  set.present = in.Fixed<std::uint8_t>() != 0;
  if (in.ok()) state.PutSet(set);
}

bool SharedReader::ReadCounter(ByteReader& in, CounterEntry& entry) {
  if (dictionary_ == nullptr || !in.ok() || in.Remaining() < 2) return false;
  const auto type = static_cast<std::uint8_t>(in.Position()[0]);
  const auto flags = static_cast<std::uint8_t>(in.Position()[1]);
  if (type != static_cast<std::uint8_t>(SharedType::kEntry)) return false;
  if ((flags & ~kHasBirth) != 0) return false;
  (void)in.Take(2);
  entry.name = GetText(in, last_name_);
  entry.birth = (flags & kHasBirth) != 0 ? in.Varint() : 0;
  entry.sum = Decimal::Decode(in);
  return true;
}

void SharedReader::Read(ByteReader& in, SharedMutation& mutation) {
  if (mutation.type == SharedType::kEntry) {  // as most are: there is little to forget
    mutation.cell = {};
    mutation.epoch = 0;
    mutation.gone = mutation.lazy = false;
    mutation.birth = 0;
    mutation.sum = mutation.delta = 0;
    mutation.rate = 0;
  } else {
    mutation = {};
  }
  const auto type = in.Fixed<std::uint8_t>();
  const auto flags = in.Fixed<std::uint8_t>();
  const bool may_have_delta =
      dictionary_ == nullptr && type == static_cast<std::uint8_t>(SharedType::kEntry);
  if (type < 6 || type > (dictionary_ == nullptr ? 15 : 16)) in.Fail();
  if ((flags & kHasDelta) != 0 && !may_have_delta) in.Fail();
  mutation.type = static_cast<SharedType>(type);
  mutation.cell.in_tree = (flags & kInTree) != 0;
  if (mutation.type != SharedType::kEntry || dictionary_ == nullptr) mutation.epoch = in.Varint();
  if (!in.ok()) return;
  const auto name = [&] {
    mutation.cell.name = GetText(in, last_name_);
    if (!mutation.cell.in_tree) return;
    mutation.cell.tree_epoch = in.Varint();
    mutation.cell.key = GetText(in, last_key_);
    mutation.cell.bucket = in.SignedVarint();
  };
  switch (mutation.type) {
    case SharedType::kEntry:
      name();
      mutation.gone = (flags & kGone) != 0;
      if ((flags & kHasBirth) != 0) mutation.birth = in.Varint();
      if (!mutation.gone) mutation.sum = Decimal::Decode(in);
      mutation.lazy = (flags & kLazy) != 0;
      if ((flags & kHasRate) != 0) mutation.rate = std::bit_cast<float>(in.Fixed<std::uint32_t>());
      if (!std::isfinite(mutation.rate)) in.Fail();
      if (may_have_delta && (flags & kAddedOne) != 0) mutation.delta = 1;
      if ((flags & kHasDelta) != 0) mutation.delta = Decimal::Decode(in);
      break;
    case SharedType::kTree:
      mutation.cell.name = GetText(in, last_name_);
      mutation.tree = GetTree(in);
      mutation.tree.exists = (flags & kExists) != 0;
      mutation.gone = (flags & kGone) != 0;
      break;
    case SharedType::kReset:
      name();
      GetObservation(in, mutation.observation);
      mutation.observation.set.present = (flags & kPresent) != 0;
      break;
    case SharedType::kAttribute: {
      mutation.cell.name = GetText(in, last_name_);
      const auto attribute = in.Fixed<std::uint8_t>();
      if (attribute > static_cast<std::uint8_t>(AttributeKind::kPrecision)) in.Fail();
      mutation.attribute = static_cast<AttributeKind>(attribute);
      mutation.version = GetVersion(in);
      mutation.expires_at = in.SignedVarint();
      mutation.precision = Decimal::Decode(in);
      break;
    }
    case SharedType::kFold:
      name();
      mutation.origin = GetIndex(in);
      mutation.lsn = in.Varint();
      mutation.end = in.Varint();
      break;
    case SharedType::kClose:
    case SharedType::kFolded:
      mutation.origin = GetIndex(in);
      mutation.lsn = in.Varint();
      break;
    case SharedType::kCell:
      name();
      GetState(in, mutation.state);
      break;
    case SharedType::kUpTo:
      mutation.lsn = in.Varint();
      break;
    case SharedType::kEpoch:
    case SharedType::kClustered:
      break;
  }
}

}  // namespace jeton::engine
