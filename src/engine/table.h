// BasicTable: records by hash: the names of one partition (Table), or the keys of one tree.
// Extendible hashing (Fagin, Nievergelt, Pippenger, Strong, 1979): a directory indexed by the
// hash's bits below a partition's 8 leads to segments of one block each. A full segment splits in
// two, and two nearly empty neighbours merge, so no change ever waits for more than some hundred
// records.
//
// A segment is an array of 8-byte slots, 16 bits of tag and 48 of pointer. The tag is the hash's
// bits after those that lead to the segment. Its home slot is proportional to the tag and slots are
// kept sorted by tag (ordered linear probing: Amble and Knuth, 1974), without wrapping round: the
// last slots are nobody's home. So a segment is in hash order, and so is the whole table: a scan's
// cursor is a hash, and splits and merges do not disturb it.
//
// The keys of a tree begin with a small segment, which is searched from its first slot on, so that
// a tree of five keys does not cost a block.
//
// Threads: the partition's lock guards it. Prefetch alone may run without, and PrefetchRecord if
// the table never has small segments: directories are published whole and the old ones (together no
// larger than the new one) are kept until Clear.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "engine/blocks.h"
#include "engine/record.h"

namespace jeton::engine {

// RecordT has bytes(), HashWith(seed), HasName(name), and a type Name. kPrefixBits of the hash are
// the same for all records of a table.
template <typename RecordT, int kPrefixBits>
class BasicTable {
 public:
  // One record met on a walk.
  struct Walked {
    std::uint64_t hash;
    RecordT* record;
  };
  using Name = typename RecordT::Name;
  // A slot; valid until the next Insert or Erase.
  using Slot = std::uint64_t;

  // Hashes that agree in `max_depth` bits below the partition's are kept in one segment, which then
  // grows beyond a block: honest names never get there.
  BasicTable(BlockPool& pool, std::uint64_t hash_seed, int max_depth = kMaxDepth);
  ~BasicTable();  // the records must be gone or be forgotten: the table does not own them
  BasicTable(const BasicTable&) = delete;
  BasicTable& operator=(const BasicTable&) = delete;

  void Prefetch(std::uint64_t hash) const {
    const Reference reference = ReferenceOf(hash);  // null does no harm
    const std::uint64_t home = HomeOf(TagOf(hash, DepthOf(reference)), IsSmall(reference));
    const std::uint64_t slot = (reference & kPointerMask) + sizeof(Header) + home * sizeof(Slot);
    __builtin_prefetch(reinterpret_cast<const void*>(slot));
    __builtin_prefetch(reinterpret_cast<const void*>(slot + kReach));
  }
  // What it finds may be used as a hint for Find. It races with whoever changes the segment, or
  // gives its block back, under the lock; a stale view does no harm:
  //  - what it reads is mapped. The reference is read whole and says whether the segment is a
  //    block of the pool, whose addresses stay mapped (see BlockPool); of one that is not, nothing
  //    is read. The directory that it is in stays until Clear, which nobody runs beside it;
  //  - it stays within that block, whatever the block holds by now: a home is below kHomes, and the
  //    walk ends at kSlots. Each slot is read once, as one word, so that what was checked is what
  //    is used;
  //  - what it reads is never followed, only prefetched, which cannot fault;
  //  - what it returns is never believed: Find looks, under the lock, whether the hint lies in the
  //    segment that the hash leads to then, and at its tag and name.
  // Brings the first `bytes` of the record, at most 64.
  [[gnu::no_sanitize("thread")]] const Slot* PrefetchRecord(
      std::uint64_t hash, std::size_t bytes = RecordT::kUsualBytes) const {
    const Reference reference = ReferenceOf(hash);
    if (reference == 0 || (reference & kLargeBit) != 0) return nullptr;
    Segment* segment = SegmentOf(reference);
    const std::uint64_t tag = TagOf(hash, DepthOf(reference));
    const Slot* slot = segment->slots + HomeOf(tag, IsSmall(reference));
    const Slot* const end = IsSmall(reference) ? segment->end() : segment->slots + kSlots - 1;
    for (; slot < end; ++slot) {
      const Slot seen = __atomic_load_n(slot, __ATOMIC_RELAXED);
      if (seen == 0 || TagIn(seen) > tag) return nullptr;
      if (TagIn(seen) < tag) continue;
      const auto* record = reinterpret_cast<const char*>(seen & kPointerMask);
      __builtin_prefetch(record, 1);
      __builtin_prefetch(record + bytes - 1, 1);
      return slot;
    }
    return nullptr;
  }

