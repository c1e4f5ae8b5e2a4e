// Would a backup work, and does WAL arrive? Asked without taking one.
//
// Threads:  blocks its caller.
// Errors:   what keeps a backup from working, as a backup would say it; server_state when no WAL
//           arrives though the server is to archive.
#pragma once

#include <string>
#include <vector>

#include "engine/backup/backup.h"

namespace haul::backup {

struct CheckReport {
  // What was found in order, one line each.
  std::vector<std::string> passed;
  // What is no failure, and yet not what a careful user wants.
  std::vector<std::string> warnings;
};

// Connects, checks server, directory, rights and cluster name, creates and removes an object in the
// repository, and makes the server end a segment of WAL to see it arrive. Changes nothing else.
Result<CheckReport> run_check(const BackupOptions& options, BackupEnvironment& environment);

}  // namespace haul::backup
