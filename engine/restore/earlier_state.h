// What a delta restore finds at its target, and whether it may work on it.
//
// A data directory is taken for an earlier state of the backup's cluster when its pg_control says
// so; without one that can be read, the marker of a restore, else a WAL segment, else the backup's
// own label. A tablespace's place is the cluster's when its data directory links to it, or a marker
// names it; a data directory that was copied with its links does not get at those of the original.
//
// Nothing is changed here.
//
// Threads:  check_earlier_state() blocks its caller.
// Errors:   usage (a directory that is not of this cluster, a place that is another's),
//           server_state (a server runs there, or it is another cluster's), and what looking gives.
#pragma once

#include <string>
#include <vector>

#include "engine/postgres/postmaster_pid.h"
#include "engine/restore/target.h"

namespace haul::restore {

struct EarlierState {
  // Nothing is there: the restore is a plain one, into vacant places.
  bool is_vacant = false;
  // Where the cluster has tablespaces now; absolute.
  std::vector<std::string> tablespaces;
  // Those of them that are no place of the layout, nor the original's.
  std::vector<std::string> abandoned;
};

struct EarlierStateRequest {
  const TargetLayout* layout = nullptr;
  const postgres::BackupFacts* facts = nullptr;
  const std::vector<postgres::TablespaceMapping>* mappings = nullptr;
  std::string repository;  // its place, which must not lie in the target
};

Result<EarlierState> check_earlier_state(const EarlierStateRequest& request,
                                         const DirectoryOpener& open,
                                         postgres::ProcessProbe& processes);

// No server has come up since.
Status check_no_server(const TargetLayout& layout, const DirectoryOpener& open,
                       postgres::ProcessProbe& processes);

}  // namespace haul::restore