  // `hint` is null, or a slot that PrefetchRecord has found some time ago.
  [[gnu::always_inline]] Slot* Find(std::uint64_t hash, const Name& name,
                                    const Slot* hint = nullptr) const {
    const Reference reference = ReferenceOf(hash);
    if (reference == 0) return nullptr;
    Segment* segment = SegmentOf(reference);
    const std::uint64_t tag = TagOf(hash, DepthOf(reference));
    const auto offset =
        reinterpret_cast<std::uintptr_t>(hint) - reinterpret_cast<std::uintptr_t>(segment->slots);
    if (offset < (kSlots - 1) * sizeof(Slot) && !IsSmall(reference) && *hint != 0 &&
        TagIn(*hint) == tag && RecordAt(*hint)->HasName(name)) [[likely]]
      return const_cast<Slot*>(hint);
    return Search(reference, tag, name);
  }
  static RecordT* RecordAt(Slot slot) { return reinterpret_cast<RecordT*>(slot & kPointerMask); }
  // The record of this slot has moved.
  static void Replace(Slot* slot, RecordT* record) {
    *slot = (*slot & ~kPointerMask) | reinterpret_cast<std::uint64_t>(record);
  }
  // `record` must not be there yet.
  void Insert(std::uint64_t hash, RecordT* record);
  void Erase(std::uint64_t hash, Slot* slot);
  // Makes the segments that `size` records will need, while there is one at most; nothing
  // otherwise. Records that come in hash order would crowd the front of each segment until it
  // splits.
  void Reserve(std::uint64_t size);
  // Forgets all records and gives back the memory. No Prefetch may run meanwhile.
  void Clear();

  // Appends the next records in hash order whose hash is `from` or above: `count` of them, more if
  // several share the last one's hash, fewer only where the partition ends. Returns the hash to
  // go on from: the next partition's first one (0 after the last partition) if this one is done.
  std::uint64_t Walk(std::uint64_t from, std::size_t count, std::vector<Walked>& out) const;

  // Appends every record with this hash: hardly ever more than one.
  void FindAll(std::uint64_t hash, std::vector<RecordT*>& out) const;

  // In no particular order; `visit` may destroy the record, but must then Clear the table.
  template <typename Visit>
  void ForEach(Visit visit) const;
  // Takes some hundred records out of a table that nobody searches any more: `visit` gets each.
  // True while there are more.
  template <typename Visit>
  bool Drain(Visit visit);

  std::uint64_t size() const { return size_; }
  std::uint64_t overhead_bytes() const { return overhead_bytes_; }  // beyond the pool's blocks
  std::uint64_t block_bytes() const { return segments_ * kBlockBytes; }
  int depth() const { return directories_.back()->depth; }

 private:
  static constexpr int kMaxDepth = 20;
  static constexpr bool kStartsSmall = kPrefixBits == 0;
  static constexpr std::uint64_t kPointerMask = (std::uint64_t{1} << 48) - 1;
  static constexpr std::uint32_t kSlots = kBlockBytes / sizeof(Slot);
  static constexpr std::uint32_t kHomes = 480;
  static constexpr std::uint64_t kReach = 3 * sizeof(Slot);  // most are no further behind home
  static constexpr std::uint32_t kSplitAbove = 432;          // 0.9: beyond that clusters get long
  static constexpr std::uint32_t kMergeUpTo = 160;
  static constexpr std::uint32_t kReservedEach = 380;  // of a segment's kSplitAbove
  static constexpr std::uint32_t kSmallestSlots = 8;
  static constexpr std::uint32_t kLargestSmallSlots = 64;

  // Takes the place of the first slot.
  struct Header {
    std::uint32_t count;
    std::uint32_t slots;  // how many there are, this header included
  };
  struct Segment {
    Header header;
    Slot slots[1];  // slots[0] is the first home; really header.slots - 1
    Slot* end() { return slots + header.slots - 1; }
    bool small() const { return kStartsSmall && header.slots < kSlots; }
  };
  // A segment's address, its depth (how many hash bits lead to it) and whether it is small.
  using Reference = std::uint64_t;
  struct Directory {
    explicit Directory(int bits) : depth(bits), references(new std::atomic<Reference>[Size()] {}) {}
    std::size_t Size() const { return std::size_t{1} << depth; }
    std::size_t IndexOf(std::uint64_t hash) const {
      return hash << kPrefixBits >> 1 >> (63 - depth);
    }
    int depth;
    std::unique_ptr<std::atomic<Reference>[]> references;
  };

  static constexpr int kDepthShift = 48;
  static constexpr Reference kSmallBit = Reference{1} << 56;
  static constexpr Reference kLargeBit = Reference{1} << 57;  // not of the pool: it may be unmapped

