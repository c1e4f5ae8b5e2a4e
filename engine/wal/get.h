// pghaul wal get: hands a WAL file of the archive to a server in recovery.
//
// The server takes "absent" for the end of the archive, and promotes. So that is said only when the
// repository was seen, by its path and with its id, after the miss, and the cluster is known;
// everything else is an error.
//
// Durability: none; the server can ask again.
// Memory:   one file, stored and unpacked.
// Threads:  blocks its caller.
// Errors:   usage (a name or a target that no server gives), no_repository (another repository),
//           server_state (another system's, or a cluster that is not known), corrupt, io, and those
//           of repository and target. The target is there whole or as it was before.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "engine/repository/local_repository.h"
#include "engine/wal/look_ahead.h"
#include "engine/wal/wal_name.h"

namespace haul::wal {

struct GetOptions {
  std::string name;    // %f
  std::string target;  // %p, absolute
  // Where segments are kept ready, an absolute path; empty: nowhere.
  std::string spool;
};

struct GetEnvironment {
  const repository::Repository* repository = nullptr;
  const repository::Cluster* cluster = nullptr;
  repository::LocalDirectoryOpener open_directory;
  Clock* clock = nullptr;
  std::stop_token stop;
  // For a spool: the machine, its boot, and the words that start a process to look ahead.
  Host* host = nullptr;
  std::string boot_id;
  std::vector<std::string> prefetcher;
  // For what does not keep the file from being delivered.
  Log* log = nullptr;
};

enum class Delivery { delivered, absent };

Result<Delivery> get_wal(const GetOptions& options, const GetEnvironment& environment);

// The system whose WAL a server wants: its control file's, where it can be read beside the target's
// directory, which must be the cluster's.
Result<std::uint64_t> system_wanted(const GetEnvironment& environment,
                                    const std::string& wal_directory);
// Puts the content in the place of whatever has this name, in one step.
Status write_wal_file(io::Directory& directory, const std::string& name, ByteSpan content);

}  // namespace haul::wal
