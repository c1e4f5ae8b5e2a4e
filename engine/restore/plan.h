// What a restore will place: the backup's tree, read once from end to end and checked against what
// PostgreSQL and a data directory allow.
//
// A tree is not trusted: a path that is ours to write, a tablespace that nobody recorded, an entry
// without its directory make the backup `corrupt`.
//
// Files are not kept: for_each_file() reads them anew whenever they are needed.
//
// Memory:   about 300 bytes per directory, and 400 per file that lies in none of the server's own
//           directories, or in pg_wal.
// Threads:  a value, immutable once made.
// Errors:   not_found (no such backup), corrupt, unsupported (a server version), io.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/postgres/backup_facts.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/snapshot.h"
#include "engine/repository/tree.h"
#include "engine/repository/tree_store.h"

namespace haul::restore {

// They tell a server to recover from an archive or a primary.
inline constexpr std::string_view kRecoverySignal = "recovery.signal";
inline constexpr std::string_view kStandbySignal = "standby.signal";

// Reads the snapshot; not_found says which backup and cluster.
Result<repository::Snapshot> read_backup(const repository::Cluster& cluster,
                                         const std::string& name);

struct RestorePlan {
  std::string backup;
  repository::TreeRootId tree;
  std::vector<repository::PackRef> packs;  // that the backup refers to, the newest last
  postgres::BackupFacts facts;
  std::vector<repository::TreeEntry> directories;    // in tree order: parents first
  std::vector<repository::TreeEntry> configuration;  // from outside of the data directory
  repository::TreeEntry control_file;
  std::vector<std::byte> control_bytes;
  bool group_access = false;              // the cluster was made with initdb --allow-group-access
  std::uint64_t files = 0;                // in the data directory; pg_control is not among them
  std::uint64_t bytes = 0;                // of all files, pg_control and configuration too
  std::uint64_t leaf_bytes_max = 0;       // of the files
  std::uint32_t page_size_bytes_max = 0;  // of the files
  std::map<std::string, repository::TreeEntry, std::less<>> known_files;
  std::set<std::string, std::less<>> taken_out;  // of the known files: not placed
  std::vector<std::string> lost_files;           // found unreadable already
  std::vector<std::string> warnings;

  // By path; both look in what the tree has for the data directory. Files are known for what no
  // server directory holds, PG_VERSION, postgresql.auto.conf and WAL segments.
  bool has_file(std::string_view path) const { return known_files.contains(path); }
  bool has_directory(std::string_view path) const;
  // A known file that someone else will write.
  void take_out(const std::string& path);
};

// Names that only the restore or a server may create, and everything in the server's own
// directories.
bool is_reserved_name(std::string_view path);

Result<RestorePlan> make_plan(repository::ChunkReader& chunks,
                              const repository::Snapshot& snapshot);

// Calls `visit` with every directory and file that is placed, in tree order: what lies in a
// directory follows it.
Status for_each_placed(repository::ChunkReader& chunks, const RestorePlan& plan,
                       const repository::EntryVisitor& visit);

// Calls `visit` with every file that the plan counted, never with more, in tree order; stops at its
// first failure. `corrupt` when the tree is not what it was.
Status for_each_file(repository::ChunkReader& chunks, const RestorePlan& plan,
                     const repository::EntryVisitor& visit);

}  // namespace haul::restore
