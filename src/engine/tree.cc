#include "engine/tree.h"

#include <algorithm>

#include "base/assert.h"

namespace jeton::engine {

namespace {
// A tree of fewer keys is freed at once.
constexpr std::size_t kNotWorthAGrave = 64;

std::unique_ptr<KeyTable> NewTable(TreeHome& home) {
  return std::make_unique<KeyTable>(home.pool, home.hash_seed);
}
}  // namespace

// ---- KeyView

void KeyView::AppendTo(std::string& out) const {
  if (!is_number()) {
    out += text();
    return;
  }
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number()).ptr);
}

std::string KeyView::ToString() const {
  std::string text;
  AppendTo(text);
  return text;
}

std::pair<KeyRecord::Index, KeyRecord::Index> KeyView::IndexesOf(const BucketRange& range) const {
  if (range.empty()) return {0, 0};
  const KeyRecord::Index from = std::max(live_, record_.LowerBound(range.first));
  return {from, std::max(from, record_.UpperBound(range.last))};
}

std::optional<Decimal> KeyView::At(Bucket bucket) const {
  const KeyRecord::Index i = record_.IndexOf(bucket);
  if (i == record_.count() || i < live_) return std::nullopt;
  return record_.ValueAt(i);
}

Decimal KeyView::SumOf(const BucketRange& range) const {
  const auto [from, to] = IndexesOf(range);
  return record_.SumOf(from, to).value();
}

// ---- reading

Tree::Tree(std::string name, TreeSettings settings, TreeHome& home)
    : name_(std::move(name)), settings_(std::move(settings)), home_(home), table_(NewTable(home)) {}

Tree::~Tree() {
  home_.overhead_bytes -= accounted_;
}

std::uint64_t Tree::bytes() const {
  return OverheadBytes() + record_bytes_ + table_->block_bytes();
}

std::uint64_t Tree::OverheadBytes() const {
  return sizeof(Tree) + sizeof(KeyTable) + name_.capacity() + table_->overhead_bytes() +
         index_.entries().size() * BucketIndex::kBytesPerEntry;
}

void Tree::Account() {
  const std::uint64_t now = OverheadBytes();
  home_.overhead_bytes += now - accounted_;
  accounted_ = now;
  if (keys_ > 0)
    head_bytes_ = std::clamp<std::uint64_t>(record_bytes_ / keys_, 1, KeyRecord::kUsualBytes);
}

Decimal Tree::SumOf(const BucketRange& range) const {
  return index_.SumOf(range).value();
}

std::optional<KeyView> Tree::Find(const TreeKey& key) const {
  const KeyTable::Slot* slot = table_->Find(key.hash, key, key.hint);
  if (slot == nullptr) return std::nullopt;
  const KeyView view(*KeyTable::RecordAt(*slot), watermark_);
  if (!view.exists()) return std::nullopt;
  return view;
}

Decimal Tree::Get(const TreeKey& key, Bucket bucket) const {
  const auto view = Find(key);
  return view ? view->At(bucket).value_or(Decimal()) : Decimal();
}

Decimal Tree::SumOf(const TreeKey& key, const BucketRange& range) const {
  const KeyTable::Slot* slot = table_->Find(key.hash, key, key.hint);
  if (slot == nullptr) return {};
  const BucketRange live{std::max(range.first, watermark_), range.last};
  return KeyTable::RecordAt(*slot)->SumIn(live).value();
}

Decimal Tree::Total(const TreeKey& key) const {
  const auto view = Find(key);
  return view ? view->Total() : Decimal();
}

std::uint64_t Tree::Scan(std::uint64_t cursor, std::size_t count,
                         const std::function<void(const KeyView&)>& visit) const {
  std::vector<KeyTable::Walked> records;
  cursor = table_->Walk(cursor, std::max<std::size_t>(count, 1), records);
  for (const KeyTable::Walked& walked : records) {
    const KeyView view(*walked.record, watermark_);
    if (view.exists()) visit(view);
  }
  return cursor;
}

Status Tree::CheckWritable(Bucket bucket) const {
  if (bucket >= watermark_) return {};
  return Error{ErrorKind::kRange, "ERR bucket is older than the tree keeps"};
}

bool Tree::CanAdd(const TreeKey& key, Bucket bucket, const Decimal& delta) const {
  return Decimal::Add(Get(key, bucket), delta).has_value();
}

// ---- changing

