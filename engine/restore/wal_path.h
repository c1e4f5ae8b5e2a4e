// The way a server takes through the WAL: from the start of a backup along a lineage, one
// segment after another, each from where the server would find it.
//
// Threads:  functions over values.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/postgres/backup_facts.h"
#include "engine/restore/wal_survey.h"
#include "engine/wal/timeline_history.h"
#include "engine/wal/wal_inventory.h"

namespace haul::restore {

// Whether recovery along this lineage can begin from the backup: it began and it ended there on the
// timelines that the lineage has at these positions.
bool lies_on(const wal::TimelineHistory& lineage, const postgres::BackupFacts& backup);

// The lineage of a timeline; one without ancestors where no history tells of any. The server does
// the same.
wal::TimelineHistory lineage_to(const wal::WalInventory& archive, TimelineId timeline);

struct WalPath {
  std::vector<WalPiece> pieces;  // one after another; empty when the first one is missing already
  std::string missing;           // the segment that would come next
  // Segments of the lineage that are archived behind the missing one: their WAL cannot be reached.
  std::optional<std::string> beyond;
};

// Tells whether the backup itself has a segment.
using SegmentProbe = std::function<bool(const postgres::WalSegment& segment)>;

// As the server's XLogFileReadAnyTLI() goes: of each segment the newest timeline's, the archive
// before pg_wal, never back to an older timeline. Of a segment in which timelines change and that
// only the older one has, what lies behind the change does not count. Where the archive has a
// segment in part, restore puts that into pg_wal, unless the backup's own copy goes farther.
WalPath find_wal_path(const wal::WalInventory& archive, const wal::TimelineHistory& lineage,
                      const postgres::BackupFacts& backup, const SegmentProbe& backup_has);

// The content of a piece that the archive has, with zeros behind an unfinished one. Of a tail whose
// segment has been completed meanwhile it is the segment.
Result<std::vector<std::byte>> read_archived_piece(const repository::Cluster& cluster,
                                                   const postgres::BackupFacts& backup,
                                                   const WalPiece& piece);

}  // namespace haul::restore
