// Workload: the requests of simulated clients: every counter command over a small set of names, of
// which some are much more popular than others, so that conflicts, expiry and zeros happen.
#pragma once

#include <string>
#include <vector>

#include "base/calendar.h"
#include "base/prng.h"
#include "base/time.h"
#include "base/time_zone.h"
#include "sim/oracle.h"
#include "sim/swarm.h"

namespace jeton::sim {

class Workload {
 public:
  // Both outlive the workload.
  Workload(const Swarm& swarm, Prng& prng);

  const std::vector<std::string>& names() const { return names_; }

  // The next request of a client, which remembers that it is inside MULTI or subscribed.
  struct ClientState {
    bool in_multi = false;
    bool subscribed = false;
  };
  Words Next(ClientState& client, WallMs now);

 private:
  bool Has(Feature feature) const { return swarm_.Has(feature); }
  const std::string& Name();
  std::string Amount();
  std::string Value();
  Words Increment();
  Words Write();
  Words SetWithOptions(WallMs now);
  Words Increx(WallMs now);
  Words ExpiryWords(WallMs now);
  Words Expiry(WallMs now);
  Words Read();
  Words Several();
  Words Rare(ClientState& client);
  Words Transaction(ClientState& client);

  // Trees, workload_trees.cc.
  struct TreePlan {
    std::string name;
    Calendar calendar;
    int retain = 0;
  };
  void PlanTrees();
  const TreePlan& DrawTree();
  std::string TreeKey();
  std::string BucketText(const TreePlan& plan, WallMs now);
  void AppendRange(Words& words, const TreePlan& plan, WallMs now);
  Words CreateTree(const TreePlan& plan);
  Words BigBatch(const TreePlan& plan);
  Words ChangeTree(WallMs now);
  Words TakeFromTree(const ClientState& client, WallMs now);
  Words ReadTree(WallMs now);
  Words OnTree(const ClientState& client, WallMs now);

  const Swarm& swarm_;
  Prng& prng_;
  std::vector<std::string> names_;
  std::vector<double> cumulative_;  // of the names' popularity
  std::vector<TreePlan> plans_;
};

}  // namespace jeton::sim
