#include "sim/tree_model.h"

#include <algorithm>

#include "base/hash.h"

namespace jeton::sim {
namespace {

// Exact for any number of values; only the result is held to the range.
class Adder {
 public:
  void Add(const Decimal& value) {
    whole_ += value.Units() / Decimal::kUnitsPerOne;
    rest_ += value.Units() % Decimal::kUnitsPerOne;
  }
  Decimal Result() const {
    const Decimal end = *Decimal::Parse("1e20");
    const Decimal::Int128 whole = whole_ + rest_ / Decimal::kUnitsPerOne;
    const Decimal::Int128 rest = rest_ % Decimal::kUnitsPerOne;
    const Decimal::Int128 most = end.Units() / Decimal::kUnitsPerOne;
    if (whole > most || (whole == most && rest > 0)) return end;
    if (whole < -most || (whole == -most && rest < 0)) return -end;
    return Decimal::FromUnits(whole * Decimal::kUnitsPerOne + rest);
  }

 private:
  Decimal::Int128 whole_ = 0, rest_ = 0;
};

std::string Describe(const TreeModel& tree, const std::string& key) {
  const auto it = tree.keys.find(key);
  if (it == tree.keys.end()) return "nothing";
  std::string text;
  for (const auto& [bucket, value] : it->second) {
    text += (text.empty() ? "" : " ") + std::to_string(bucket) + "=" + value.ToString();
  }
  return text;
}

std::string DescribeFrame(const TreeModel& tree) {
  return "tree of " + std::string(WidthName(tree.settings.width)) + " " + tree.settings.zone +
         " retain " + std::to_string(tree.settings.retain) +
         (tree.watermark == engine::Tree::kNoWatermark ? ""
                                                       : " from " + std::to_string(tree.watermark));
}

bool IsNumber(const std::string& key) {
  if (key.empty() || key.size() > 20 || (key[0] == '0' && key.size() > 1)) return false;
  if (!std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return false;
  }
  return key.size() < 20 || key <= "18446744073709551615";
}

}  // namespace

Decimal TreeModel::Get(const std::string& key, Bucket bucket) const {
  return Sum(key, {bucket, bucket});
}

Decimal TreeModel::Sum(const std::string& key, const BucketRange& range) const {
  const auto it = keys.find(key);
  if (it == keys.end()) return {};
  Adder sum;
  for (const auto& [bucket, value] : it->second) {
    if (range.Contains(bucket)) sum.Add(value);
  }
  return sum.Result();
}

Decimal TreeModel::Sum(const BucketRange& range) const {
  Adder sum;
  for (const auto& [key, buckets] : keys) {
    for (const auto& [bucket, value] : buckets) {
      if (range.Contains(bucket)) sum.Add(value);
    }
  }
  return sum.Result();
}

std::uint64_t TreeModel::buckets() const {
  std::uint64_t count = 0;
  for (const auto& [key, buckets] : keys) count += buckets.size();
  return count;
}

std::uint64_t TreeModel::Clear(const std::string& key, const BucketRange& range) {
  const auto it = keys.find(key);
  if (it == keys.end()) return 0;
  const auto gone =
      std::erase_if(it->second, [&](const auto& cell) { return range.Contains(cell.first); });
  if (it->second.empty()) keys.erase(it);
  return gone;
}

std::uint64_t TreeModel::Clear(const BucketRange& range) {
  std::uint64_t gone = 0;
  for (auto it = keys.begin(); it != keys.end();) gone += Clear((it++)->first, range);
  return gone;
}

std::uint64_t TreeModel::Trim(Bucket first_live) {
  if (first_live <= watermark) return 0;
  watermark = first_live;
  return Clear({engine::Tree::kAll.first, first_live - 1});
}

std::uint64_t TreeModel::Hash() const {
  std::string bytes = settings.zone + " " + std::to_string(static_cast<int>(settings.width)) + " " +
                      std::to_string(settings.retain) + " " + std::to_string(watermark);
  for (const auto& [key, buckets] : keys) {
    bytes.append(key).append(1, '\0');
    for (const auto& [bucket, value] : buckets) {
      bytes.append(reinterpret_cast<const char*>(&bucket), sizeof bucket);
      value.EncodeTo(bytes);
    }
  }
  return HashBytes(bytes, 17);
}

std::string Describe(const TreeModel& tree) {
  std::string text = DescribeFrame(tree);
  for (const auto& [key, buckets] : tree.keys) text += ", " + key + ": " + Describe(tree, key);
  return text;
}

std::set<std::string> KeysChanged(const TreeModel& a, const TreeModel& b) {
  std::set<std::string> changed;
  const auto missing_or_other = [&](const TreeModel& one, const TreeModel& other) {
    for (const auto& [key, buckets] : one.keys) {
      const auto it = other.keys.find(key);
      if (it == other.keys.end() || it->second != buckets) changed.insert(key);
    }
  };
  missing_or_other(a, b);
  missing_or_other(b, a);
  return changed;
}

std::string Difference(const TreeModel& expected, const TreeModel& found) {
  constexpr std::size_t kShown = 5;
  std::string text = DescribeFrame(found);
  if (DescribeFrame(expected) != text) text += ", expected " + DescribeFrame(expected);
  const std::set<std::string> changed = KeysChanged(expected, found);
  std::size_t shown = 0;
  for (const std::string& key : changed) {
    if (++shown > kShown) break;
    text +=
        ", key '" + key + "': " + Describe(found, key) + ", expected " + Describe(expected, key);
  }
  if (changed.size() > kShown) text += ", and " + std::to_string(changed.size() - kShown) + " more";
  return text;
}

bool KeyPrecedes(const std::string& a, const std::string& b) {
  const bool number = IsNumber(a);
  if (number != IsNumber(b)) return number;
  if (number && a.size() != b.size()) return a.size() < b.size();
  return a < b;
}

TreeModel ReadTree(const engine::Tree& tree, std::string& trouble) {
  TreeModel model{.settings = tree.settings(), .watermark = tree.watermark()};
  const auto expect = [&](const std::string& what, const std::string& wanted,
                          const std::string& found) {
    if (wanted != found) {
      trouble += "tree " + tree.name() + ": " + what + " is " + found + ", but " + wanted +
                 " by its buckets; ";
    }
  };
  std::uint64_t cursor = 0;
  do {
    cursor = tree.Scan(cursor, 1000, [&](const engine::KeyView& view) {
      const std::string key = view.ToString();
      if (model.Has(key)) trouble += "tree " + tree.name() + " has key " + key + " twice; ";
      TreeModel::Buckets& buckets = model.keys[key];
      view.ForEach([&](Bucket bucket, const Decimal& value) { buckets[bucket] = value; });
      if (buckets.empty()) trouble += "tree " + tree.name() + " has key " + key + " with nothing; ";
      expect("the total of " + key, model.Sum(key, engine::Tree::kAll).ToString(),
             view.Total().ToString());
    });
  } while (cursor != 0);
  expect("the total", model.Sum(engine::Tree::kAll).ToString(), tree.Total().ToString());
  expect("the sum of all", model.Sum(engine::Tree::kAll).ToString(),
         tree.SumOf(engine::Tree::kAll).ToString());
  expect("the number of keys", std::to_string(model.keys.size()), std::to_string(tree.keys()));
  expect("the number of buckets", std::to_string(model.buckets()), std::to_string(tree.buckets()));
  if (!model.keys.empty()) {
    const BucketRange one{model.keys.begin()->second.begin()->first,
                          model.keys.begin()->second.begin()->first};
    expect("the sum of bucket " + std::to_string(one.first), model.Sum(one).ToString(),
           tree.SumOf(one).ToString());
  }
  return model;
}

}  // namespace jeton::sim
