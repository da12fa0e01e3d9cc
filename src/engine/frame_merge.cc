#include "engine/frame_merge.h"

#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crdt/frame.h"
#include "engine/frame_body.h"
#include "engine/shared_mutation.h"
#include "engine/shared_state.h"

namespace jeton::engine {

namespace {

// A mutation with the texts that it names.
struct Control {
  SharedMutation mutation;
  std::string name, key;
  Lsn said = 0;  // the end of its frame
  bool covered = false;

  // After it was moved.
  void PointAtTexts() {
    mutation.cell.name = name;
    mutation.cell.key = key;
  }
};

struct OwnEntry {
  std::string id;  // of the cell, the tree's epoch being 0
  std::uint64_t tree_epoch = 0;
  bool gone = false;
  Lsn birth = 0;
  float rate = 0;
  Decimal sum;
};

// Whether `later`, of the same cell and origin, leaves nothing of `earlier`: its register wins, and
// of each origin that the earlier one had observed it has observed as much or more. With just as
// much it must have seen an entry where the earlier one did: a fold may lie between the two, and
// then both are needed.
bool Covers(const SharedMutation& later, const SharedMutation& earlier) {
  const crdt::Observation& now = later.observation;
  const crdt::Observation& then = earlier.observation;
  if (!(now.set.version > then.set.version)) return false;
  auto next = now.components.begin();
  std::map<crdt::OriginIndex, const crdt::Observation::Component*> seen;
  for (; next != now.components.end(); ++next) seen[next->origin] = &*next;
  for (const auto& part : then.components) {
    const auto found = seen.find(part.origin);
    if (found == seen.end() || found->second->cut < part.cut) return false;
    if (found->second->cut == part.cut && found->second->present != part.present) return false;
  }
  return true;
}

bool Shows(const SharedMutation& attribute) {
  return attribute.attribute == AttributeKind::kExpiry ? attribute.expires_at != 0
                                                       : !attribute.precision.IsNegative();
}

bool CoversTree(const TreeFacts& later, const TreeFacts& earlier) {
  if (later.epoch < earlier.epoch || later.version < earlier.version) return false;
  return later.epoch > earlier.epoch || later.watermark >= earlier.watermark;
}

class Merger {
 public:
  // False if the frame cannot be merged with those before; nothing of it is taken then.
  bool Add(std::string_view bytes);
  std::string Encode();

 private:
  struct Decoded {
    std::deque<Control> controls;
    std::vector<OwnEntry> entries;
  };
  bool Decode(const crdt::Frame& frame, const BodyHead& head, ByteReader in, Decoded& decoded);
  void AddControl(Control control);
  void Cover(Control& control);
  void RaiseEpoch(std::uint64_t epoch);
  void WriteSection(SharedType type, SharedWriter& writer, std::string& out);

