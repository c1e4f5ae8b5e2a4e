// What lies around a WAL file on the server's side: its directory and the data directory above.
//
// Threads:  values.
// Errors:   not_found, corrupt (larger than any WAL file), and those of directories.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "engine/repository/local_repository.h"
#include "engine/wal/wal_name.h"

namespace haul::wal {

// An absolute path as its directory and its last component.
struct SplitPath {
  std::string directory;
  std::string name;
};
SplitPath split_path(const std::string& path);

// The system of the data directory that has `wal_directory` ("/data/pg_wal") in it, by its control
// file. Nothing where there is none that may be read: WAL can be pushed from anywhere.
Result<std::optional<std::uint64_t>> system_beside(
    const repository::LocalDirectoryOpener& open_directory, const std::string& wal_directory,
    Clock& clock);

// The file, whole; `corrupt` when it is larger than a file of this name can be.
Result<std::vector<std::byte>> read_wal_file(io::Directory& directory, const WalName& name);

// The WAL files that the server has marked as ready for its archiver, in the order in which it
// would take them: histories first. At most `count_max`.
Result<std::vector<WalName>> ready_files(io::Directory& wal_directory, std::size_t count_max);

}  // namespace haul::wal