std::optional<Decimal> Tree::Add(const TreeKey& key, Bucket bucket, const Decimal& delta) {
  KeyTable::Slot* slot = FindPruned(key);
  if (slot == nullptr) {
    if (bucket >= watermark_) InsertKey(key, {{bucket, delta}});
    return delta;
  }
  KeyRecord* record = KeyTable::RecordAt(*slot);
  if (delta.IsInt64()) {
    std::int64_t value = 0;
    if (AddToRecord(*record, bucket, delta.Int64(), value)) return Decimal(value);
  }
  const KeyRecord::Index i = record->LowerBound(bucket);
  if (i == record->count() || record->BucketAt(i) != bucket) {
    if (bucket >= watermark_) InsertAt(slot, i, bucket, delta);
    return delta;
  }
  const Decimal old = record->ValueAt(i);
  const auto sum = Decimal::Add(old, delta);
  if (sum) StoreAt(slot, i, bucket, old, *sum);
  return sum;
}

bool Tree::AddInPlace(const TreeKey& key, Bucket bucket, std::int64_t delta, std::int64_t& value) {
  KeyTable::Slot* slot = FindPruned(key);
  return slot != nullptr && AddToRecord(*KeyTable::RecordAt(*slot), bucket, delta, value);
}

bool Tree::AddToRecord(KeyRecord& record, Bucket bucket, std::int64_t delta, std::int64_t& value) {
  if (!record.AddInPlace(bucket, delta, value)) return false;
  index_.At(bucket).sum.AddInteger(delta);
  total_.AddInteger(delta);
  return true;
}

void Tree::Set(const TreeKey& key, Bucket bucket, const Decimal& value) {
  if (bucket < watermark_) return;
  KeyTable::Slot* slot = FindPruned(key);
  if (slot == nullptr) return InsertKey(key, {{bucket, value}});
  const KeyRecord* record = KeyTable::RecordAt(*slot);
  const KeyRecord::Index i = record->LowerBound(bucket);
  if (i == record->count() || record->BucketAt(i) != bucket)
    return InsertAt(slot, i, bucket, value);
  StoreAt(slot, i, bucket, record->ValueAt(i), value);
}

void Tree::SetCells(const TreeKey& key, const std::vector<Cell>& cells) {
  if (cells.empty()) return;
  if (cells.front().bucket >= watermark_ && FindPruned(key) == nullptr)
    return InsertKey(key, cells);
  for (const Cell& cell : cells) Set(key, cell.bucket, cell.value);
}

std::uint64_t Tree::Clear(const TreeKey& key, const BucketRange& range) {
  KeyTable::Slot* slot = range.empty() ? nullptr : FindPruned(key);
  if (slot == nullptr) return 0;
  KeyRecord* record = KeyTable::RecordAt(*slot);
  const KeyRecord::Index n = record->count();
  const KeyRecord::Index from = record->LowerBound(range.first);
  const KeyRecord::Index to = record->UpperBound(range.last);
  if (from >= to) return 0;

  if (to == n) {
    --index_.At(record->last()).newest_of;
    if (from > 0) ++index_.At(record->BucketAt(from - 1)).newest_of;
  }
  for (KeyRecord::Index i = from; i < to; ++i) {
    const Decimal value = record->ValueAt(i);
    total_.Subtract(value);
    index_.Remove(record->BucketAt(i), value);
  }
  buckets_ -= to - from;
  const std::uint64_t before = home_.slab.used_bytes();
  KeyRecord* left = record->Erase(home_.slab, from, to);
  record_bytes_ += home_.slab.used_bytes() - before;
  if (left != nullptr) {
    KeyTable::Replace(slot, left);
  } else {
    table_->Erase(key.hash, slot);
    --keys_;
  }
  return to - from;
}

std::uint64_t Tree::Trim(Bucket first_live) {
  if (first_live <= watermark_) return 0;
  const bool clean = !NeedsPruning();
  watermark_ = first_live;
  const BucketIndex::Entry gone = index_.RemoveBefore(first_live);
  if (clean && gone.keys == 0) pruned_to_ = watermark_;
  total_.Subtract(gone.sum);
  buckets_ -= gone.keys;
  keys_ -= gone.newest_of;
  return gone.keys;
}

std::uint64_t Tree::Reset() {
  const std::uint64_t keys = keys_;
  const bool small = table_->size() <= kNotWorthAGrave;
  home_.graveyard.push_back({std::move(table_), std::move(index_)});
  if (small) EmptyGraves(home_, kNotWorthAGrave);
  table_ = NewTable(home_);
  index_ = {};
  total_ = {};
  integers_only_ = true;
  keys_ = buckets_ = record_bytes_ = 0;
  pruned_to_ = watermark_;
  return keys;
}

