// Directory on a real file system.
//
// Threads:  see io/directory.h.
// Errors:   see io/directory.h; unsupported (a kernel without openat2).
#pragma once

#include <memory>
#include <string>

#include "io/directory.h"

namespace haul::io {

// Opens an existing directory as a root. The path itself is the user's own and may contain symbolic
// links.
Result<std::unique_ptr<Directory>> open_posix_directory(const std::string& path);

}  // namespace haul::io
