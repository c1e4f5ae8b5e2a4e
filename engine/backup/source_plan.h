// What a backup copies: one scan of the data directory and its tablespaces, handed on as it goes.
//
// Memory:   that of the sorter's options for the names of the directories being listed, exceeded
// only
//           by kSorterMemoryMin twice for each level of depth; per directory some 100 bytes, per
//           warning its text.
// Threads:  a scan blocks its caller and calls the sink from there.
// Errors:   those of listing, of the spool and of the sink; server_state (a directory that must be
//           there is not); interrupted.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/backup/change_selection.h"
#include "engine/backup/record_sorter.h"
#include "engine/backup/source_tree.h"
#include "engine/postgres/backup_session.h"
#include "engine/postgres/file_grammar.h"
#include "engine/repository/parent_map.h"

namespace haul::backup {

struct PlannedFile {
  std::string path;
  bool relation = false;          // page structured
  std::uint32_t first_block = 0;  // of the file within its fork
  io::FileInfo info;              // when planned; the copy goes by its own look
  // What the copy is overlaid on, if anything, and what of it is read, if not all; the copy's to
  // find.
  std::shared_ptr<repository::ParentMap> parent = {};
  std::optional<FileSelection> selection = {};
};

struct PlannedDirectory {
  std::string path;  // "" is the data directory itself
  io::FileInfo info;
};

struct PlannedLink {
  std::string path;
  std::string target;
};

// Takes what is planned. A failure ends the scan and is its answer. May block, e.g. on a bounded
// queue.
class PlanSink {
 public:
  virtual ~PlanSink() = default;
  // Before anything that lies in it.
  virtual Status directory(PlannedDirectory directory) = 0;
  // global/pg_control is never among them.
  virtual Status file(PlannedFile file) = 0;
  // Recorded, not followed.
  virtual Status link(PlannedLink link) = 0;
};

struct SourceSummary {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> warnings;
  // Names that were listed and gone when looked at, and have to be settled by
  // check_vanished_directories().
  std::vector<std::string> vanished_with_directory;
  // PG_VERSION and pg_filenode.map of every database that was planned.
  std::set<std::string, std::less<>> database_files;
};

// The order is the tree's: a directory, then its content, siblings in natural order. (Directories
// whose names differ only in leading zeros are interleaved in a tree and come one after the other
// here.) Each directory is listed whole before anything in it is handed on: an init fork seen
// anywhere in it decides that the other forks of its relation are left out.
Result<SourceSummary> plan_source(const SourceTree& source, const postgres::ControlFile& control,
                                  const SorterOptions& sorting, std::stop_token stop,
                                  PlanSink& sink);

// Every database that was there before and after the scan has its directory and map in the plan: a
// database that was damaged before the scan cannot be told from one that is being dropped by
// looking at files.
Status check_databases(const SourceSummary& summary, const SourceTree& source,
                       const std::vector<postgres::DatabasePlace>& before,
                       const std::vector<postgres::DatabasePlace>& after);

// Files that may vanish only together with their directory (PG_VERSION, pg_filenode.map of a
// database): fails when the directory is still there. Called when the copy is done; DROP DATABASE
// may need a moment, which `clock` provides.
Status check_vanished_directories(const SourceTree& source, const std::vector<std::string>& paths,
                                  Clock& clock);

}  // namespace haul::backup
