// The files of one backup as ls and cat show them: what its tree lists, and the two texts that the
// snapshot itself keeps, backup_label and tablespace_map.
//
// Paths are relative to the data directory; files from outside it have their absolute path.
//
// Memory:   one leaf of the tree and one chunk.
// Threads:  one owner at a time.
// Errors:   not_found (no such file), usage (not a regular file), corrupt, io.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine/postgres/backup_facts.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/file_map.h"
#include "engine/repository/snapshot.h"

namespace haul::cli {

// "base/5/1259", or "/etc/postgresql/15/main/pg_hba.conf".
std::string shown_path(const repository::TreeEntry& entry);

class BackupTree {
 public:
  static Result<std::unique_ptr<BackupTree>> open(const repository::Cluster& cluster,
                                                  const std::string& backup);

  const std::string& backup() const { return snapshot_.id; }

  // Every entry at or beneath `path`, in order; all for the empty path. `visit` may end the walk.
  Status list(const std::string& path, const repository::EntryVisitor& visit);
  // Hands the file's bytes to `write` one piece after another.
  using Writer = std::function<Status(ByteSpan)>;
  Status read(const std::string& path, const Writer& write);
  // Damage that was met and worked around.
  const repository::Findings& findings() const { return findings_; }

 private:
  explicit BackupTree(const repository::Cluster& cluster) : cluster_(cluster) {}
  std::vector<repository::TreeEntry> kept_entries() const;
  Status read_content(const repository::TreeEntry& entry, const Writer& write);

  const repository::Cluster cluster_;
  repository::Findings findings_;
  repository::Snapshot snapshot_;
  postgres::BackupFacts facts_;
  std::unique_ptr<repository::Index> index_;
  std::unique_ptr<repository::ChunkReader> chunks_;
};

}  // namespace haul::cli
