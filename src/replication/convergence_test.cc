// Seeds: 2 to 7 nodes, a network that loses links, stops and slows them, crashes with and without
// loss, new addresses, tiny rings. Exactness is checked after every step (TestHost::Check); at the
// end everything heals and all must be equal soon.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "replication/test_network.h"

namespace jeton::replication::test {
namespace {

Settings Drawn(Prng& prng) {
  Settings settings;
  settings.node_timeout_ms = prng.Between(500, 3'000);
  settings.heartbeat_ms = prng.Between(50, 200);
  settings.vector_delay_ms = prng.Between(1, 50);
  settings.pull_delay_ms = prng.Between(0, 200);
  settings.need_timeout_ms = prng.Between(200, 1'000);
  settings.state_timeout_ms = prng.Between(500, 2'000);
  settings.handshake_timeout_ms = prng.Between(300, 1'000);
  settings.reconnect_ms_min = prng.Between(10, 100);
  settings.reconnect_ms_max = prng.Between(200, 1'000);
  settings.ring_bytes_max = prng.Chance(0.5) ? 1 << 20 : 1 << prng.Between(8, 12);
  settings.ring_bytes_kept = settings.ring_bytes_max / 4;
  settings.link_bytes_max = prng.Chance(0.5) ? 1 << 20 : 1 << prng.Between(8, 14);
  settings.need_bytes = std::size_t{1} << prng.Between(6, 20);
  settings.digest_interval_ms = 500;
  return settings;
}

class Chaos {
 public:
  explicit Chaos(std::uint64_t seed) : network_(seed), prng_(network_.prng) {
    const auto count = static_cast<std::size_t>(prng_.Between(2, 7));
    network_.step_ms = 10;
    network_.delay_ms_max = prng_.Between(0, 80);
    network_.sync_each_step = prng_.Chance(0.5);
    if (prng_.Chance(0.3)) network_.bytes_per_step = std::size_t{1} << prng_.Between(7, 12);
    logs_ = prng_.Chance(0.2) ? TestHost::Logs::kAll : TestHost::Logs::kOwn;
    joins_ = prng_.Chance(0.5);
    Settings settings = Drawn(prng_);
    if (prng_.Chance(0.5)) settings.secret = "secret";
    for (std::size_t i = 0; i < count; ++i) {
      const std::string secret = settings.secret;
      if (prng_.Chance(0.5)) settings = Drawn(prng_);
      settings.secret = secret;
      network_.Add(settings);
      SetUp(i);
    }
    if (prng_.Chance(0.3)) PreFill(0);
    for (std::size_t i = 1; i < count; ++i) {
      if (prng_.Chance(0.5)) network_.Run(prng_.Between(0, 200));
      const std::size_t j = prng_.Below(i);
      const bool from_new = prng_.Chance(0.5);
      network_.Meet(from_new ? i : j, from_new ? j : i, true);
    }
  }

  void Run() {
    for (int i = 0; i < 200; ++i) {
      Act();
      network_.Run(10 * prng_.Between(0, 6));
    }
  }

  void Heal() {
    network_.Heal();
    network_.sync_each_step = true;
    network_.bytes_per_step = 1 << 20;
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
      TestNetwork::Node& node = *network_.nodes[i];
      if (node.host == nullptr) Start(i);
      node.frozen = false;
      node.host->busy = false;
      node.host->refuse_states = false;
      // Meets that were given up while the other side was away.
      if (i > 0) network_.Meet(i, 0, true);
    }
    const std::int64_t begin_ms = network_.mono_ns / kNsPerMs;
    const bool converged = network_.RunUntil(30'000, [&] {
      for (std::size_t i = 0; i < network_.nodes.size(); ++i) network_.Cut(i);
      return network_.Converged() && AllMembers();
    });
    EXPECT_TRUE(converged) << Describe();
    if (!converged) return;
    seen_.healing_ms_max = network_.mono_ns / kNsPerMs - begin_ms;
    network_.Run(3'000);
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
      CheckQuiet(i);
      const ReplicatorStatus status = network_.StatusOf(i);
      seen_.states += network_.nodes[i]->disk.states_taken;
      seen_.frames += network_.nodes[i]->disk.frames_applied;
      seen_.gaps += status.frames_gap;
      seen_.known += status.frames_known;
      seen_.failed += status.transfer.failed_total;
      for (const PeerStatus& peer : status.peers) seen_.repairs += peer.repairs;
    }
  }

  // What happened, to know that the seeds reach what they should.
  struct Seen {
    std::uint64_t states = 0;
    std::uint64_t frames = 0;
    std::uint64_t gaps = 0;
    std::uint64_t known = 0;
    std::uint64_t failed = 0;  // state transfers
    std::uint64_t repairs = 0;
    std::int64_t healing_ms_max = 0;
  };
  const Seen& seen() const { return seen_; }

  std::string Describe() const {
    std::string text;
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
      const TestNetwork::Node& node = *network_.nodes[i];
      text += "node " + std::to_string(i) + " cluster " + std::to_string(node.disk.cluster[0]) +
              " head " + std::to_string(node.host->Head()) + " held " +
              std::to_string(node.host->held) + ":";
      for (const auto& [origin, lsn] : node.host->applied()) {
        text += " " + ShortName(origin) + "=" + std::to_string(lsn);
      }
      text += "\n";
      const std::size_t first = node.events.size() > 12 ? node.events.size() - 12 : 0;
      for (std::size_t e = first; e < node.events.size(); ++e)
        text += "   " + node.events[e] + "\n";
    }
    return text;
  }

 private:
  void SetUp(std::size_t i) {
    network_.nodes[i]->host->digests = true;
    network_.nodes[i]->host->logs = logs_;
    network_.nodes[i]->host->joins = joins_;
    network_.nodes[i]->host->chunk_padding = prng_.Below(2'000);
  }
  void Start(std::size_t i) {
    network_.Start(i);
    SetUp(i);
  }
  void PreFill(std::size_t i) {
    for (int k = 0; k < 20; ++k) network_.Increment(i, prng_.Below(100));
  }
  bool AllMembers() const {
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
      if (network_.nodes[i]->replicator->members().size() != network_.nodes.size()) return false;
    }
    return true;
  }

  void CheckQuiet(std::size_t i) {
    const ReplicatorStatus status = network_.StatusOf(i);
    const TestNetwork::Node& node = *network_.nodes[i];
    EXPECT_TRUE(status.consistent) << Describe();
    EXPECT_EQ(status.needs_outstanding, 0U);
    EXPECT_EQ(status.divergence_total, 0U);
    EXPECT_FALSE(status.transfer.joining);
    EXPECT_FALSE(node.host->held);
    EXPECT_EQ(node.host->donations(), 0U);
    EXPECT_EQ(node.replicator->AckedBy(node.host->Head()), network_.nodes.size() - 1);
    EXPECT_LE(status.ring_bytes, node.settings.ring_bytes_max + 4'096);
  }

  void Act() {
    const std::size_t i = prng_.Below(network_.nodes.size());
    const std::size_t j = prng_.Below(network_.nodes.size());
    TestNetwork::Node& node = *network_.nodes[i];
    if (node.host == nullptr) {
      if (prng_.Chance(0.3)) Start(i);
      return;
    }
    switch (prng_.Below(16)) {
      case 0:
        return network_.Stop(i);
      case 1:
        return network_.Break(i, j, prng_.Chance(0.5));
      case 2:
        return network_.Block(i, j, true);
      case 3:
      case 4:
        return network_.Block(i, j, false);
      case 5:
        network_.refuse_dials = prng_.Chance(0.5) ? 0.5 : 0;
        return;
      case 6:
        node.frozen = prng_.Chance(0.5);
        return;
      case 7:
        node.host->busy = prng_.Chance(0.5);
        node.host->refuse_states = prng_.Chance(0.3);
        return;
      case 8:
        return node.host->Sync();
      case 9:
        if (!prng_.Chance(0.2)) return;
        network_.Stop(i);
        node.address.host = "moved" + std::to_string(++moves_);
        return Start(i);
      case 10:
        return network_.Publish(i, node.host->Cut(!joins_));
      default:
        // Two clusters with data would never become one.
        if (node.disk.cluster != network_.nodes[0]->disk.cluster) return;
        for (auto k = prng_.Between(1, 5); k > 0; --k) node.host->Increment(prng_.Below(1'000));
        if (prng_.Chance(0.8))
          network_.Publish(i, node.host->Cut(!joins_ || network_.sync_each_step));
    }
  }

  TestNetwork network_;
  Prng& prng_;
  TestHost::Logs logs_ = TestHost::Logs::kOwn;
  // Only states that join can bring back what nobody has as frames any more. Without them, owners
  // publish nothing that they may lose.
  bool joins_ = false;
  int moves_ = 0;
  Seen seen_;
};

TEST(Convergence, Seeds) {
  const char* const first_text = std::getenv("JETON_FIRST_SEED");
  const char* const count_text = std::getenv("JETON_SEEDS");
  const std::uint64_t first = first_text == nullptr ? 1 : std::strtoull(first_text, nullptr, 10);
  const std::uint64_t count = count_text == nullptr ? 200 : std::strtoull(count_text, nullptr, 10);
  Chaos::Seen all;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Chaos chaos(seed);
    chaos.Run();
    chaos.Heal();
    if (testing::Test::HasFailure()) return;
    all.states += chaos.seen().states;
    all.frames += chaos.seen().frames;
    all.gaps += chaos.seen().gaps;
    all.known += chaos.seen().known;
    all.failed += chaos.seen().failed;
    all.repairs += chaos.seen().repairs;
    all.healing_ms_max = std::max(all.healing_ms_max, chaos.seen().healing_ms_max);
  }
  RecordProperty("states", std::to_string(all.states));
  std::printf(
      "%lu frames applied (%lu asked for), %lu known, %lu early; %lu states taken over, "
      "%lu failed; healed within %ld ms\n",
      all.frames, all.repairs, all.known, all.gaps, all.states, all.failed, all.healing_ms_max);
  if (count < 100) return;
  EXPECT_GT(all.frames, 10 * count);
  EXPECT_GT(all.states, count / 10);
  EXPECT_GT(all.failed, 0U);
  EXPECT_GT(all.gaps, 0U);
}

}  // namespace
}  // namespace jeton::replication::test
