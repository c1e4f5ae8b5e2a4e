// What a backup has changed against its parent, by database and by file, and how it uses the chunks
// that its maps draw on, as info --differences shows them.
//
// Units:    sizes are bytes.
// Memory:   a line per database and per file that is shown.
// Threads:  functions over values.
// Errors:   those of reading the repository; damage is a finding.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/repository/map_difference.h"
#include "engine/repository/snapshot.h"

namespace haul::cli {

// Where a file belongs: a database by its oid, 0 for what all databases share (global), nothing for
// all the rest.
std::optional<std::uint32_t> database_of(const repository::TreeEntry& entry);

struct BackupChanges {
  struct Database {
    std::uint64_t files_changed = 0;
    std::uint64_t files_added = 0;
    std::uint64_t files_removed = 0;
    std::uint64_t changed_bytes = 0;  // pages that are other ones, or were not there
  };
  struct File {
    std::string path;
    std::optional<std::uint32_t> database;
    repository::FileDifference::Kind kind = repository::FileDifference::Kind::changed;
    std::uint64_t size_bytes = 0;
    std::uint64_t changed_bytes = 0;
  };

  // The backup it was compared with; empty where there is none, or none any more.
  std::string parent;
  std::map<std::optional<std::uint32_t>, Database> databases;
  std::vector<File> files;  // those with the most changed bytes, the most first
  repository::MapUse maps;
  std::vector<std::string> findings;
};

// At most `files_max` files are named; the sums count all.
Result<BackupChanges> find_changes(const repository::Cluster& cluster,
                                   const repository::Snapshot& snapshot, std::size_t files_max);

}  // namespace haul::cli
