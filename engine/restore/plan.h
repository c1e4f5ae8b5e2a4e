// What a restore will place: the backup's tree, read whole and checked against what PostgreSQL and
// a data directory allow.
//
// A tree is not trusted: a path that is ours to write, a tablespace that nobody recorded, an entry
// without its directory make the backup `corrupt`.
//
// Memory:   about 400 bytes per file.
// Threads:  a value, immutable once made.
// Errors:   not_found (no such backup), corrupt, unsupported (a server version), io.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/postgres/backup_facts.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/snapshot.h"
#include "engine/repository/tree.h"

namespace haul::restore {

// Reads the snapshot; not_found says which backup and cluster.
Result<repository::Snapshot> read_backup(const repository::Cluster& cluster,
                                         const std::string& name);

struct RestorePlan {
  std::string backup;
  postgres::BackupFacts facts;
  std::vector<repository::TreeEntry> directories;    // in tree order: parents first
  std::vector<repository::TreeEntry> files;          // in tree order; pg_control is not among them
  std::vector<repository::TreeEntry> configuration;  // from outside of the data directory
  repository::TreeEntry control_file;
  std::vector<std::byte> control_bytes;
  bool group_access = false;            // the cluster was made with initdb --allow-group-access
  std::uint64_t bytes = 0;              // of all files
  std::vector<std::string> lost_files;  // found unreadable already
  std::vector<std::string> warnings;

  // By path; both look in what the tree has for the data directory.
  bool has_file(std::string_view path) const;
  bool has_directory(std::string_view path) const;
};

// Names that only the restore or a server may create, and everything in the server's own
// directories.
bool is_reserved_name(std::string_view path);

Result<RestorePlan> make_plan(repository::ChunkReader& chunks,
                              const repository::Snapshot& snapshot);

}  // namespace haul::restore
