// How the WAL from a backup's start to its stop gets into the repository: copied while the backup
// runs, or by the server's own archiver.
//
// Order of calls: open(), the session's start(), start(), the backup, prepare_stop(), the session's
// stop(), finish().
//
// Memory:   see engine/postgres/wal_copier.h and archive_wait.h.
// Threads:  one owner at a time; health() and cancel() from any thread.
// Errors:   those of the two.
#pragma once

#include <memory>
#include <vector>

#include "engine/backup/backup.h"
#include "engine/backup/commit.h"
#include "engine/backup/preflight.h"
#include "engine/postgres/backup_session.h"
#include "engine/repository/tree.h"

namespace haul::backup {

class BackupWal {
 public:
  virtual ~BackupWal() = default;

  virtual Status start(const postgres::StartResult& start) = 0;
  // The first failure stays.
  virtual Status health() = 0;
  virtual void prepare_stop() = 0;
  // Until all of it is in the repository.
  virtual Status finish(const postgres::StopResult& stop) = 0;
  // Makes finish() return `interrupted`.
  virtual void cancel() = 0;

  // What belongs into the tree, after finish(): nothing when it is archived.
  struct Included {
    std::vector<repository::TreeEntry> entries;
    std::uint64_t hole_bytes = 0;
  };
  virtual Included take_included() = 0;
  virtual bool is_included() const = 0;
};

struct BackupWalContext {
  const BackupOptions* options = nullptr;
  BackupEnvironment* environment = nullptr;
  const repository::Cluster* cluster = nullptr;
  Preflight* preflight = nullptr;
  RepositorySession* repository = nullptr;
  repository::TreeEntry prototype;  // of a file in pg_wal
};

// As --wal has it. `automatic` is the archive if a segment that the server is made to end arrives.
// What the context points to outlives the result.
Result<std::unique_ptr<BackupWal>> open_backup_wal(const BackupWalContext& context);

}  // namespace haul::backup
