// What a backup copies: one scan of the data directory and its tablespaces.
//
// Memory:   about 150 bytes per name.
// Threads:  a value; the scan blocks its caller.
// Errors:   those of listing; server_state (a directory that must be there is not).
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "engine/backup/source_tree.h"
#include "engine/postgres/backup_session.h"
#include "engine/postgres/file_grammar.h"

namespace haul::backup {

struct PlannedFile {
  std::string path;
  bool relation = false;              // page structured
  std::uint32_t first_block = 0;      // of the file within its fork
  std::uint64_t size_hint_bytes = 0;  // when listed; the copy goes by its own look
};

struct PlannedDirectory {
  std::string path;  // "" is the data directory itself
  io::FileInfo info;
};

struct PlannedLink {
  std::string path;
  std::string target;
};

struct SourcePlan {
  std::vector<PlannedDirectory> directories;
  std::vector<PlannedFile> files;  // in tree order, global/pg_control not among them
  std::vector<PlannedLink> links;  // recorded, not followed
  std::vector<std::string> warnings;
  // Names that were listed and gone when looked at; each was allowed to vanish, or has to be
  // settled by check_vanished_directories().
  std::vector<std::string> vanished_with_directory;
  std::uint64_t bytes = 0;
};

Result<SourcePlan> plan_source(const SourceTree& source, const postgres::ControlFile& control,
                               std::stop_token stop);

// Every database that was there before and after the scan has its directory and map in the plan: a
// database that was damaged before the scan cannot be told from one that is being dropped by
// looking at files.
Status check_databases(const SourcePlan& plan, const SourceTree& source,
                       const std::vector<postgres::DatabasePlace>& before,
                       const std::vector<postgres::DatabasePlace>& after);

// Files that may vanish only together with their directory (PG_VERSION, pg_filenode.map of a
// database): fails when the directory is still there. Called when the copy is done; DROP DATABASE
// may need a moment, which `clock` provides.
Status check_vanished_directories(const SourceTree& source, const std::vector<std::string>& paths,
                                  Clock& clock);

}  // namespace haul::backup
