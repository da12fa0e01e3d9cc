// Workload: the requests of simulated clients: every counter command over a small set of names, of
// which some are much more popular than others, so that conflicts, expiry and zeros happen.
#pragma once

#include <string>
#include <vector>

#include "base/prng.h"
#include "base/time.h"
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

  const Swarm& swarm_;
  Prng& prng_;
  std::vector<std::string> names_;
  std::vector<double> cumulative_;  // of the names' popularity
};

}  // namespace jeton::sim