  static Segment* SegmentOf(Reference reference) {
    return reinterpret_cast<Segment*>(reference & kPointerMask);
  }
  static int DepthOf(Reference reference) {
    return static_cast<int>(reference >> kDepthShift & 0xff);
  }
  static bool IsSmall(Reference reference) { return kStartsSmall && (reference & kSmallBit) != 0; }
  static Reference MakeReference(Segment* segment, int depth) {
    return reinterpret_cast<Reference>(segment) | static_cast<Reference>(depth) << kDepthShift |
           (segment->small() ? kSmallBit : 0) | (segment->header.slots > kSlots ? kLargeBit : 0);
  }
  static std::uint64_t TagOf(std::uint64_t hash, int depth) {
    return hash << (kPrefixBits + depth) >> 48;
  }
  static std::uint32_t HomeOf(std::uint64_t tag, bool small) {
    return small ? 0 : static_cast<std::uint32_t>(tag * kHomes >> 16);
  }
  // How many entries of the directory lead to the same segment; no segment counts as one each.
  static std::size_t AliasesOf(const Directory& directory, Reference reference) {
    return reference == 0 ? 1 : std::size_t{1} << (directory.depth - DepthOf(reference));
  }
  // How many hashes lead to a segment of this depth; 0 if all do.
  static std::uint64_t SpanOf(int depth) {
    return kPrefixBits + depth == 0 ? 0 : std::uint64_t{1} << (64 - kPrefixBits - depth);
  }
  static std::uint64_t TagIn(Slot slot) { return slot >> 48; }

  // One word says where the current directory's entries are and how many bits lead into it.
  static std::uint64_t Published(const Directory& directory) {
    return reinterpret_cast<std::uint64_t>(directory.references.get()) |
           static_cast<std::uint64_t>(directory.depth) << kDepthShift;
  }
  [[gnu::always_inline]] Reference ReferenceOf(std::uint64_t hash) const {
    const std::uint64_t directory = directory_.load(std::memory_order_acquire);
    const auto* references =
        reinterpret_cast<const std::atomic<Reference>*>(directory & kPointerMask);
    const std::uint64_t i = hash << kPrefixBits >> 1 >> (63 - DepthOf(directory));
    return references[i].load(std::memory_order_relaxed);
  }
  std::uint64_t HashOf(const RecordT* record) const { return record->HashWith(hash_seed_); }
  [[gnu::noinline]] Slot* Search(Reference reference, std::uint64_t tag, const Name& name) const;
  void Refer(std::uint64_t hash, int depth, Segment* segment);
  bool InsertSlot(Segment* segment, std::uint64_t tag, RecordT* record);
  void Split(std::uint64_t hash);
  Segment* Extended(Segment* segment);
  Segment* Enlarged(Segment* segment);
  void InsertIntoHalf(Segment*& half, std::uint64_t tag, RecordT* record);
  bool MergeAt(std::uint64_t hash);
  void DoubleDirectory();
  Segment* NewSegment(std::uint32_t slots);
  void FreeSegment(Segment* segment);
  void AppendFrom(std::uint64_t from, std::size_t count, std::vector<Walked>& out) const;

  std::atomic<std::uint64_t> directory_{0};  // as Published; near the partition's lock
  BlockPool& pool_;                          // outlives the table
  std::uint64_t hash_seed_;
  int max_depth_;
  std::uint64_t size_ = 0;
  std::size_t drained_ = 0;  // directory entries that Drain has emptied
  std::uint64_t overhead_bytes_ = 0;
  std::uint64_t segments_ = 0;                           // of one block each
  std::vector<std::unique_ptr<Directory>> directories_;  // the last one is the current
};

template <typename RecordT, int kPrefixBits>
template <typename Visit>
void BasicTable<RecordT, kPrefixBits>::ForEach(Visit visit) const {
  const Directory& directory = *directories_.back();
  for (std::size_t i = 0; i < directory.Size();) {
    const Reference reference = directory.references[i].load(std::memory_order_relaxed);
    i += AliasesOf(directory, reference);
    if (reference == 0) continue;
    Segment* segment = SegmentOf(reference);
    for (const Slot* slot = segment->slots; slot < segment->end(); ++slot) {
      if (*slot != 0) visit(RecordAt(*slot));
    }
  }
}

template <typename RecordT, int kPrefixBits>
template <typename Visit>
bool BasicTable<RecordT, kPrefixBits>::Drain(Visit visit) {
  const Directory& directory = *directories_.back();
  while (drained_ < directory.Size()) {
    const Reference reference = directory.references[drained_].load(std::memory_order_relaxed);
    const std::size_t aliases = AliasesOf(directory, reference);
    for (std::size_t i = drained_; i < drained_ + aliases; ++i) directory.references[i] = 0;
    drained_ += aliases;
    if (reference == 0) continue;
    Segment* segment = SegmentOf(reference);
    for (const Slot* slot = segment->slots; slot < segment->end(); ++slot) {
      if (*slot != 0) visit(RecordAt(*slot));
    }
    size_ -= segment->header.count;
    FreeSegment(segment);
    if (size_ > 0) return true;
  }
  return false;
}

extern template class BasicTable<Record, 8>;

using Table = BasicTable<Record, 8>;

}  // namespace jeton::engine
