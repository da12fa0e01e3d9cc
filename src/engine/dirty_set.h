// DirtySet: the cells that were changed since the last frame was cut, in the order of their first
// change. Not thread-safe: the lock of the partition guards it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace jeton::engine {

class DirtySet {
 public:
  // True if `id` was not in it. `hash` is any hash of `id`.
  bool Add(std::string_view id, std::uint64_t hash) {
    if ((items_.size() + 1) * 2 > slots_.size()) Grow();
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
      if (slots_[i] == 0) {
        slots_[i] = static_cast<std::uint32_t>(items_.size() + 1);
        items_.push_back({hash, bytes_.size(), id.size()});
        bytes_.append(id);
        return true;
      }
      const Item& item = items_[slots_[i] - 1];
      if (item.hash == hash && IdOf(item) == id) return false;
    }
  }

  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  std::size_t bytes() const { return bytes_.size(); }
  // Valid until the next change.
  std::string_view operator[](std::size_t i) const { return IdOf(items_[i]); }

  // Takes out the first `count`; costs what the others cost.
  void DropFirst(std::size_t count) {
    DirtySet rest;
    for (std::size_t i = count; i < items_.size(); ++i) rest.Add(IdOf(items_[i]), items_[i].hash);
    *this = std::move(rest);
  }

  void Clear() {
    if (slots_.size() > kKeptSlots) {
      slots_ = {};
      bytes_ = {};
      items_ = {};
      return;
    }
    for (const Item& item : items_) {
      const std::size_t mask = slots_.size() - 1;
      for (std::size_t i = item.hash & mask; slots_[i] != 0; i = (i + 1) & mask) slots_[i] = 0;
    }
    bytes_.clear();
    items_.clear();
  }

 private:
  static constexpr std::size_t kKeptSlots = 4096;

  struct Item {
    std::uint64_t hash;
    std::size_t offset;
    std::size_t size;
  };

  std::string_view IdOf(const Item& item) const {
    return std::string_view(bytes_).substr(item.offset, item.size);
  }
  void Grow() {
    slots_.assign(slots_.empty() ? 64 : slots_.size() * 2, 0);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t n = 0; n < items_.size(); ++n) {
      std::size_t i = items_[n].hash & mask;
      while (slots_[i] != 0) i = (i + 1) & mask;
      slots_[i] = static_cast<std::uint32_t>(n + 1);
    }
  }

  std::vector<std::uint32_t> slots_;  // 1 + index into items_; 0: empty
  std::vector<Item> items_;
  std::string bytes_;
};

}  // namespace jeton::engine