// The key's slot, with nothing before the watermark in its record; null if it is not there.
KeyTable::Slot* Tree::FindPruned(const TreeKey& key) {
  KeyTable::Slot* slot = table_->Find(key.hash, key, key.hint);
  if (slot == nullptr || watermark_ == kNoWatermark) return slot;
  if (KeyTable::RecordAt(*slot)->first() >= watermark_) return slot;
  return PruneSlot(key.hash, slot) ? slot : nullptr;
}

// False if nothing was left of the key.
bool Tree::PruneSlot(std::uint64_t hash, KeyTable::Slot* slot) {
  KeyRecord* record = KeyTable::RecordAt(*slot);
  const std::uint64_t before = home_.slab.used_bytes();
  KeyRecord* left = record->Erase(home_.slab, 0, record->LowerBound(watermark_));
  record_bytes_ += home_.slab.used_bytes() - before;
  if (left == nullptr) {
    table_->Erase(hash, slot);
    return false;
  }
  KeyTable::Replace(slot, left);
  return true;
}

void Tree::InsertKey(const TreeKey& key, const std::vector<Cell>& cells) {
  const std::uint64_t before = home_.slab.used_bytes();
  table_->Insert(key.hash, KeyRecord::Make(home_.slab, key, cells));
  record_bytes_ += home_.slab.used_bytes() - before;
  for (const Cell& cell : cells) {
    BucketIndex::Entry& entry = index_.At(cell.bucket);
    entry.sum.Add(cell.value);
    ++entry.keys;
    total_.Add(cell.value);
    integers_only_ &= cell.value.IsInt64();
  }
  ++index_.At(cells.back().bucket).newest_of;
  ++keys_;
  buckets_ += cells.size();
}

void Tree::StoreAt(KeyTable::Slot* slot, KeyRecord::Index i, Bucket bucket, const Decimal& old,
                   const Decimal& value) {
  integers_only_ &= value.IsInt64();
  const std::uint64_t before = home_.slab.used_bytes();
  KeyTable::Replace(slot, KeyTable::RecordAt(*slot)->Store(home_.slab, i, value));
  record_bytes_ += home_.slab.used_bytes() - before;
  Sum& sum = index_.At(bucket).sum;
  sum.Subtract(old);
  sum.Add(value);
  total_.Subtract(old);
  total_.Add(value);
}

void Tree::InsertAt(KeyTable::Slot* slot, KeyRecord::Index i, Bucket bucket, const Decimal& value) {
  integers_only_ &= value.IsInt64();
  KeyRecord* record = KeyTable::RecordAt(*slot);
  const bool newest = i == record->count();
  if (newest) --index_.At(record->last()).newest_of;
  BucketIndex::Entry& entry = index_.At(bucket);
  if (newest) ++entry.newest_of;
  entry.sum.Add(value);
  ++entry.keys;
  total_.Add(value);
  ++buckets_;
  const std::uint64_t before = home_.slab.used_bytes();
  KeyTable::Replace(slot, record->Insert(home_.slab, i, bucket, value));
  record_bytes_ += home_.slab.used_bytes() - before;
}

// ---- giving back memory

bool Tree::Prune(std::size_t max_keys) {
  if (!NeedsPruning()) return false;
  if (prune_cursor_ == 0) pruning_to_ = watermark_;
  std::vector<KeyTable::Walked> records;
  prune_cursor_ = table_->Walk(prune_cursor_, std::max<std::size_t>(max_keys, 1), records);
  std::string text;
  for (const KeyTable::Walked& walked : records) {
    if (walked.record->first() >= watermark_) continue;
    TreeKey key{.text = {},
                .number = 0,
                .is_number = walked.record->IsNumber(),
                .hash = walked.hash,
                .hint = nullptr};
    if (key.is_number) {
      key.number = walked.record->Number();
    } else {
      text = walked.record->Text();  // the record may go while its key is still needed
      key.text = text;
    }
    FindPruned(key);
  }
  if (prune_cursor_ == 0) pruned_to_ = pruning_to_;
  return NeedsPruning();
}

void Tree::FreeLargePieces() {
  table_->ForEach([&](KeyRecord* record) {
    if (record->Size() > Slab::kMaxPiece) record->Destroy(home_.slab);
  });
}

bool EmptyGraves(TreeHome& home, std::size_t max_keys) {
  std::size_t freed = 0;
  while (!home.graveyard.empty() && freed < max_keys) {
    TreeHome::Grave& grave = home.graveyard.back();
    const bool more = grave.keys->Drain([&](KeyRecord* record) {
      record->Destroy(home.slab);
      ++freed;
    });
    while (!more && freed < max_keys && grave.index.RemoveOne()) ++freed;
    if (!more && grave.index.entries().empty()) home.graveyard.pop_back();
  }
  return !home.graveyard.empty();
}

}  // namespace jeton::engine
