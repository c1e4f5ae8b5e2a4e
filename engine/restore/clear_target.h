// What a delta restore does to names: everything that the backup has not goes, and its directories
// are there afterwards, with their modes and owners. Bytes of files are not looked at.
//
// Nothing is followed: a symbolic link is removed, never what it points to. Left alone are the
// marker, a file system's "lost+found", and in tablespaces whatever is not of this release.
//
// Memory:   the names of one directory per level, about 50 bytes each.
// Threads:  clear_target() blocks its caller.
// Errors:   io, permission, interrupted; those of reading the repository.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/repository/chunk_reader.h"
#include "engine/restore/plan.h"
#include "engine/restore/target.h"

namespace haul::restore {

struct ClearResult {
  std::uint64_t removed = 0;  // names
  std::vector<std::string> warnings;
};

// Durably removes pg_control: from then on no server starts there. Before anything else is changed.
Status remove_control_file(Target& target);
Result<ClearResult> clear_target(const RestorePlan& plan, repository::ChunkReader& chunks,
                                 Target& target, const DirectoryOpener& open, std::stop_token stop);

}  // namespace haul::restore
