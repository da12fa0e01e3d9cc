// Swarm: what a seed's run is made of. Each seed draws which features and faults are on and how
// strong (Groce et al., "Swarm Testing", ISSTA 2012): a run with everything on finds less than many
// runs that each leave something out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "command/settings.h"

namespace jeton::sim {

// What may be on or off; a failing run is minimised by turning them off one at a time.
enum class Feature : unsigned {
  kTransactions,
  kSubscriptions,
  kExpiry,
  kFractions,
  kFlushAll,
  kBadRequests,
  kWalks,  // KEYS, SCAN, RANDOMKEY, DBSIZE
  kPipelines,
  kClockJumps,
  kSnapshots,
  kSavePoints,
  kKill,  // the process dies, the system lives
  kPowerLoss,
  kDeathInMidAir,  // at some operation of the disk
  kShutdown,
  kDiskFull,
  kShortWrites,
  kSyncErrors,
  kWriteErrors,
  kReadErrors,      // while recovering
  kFaultyRecovery,  // dies while recovering
  kChurn,           // clients come and go
  kSlowLog,         // the log is flushed late
  kTinySegments,
  kTinyStaging,
  kTrees,
  kLongTimes,  // hours and days pass at once
  kBigTrees,   // so many keys that queries go on in slices
  kCount
};

std::string_view NameOf(Feature feature);
std::optional<Feature> FeatureByName(std::string_view name);

struct Swarm {
  std::uint64_t features = 0;  // a bit for each
  command::FsyncPolicy fsync = command::FsyncPolicy::kAlways;
  int workers = 1;
  int clients = 3;
  int names = 8;
  double zipf = 1.0;         // the exponent of the names' popularity
  double crash_rate = 0.01;  // per step
  double fault_rate = 0.01;
  std::uint64_t segment_size = 64u << 10;
  std::uint64_t staged_bytes_max = 1u << 20;
  bool drop_zeros = true;
  double tree_share = 0;  // of the requests
  int trees = 1;          // names
  WallMs start_ms = 0;

  bool Has(Feature feature) const { return (features >> static_cast<unsigned>(feature) & 1) != 0; }
  // The disk may refuse or fail while the process lives on.
  bool HasDiskFaults() const {
    return Has(Feature::kDiskFull) || Has(Feature::kShortWrites) || Has(Feature::kSyncErrors) ||
           Has(Feature::kWriteErrors);
  }
  std::string ToText() const;
};

Swarm DrawSwarm(std::uint64_t seed, std::uint64_t features_off);

// Planted bugs: they show that the checkers can fail. None is in the product: they are lies of the
// disk (lying_disk.h), or the driver's.
enum class Canary : unsigned {
  kNone,
  kSyncLies,           // a sync of the log does nothing
  kSyncErrorHidden,    // a failed sync of the log is said to have worked
  kDirectorySyncLies,  // new names are not made durable
  kSnapshotUnsynced,   // a snapshot is put in use before it is durable
  kWriteLost,          // now and then a write to the log does not happen
  kNoSpaceHidden,      // a full disk is not reported
  kRenameLost,         // a rename is said to have worked and did not
  kEarlyReply,         // replies leave before their record is durable
  kRecoveryForgets,    // a name is missing after recovery
  kRecoveryDoubles,    // an increment is applied again by recovery
  kRecoveryLosesExpiry,
  kHalfUnit,              // recovery keeps half of a transaction
  kLateClock,             // the node's clock is behind its clients'
  kTreeForgetsWatermark,  // recovery lets trimmed buckets be written again
  kTreeLosesBucket,       // recovery loses one bucket of one key
  kHalfBatch,             // recovery keeps half of a TREE.MINCRBY
  kErrorAcknowledged,     // what a failing disk left unknown is said to have been done
  kCount
};

std::string_view NameOf(Canary canary);
std::optional<Canary> CanaryByName(std::string_view name);

}  // namespace jeton::sim
