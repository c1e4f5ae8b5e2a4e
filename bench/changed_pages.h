// What the changed pages of a cluster take by themselves: the yardstick of an incremental backup.
//
// Two copies of a data directory are compared page by page, files as a backup takes them: no WAL,
// no control file, nothing that backups leave out; tablespaces outside are not followed. The pages
// that differ are gathered in the order of the files and compressed in chunks of 32, nothing added
// to them. Pages of zeros cost nothing and are not counted.
//
// Units:    sizes are bytes; pages are of 8 KiB, the last one of a file may be short.
// Memory:   8 MiB, and the names of the directories on the way to a file.
// Threads:  the caller's alone.
// Errors:   those of listing and reading; usage (what is a file in one copy is none in the other).
#pragma once

#include <cstdint>

#include "base/result.h"
#include "compress/codec.h"
#include "io/directory.h"

namespace haul::bench {

struct ChangedPages {
  std::uint64_t pages = 0;
  std::uint64_t bytes = 0;
  std::uint64_t compressed_bytes = 0;
};

// Pages of `after` that `before` does not have at their place.
Result<ChangedPages> changed_pages(io::Directory& before, io::Directory& after,
                                   compress::CodecChoice codec);

}  // namespace haul::bench
