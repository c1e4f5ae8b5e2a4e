// Copies the files of a plan into the target, many leaves at once.
//
//   planner -> transfer (reads) -> workers -> transfer (writes) -> finishers
//      ^          ^  |               |  |            |                |
//      |          |  +- read buffers +  +- read again|                |
//      +------------------------ free batches -------+----------------+
//
// In a delta restore, batches of what is on disk take another way to the reads of packs:
//
//   planner -> transfer (reads the disk; small files: readers) -> workers (compare) -> locator
//
// Planner, transfer (which owns the ring), the reader of what has to be read again, the
// readers and the locator of a delta restore and the finishers are threads that may block; the
// workers are oneTBB's and only compute. A fixed number of batches and read buffers goes round, so
// that whichever stage is slow holds up all others and memory does not grow.
//
// Once anything turns out to be lost, nothing more is written, but everything is still read: the
// answer names all that is lost.
//
// Units:    sizes are bytes.
// Memory:   about kPlaceMemoryBytes, or four of the largest leaves; 4 bytes per file.
// Threads:  place_files() blocks its caller, which plans, and owns the others.
// Errors:   io, no_space, permission, interrupted; lost files are no error here but the result.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/repository/chunk_reader.h"
#include "engine/repository/findings.h"
#include "engine/restore/losses.h"
#include "engine/restore/plan.h"
#include "engine/restore/restore.h"
#include "engine/restore/target.h"

namespace haul::restore {

inline constexpr std::size_t kPlaceMemoryBytes = 192 << 20;

struct PlaceContext {
  repository::ChunkReader* chunks = nullptr;
  repository::Findings* findings = nullptr;
  Target* target = nullptr;  // null: nothing is written, only looked for what is lost
  bool is_delta = false;     // the target may have the files already: what is right stays
  std::size_t workers = 1;
  io::RingFactory rings;
  std::stop_token stop;
  RestoreProgress* progress = nullptr;
};

struct PlaceResult {
  std::vector<std::uint32_t> crcs;      // CRC32C per file of the plan
  std::vector<std::string> lost_files;  // sorted; the first Losses::kNamesMax met
  std::uint64_t lost_file_count = 0;
  std::uint64_t kept_bytes = 0;  // that were on disk as they should be
  std::string io_backend;
};

// The directories of the plan, parents first.
Status place_directories(const RestorePlan& plan, Target& target);
Result<PlaceResult> place_files(const RestorePlan& plan, const PlaceContext& context);

}  // namespace haul::restore
