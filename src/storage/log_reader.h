// Reads the log from a segment on, in order, verifying everything.
//
// When a record does not verify at LSN b there are two possibilities. Unsynced writes may reach the
// disk in any subset of their sectors, so the end of the last segment may be *torn*: that is
// normal, nobody was told that these records were safe, and the log ends at b. Or the disk has
// *damaged* what had been synced: then starting would lose acknowledged writes, and the reader
// refuses with the exact position. The two are told apart by proof, not by guess:
//  * a segment is sealed and synced before the next one is begun, so anything bad before the last
//    segment is damage;
//  * in the last segment it is damage if any later record header verifies whose lsn - back >= b: it
//    was written when b was known to be durable. Otherwise it is a torn tail.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/file_system.h"
#include "storage/log_format.h"

namespace jeton {

struct LogRecord {
  const OriginId& origin;
  Lsn lsn = 0;
  RecordType type = RecordType::kCommit;
  std::string_view payload;  // valid until on_pause
  std::uint64_t seq = 0;     // where it was found, for error texts
  std::uint64_t offset = 0;
};

struct LogReadOptions {
  std::uint64_t first_seq = 1;  // 0: the first that is there
  LogKind kind = LogKind::kPresent;
  // Salvage: step over damage, report it in LogEnd::skipped, deliver what verifies after it.
  bool salvage = false;
  // An error ends the reading (in salvage mode: is reported, the record is skipped).
  std::function<Status(const LogRecord&)> on_record;  // may be empty; SEAL records are not shown
  // Called before payloads that were handed out go, and after the last one. May be empty.
  std::function<void()> on_pause;
  // Another thread reads and verifies the next segment while on_record is busy with this one. All
  // callbacks come from the calling thread, in the same order, in any case.
  bool read_ahead = false;
  std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_total)> on_progress;
  // For `check`: a sentence for each segment.
  std::function<void(const std::string& path, const std::string& finding)> on_segment;
};

struct LogEnd {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;       // of records that verified, headers included
  std::uint64_t torn_bytes = 0;  // unsynced leftovers behind the end, cut
  std::optional<OriginId> last_origin;
  Lsn last_lsn = 0;                  // of last_origin
  bool clean = false;                // the last record is CLEAN: an orderly shutdown
  std::uint64_t next_seq = 1;        // where the next origin begins
  std::vector<std::string> skipped;  // salvage mode: what was left out, and where
  // The last segment in use, and where its records end.
  struct Tail {
    std::uint64_t seq = 0;
    std::uint64_t offset = 0;  // of the seal, there already or still to be written
    std::uint32_t seed = 0;
    std::uint32_t chain = 0;
    bool sealed = false;
  };
  std::optional<Tail> tail;
};

// Errors: kCorrupt with file, offset and LSN; kUnavailable for a newer format; kIo; on_record's.
Result<LogEnd> ReadLog(Directory& directory, const LogReadOptions& options);

// Cuts a torn tail and seals the last segment, durably. Doing it again, also after a crash in the
// middle of it, changes nothing. It writes the whole segment again first, because a process that
// died of a failed sync may have left pages in the kernel's cache that are marked clean and are not
// on the disk: we have read them, so they must get there. Needs no new space on the disk.
Status SealLog(Directory& directory, const LogEnd& end);

}  // namespace jeton
