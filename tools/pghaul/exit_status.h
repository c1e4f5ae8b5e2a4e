// The exit status of every failure: stable, documented in pghaul(1).
//
// Threads:  functions over values.
#pragma once

#include <optional>

#include "base/result.h"
#include "tools/pghaul/option_table.h"

namespace haul::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
// Done, but pages of the source have wrong checksums.
inline constexpr int kBadSourcePages = 3;
inline constexpr int kNoBackup = 4;
inline constexpr int kDamaged = 5;
// A threshold is passed, or something is wrong that is not damage of the repository.
inline constexpr int kBreached = 6;
inline constexpr int kNoRepository = 10;
inline constexpr int kBusy = 11;
inline constexpr int kPermission = 13;
inline constexpr int kStorage = 14;
inline constexpr int kServer = 15;
// Of wal get: the file is certainly not in the archive, and anything else. A server in recovery
// takes 1 to 125 for the end of the archive and would promote.
inline constexpr int kWalAbsent = 1;
inline constexpr int kWalNotDelivered = 126;
// 128 and the number of SIGINT; main() puts the signal's own number in its place.
inline constexpr int kInterrupted = 130;

// What a command was about when it failed: one code may mean different things.
enum class Subject {
  request,     // the command line and the configuration
  init,        // the place of a new repository
  repository,  // an existing one, and the backups in it
  source,      // the cluster that is backed up
  target,      // where a backup is restored to
};

int exit_status(ErrorCode code, Subject subject);

// What a failure's status becomes where a server runs the command and reads more into it.
int status_for_server(std::optional<Command> command, int failure);

}  // namespace haul::cli
