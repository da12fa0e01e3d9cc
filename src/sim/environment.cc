#include "sim/environment.h"

#include <string>

namespace jeton::sim {

node::Environment EnvironmentOfSimulator(Prng& prng) {
  node::Environment env;
  for (std::uint64_t& word : env.fresh.random) word = prng.Next();
  env.owner = "process of the simulator";
  env.wake_worker = [](int) {};
  env.wake_log = [] {};
  env.wake_upkeep = [] {};
  env.request_shutdown = [](command::Host::ShutdownSave) {};
  env.on_disk_failure = [](const Error&) {};
  env.process_facts = [] { return command::Host::ProcessFacts(); };
  env.sleep = [](double) -> Status {
    return Error{ErrorKind::kDenied, "ERR there is no sleeping here"};
  };
  env.read_config = []() -> Result<std::string> { return std::string(); };
  env.write_config = [](std::string_view) -> Status { return {}; };
  return env;
}

}  // namespace jeton::sim
