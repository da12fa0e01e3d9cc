#include "command/karma_access.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "protocol/json_text.h"

namespace jeton::command {
namespace {

constexpr std::uint64_t kBranches = 9;  // of a tree in Karma

std::uint64_t BranchOf(const KeyName& key) {
  return key.is_text ? kBranches : key.number % kBranches;
}

std::uint64_t NumberOf(std::string_view word) {
  std::uint64_t number = 0;
  std::from_chars(word.data(), word.data() + word.size(), number);  // the binder has checked it
  return number;
}

std::string DayText(CivilCount day) {
  return FormatCalendarText(
      {.width = Width::kDay, .local_s = day * kSecondsPerDay, .offset_s = std::nullopt});
}

bool IsNumber(std::string_view key) {
  if (key.empty() || key.size() > 20 || (key.size() > 1 && key[0] == '0')) return false;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  return error == std::errc() && end == key.data() + key.size();
}

void AppendDecimal(std::string& out, const Decimal& value) {
  char text[Decimal::kMaxTextSize];
  out.append(text, value.FormatTo(text));
}

}  // namespace

Error NoSuchSeries(std::string_view name) {
  return {ErrorKind::kNotFound, "ERR Tree \"" + std::string(name.substr(0, 128)) + "\" not found"};
}

Result<TreePlace> FindSeries(Context& ctx, std::string_view name) {
  auto place = FindTreeToRead(ctx, ctx.keyspace.MakeKey(name));
  if (place && !*place) return NoSuchSeries(name);
  return place;
}

Result<BucketRange> RangeAt(const Context& ctx, const TreePlace& place, std::size_t argument) {
  const std::string_view from = ctx.args[argument];
  const std::string_view to = ctx.args[argument + 1];
  if (!Given(from)) return engine::Tree::kAll;
  auto range = ParseRange(place, from, to);
  if (range && range->empty()) {
    return Error{ErrorKind::kInvalid, "ERR Field range.from must not be after range.to"};
  }
  return range;
}

Result<BucketRange> DaysAt(const Context& ctx, const TreePlace& place, std::size_t argument) {
  if (!Given(ctx.args[argument])) return engine::Tree::kAll;
  const std::uint64_t to = NumberOf(ctx.args[argument + 1]);
  const CivilCount first = FirstDayFrom(NumberOf(ctx.args[argument]));
  const CivilCount last = FirstDayFrom(to == UINT64_MAX ? to : to + 1) - 1;
  if (last < first) return BucketRange{};
  if (!place || place.calendar->width() == Width::kDay) return BucketRange{first, last};
  return ParseRange(place, DayText(first), DayText(last));
}

void ReplyKey(Reply& reply, std::string_view key) {
  if (IsNumber(key)) return reply.BigNumber(key);
  reply.Bulk(key);
}

void ReplyBuckets(Context& ctx, const TreePlace& place, std::string_view key,
                  const BucketRange& range, Zeros zeros) {
  const auto view = place ? place.tree->Find(place.tree->MakeKey(key)) : std::nullopt;
  if (!view) return ctx.reply.Map(0);
  const std::size_t position = ctx.reply.DeferMap();
  std::size_t count = 0;
  view->ForEach(range, [&](Bucket bucket, const Decimal& value) {
    if (value.IsZero() && zeros == Zeros::kLeaveOut) return;
    ctx.reply.Bulk(place.calendar->Format(bucket));
    ctx.reply.Decimal(value);
    ++count;
  });
  ctx.reply.SetDeferred(position, count);
}

// ---- FindAll

bool FindAll::ComesLater(const Row& a, const Row& b) {
  const std::uint64_t branch_a = BranchOf(a.key);
  const std::uint64_t branch_b = BranchOf(b.key);
  return branch_a != branch_b ? branch_a > branch_b : a.key > b.key;
}

std::size_t FindAll::Visit(const engine::KeyView& view) {
  Row row{.key = KeyName::Of(view), .text = {}};
  AppendJsonString(row.text, row.key.ToString());
  row.text += ":{";
  std::size_t count = 0;
  view.ForEach(range_, [&](Bucket bucket, const Decimal& value) {
    if (value.IsZero() && zeros_ == Zeros::kLeaveOut) return;
    row.text.append(count++ == 0 ? "\"" : ",\"").append(calendar_.Format(bucket)).append("\":");
    AppendDecimal(row.text, value);
  });
  row.text += '}';
  bytes_ += row.text.size() + 1;
  if (runs_.empty() || runs_.back().size() == kRunRows) {
    if (!runs_.empty()) std::sort(runs_.back().begin(), runs_.back().end(), ComesLater);
    runs_.emplace_back().reserve(kRunRows);
  }
  runs_.back().push_back(std::move(row));
  return 2 * kKeyCost + count * 100;
}

void FindAll::BeginMerge() {
  merging_ = true;
  if (!runs_.empty()) std::sort(runs_.back().begin(), runs_.back().end(), ComesLater);
  for (std::size_t run = 0; run < runs_.size(); ++run) heap_.push_back(run);
  std::make_heap(heap_.begin(), heap_.end(), [this](std::size_t a, std::size_t b) {
    return ComesLater(runs_[a].back(), runs_[b].back());
  });
}

bool FindAll::Finish(Context& ctx) {
  std::string& out = ctx.reply.out();
  if (!merging_) {
    const auto limit = static_cast<std::size_t>(ctx.server.settings.values().output_buffer_limit);
    if (limit != 0 && bytes_ + 1024 > limit) {
      ctx.reply.Error("TOOLARGE The reply of " + std::to_string(bytes_) +
                      " bytes is larger than output-buffer-limit: ask for fewer days or keys");
      return true;
    }
    BeginMerge();
    out += '{';
  }
  const auto later = [this](std::size_t a, std::size_t b) {
    return ComesLater(runs_[a].back(), runs_[b].back());
  };
  for (std::size_t n = 0; n < kRowsPerSlice && !heap_.empty(); ++n) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Run& run = runs_[heap_.back()];
    if (!first_) out += ',';
    first_ = false;
    out += run.back().text;
    run.pop_back();
    if (run.empty()) {
      run = Run();
      heap_.pop_back();
    } else {
      std::push_heap(heap_.begin(), heap_.end(), later);
    }
  }
  if (!heap_.empty()) return false;
  out += '}';
  return true;
}

void KarmaClear::ReplyCleared(Context& ctx, std::uint64_t) {
  if (says_ == Says::kTrue) {
    ctx.reply.Bool(true);
  } else {
    ctx.reply.Ok();
  }
}

// ---- parts of entries

Argument KarmaSeriesArgument() {
  return {.name = "series", .type = ArgumentType::kKey, .json = JsonForm::kSeries};
}

Argument KarmaKeyArgument() {
  return {.name = "key", .json = JsonForm::kKey};
}

Argument KarmaRangeArgument(bool optional) {
  return {.name = "range",
          .type = ArgumentType::kBlock,
          .optional = optional,
          .arguments = {{.name = "from"}, {.name = "to"}},
          .json = JsonForm::kRange};
}

}  // namespace jeton::command
