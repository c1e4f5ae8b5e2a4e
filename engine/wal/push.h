// pghaul wal push: takes a finished WAL file of a server into the archive.
//
// Durability: success means that the file's bytes and name survive a crash.
// Memory:   the file and its compressed frames.
// Threads:  blocks its caller, and owns a few threads while it compresses.
// Errors:   usage (a name that no server gives), not_found (no such file), corrupt and unsupported
//           (what the name does not promise), server_state (another system's), already_exists
//           (another content has the name), interrupted, and those of the repository.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/repository/cluster.h"
#include "engine/repository/local_repository.h"
#include "engine/wal/wal_name.h"

namespace haul::wal {

struct PushOptions {
  std::string path;  // absolute, of the file
  // How many further files that the server has marked as ready are taken along.
  std::size_t batch = 0;
  std::size_t workers = 1;
};

struct PushEnvironment {
  const repository::Cluster* cluster = nullptr;
  repository::LocalDirectoryOpener open_directory;
  Clock* clock = nullptr;
  std::stop_token stop;
  // What it was about when it failed.
  enum class Side { server, repository } side = Side::server;
};

struct PushReport {
  std::vector<std::string> stored;
  std::vector<std::string> were_there;
  // Why files that were taken along did not get in. Their own turn comes, and fails if need be.
  std::vector<std::string> warnings;
};

Result<PushReport> push_wal(const PushOptions& options, PushEnvironment& environment);

}  // namespace haul::wal
