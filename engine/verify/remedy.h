// What damage means to whoever has to recover: where a lost file can still be had, and which
// moments cannot be recovered any more.
//
// A moment is lost when no backup that is whole leads to it by WAL that is whole. Moments are
// positions on the newest timeline that a backup lies on.
//
// Memory:   what is lost, and one window per backup.
// Threads:  functions that block their caller.
// Errors:   those of reading the repository.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/types.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/snapshot.h"
#include "engine/verify/inventory.h"

namespace haul::verify {

struct AffectedBackup;

struct LostMoments {
  TimelineId timeline;
  Lsn from;  // positions behind this one
  Lsn to;    // up to this one

  bool operator==(const LostMoments&) const = default;
};

// Of one backup.
struct Moments {
  TimelineId timeline;
  Lsn from;
  Lsn to;      // while everything was whole
  Lsn to_now;  // `from`: it leads nowhere
};

// What all backups led to and do not any more, ascending.
std::vector<LostMoments> lost_moments(const std::vector<Moments>& backups);

// Of all snapshots that can be read. Adds to `affected` whose own WAL is damaged.
Result<std::vector<LostMoments>> find_lost_moments(
    const repository::Cluster& cluster, const std::vector<repository::Snapshot>& snapshots,
    const std::vector<wal::WalKey>& damaged, std::vector<AffectedBackup>& affected);

// Notes of every lost file which other backup, the newest, has a whole file of that name.
Status find_whole_files(repository::ChunkReader& chunks,
                        const std::vector<repository::Snapshot>& snapshots,
                        std::vector<AffectedBackup>& affected);

}  // namespace haul::verify
