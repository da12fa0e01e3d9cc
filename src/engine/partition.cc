#include "engine/partition.h"

#include <algorithm>

namespace jeton::engine {

void Partition::Put(const Key& key, const Decimal& value, WallMs now) {
  const Record::Form form = Record::FormFor(value);
  Table::Slot* slot = table_.Find(key.hash, key.name);
  Record* record;
  if (slot == nullptr) {
    record = Record::Make(slab_, key.name, {.form = form});
    table_.Insert(key.hash, record);
    Publish();
  } else {
    record = Table::RecordAt(*slot);
    if (record->form() == Record::kTree) RemoveTree(record->tree());
    // An integer keeps the width that it once needed; only fractions change the form both ways.
    const bool fits = record->form() == form || (record->IsInteger() && form < record->form());
    if (!fits) {
      Record::Shape shape = record->shape();
      shape.form = form;
      record = Reshape(slot, shape);
    }
  }
  record->set_value(value);
  Written(key, *record, now);
}

void Partition::SetExpiry(const Key& key, WallMs expires_at, WallMs now) {
  Table::Slot* slot = table_.Find(key.hash, key.name);
  if (slot == nullptr) return;
  Record* record = Table::RecordAt(*slot);
  const WallMs before = record->expires_at();
  Record::Shape shape = record->shape();
  if (shape.has_expiry != (expires_at != 0)) {
    shape.has_expiry = expires_at != 0;
    record = Reshape(slot, shape);
  }
  if (shape.has_expiry) record->set_expires_at(expires_at);
  expiry_.Changed(key.hash, before, expires_at);
  Written(key, *record, now);
  Publish();
}

void Partition::SetPrecision(const Key& key, const Decimal& precision, WallMs now) {
  Table::Slot* slot = table_.Find(key.hash, key.name);
  if (slot == nullptr || Table::RecordAt(*slot)->form() == Record::kTree) return;
  Record* record = Table::RecordAt(*slot);
  Record::Shape shape = record->shape();
  if (shape.has_precision == precision.IsNegative()) {
    shape.has_precision = !precision.IsNegative();
    record = Reshape(slot, shape);
  }
  if (shape.has_precision) record->set_precision(precision);
  Written(key, *record, now);
}

void Partition::Drop(const Key& key) {
  Table::Slot* slot = table_.Find(key.hash, key.name);
  if (slot != nullptr) Forget(key, slot);
}

void Partition::Forget(const Key& key, Table::Slot* slot) {
  Record* record = Table::RecordAt(*slot);
  const WallMs expires_at = record->expires_at();
  zeros_.Forgotten(key.hash, *record);
  table_.Erase(key.hash, slot);
  if (record->form() == Record::kTree) RemoveTree(record->tree());
  record->Destroy(slab_);
  expiry_.Changed(key.hash, expires_at, 0);
  Publish();
}

void Partition::Clear() {
  // Small records go with their blocks, without a look at each.
  if (slab_.large_bytes() > 0) {
    table_.ForEach([&](Record* record) {
      if (record->Size() > Slab::kMaxPiece) record->Destroy(slab_);
    });
    for (const auto& tree : trees_) tree->FreeLargePieces();
    for (const TreeHome::Grave& grave : home_.graveyard) {
      grave.keys->ForEach([&](KeyRecord* record) {
        if (record->Size() > Slab::kMaxPiece) record->Destroy(slab_);
      });
    }
  }
  trees_.clear();
  home_.graveyard.clear();
  table_.Clear();
  slab_.Clear();
  expiry_.Clear();
  zeros_.Clear();
  zero_search.reset();
  Publish();
}

// The record in this slot gets another layout; what both have in common is kept, but for a value
// that the new form does not hold (the caller sets it).
Record* Partition::Reshape(Table::Slot* slot, Record::Shape shape) {
  Record* old = Table::RecordAt(*slot);
  Record* made = Record::Make(slab_, old->name(), shape);
  if (shape.form == old->form()) {
    if (shape.form == Record::kTree) {
      made->set_tree(old->tree());
    } else {
      made->set_value(old->value());
    }
  }
  if (shape.has_expiry && old->has_expiry()) made->set_expires_at(old->expires_at());
  if (shape.has_precision && old->has_precision()) made->set_precision(old->precision());
  made->set_zero_state(old->zero_state());
  Table::Replace(slot, made);
  old->Destroy(slab_);
  return made;
}

void Partition::CreateTree(const Key& key, const TreeSettings& settings) {
  Table::Slot* slot = table_.Find(key.hash, key.name);
  if (slot == nullptr) {
    Record* record = Record::Make(slab_, key.name, {.form = Record::kTree});
    record->set_tree(AddTree(key.name, settings));
    table_.Insert(key.hash, record);
  } else if (Record* record = Table::RecordAt(*slot); record->form() == Record::kTree) {
    record->tree()->set_settings(settings);
  } else {
    Record::Shape shape = record->shape();
    shape.form = Record::kTree;
    shape.has_precision = false;
    record = Reshape(slot, shape);
    record->set_tree(AddTree(key.name, settings));
  }
  Publish();
}

bool Partition::ReleaseTreeMemory(std::size_t max_keys) {
  bool more = EmptyGraves(home_, max_keys);
  // One slice of one tree at a time: the others have their turn when it is done.
  const auto dirty = std::find_if(trees_.begin(), trees_.end(),
                                  [](const auto& tree) { return tree->NeedsPruning(); });
  if (!more && dirty != trees_.end()) {
    (*dirty)->Prune(max_keys);
    (*dirty)->Account();
    more = true;
  }
  Publish();
  return more;
}

Tree* Partition::AddTree(std::string_view name, const TreeSettings& settings) {
  trees_.push_back(std::make_unique<Tree>(std::string(name), settings, home_));
  trees_.back()->place_ = trees_.size() - 1;
  trees_.back()->Account();
  return trees_.back().get();
}

void Partition::RemoveTree(Tree* tree) {
  tree->Reset();
  const std::size_t place = tree->place_;
  std::swap(trees_[place], trees_.back());
  trees_[place]->place_ = place;
  trees_.pop_back();
}

void Partition::Publish() {
  names_.store(table_.size(), std::memory_order_relaxed);
  with_expiry_.store(expiry_.live(), std::memory_order_relaxed);
  tree_count_.store(trees_.size(), std::memory_order_relaxed);
  other_bytes_.store(home_.overhead_bytes + table_.overhead_bytes() + slab_.large_bytes() +
                         expiry_.bytes() + zeros_.bytes(),
                     std::memory_order_relaxed);
}

}  // namespace jeton::engine
