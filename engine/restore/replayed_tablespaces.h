// Tablespaces that replay will make where they were made once: a server empties what is there, and
// needs what is not.
//
// Threads:  functions that look at directories.
// Errors:   usage (a place that is not an empty directory, or another one's), and those of the
//           directories.
#pragma once

#include <vector>

#include "engine/restore/target.h"
#include "engine/restore/wal_survey.h"

namespace haul::restore {

// Refuses what would fail or do harm on this machine. No mapping reaches into WAL: a tablespace of
// the backup that is mapped elsewhere and made again by replay goes back to its old place.
Status check_replayed_tablespaces(const std::vector<ReplayedTablespace>& tablespaces,
                                  const TargetLayout& layout, const DirectoryOpener& open);

}  // namespace haul::restore
