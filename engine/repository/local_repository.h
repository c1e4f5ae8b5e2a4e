// A repository in a directory of this machine: opened, or made from nothing.
//
// Directories are reached through an opener, so that tests put faults or simulations in between.
//
// Threads:  functions over values.
// Errors:   no_repository (no such directory, or no config in it), usage and already_exists (init
//           where something is already), and those of the directories.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "engine/repository/repository.h"
#include "io/directory.h"
#include "io/ring.h"

namespace haul::repository {

// Opens an existing directory by its absolute path.
using LocalDirectoryOpener =
    std::function<Result<std::unique_ptr<io::Directory>>(const std::string&)>;

// The machine's own file system.
Result<std::unique_ptr<io::Directory>> open_local_directory(const std::string& path);

// Who owns what is created: the process itself, or (for root) the owner of the top directory.
enum class LocalOwner { process, top_directory };

// Packs are written through rings of `rings`; without it within the calls, as simulations want it.
Result<Repository> open_local_repository(const LocalDirectoryOpener& open, const std::string& path,
                                         LocalOwner owner, io::RingFactory rings = {});

// Creates the last component of `path` (0700) if it is absent, and a repository in it. A failure
// leaves nothing behind.
struct LocalInit {
  std::string path;
  LocalOwner owner = LocalOwner::process;
  RepositoryParameters parameters;
};
Result<Repository> init_local_repository(const LocalDirectoryOpener& open, const LocalInit& init,
                                         Random& random, Clock& clock);

}  // namespace haul::repository