  crdt::OriginTable origins_;
  crdt::Frame merged_;
  BodyHead head_;
  bool begun_ = false;
  std::deque<Control> controls_;
  std::vector<OwnEntry> entries_;  // in the order in which they first came
  std::unordered_map<std::string, std::size_t> places_;
  // The last of each kind that says something of a name or cell.
  std::map<std::string, Control*> last_, last_shown_;
  Lsn said_ = 0;  // while encoding: what the last mark says
};

bool Merger::Decode(const crdt::Frame& frame, const BodyHead& head, ByteReader in,
                    Decoded& decoded) {
  SharedReader reader(origins_, &head.dictionary);
  SharedMutation mutation;
  Lsn said = frame.to;
  while (in.ok() && !in.AtEnd()) {
    reader.Read(in, mutation);
    if (!in.ok()) return false;
    const CellName& cell = mutation.cell;
    switch (mutation.type) {
      case SharedType::kUpTo:
        said = mutation.lsn;
        break;
      case SharedType::kFold:
      case SharedType::kFolded:
        return false;
      case SharedType::kEntry: {
        OwnEntry entry{.id = {},
                       .tree_epoch = cell.tree_epoch,
                       .gone = mutation.gone,
                       .birth = mutation.birth,
                       .rate = mutation.rate,
                       .sum = mutation.sum};
        CellName name = cell;
        name.tree_epoch = 0;
        EncodeCellId(name, entry.id);
        decoded.entries.push_back(std::move(entry));
        break;
      }
      default: {
        Control& control = decoded.controls.emplace_back();
        control.name = cell.name;
        control.key = cell.key;
        control.said = said;
        control.mutation = std::move(mutation);
        mutation = {};
      }
    }
  }
  return in.ok();
}

// Everything older is gone, but for who is over.
void Merger::RaiseEpoch(std::uint64_t epoch) {
  head_.epoch = epoch;
  entries_.clear();
  places_.clear();
  last_.clear();
  last_shown_.clear();
  std::erase_if(controls_, [&](const Control& control) {
    return control.mutation.type != SharedType::kClose && control.mutation.epoch < epoch;
  });
}

// Marks what the new one makes useless.
void Merger::Cover(Control& control) {
  const SharedMutation& mutation = control.mutation;
  std::string id(1, static_cast<char>(mutation.type));
  switch (mutation.type) {
    case SharedType::kTree:
      id += control.name;
      break;
    case SharedType::kReset: {
      std::string cell;
      EncodeCellId(mutation.cell, cell);
      id += cell;
      break;
    }
    case SharedType::kAttribute:
      id.push_back(static_cast<char>(mutation.attribute));
      id += control.name;
      break;
    case SharedType::kEpoch:
      break;
    default:
      return;
  }
  Control*& last = last_[id];
  if (mutation.type != SharedType::kAttribute) {
    const bool covers =
        last != nullptr &&
        (mutation.type == SharedType::kEpoch ||
         (mutation.type == SharedType::kTree && CoversTree(mutation.tree, last->mutation.tree)) ||
         (mutation.type == SharedType::kReset && Covers(mutation, last->mutation)));
    if (covers) last->covered = true;
    last = &control;
    return;
  }
  // One that says that there is something also brings a hidden zero into view; one that says that
  // there is nothing does not. So the last of either sort stays.
  Control*& shown = last_shown_[id];
  const auto cover = [&](Control* old) {
    if (old != nullptr && old->mutation.version < mutation.version) old->covered = true;
  };
  if (Shows(mutation)) {
    cover(shown);
    cover(last);
    shown = &control;
  } else if (last != shown) {
    cover(last);
  }
  last = &control;
}

void Merger::AddControl(Control control) {
  Control& added = controls_.emplace_back(std::move(control));
  added.PointAtTexts();
  if (added.mutation.epoch < head_.epoch && added.mutation.type != SharedType::kClose) {
    controls_.pop_back();
    return;
  }
  Cover(added);
}

bool Merger::Add(std::string_view bytes) {
  ByteReader in(bytes);
  const crdt::Frame frame = crdt::DecodeFrame(in);
  if (!in.ok()) return false;
  ByteReader body(frame.body);
  BodyHead head = GetHead(body);
  if (!body.ok()) return false;
  const bool follows = frame.origin == merged_.origin && head.node == head_.node &&
                       frame.from <= merged_.to && frame.from >= merged_.from &&
                       frame.to > merged_.to && head.epoch >= head_.epoch;
  if (begun_ && !follows) return false;
  Decoded decoded;
  if (!Decode(frame, head, body, decoded)) return false;
  const Lsn from = begun_ ? merged_.from : frame.from;
  merged_ = frame;
  merged_.from = from;
  if (begun_ && head.epoch > head_.epoch) RaiseEpoch(head.epoch);
  head_ = {.node = head.node, .partial = head.partial, .epoch = head.epoch, .dictionary = {}};
  begun_ = true;
  for (OwnEntry& entry : decoded.entries) {
    const auto [place, fresh] = places_.try_emplace(entry.id, entries_.size());
    if (fresh) {
      entries_.push_back(std::move(entry));
    } else {
      entries_[place->second] = std::move(entry);
    }
  }
  for (Control& control : decoded.controls) AddControl(std::move(control));
  return true;
}

void Merger::WriteSection(SharedType type, SharedWriter& writer, std::string& out) {
  for (Control& control : controls_) {
    if (control.mutation.type != type || control.covered) continue;
    control.PointAtTexts();
    if (control.said != said_) {
      said_ = control.said;
      writer.Write({.type = SharedType::kUpTo, .epoch = head_.epoch, .lsn = said_}, out);
    }
    writer.Write(control.mutation, out);
  }
}

std::string Merger::Encode() {
  SharedWriter writer(origins_, true);
  std::string body;
  said_ = merged_.to;
  WriteSection(SharedType::kEpoch, writer, body);
  WriteSection(SharedType::kTree, writer, body);
  WriteSection(SharedType::kClose, writer, body);
  for (const OwnEntry& entry : entries_) {
    CellName cell = DecodeCellId(entry.id);
    cell.tree_epoch = entry.tree_epoch;
    writer.WriteEntry(cell, head_.epoch, entry.gone, entry.birth, entry.sum, body, false,
                      entry.rate);
  }
  WriteSection(SharedType::kReset, writer, body);
  WriteSection(SharedType::kAttribute, writer, body);
  std::string whole;
  head_.dictionary = writer.dictionary();
  PutHead(head_, whole);
  whole += body;
  merged_.body = whole;
  return crdt::EncodeFrame(merged_);
}

}  // namespace

MergedFrame MergeFrames(std::span<const std::string_view> frames) {
  Merger merger;
  MergedFrame merged;
  while (merged.count < frames.size() && merger.Add(frames[merged.count])) ++merged.count;
  if (merged.count >= 2) merged.bytes = merger.Encode();
  return merged;
}

}  // namespace jeton::engine
