// A restore: plan -> fetch -> place -> seal.
//
// A delta restore may find an earlier state of the cluster, or a restore that was cut off, at its
// target: it removes pg_control first and keeps what its digests prove to be right.
//
// The target is not startable before the last step: global/pg_control gets its name when everything
// else is durable, and a marker file says so meanwhile. All names are created beneath the data
// directory and the mapped tablespaces, following no symbolic link.
//
// Units:    sizes are bytes.
// Memory:   workers times a leaf of 4 MiB and a bounded number of decoded chunks, plus about 400
//           bytes per file.
// Threads:  run_restore() blocks its caller and owns its workers; RestoreProgress is read from any
//           thread.
// Errors:   usage (a target that is not empty, or of a delta restore not the cluster's, a mapping
// that fits nothing), server_state (a server
//           runs there, one that was started failed), not_found (no such backup, a moment that is
//           not reached), corrupt (something cannot be had; names every file that it touches), io,
//           no_space, permission, interrupted.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "engine/postgres/backup_facts.h"
#include "engine/postgres/backup_label.h"
#include "engine/postgres/postmaster_pid.h"
#include "engine/repository/repository.h"
#include "engine/repository/snapshot.h"
#include "engine/restore/program.h"
#include "engine/restore/recovery_target.h"
#include "engine/restore/server_start.h"
#include "io/directory.h"
#include "io/posix_object_store.h"
#include "io/ring.h"

namespace haul::restore {

// Created before anything else, and durably gone before global/pg_control appears: a directory that
// holds it, or that has no global/pg_control, is not a whole cluster and does not start.
inline constexpr std::string_view kUnfinishedMarker = "pghaul.restore-unfinished";

struct RestoreOptions {
  std::string cluster = "main";
  std::string backup = "latest";  // with a target the newest one that lies before it
  RecoveryTarget recovery;
  std::string target;                                 // absolute; created 0700 if absent
  std::vector<postgres::TablespaceMapping> mappings;  // -T OLD=NEW
  // Restored files get this owner; nothing: the owner recorded in the snapshot when running as
  // root, else the process's own.
  std::optional<io::FileOwner> owner;
  std::size_t workers = 0;  // 0: one per processor
  enum class Run { real, dry } run = Run::real;
  // Whether the target may hold an earlier or damaged state of the cluster, of which is kept what
  // the backup has as well.
  enum class Delta { no, yes } delta = Delta::no;
  // Whether a server is started on it, and is to be where the recovery brings it.
  enum class Start { no, yes } start = Start::no;
  std::string server_programs;  // their directory; empty: where they usually are
};

struct RestoreProgress {
  enum class Phase { planning, copying, syncing, replaying };
  std::atomic<Phase> phase = Phase::planning;
  std::atomic<std::uint64_t> bytes_total = 0;
  std::atomic<std::uint64_t> bytes_done = 0;
};

// Opens an existing directory by absolute path.
using DirectoryOpener =
    std::function<Result<std::unique_ptr<io::Directory>>(const std::string& path)>;

struct RestoreEnvironment {
  const repository::Repository* repository = nullptr;
  Clock* clock = nullptr;
  Log* log = nullptr;
  std::stop_token stop;
  // Empty: the machine's own file system. Missing directories are made through their parents.
  DirectoryOpener open_directory;
  // Empty: the machine's own.
  io::RingFactory rings;
  // Null: the machine's processes.
  postgres::ProcessProbe* processes = nullptr;
  RestoreProgress* progress = nullptr;
  // Runs the server's programs; null: the machine's own, as the owner of the restored files.
  ProgramRunner* programs = nullptr;
  // pghaul itself, absolute: a recovering server calls it.
  std::string program = "/usr/bin/pghaul";
};

struct RecoveryPlan;

struct RestoreReport {
  std::string backup;
  postgres::BackupFacts facts;
  // Nothing: the backup recovers with the WAL that it has.
  std::shared_ptr<const RecoveryPlan> recovery;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  // Of a delta restore that found anything.
  struct Delta {
    std::uint64_t kept_bytes = 0;  // of `bytes`; the rest was written
    std::uint64_t removed = 0;     // names
  };
  std::optional<Delta> delta;
  std::chrono::nanoseconds plan_time{};
  std::chrono::nanoseconds copy_time{};
  std::chrono::nanoseconds sync_time{};  // file systems or directories, manifest, pg_control
  std::optional<ServerReport> server;    // that was started
  std::string io_backend;                // how the device was used: "uring", "threads", ...
  std::vector<std::pair<std::string, std::string>> tablespaces;    // recorded place, new place
  std::vector<std::pair<std::string, std::string>> configuration;  // where it was, where it is now
  // Damage of the repository that was met and worked around.
  std::vector<std::string> findings;
  std::vector<std::string> warnings;
};

// "latest" is the committed backup with the newest stop position on the newest history; not_found
// when there is none.
Result<std::string> resolve_backup(const repository::Cluster& cluster, const std::string& name);

Result<RestoreReport> run_restore(const RestoreOptions& options, RestoreEnvironment& environment);

}  // namespace haul::restore
