#include "engine/shared_state.h"

#include <cstring>
#include <new>
#include <utility>

#include "base/heap.h"

namespace jeton::engine {

namespace {

// What a map adds to each of its nodes.
constexpr std::size_t kNodeHead = 32;
constexpr std::size_t kBucketBytes = HeapBytes(kNodeHead + sizeof(SharedTree::Buckets::value_type));

std::size_t KeyBytes(std::string_view key) {
  constexpr std::size_t kInPlace = 15;
  return HeapBytes(kNodeHead + sizeof(SharedTree::Keys::value_type)) +
         (key.size() > kInPlace ? HeapBytes(key.size() + 1) : 0);
}

}  // namespace

// ---- names

SharedName* SharedName::Make(std::string_view name) {
  const bool is_long = name.size() >= kLong;
  auto* made = new (::operator new(SizeFor(name.size()))) SharedName;
  made->short_size_ = static_cast<std::uint8_t>(is_long ? kLong : name.size());
  if (is_long) {
    const auto size = static_cast<std::uint32_t>(name.size());
    std::memcpy(made->bytes() + sizeof(SharedName), &size, sizeof size);
  }
  std::memcpy(made->bytes() + SizeFor(name.size()) - name.size(), name.data(), name.size());
  return made;
}

void SharedName::Destroy() {
  this->~SharedName();
  ::operator delete(this);
}

std::size_t SharedName::memory() const {
  std::size_t bytes = HeapBytes(SizeFor(name().size()));
  if (rest_) bytes += HeapBytes(sizeof(Rest));
  if (attributes() != nullptr) bytes += HeapBytes(sizeof(Attributes));
  if (tree() != nullptr) bytes += HeapBytes(sizeof(SharedTree));
  return bytes;
}

SharedName& SharedPartition::Make(const Key& key) {
  if (SharedName* found = Find(key)) return *found;
  SharedName* made = SharedName::Make(key.name);
  table_.Insert(key.hash, made);
  Account(0, made->memory());
  return *made;
}

void SharedPartition::EraseIfEmpty(const Key& key) {
  Table::Slot* slot = table_.Find(key.hash, key.name);
  if (slot == nullptr) return;
  SharedName* name = Table::RecordAt(*slot);
  if (!name->empty()) return;
  table_.Erase(key.hash, slot);
  Account(name->memory(), 0);
  name->Destroy();
}

void SharedPartition::Clear() {
  table_.ForEach([](SharedName* name) { name->Destroy(); });
  table_.Clear();
  dirty_names_.clear();
  dirty.Clear();
  lazy.clear();
  heard.clear();
  graves_.clear();
  trimmed_.clear();
  release_from_.clear();
  other_bytes_.store(0, std::memory_order_relaxed);
}

// ---- what belongs to a name

SharedCell& SharedPartition::MakeCounter(SharedName& name) {
  name.has_counter_ = true;
  return name.counter_;
}

void SharedPartition::DropCounter(SharedName& name) {
  if (!name.has_counter_) return;
  Account(name.counter_.cell.bytes(), 0);
  name.counter_.cell = crdt::Cell();
  name.counter_.hidden = name.counter_.candidate = false;
  name.has_counter_ = false;
}

Attributes& SharedPartition::MakeAttributes(SharedName& name) {
  const std::size_t before = name.memory();
  if (!name.rest_) name.rest_ = std::make_unique<SharedName::Rest>();
  if (!name.rest_->attributes) name.rest_->attributes = std::make_unique<Attributes>();
  Account(before, name.memory());
  return *name.rest_->attributes;
}

void SharedPartition::DropAttributes(SharedName& name) {
  if (name.attributes() == nullptr) return;
  const std::size_t before = name.memory();
  name.rest_->attributes.reset();
  if (!name.rest_->tree) name.rest_.reset();
  Account(before, name.memory());
}

SharedTree& SharedPartition::MakeTree(SharedName& name) {
  const std::size_t before = name.memory();
  if (!name.rest_) name.rest_ = std::make_unique<SharedName::Rest>();
  if (!name.rest_->tree) name.rest_->tree = std::make_unique<SharedTree>();
  Account(before, name.memory());
  return *name.rest_->tree;
}

SharedCell& SharedPartition::MakeBucket(SharedTree& tree, std::string_view key, Bucket bucket) {
  auto found = tree.keys.find(key);
  if (found == tree.keys.end()) {
    found = tree.keys.try_emplace(std::string(key)).first;
    Account(0, KeyBytes(key));
  }
  const auto [place, fresh] = found->second.try_emplace(bucket);
  if (fresh) Account(0, kBucketBytes);
  return place->second;
}

void SharedPartition::EraseBucket(SharedTree& tree, SharedTree::Keys::iterator key, Bucket bucket) {
  const auto found = key->second.find(bucket);
  if (found != key->second.end()) {
    Account(kBucketBytes + found->second.cell.bytes(), 0);
    key->second.erase(found);
  }
  if (!key->second.empty()) return;
  Account(KeyBytes(key->first), 0);
  tree.keys.erase(key);
}

void SharedPartition::TrimTree(SharedTree& tree) {
  if (tree.is_releasing || tree.keys.empty() || tree.released_to >= tree.facts.watermark) return;
  tree.is_releasing = true;
  trimmed_.push_back(&tree);
}

void SharedPartition::ClearTree(SharedTree& tree) {
  if (!tree.keys.empty()) graves_.push_back(std::exchange(tree.keys, {}));
  tree.released_to = Tree::kNoWatermark;
}

// Of one key; `next` is then the one after it.
void SharedPartition::ReleaseKey(SharedTree::Keys& keys, SharedTree::Keys::iterator& next,
                                 SharedTree::Buckets::iterator end) {
  SharedTree::Buckets& buckets = next->second;
  for (auto bucket = buckets.begin(); bucket != end; ++bucket) {
    Account(kBucketBytes + bucket->second.cell.bytes(), 0);
  }
  buckets.erase(buckets.begin(), end);
  if (!buckets.empty()) {
    ++next;
    return;
  }
  Account(KeyBytes(next->first), 0);
  next = keys.erase(next);
}

// True when nothing below the watermark is left.
bool SharedPartition::ReleaseTrimmed(SharedTree& tree, std::size_t& left) {
  if (release_from_.empty()) tree.released_to = tree.facts.watermark;
  auto next = tree.keys.lower_bound(release_from_);
  for (; next != tree.keys.end() && left > 0; --left)
    ReleaseKey(tree.keys, next, tree.FirstLive(next));
  if (next != tree.keys.end()) {
    release_from_ = next->first;
    return false;
  }
  release_from_.clear();
  // It may have been raised on the way.
  return tree.released_to == tree.facts.watermark;
}

std::size_t SharedPartition::Release(std::size_t max_keys) {
  std::size_t left = max_keys;
  while (left > 0 && !graves_.empty()) {
    SharedTree::Keys& keys = graves_.back();
    for (auto next = keys.begin(); next != keys.end() && left > 0; --left) {
      ReleaseKey(keys, next, next->second.end());
    }
    if (keys.empty()) graves_.pop_back();
  }
  while (left > 0 && !trimmed_.empty()) {
    SharedTree& tree = *trimmed_.front();
    --left;
    if (!ReleaseTrimmed(tree, left)) continue;
    tree.is_releasing = false;
    trimmed_.pop_front();
  }
  return max_keys - left;
}

// ---- dirty ones

void SharedPartition::CleanNames(std::size_t first) {
  const auto end = dirty_names_.begin() + static_cast<std::ptrdiff_t>(first);
  for (auto next = dirty_names_.begin(); next != end; ++next) {
    SharedName& name = **next;
    name.dirty_ = false;
    if (name.empty()) EraseIfEmpty({.name = name.name(), .hash = name.HashWith(hash_seed_)});
  }
  dirty_names_.erase(dirty_names_.begin(), end);
}

void SharedPartition::Clean() {
  CleanNames(dirty_names_.size());
  dirty.Clear();
}

// ---- ids

void EncodeCellId(const CellName& cell, std::string& out) {
  out.clear();
  out.push_back(static_cast<char>(cell.in_tree));
  if (!cell.in_tree) {
    out.append(cell.name);
    return;
  }
  PutVarint(out, cell.tree_epoch);
  PutSignedVarint(out, cell.bucket);
  PutBytes(out, cell.name);
  out.append(cell.key);
}

CellName DecodeCellId(std::string_view id) {
  CellName cell;
  cell.in_tree = id.front() != 0;
  ByteReader in(id.substr(1));
  if (!cell.in_tree) {
    cell.name = id.substr(1);
    return cell;
  }
  cell.tree_epoch = in.Varint();
  cell.bucket = in.SignedVarint();
  cell.name = in.Bytes();
  cell.key = in.Take(in.Remaining());
  return cell;
}

}  // namespace jeton::engine
