// Before anything is copied: is this the right server, the right directory, the right repository?
//
// Threads:  one owner at a time.
// Errors:   server_state (server and directory do not belong together, another cluster's name, not
// shut down), those of
//           connecting and of opening directories.
#pragma once

#include <memory>
#include <string>

#include "engine/backup/backup.h"
#include "engine/backup/source_tree.h"
#include "engine/postgres/backup_session.h"

namespace haul::backup {

struct Preflight {
  std::unique_ptr<postgres::BackupSession> session;  // null for an offline backup
  postgres::ConnectionOptions connection;
  std::string data_directory;
  io::FileInfo directory_info;
  postgres::ControlFile control;
  std::unique_ptr<SourceTree> source;
  postgres::BackupFacts facts;  // as far as they are known before the start
};

Result<Preflight> run_preflight(const BackupOptions& options, BackupEnvironment& environment,
                                const repository::Cluster& cluster);

// The data directory is still the one that was opened: not moved away, not replaced.
Status check_same_directory(const Preflight& preflight, BackupEnvironment& environment);
// What must not change while a backup runs: identity, checksums, timeline.
Status check_control_file_unchanged(const postgres::ControlFile& before,
                                    const postgres::ControlFile& after);
// No server ran on the directory of an offline backup since its control file was read.
Status check_still_shut_down(const Preflight& preflight, Clock& clock);

}  // namespace haul::backup
