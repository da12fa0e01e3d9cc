// Queries and changes over a whole tree, in slices of well under a millisecond. A handler gives one
// to StartQuery and returns without a reply.
//
// Between two slices anything may happen to the tree; a key that is there throughout is seen
// exactly once. If the tree is gone or is another one, the reply is an error: half a sum would be a
// lie.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/calendar.h"
#include "base/decimal.h"
#include "command/context.h"
#include "command/long_query.h"
#include "engine/tree.h"

namespace jeton::command {

inline void StartQuery(Context& ctx, std::unique_ptr<LongQuery> query) {
  ctx.session.query = std::move(query);
}

// A key taken out of a tree. In order numbers come first, by number, then texts by their bytes.
struct KeyName {
  bool is_text = false;
  std::uint64_t number = 0;
  std::string text = {};

  static KeyName Of(const engine::KeyView& key);
  std::string ToString() const { return is_text ? text : std::to_string(number); }
  friend std::strong_ordering operator<=>(const KeyName&, const KeyName&) = default;
  friend bool operator==(const KeyName&, const KeyName&) = default;
};

struct KeyTotal {
  KeyName key;
  Decimal value;
};

// What all of them know: which tree, and that it is still the same one.
class TreeQuery : public LongQuery {
 public:
  explicit TreeQuery(const engine::Tree& tree);

 protected:
  // In units of about a nanosecond: what one slice may cost, and what finding a key costs.
  static constexpr std::size_t kSliceCost = 250'000;
  static constexpr std::size_t kKeyCost = 200;

  const std::string& name() const { return name_; }
  // Null if it is gone. The caller holds its partition.
  engine::Tree* Find(const Context& ctx) const;
  void ReplyGone(Context& ctx) const;

 private:
  const std::string name_;
  const engine::TreeSettings settings_;
};

// A walk over the keys: Visit sees each, then Finish replies.
class TreeWalk : public TreeQuery {
 public:
  using TreeQuery::TreeQuery;
  bool Step(Context& ctx) final;

 protected:
  // Under the partition's lock: touches its own fields only. Returns what it cost.
  virtual std::size_t Visit(const engine::KeyView& key) = 0;
  // One slice of what is to do when all keys were seen. True when the reply has been written.
  virtual bool Finish(Context& ctx) = 0;

 private:
  bool WalkSlice(Context& ctx, bool& gone);

  std::uint64_t cursor_ = 0;
  bool walked_ = false;
};

// The first keys of a tree in some order, with their sums over a range.
class SelectKeys : public TreeWalk {
 public:
  enum class Order : std::uint8_t { kByValue, kByKey };  // largest first, ties by key; by key
  struct Wanted {
    Order order = Order::kByValue;
    std::size_t count = 0;  // at most this many, 1 or more
    std::size_t skip = 0;   // behind this many of the first (for pages)
    BucketRange range = engine::Tree::kAll;
    bool leave_out_zeros = true;  // keys whose sum is 0
  };

  SelectKeys(const engine::Tree& tree, const Wanted& wanted);

 protected:
  // `items` are in order, `matched` is how many there were before skip and count.
  virtual void ReplyItems(Context& ctx, const std::vector<KeyTotal>& items,
                          std::uint64_t matched) = 0;

 private:
  std::size_t Visit(const engine::KeyView& key) final;
  bool Finish(Context& ctx) final;
  bool Precedes(const KeyTotal& a, const KeyTotal& b) const;
  void Keep(KeyTotal item);

  const Wanted wanted_;
  std::vector<KeyTotal> heap_;  // the last in order is its first element
  std::size_t sorted_ = 0;      // so many at the end have left the heap
  std::uint64_t matched_ = 0;
};

// A reply of any number of elements, in no order: for each key Take adds what to say about it, and
// Say says it. Goes to the client as it is made, unless something else could come in between.
class ListKeys : public TreeWalk {
 public:
  using TreeWalk::TreeWalk;

 protected:
  virtual std::size_t Take(const engine::KeyView& key, std::deque<KeyTotal>& items) = 0;
  virtual void Begin(Reply& reply, std::size_t items) = 0;  // the container
  virtual void Say(Reply& reply, const KeyTotal& item) = 0;

 private:
  static constexpr std::size_t kItemsPerSlice = 2000;

  std::size_t Visit(const engine::KeyView& key) final { return Take(key, items_); }
  bool Finish(Context& ctx) final;

  std::deque<KeyTotal> items_;
  std::string text_;  // what cannot go out yet
  bool begun_ = false;
};

// Clears the buckets of a range in all keys, then replies.
class ClearTree : public TreeQuery {
 public:
  ClearTree(const engine::Tree& tree, const BucketRange& range);
  bool Step(Context& ctx) final;

 protected:
  virtual void ReplyCleared(Context& ctx, std::uint64_t buckets);  // the number

 private:
  const BucketRange range_;
  std::uint64_t cursor_ = 0;
  std::uint64_t buckets_ = 0;
};

}  // namespace jeton::command
