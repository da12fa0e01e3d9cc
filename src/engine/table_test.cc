#include "engine/table.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/prng.h"

namespace jeton::engine {

class TableTest : public ::testing::Test {
 protected:
  ~TableTest() override { EXPECT_EQ(table_.size(), 0); }

  void Add(const std::string& name) {
    table_.Insert(Hash(name), Record::Make(slab_, name, {}));
    ++model_[Hash(name)];
  }
  void Remove(const std::string& name) {
    Table::Slot* slot = table_.Find(Hash(name), name);
    ASSERT_NE(slot, nullptr);
    Record* record = Table::RecordAt(*slot);
    table_.Erase(Hash(name), slot);
    record->Destroy(slab_);
    model_.erase(Hash(name));
  }
  bool Has(const std::string& name) const { return table_.Find(Hash(name), name) != nullptr; }
  // All in one partition: the tests are about what is below it.
  std::uint64_t Hash(const std::string& name) const { return HashBytes(name, kSeed); }

  void ExpectWalkInOrder() {
    std::vector<Table::Walked> all;
    std::uint64_t from = 0;
    do {
      std::vector<Table::Walked> step;
      from = table_.Walk(from, 13, step);
      all.insert(all.end(), step.begin(), step.end());
    } while (from >> 56 == 0);
    auto expected = model_.begin();
    ASSERT_EQ(all.size(), model_.size());
    for (const Table::Walked& walked : all) EXPECT_EQ(walked.hash, (expected++)->first);
  }

  // Names whose hash begins with a zero byte, so that one partition's walk covers them.
  std::vector<std::string> Names(std::size_t count) const {
    std::vector<std::string> names;
    for (int i = 0; names.size() < count; ++i) {
      std::string name = "n" + std::to_string(i);
      if (Hash(name) >> 56 == 0) names.push_back(std::move(name));
    }
    return names;
  }

  static constexpr std::uint64_t kSeed = 5;
  BlockPool pool_;
  Slab slab_{pool_};
  // A depth of 2: segments beyond it have to grow, which honest hashes would never show.
  Table table_{pool_, kSeed, 2};
  std::map<std::uint64_t, int> model_;
};

TEST_F(TableTest, SplitsExtendsAndMerges) {
  const std::vector<std::string> names = Names(6000);
  for (const std::string& name : names) Add(name);
  EXPECT_EQ(table_.depth(), 2);
  for (const std::string& name : names) ASSERT_TRUE(Has(name));
  EXPECT_FALSE(Has("absent"));
  ExpectWalkInOrder();
  Prng prng(1);
  std::vector<std::string> left = names;
  while (!left.empty()) {
    const std::size_t i = prng.Below(left.size());
    Remove(left[i]);
    EXPECT_FALSE(Has(left[i]));
    left[i] = left.back();
    left.pop_back();
    if (left.size() % 1500 == 0) ExpectWalkInOrder();
  }
  EXPECT_EQ(pool_.used_bytes(), 0);
}

TEST_F(TableTest, AHintThatIsOutOfDateChangesNothing) {
  const std::vector<std::string> names = Names(1500);
  std::map<std::string, const Table::Slot*> hints;
  Prng prng(3);
  for (int step = 0; step < 20'000; ++step) {
    const std::string& name = names[prng.Below(names.size())];
    Table::Slot* slot = table_.Find(Hash(name), name);
    ASSERT_EQ(table_.Find(Hash(name), name, hints[name]), slot);
    if (prng.Chance(0.5)) hints[name] = table_.PrefetchRecord(Hash(name));
    if (slot == nullptr) {
      Add(name);
    } else if (prng.Chance(step / 4000 % 2 == 0 ? 0.2 : 0.8)) {
      Remove(name);
    }
  }
  for (const std::string& name : names) {
    if (Has(name)) Remove(name);
  }
}

// Hashes whose tag is 0 look like empty slots, but for the pointer.
TEST_F(TableTest, ATagOfZeroIsNotAnEmptySlot) {
  Record* record = Record::Make(slab_, "name", {});
  EXPECT_EQ(table_.PrefetchRecord(1), nullptr);
  table_.Insert(1, record);
  const Table::Slot* hint = table_.PrefetchRecord(1);
  ASSERT_NE(hint, nullptr);
  EXPECT_EQ(table_.Find(1, "name", hint), hint);
  EXPECT_EQ(table_.Find(1, "other", hint), nullptr);
  table_.Insert(2, Record::Make(slab_, "second", {}));
  table_.Erase(1, table_.Find(1, "name"));
  table_.Erase(2, table_.Find(2, "second"));
  EXPECT_EQ(table_.PrefetchRecord(1), nullptr);
  EXPECT_EQ(table_.Find(1, "name", hint), nullptr);
  slab_.Clear();
}

TEST_F(TableTest, ReusesWhatItFreed) {
  const std::vector<std::string> names = Names(1500);
  Prng prng(2);
  std::vector<bool> there(names.size());
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t i = prng.Below(names.size());
    // Waves of growth and of decline.
    const bool add = prng.Chance(step / 4000 % 2 == 0 ? 0.8 : 0.2);
    if (add != there[i]) add ? Add(names[i]) : Remove(names[i]);
    there[i] = add;
  }
  ExpectWalkInOrder();
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(Has(names[i]), there[i]);
    if (there[i]) Remove(names[i]);
  }
}

}  // namespace jeton::engine
