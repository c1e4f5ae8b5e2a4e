// How PosixDirectory is made once the root is open, so that tests can take features of the system
// away.
#pragma once

#include <unistd.h>

#include <memory>
#include <string>

#include "io/directory.h"
#include "io/unique_fd.h"

namespace haul::io::internal {

// What the system is expected to have; a file system that lacks it all the same is noticed at the
// call.
struct PosixFeatures {
  bool nameless_files = true;        // O_TMPFILE, and /proc to give such a file its name
  bool rename_noreplace = true;      // renameat2(RENAME_NOREPLACE)
  bool lost_writes_reported = true;  // by sync_file_system
  int (*sync_file_system)(int fd) = ::syncfs;
};

std::unique_ptr<Directory> make_posix_directory(UniqueFd root, std::string name,
                                                PosixFeatures features);

}  // namespace haul::io::internal
