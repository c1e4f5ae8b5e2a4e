// A backup from start to commit: plan -> read -> digest -> store -> commit.
//
// Online: one server session stays open from start to stop and a slot keeps the WAL, which is
// copied while the backup runs. Offline: a cluster that was cleanly shut down. Either ends with a
// committed, durable snapshot or with an error and nothing committed.
//
// Units:    sizes are bytes.
// Memory:   see engine/backup/copy.h and record_sorter.h; it does not grow with the cluster.
// Threads:  run_backup() blocks its caller and owns its workers; BackupProgress is read from any
//           thread.
// Errors:   server_state, permission, io, no_space, no_repository, corrupt (the source's
// control file), interrupted.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "compress/codec.h"
#include "engine/backup/record_sorter.h"
#include "engine/postgres/backup_facts.h"
#include "engine/postgres/backup_session.h"
#include "engine/repository/repository.h"
#include "engine/repository/snapshot.h"
#include "io/directory.h"
#include "io/ring.h"

namespace haul::backup {

// Of the pages that need not be read. Neither: 1 %, and at most 100,000.
struct AuditSize {
  std::optional<std::uint64_t> pages;
  std::optional<std::uint64_t> ppm;  // of a million
};

struct BackupOptions {
  std::string cluster = "main";
  // Absolute path; empty: the server's data_directory.
  std::string data_directory;
  postgres::ConnectionOptions connection;
  enum class Mode { online, offline } mode = Mode::online;
  postgres::CheckpointMode checkpoint = postgres::CheckpointMode::spread;
  // How the WAL from start to stop gets into the repository; `automatic` is the archive where it
  // leads here, else include.
  enum class Wal { automatic, include, archive } wal = Wal::automatic;
  // How long one segment may take to arrive by the archive.
  std::chrono::nanoseconds archive_timeout = std::chrono::seconds(60);
  std::string label = "pghaul backup";
  compress::CodecChoice codec;
  std::size_t workers = 0;  // 0: one per processor
  // Read from the data directory and written to the repository at most, together; 0: no limit.
  std::uint64_t bytes_per_second = 0;
  // How it is found what has changed since the parent: by reading everything, or from WAL. Then so
  // many of the pages that need not be read are read nevertheless, as a check.
  enum class Changes { scan, wal } changes = Changes::scan;
  AuditSize audit;
  // `automatic` is overlaid on the newest backup of the server; `full` consults none.
  enum class Type { automatic, full } type = Type::automatic;
  enum class Run { real, dry } run = Run::real;
};

struct BackupProgress {
  enum class Phase {
    connecting,
    starting,
    finding_changes,
    copying,
    stopping,
    archiving,
    committing
  };
  std::atomic<Phase> phase = Phase::connecting;
  std::atomic<std::uint64_t> bytes_total = 0;  // grows while planning runs
  std::atomic<std::uint64_t> bytes_done = 0;
  std::atomic<std::uint64_t> stored_bytes = 0;
  std::atomic<std::shared_ptr<const std::string>> io_backend;  // null: not known yet
};

// What a backup reaches for; tests bring their own.
struct BackupEnvironment {
  const repository::Repository* repository = nullptr;
  Clock* clock = nullptr;
  Random* random = nullptr;
  Log* log = nullptr;
  std::stop_token stop;
  // Opens a directory by absolute path: the data directory, tablespaces, pg_wal, places of
  // configuration files.
  std::function<Result<std::unique_ptr<io::Directory>>(const std::string&)> open_directory;
  BackupProgress* progress = nullptr;
  // Where sorting what does not fit into memory may write.
  SpoolOpener spool;
  // Empty: io::open_ring.
  io::RingFactory rings;
  std::string program;  // "pghaul 0.1.0"
};

struct BackupReport {
  repository::Snapshot snapshot;
  postgres::BackupFacts facts;
  std::string io_backend;
  std::uint64_t files_vanished = 0;
  std::uint64_t pages_reread = 0;  // changed while they were read, accepted after another look
  std::vector<std::string> warnings;
  // Damage of the repository that was met and worked around.
  std::vector<std::string> findings;
  // Of a dry run: what would have been read.
  std::uint64_t planned_files = 0;
  std::uint64_t planned_bytes = 0;
};

Result<BackupReport> run_backup(const BackupOptions& options, BackupEnvironment& environment);

}  // namespace haul::backup
