// How a cluster stands: how much would be lost now, since when some byte has not been read, what is
// missing.
//
// Units:    sizes are bytes, times UTC, positions bytes in the WAL stream.
// Memory:   about 200 bytes per object of the repository, and one WAL segment.
// Threads:  blocks its caller.
// Errors:   those of reading the repository; damage becomes a problem of the report. A server that
//           cannot be reached is none.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/postgres/backup_facts.h"
#include "engine/postgres/connection.h"
#include "engine/repository/cluster.h"
#include "engine/repository/snapshot.h"
#include "engine/restore/recovery_window.h"
#include "engine/verify/ledger.h"
#include "engine/wal/wal_inventory.h"

namespace haul::verify {

// What the server says of its WAL.
struct ServerPosition {
  Lsn written;  // durable there; on a standby what it has received
  bool in_recovery = false;
};

// What would be lost if the server were gone now.
struct ExposedWal {
  Lsn durable;                         // the farthest position that can be recovered to
  std::optional<UtcTime> last_commit;  // the last one that can be recovered
  // Only where the server says how far it is.
  std::optional<std::uint64_t> bytes;
  // Since the last commit that can be recovered; 0 where nothing would be lost. Whatever was
  // committed since then would be lost: at most so much time. Nothing: no commit is known.
  std::optional<std::chrono::nanoseconds> time;
};

struct StatusBackup {
  repository::Snapshot snapshot;
  postgres::BackupFacts facts;
  restore::RecoveryWindow window;
};

struct StatusReport {
  UtcTime now;
  std::vector<StatusBackup> backups;  // oldest first
  // Of the newest backup that can be recovered, by its position in `backups`.
  std::optional<std::size_t> newest;
  std::optional<ServerPosition> server;
  std::string server_failure;  // why there is none
  std::optional<ExposedWal> exposed;
  std::vector<wal::WalGap> gaps;
  Coverage coverage;
  // What is wrong whatever thresholds there are: damage, a backup without its WAL, a broken
  // archive.
  std::vector<std::string> problems;

  const StatusBackup* newest_backup() const { return newest ? &backups[*newest] : nullptr; }
};

// 0 where the clock went back.
std::chrono::nanoseconds elapsed(UtcTime from, UtcTime to);

// `server`: nothing, and it is not asked.
Result<StatusReport> find_status(const repository::Cluster& cluster,
                                 const std::optional<postgres::ConnectionOptions>& server,
                                 Clock& clock);

}  // namespace haul::verify
