// A frame holds so much: what is more goes into several, and nothing between them is wrong.
#include <gtest/gtest.h>

#include "engine/replica.h"
#include "engine/unit.h"
#include "engine/watch.h"

namespace jeton::engine {
namespace {

class TestNode {
 public:
  explicit TestNode(std::uint8_t id)
      : keyspace_({.hash_seed = id}),
        unit_(keyspace_, watches_),
        replica_(keyspace_, &watches_,
                 {.node = {id},
                  .own = {id},
                  .close_record = [this] { return lsn_; },
                  .wall_now = [] { return WallMs{1000}; }}) {
    keyspace_.set_replica(&replica_);
    replica_.BeginAs(OriginId{id}, 0);
    unit_.set_now(1000);
  }

  void Add(const std::string& name, std::int64_t delta) {
    const Key key = keyspace_.MakeKey(name);
    const auto entry = keyspace_.Find(key, 1000);
    const Decimal sum = *Decimal::Add(entry ? entry->value : 0, delta);
    unit_.Add(key, sum, delta);
    Log();
  }
  void Set(const std::string& name, std::int64_t value) {
    unit_.Put(keyspace_.MakeKey(name), value, value);
    Log();
  }
  std::int64_t Get(const std::string& name) const {
    const auto entry = keyspace_.Find(keyspace_.MakeKey(name), 1000);
    return entry ? entry->value.Int64() : 0;
  }
  std::vector<std::string> CutAll() {
    std::vector<std::string> frames;
    while (auto bytes = replica_.Cut(lsn_, {}, false)) {
      frames.push_back(*bytes);
      ++lsn_;  // the frame's own record
    }
    return frames;
  }
  void Apply(const std::string& bytes) {
    ByteReader in(bytes);
    const crdt::Frame frame = crdt::DecodeFrame(in);
    ASSERT_TRUE(in.ok());
    EXPECT_EQ(replica_.ApplyFrame(frame, 1000), Replica::Outcome::kApplied);
  }
  Replica& replica() { return replica_; }

 private:
  void Log() {
    ++lsn_;
    unit_.Clear();
  }

  Lsn lsn_ = 0;
  Keyspace keyspace_;
  WatchTable watches_;
  Unit unit_;
  Replica replica_;
};

TEST(ReplicaCut, GoesIntoSeveralFramesAndMeansTheSame) {
  TestNode a(1), b(2);
  const std::string prefix(200, 'x');
  constexpr int kCounters = 60'000;
  const auto name = [&](int i) { return std::to_string(i) + prefix; };
  for (int i = 0; i < kCounters; ++i) a.Add(name(i), i);
  for (int i = 0; i < kCounters; i += 100) a.Set(name(i), 7);
  for (int i = 0; i < kCounters; i += 200) a.Add(name(i), 1);
  const std::vector<std::string> frames = a.CutAll();
  ASSERT_GT(frames.size(), 2u);
  EXPECT_FALSE(a.replica().HasUncut());
  for (const std::string& frame : frames) {
    EXPECT_LT(frame.size(), 2 * Replica::kCutBytes);
    b.Apply(frame);
  }
  for (int i = 0; i < kCounters; ++i) {
    const std::int64_t expected = i % 200 == 0 ? 8 : i % 100 == 0 ? 7 : i;
    ASSERT_EQ(b.Get(name(i)), expected) << i;
  }
  EXPECT_EQ(a.replica().applied(), b.replica().applied());
  EXPECT_EQ(a.replica().DigestAll(), b.replica().DigestAll());
}

}  // namespace
}  // namespace jeton::engine
