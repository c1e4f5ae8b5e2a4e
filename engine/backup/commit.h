// From copied files to a committed snapshot: the tree, the index, the pack table, the commit.
//
// Threads:  one owner at a time.
// Errors:   those of the repository.
// Format:   docs/format.md, "Commit order".
#pragma once

#include <vector>

#include "engine/backup/backup.h"
#include "engine/backup/entry_sorter.h"
#include "engine/backup/file_store.h"
#include "engine/backup/parent.h"
#include "engine/repository/chunk_writer.h"
#include "engine/repository/lease.h"

namespace haul::backup {

// Everything a backup writes through, made once its lease exists: the order is what makes reuse of
// others' packs safe.
class RepositorySession {
 public:
  // With `overlaid` the newest backup of that server is the parent, if there is one.
  static Result<std::unique_ptr<RepositorySession>> open(const repository::Cluster& cluster,
                                                         BackupEnvironment& environment,
                                                         const postgres::BackupFacts* overlaid);

  const repository::Cluster& cluster() const { return cluster_; }
  repository::Lease& lease() { return *lease_; }
  const repository::Index& index() const { return *index_; }
  repository::ChunkWriter& writer() { return *writer_; }
  repository::PackStream& metadata() { return *metadata_; }
  Parent* parent() { return parent_.get(); }  // null: there is none
  repository::Findings& findings() { return findings_; }
  Result<FileStore> make_file_store(compress::CodecChoice codec);

  // Writes the tree of `entries`, makes everything durable and commits. Fills tree, packs, counters
  // and times of `snapshot`, whose facts are set.
  Status commit(EntrySorter& entries, repository::Snapshot& snapshot,
                BackupEnvironment& environment);
  // The orderly end of a backup that failed: the name is free for gc to clean up after.
  void abandon();

 private:
  explicit RepositorySession(const repository::Cluster& cluster) : cluster_(cluster) {}

  const repository::Cluster cluster_;
  repository::Findings findings_;
  UtcTime started_;
  std::unique_ptr<repository::Lease> lease_;
  std::unique_ptr<repository::Index> index_;
  std::unique_ptr<repository::ChunkWriter> writer_;
  std::unique_ptr<repository::PackStream> data_;
  std::unique_ptr<repository::PackStream> metadata_;
  std::unique_ptr<Parent> parent_;
};

}  // namespace haul::backup
