// From where to where a backup can be recovered with what is archived.
//
// The end is read from the last segments alone: what lies between is known by its names.
//
// Memory:   one segment, stored and unpacked.
// Threads:  blocks its caller.
// Errors:   those of reading the archive; WAL that is damaged ends the window.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "engine/postgres/backup_facts.h"
#include "engine/repository/cluster.h"
#include "engine/restore/wal_survey.h"
#include "engine/wal/wal_inventory.h"

namespace haul::restore {

struct RecoveryWindow {
  // The first segment or history of the backup's own WAL that is nowhere: it cannot be recovered at
  // all. The rest then means nothing.
  std::optional<std::string> missing;
  TimelineId timeline;  // the newest one that the backup lies on
  Lsn start;            // the backup's stop
  Lsn end;              // of the last record that can be reached; at least the start
  std::optional<ReplayedTransaction>
      last_transaction;  // near the end; nothing: none was found there
  // Where the archive breaks off though more is archived behind.
  std::optional<std::string> gap;
};

// Of many backups of one cluster; what their windows have in common is read once.
class RecoveryWindows {
 public:
  // Both outlive it.
  RecoveryWindows(const repository::Cluster& cluster, const wal::WalInventory& archive)
      : cluster_(&cluster), archive_(&archive) {}

  Result<RecoveryWindow> of(const postgres::BackupFacts& backup);

 private:
  struct LastRecords {
    Lsn end;  // invalid: no record begins in the segment
    std::optional<ReplayedTransaction> transaction;
  };

  Result<LastRecords> last_records(const postgres::BackupFacts& backup, const WalPiece& piece);
  Result<LastRecords> read_last_records(const postgres::BackupFacts& backup, const WalPiece& piece);

  const repository::Cluster* cluster_;
  const wal::WalInventory* archive_;
  std::map<std::pair<postgres::WalSegment, Lsn>, LastRecords> read_;  // by segment and its limit
};

}  // namespace haul::restore
