#include "engine/table.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/assert.h"
#include "engine/key_record.h"
#include "engine/shared_state.h"

namespace jeton::engine {

template <typename RecordT, int kPrefixBits>
BasicTable<RecordT, kPrefixBits>::BasicTable(BlockPool& pool, std::uint64_t hash_seed,
                                             int max_depth)
    : pool_(pool), hash_seed_(hash_seed), max_depth_(max_depth) {
  Clear();
}

template <typename RecordT, int kPrefixBits>
BasicTable<RecordT, kPrefixBits>::~BasicTable() {
  Clear();
}

template <typename RecordT, int kPrefixBits>
void BasicTable<RecordT, kPrefixBits>::Clear() {
  if (!directories_.empty()) {
    const Directory& directory = *directories_.back();
    for (std::size_t i = 0; i < directory.Size();) {
      const Reference reference = directory.references[i].load(std::memory_order_relaxed);
      if (reference != 0) FreeSegment(SegmentOf(reference));
      i += AliasesOf(directory, reference);
    }
  }
  directories_.clear();
  directories_.push_back(std::make_unique<Directory>(0));
  directory_.store(Published(*directories_.back()), std::memory_order_release);
  size_ = 0;
  drained_ = 0;
  overhead_bytes_ = sizeof(Directory) + sizeof(Reference);
}

template <typename RecordT, int kPrefixBits>
typename BasicTable<RecordT, kPrefixBits>::Slot* BasicTable<RecordT, kPrefixBits>::Search(
    Reference reference, std::uint64_t tag, const Name& name) const {
  Segment* segment = SegmentOf(reference);
  Slot* slot = segment->slots + HomeOf(tag, IsSmall(reference));
  Slot* const usual_end = IsSmall(reference) ? segment->end() : segment->slots + kSlots - 1;
  for (;; ++slot) {
    // Only beyond a block's last slot is the header asked: it is on another cache line.
    if (slot >= usual_end && slot >= segment->end()) return nullptr;
    if (*slot == 0 || TagIn(*slot) > tag) return nullptr;
    if (TagIn(*slot) == tag && RecordAt(*slot)->HasName(name)) return slot;
  }
}

template <typename RecordT, int kPrefixBits>
void BasicTable<RecordT, kPrefixBits>::FindAll(std::uint64_t hash,
                                               std::vector<RecordT*>& out) const {
  const Reference reference = ReferenceOf(hash);
  if (reference == 0) return;
  Segment* segment = SegmentOf(reference);
  const std::uint64_t tag = TagOf(hash, DepthOf(reference));
  for (Slot* slot = segment->slots + HomeOf(tag, segment->small()); slot < segment->end(); ++slot) {
    if (*slot == 0 || TagIn(*slot) > tag) return;
    if (TagIn(*slot) == tag && HashOf(RecordAt(*slot)) == hash) out.push_back(RecordAt(*slot));
  }
}

template <typename RecordT, int kPrefixBits>
void BasicTable<RecordT, kPrefixBits>::Insert(std::uint64_t hash, RecordT* record) {
  if (ReferenceOf(hash) == 0) Refer(hash, 0, NewSegment(kStartsSmall ? kSmallestSlots : kSlots));
  for (;;) {
    const Reference reference = ReferenceOf(hash);
    Segment* segment = SegmentOf(reference);
    const int depth = DepthOf(reference);
    const bool may_split = depth < max_depth_;
    const bool crowded = segment->header.count >= kSplitAbove && may_split;
    if (!crowded && InsertSlot(segment, TagOf(hash, depth), record)) break;
    if (segment->small()) {
      Refer(hash, depth, Enlarged(segment));
      continue;
    }
    may_split ? Split(hash) : Refer(hash, depth, Extended(segment));
  }
  ++size_;
}

// False if the last slots, which are nobody's home, are all taken.
template <typename RecordT, int kPrefixBits>
bool BasicTable<RecordT, kPrefixBits>::InsertSlot(Segment* segment, std::uint64_t tag,
                                                  RecordT* record) {
  Slot* place = segment->slots + HomeOf(tag, segment->small());
  Slot* const end = segment->end();
  while (place < end && *place != 0 && TagIn(*place) <= tag) ++place;
  Slot* gap = place;
  while (gap < end && *gap != 0) ++gap;
  if (gap == end) return false;
  std::memmove(place + 1, place, static_cast<std::size_t>(gap - place) * sizeof(Slot));
  *place = tag << 48 | reinterpret_cast<std::uint64_t>(record);
  ++segment->header.count;
  return true;
}

template <typename RecordT, int kPrefixBits>
void BasicTable<RecordT, kPrefixBits>::Erase(std::uint64_t hash, Slot* slot) {
  Segment* segment = SegmentOf(ReferenceOf(hash));
  Slot* const end = segment->end();
  Slot* next = slot + 1;
  const bool small = segment->small();
  while (next < end && *next != 0 && segment->slots + HomeOf(TagIn(*next), small) < next) ++next;
  std::memmove(slot, slot + 1, static_cast<std::size_t>(next - 1 - slot) * sizeof(Slot));
  next[-1] = 0;
  --segment->header.count;
  --size_;
  // Looking at the neighbour costs a cache miss: not at every record that goes.
  if (segment->header.count <= kMergeUpTo / 2 && segment->header.count % 16 == 0) {
    while (MergeAt(hash)) {
    }
  }
}

// Every directory entry whose first `depth` bits are those of `hash` now leads to `segment`.
template <typename RecordT, int kPrefixBits>
void BasicTable<RecordT, kPrefixBits>::Refer(std::uint64_t hash, int depth, Segment* segment) {
  const Directory& directory = *directories_.back();
  const std::size_t aliases = std::size_t{1} << (directory.depth - depth);
  const std::size_t first = directory.IndexOf(hash) & ~(aliases - 1);
  const Reference reference = segment != nullptr ? MakeReference(segment, depth) : 0;
  for (std::size_t i = first; i < first + aliases; ++i) {
    directory.references[i].store(reference, std::memory_order_relaxed);
  }
}

template <typename RecordT, int kPrefixBits>
void BasicTable<RecordT, kPrefixBits>::Split(std::uint64_t hash) {
  const Reference reference = ReferenceOf(hash);
  Segment* old = SegmentOf(reference);
  const int depth = DepthOf(reference) + 1;
  if (depth > directories_.back()->depth) DoubleDirectory();
  const std::uint64_t bit = SpanOf(depth);
  Segment* halves[2] = {NewSegment(kSlots), NewSegment(kSlots)};

  constexpr std::ptrdiff_t kAhead = 12;
  for (Slot* slot = old->slots; slot < old->end(); ++slot) {
    if (slot + kAhead < old->end()) __builtin_prefetch(RecordAt(slot[kAhead]));
    if (*slot == 0) continue;
    const std::uint64_t record_hash = HashOf(RecordAt(*slot));
    Segment*& half = halves[(record_hash & bit) != 0];
    InsertIntoHalf(half, TagOf(record_hash, depth), RecordAt(*slot));
  }
  Refer(hash & ~bit, depth, halves[0]);
  Refer(hash | bit, depth, halves[1]);
  FreeSegment(old);
}

// Hashes that hardly differ may crowd the end of a half, though the whole had room for them.
template <typename RecordT, int kPrefixBits>
void BasicTable<RecordT, kPrefixBits>::InsertIntoHalf(Segment*& half, std::uint64_t tag,
                                                      RecordT* record) {
  while (!InsertSlot(half, tag, record)) half = Extended(half);
}

// A small segment of twice the size, or a full one. Frees the old one.
template <typename RecordT, int kPrefixBits>
typename BasicTable<RecordT, kPrefixBits>::Segment* BasicTable<RecordT, kPrefixBits>::Enlarged(
    Segment* old) {
  const std::uint32_t slots = old->header.slots;
  Segment* grown = NewSegment(slots < kLargestSmallSlots ? slots * 2 : kSlots);
  for (Slot* slot = old->slots; slot < old->end(); ++slot) {
    if (*slot != 0) ASSERT(InsertSlot(grown, TagIn(*slot), RecordAt(*slot)));
  }
  FreeSegment(old);
  return grown;
}

// The same segment with more slots that are nobody's home. Frees the old one.
template <typename RecordT, int kPrefixBits>
typename BasicTable<RecordT, kPrefixBits>::Segment* BasicTable<RecordT, kPrefixBits>::Extended(
    Segment* old) {
  Segment* grown = NewSegment(old->header.slots * 2);
  std::memcpy(grown->slots, old->slots, (old->header.slots - 1) * sizeof(Slot));
  grown->header.count = old->header.count;
  FreeSegment(old);
  return grown;
}

// Merges the segment of `hash` with its neighbour of the same depth if both are nearly empty, or
// frees it if it was the last one. True if a further merge may be possible.
template <typename RecordT, int kPrefixBits>
bool BasicTable<RecordT, kPrefixBits>::MergeAt(std::uint64_t hash) {
  const Reference reference = ReferenceOf(hash);
  Segment* segment = SegmentOf(reference);
  const int depth = DepthOf(reference);
  if (depth == 0) {
    if (segment->header.count > 0) return false;
    Refer(hash, 0, nullptr);
    FreeSegment(segment);
    return false;
  }
  const std::uint64_t bit = SpanOf(depth);
  const Reference other = ReferenceOf(hash ^ bit);
  const std::uint32_t together = segment->header.count + SegmentOf(other)->header.count;
  if (DepthOf(other) != depth || together > kMergeUpTo) return false;

  Segment* halves[2] = {segment, SegmentOf(other)};
  if ((hash & bit) != 0) std::swap(halves[0], halves[1]);
  Segment* merged = NewSegment(kSlots);
  for (std::uint64_t half = 0; half < 2; ++half) {
    for (Slot* slot = halves[half]->slots; slot < halves[half]->end(); ++slot) {
      if (*slot == 0) continue;
      // The records need not be touched: the bit that told the halves apart leads the tag again.
      if (!InsertSlot(merged, half << 15 | TagIn(*slot) >> 1, RecordAt(*slot))) {
        FreeSegment(merged);
        return false;
      }
    }
  }
  Refer(hash, depth - 1, merged);
  FreeSegment(halves[0]);
  FreeSegment(halves[1]);
  return true;
}

template <typename RecordT, int kPrefixBits>
void BasicTable<RecordT, kPrefixBits>::DoubleDirectory() {
  const Directory& old = *directories_.back();
  auto doubled = std::make_unique<Directory>(old.depth + 1);
  for (std::size_t i = 0; i < doubled->Size(); ++i) {
    doubled->references[i].store(old.references[i / 2].load(std::memory_order_relaxed),
                                 std::memory_order_relaxed);
  }
  overhead_bytes_ += sizeof(Directory) + doubled->Size() * sizeof(Reference);
  directory_.store(Published(*doubled), std::memory_order_release);
  directories_.push_back(std::move(doubled));
}

template <typename RecordT, int kPrefixBits>
void BasicTable<RecordT, kPrefixBits>::Reserve(std::uint64_t size) {
  const Reference first = directories_.back()->references[0].load(std::memory_order_relaxed);
  int depth = 0;
  while (depth < max_depth_ && size >> depth > kReservedEach) ++depth;
  if (directories_.back()->depth > 0 || depth == 0) return;
  auto reserved = std::make_unique<Directory>(depth);
  for (std::size_t i = 0; i < reserved->Size(); ++i) {
    reserved->references[i].store(MakeReference(NewSegment(kSlots), depth),
                                  std::memory_order_relaxed);
  }
  overhead_bytes_ += sizeof(Directory) + reserved->Size() * sizeof(Reference);
  directory_.store(Published(*reserved), std::memory_order_release);
  directories_.push_back(std::move(reserved));
  if (first == 0) return;
  Segment* old = SegmentOf(first);
  size_ -= old->header.count;
  for (Slot* slot = old->slots; slot < old->end(); ++slot) {
    if (*slot != 0) Insert(HashOf(RecordAt(*slot)), RecordAt(*slot));
  }
  FreeSegment(old);
}

template <typename RecordT, int kPrefixBits>
typename BasicTable<RecordT, kPrefixBits>::Segment* BasicTable<RecordT, kPrefixBits>::NewSegment(
    std::uint32_t slots) {
  const std::size_t bytes = slots * sizeof(Slot);
  void* memory = slots == kSlots ? pool_.Allocate() : std::malloc(bytes);
  ASSERT(memory != nullptr);
  if (slots != kSlots) overhead_bytes_ += bytes;
  if (slots == kSlots) ++segments_;
  std::memset(memory, 0, bytes);
  auto* segment = static_cast<Segment*>(memory);
  segment->header.slots = slots;
  return segment;
}

template <typename RecordT, int kPrefixBits>
void BasicTable<RecordT, kPrefixBits>::FreeSegment(Segment* segment) {
  if (segment->header.slots == kSlots) {
    --segments_;
    return pool_.Free(segment);
  }
  overhead_bytes_ -= segment->header.slots * sizeof(Slot);
  std::free(segment);
}

template <typename RecordT, int kPrefixBits>
std::uint64_t BasicTable<RecordT, kPrefixBits>::Walk(std::uint64_t from, std::size_t count,
                                                     std::vector<Walked>& out) const {
  const std::uint64_t all = SpanOf(0);
  const std::uint64_t end = all == 0 ? 0 : (from & ~(all - 1)) + all;
  const std::size_t first = out.size();
  while (out.size() - first < count) {
    AppendFrom(from, count - (out.size() - first), out);
    if (out.size() - first >= count) return out.back().hash + 1;
    const int depth = DepthOf(ReferenceOf(from));
    const std::uint64_t span = SpanOf(depth);
    from = span == 0 ? 0 : (from & ~(span - 1)) + span;
    if (from == end) break;
  }
  return from;
}

// The part of Walk that is inside one segment.
template <typename RecordT, int kPrefixBits>
void BasicTable<RecordT, kPrefixBits>::AppendFrom(std::uint64_t from, std::size_t count,
                                                  std::vector<Walked>& out) const {
  const Reference reference = ReferenceOf(from);
  if (reference == 0) return;
  Segment* segment = SegmentOf(reference);
  const std::uint64_t tag = TagOf(from, DepthOf(reference));
  const std::size_t first = out.size();

  // Records with equal tags are in no order, so a tag is taken whole and sorted afterwards. Those
  // of the first tag may be below `from`.
  std::size_t of_first_tag = 0;
  std::uint64_t last_tag = 0;
  for (const Slot* slot = segment->slots + HomeOf(tag, segment->small()); slot < segment->end();
       ++slot) {
    if (*slot == 0 || TagIn(*slot) < tag) continue;
    const std::size_t taken = out.size() - first;
    if (taken >= count + of_first_tag && TagIn(*slot) != last_tag) break;
    last_tag = TagIn(*slot);
    if (last_tag == tag) ++of_first_tag;
    out.push_back({0, RecordAt(*slot)});
    __builtin_prefetch(RecordAt(*slot));
  }
  for (std::size_t i = first; i < out.size(); ++i) out[i].hash = HashOf(out[i].record);
  const auto begin = out.begin() + static_cast<std::ptrdiff_t>(first);
  std::sort(begin, out.end(), [](const Walked& a, const Walked& b) { return a.hash < b.hash; });
  const auto live = std::find_if(begin, out.end(), [&](const Walked& w) { return w.hash >= from; });
  out.erase(begin, live);
  if (out.size() - first <= count) return;
  std::size_t keep = first + count;
  while (keep < out.size() && out[keep].hash == out[keep - 1].hash) ++keep;
  out.resize(keep);
}

template class BasicTable<Record, 8>;
template class BasicTable<KeyRecord, 0>;
template class BasicTable<SharedName, 8>;

}  // namespace jeton::engine
