// Reads one set of files while it writes another, with nothing between: what a backup or a restore
// costs the device at least. The writes are spread evenly over the reads.
//
// One ring carries both, whole operations with O_DIRECT, at one queue depth. What is written cannot
// be compressed. All of it is on the device when the copy ends: the file system is synced.
//
// Units:    sizes are bytes; an operation is a multiple of io::kDirectAlignment.
// Memory:   two operations per slot of the ring.
// Threads:  the caller's, and one that opens files for either side; the thread back end has its
//           own.
// Errors:   those of files and rings. What was created stays after a failure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/file_feed.h"
#include "io/directory.h"
#include "io/ring.h"

namespace haul::bench {

// The files of one side, in the order in which they are read or written.
struct FileSet {
  io::Directory* root = nullptr;
  std::vector<SizedFile> files;
};

struct RingSetting {
  io::RingBackend backend = io::RingBackend::automatic;
  std::size_t depth = 0;
  std::size_t operation_bytes = 0;
  std::uint64_t bytes_per_second = 0;  // begun by both sides together, at most; 0: no limit
};

struct PacedCopyOutcome {
  double seconds = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
  std::string backend;
};

// Files of `writes` are created, and their directories as needed; they must not exist.
Result<PacedCopyOutcome> paced_copy(const FileSet& reads, const FileSet& writes,
                                    const RingSetting& setting);

}  // namespace haul::bench
