// What the operations of Karma's protocols have in common: series that must be there, ranges, keys
// in replies, and the two queries over whole trees that only Karma has.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command/tree_access.h"
#include "command/tree_query.h"

namespace jeton::command {

// Tree "x" not found.
Error NoSuchSeries(std::string_view name);
// For operations to which a missing series is an error.
Result<TreePlace> FindSeries(Context& ctx, std::string_view name);

// The two words of a range (JsonForm::kRange) at `argument`; all of the tree if it was absent.
// kInvalid if it ends before it begins.
Result<BucketRange> RangeAt(const Context& ctx, const TreePlace& place, std::size_t argument);
// The two numbers yyyymmdd of version 1 (JsonForm::kFromTo), which need not be dates.
Result<BucketRange> DaysAt(const Context& ctx, const TreePlace& place, std::size_t argument);

// A number, or the text of a key that is none.
void ReplyKey(Reply& reply, std::string_view key);
inline void ReplyKey(Reply& reply, const KeyName& key) {
  ReplyKey(reply, key.ToString());
}

enum class Zeros : bool { kLeaveOut, kShow };
// {"20230702":126,"20230703":7}, ascending.
void ReplyBuckets(Context& ctx, const TreePlace& place, std::string_view key,
                  const BucketRange& range, Zeros zeros);

// {"1":{"20230702":126},"2":{}}: every key, in the order that Karma gives: the number modulo 9,
// then the number (Karma: the order of creation, which we do not keep); texts come last. The reply
// leaves as it is made.
class FindAll final : public TreeWalk {
 public:
  FindAll(const engine::Tree& tree, const Calendar& calendar, const BucketRange& range, Zeros zeros)
      : TreeWalk(tree), calendar_(calendar), range_(range), zeros_(zeros) {}

 private:
  static constexpr std::size_t kRunRows = 1024;       // sorted at once while the tree is walked
  static constexpr std::size_t kRowsPerSlice = 1000;  // merged at once afterwards

  struct Row {
    KeyName key;
    std::string text;  // "1":{...}
  };
  using Run = std::vector<Row>;  // the last one comes first

  std::size_t Visit(const engine::KeyView& key) override;
  bool Finish(Context& ctx) override;
  static bool ComesLater(const Row& a, const Row& b);
  void BeginMerge();

  const Calendar& calendar_;  // the server's
  const BucketRange range_;
  const Zeros zeros_;
  std::vector<Run> runs_;
  std::vector<std::size_t> heap_;  // of runs, by their first row
  std::size_t bytes_ = 0;
  bool merging_ = false;
  bool first_ = true;
};

// Clears a range in every key and replies `true` or "OK".
class KarmaClear final : public ClearTree {
 public:
  enum class Says : bool { kTrue, kOk };
  KarmaClear(const engine::Tree& tree, const BucketRange& range, Says says)
      : ClearTree(tree, range), says_(says) {}

 private:
  void ReplyCleared(Context& ctx, std::uint64_t buckets) override;

  const Says says_;
};

// ---- parts of entries

Argument KarmaSeriesArgument();
Argument KarmaKeyArgument();
Argument KarmaRangeArgument(bool optional);

}  // namespace jeton::command
