// Queries and changes over a whole tree, in slices of well under a millisecond. A handler gives one
// to StartQuery and returns without a reply. Between two slices anything may happen to the tree: a
// key that is there throughout is seen exactly once.
#pragma once

#include <compare>
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

// A key taken out of a tree. Order: numbers first, by number, then texts by their bytes.
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

// A walk over the keys of one tree: Visit sees each, then Finish replies. An error is replied if the
// tree is gone, or is another one, before the end.
class TreeWalk : public LongQuery {
 public:
  // `tree` is there now.
  explicit TreeWalk(const engine::Tree& tree);
  bool Step(Context& ctx) final;

 protected:
  // Under the partition's lock: touches nothing but its own fields. Returns about how many
  // nanoseconds it took beyond finding the key.
  virtual std::size_t Visit(const engine::KeyView& key) = 0;
  // One slice of what is left when all keys were seen; no lock is held. True when the reply has
  // been written.
  virtual bool Finish(Context& ctx) = 0;

  const std::string& name() const { return name_; }

 private:
  bool Walk(Context& ctx);

  const std::string name_;
  const Width width_;
  const std::string zone_;
  std::uint64_t cursor_ = 0;
  bool walked_ = false;
};

// The largest values in a range, ties by key; or with KeysByName the first keys. Subclasses reply.
class SelectKeys : public TreeWalk {
 public:
  enum class Order { kByValue, kByName };
  struct Wanted {
    Order order = Order::kByValue;
    std::size_t count = 0;                        // at most this many
    BucketRange range = engine::Tree::kAll;       // values are sums over it
    bool only_in_range = true;                    // leave out keys without a bucket in it
    bool skip_zeros = false;                      // leave out those whose value is 0
    std::size_t skip = 0;                         // this many of the first are left out (paging)
  };

  SelectKeys(const engine::Tree& tree, const Wanted& wanted);

 protected:
  // `items` are in order; `matched` is how many there were before count and skip. Called once.
  virtual void ReplyItems(Context& ctx, std::vector<KeyTotal>& items, std::uint64_t matched) = 0;

 private:
  std::size_t Visit(const engine::KeyView& key) override;
  bool Finish(Context& ctx) override;
  bool Before(const KeyTotal& a, const KeyTotal& b) const;

  const Wanted wanted_;
  std::vector<KeyTotal> heap_;   // the last in order is on top; later sorted from the back
  std::size_t sorted_ = 0;       // so many at the back are
  std::uint64_t matched_ = 0;
  bool full() const;
};

// Every key with its buckets in a range, in no order: for export, and for the listings of hashes.
// Subclasses take down what they need in Visit and reply slice by slice.

// Clears `range` in all keys; Finish replies how many buckets went. Subclasses may reply otherwise.
class ClearRange : public LongQuery {
 public:
  ClearRange(const engine::Tree& tree, const BucketRange& range);
  bool Step(Context& ctx) final;

 protected:
  virtual void ReplyCleared(Context& ctx, std::uint64_t buckets);

 private:
  const std::string name_;
  const Width width_;
  const std::string zone_;
  const BucketRange range_;
  std::uint64_t cursor_ = 0;
  std::uint64_t buckets_ = 0;
};

inline void StartQuery(Context& ctx, std::unique_ptr<LongQuery> query) {
  ctx.session.query = std::move(query);
}

}  // namespace jeton::command
