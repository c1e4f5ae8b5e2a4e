// Which backup a recovery begins from, along which timelines it goes, and the proof, from the
// archive, that it gets where it should.
//
// What cannot be reached is refused here, before anything is touched: not_found, with the farthest
// point that can be, and the first segment that is missing.
//
// Memory:   the facts of every backup, an unfinished segment, and see engine/restore/wal_survey.h.
// Threads:  functions that block their caller, with threads of their own.
// Errors:   not_found (no such backup, timeline or archive; a target that is not reached), corrupt,
//           io, interrupted.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/repository/chunk_reader.h"
#include "engine/restore/plan.h"
#include "engine/restore/recovery_settings.h"
#include "engine/restore/recovery_target.h"
#include "engine/restore/wal_survey.h"
#include "engine/wal/timeline_history.h"

namespace haul::restore {

struct RecoveryPlan {
  RecoveryTarget target;
  wal::TimelineHistory lineage;
  Lsn start;  // of replay
  std::string first_segment;
  std::string last_segment;  // the one in which replay ends
  // Of the last segment there is a tail or a partial one; restore puts it into pg_wal.
  bool last_is_unfinished = false;
  Survey survey;
  std::vector<Setting> settings;
  std::string signal_file;
};

struct RecoveryRequest {
  const repository::Cluster* cluster = nullptr;
  repository::ChunkReader* chunks = nullptr;
  std::string backup;  // a name; "latest": the newest one that serves
  RecoveryTarget target;
  ArchiveAccess access;  // for the settings
  std::size_t workers = 1;
  std::stop_token stop;
};

struct ChosenBackup {
  RestorePlan plan;
  // Nothing: the backup is restored as it is, and recovers with what it has.
  std::optional<RecoveryPlan> recovery;
  // The last segment of the recovery, where it is unfinished.
  std::optional<WalFile> unfinished;
  std::vector<std::string> warnings;
};

Result<ChosenBackup> choose_backup(const RecoveryRequest& request);

// "before the commit of transaction 742 at 2026-11-24 10:00:00.123456+00 (0/3000150)"
std::string describe(const StopPoint& stop, const RecoveryTarget& target);

}  // namespace haul::restore
