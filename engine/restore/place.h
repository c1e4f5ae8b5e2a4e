// Copies the files of a plan into the target, leaf by leaf, on several threads.
//
// Each file is synced and closed with its last leaf. Once anything turns out to be lost, nothing
// more is written, but everything is still read: the answer names all that is lost.
//
// Units:    sizes are bytes.
// Memory:   per worker one leaf and one open file; the cache of leaf.h.
// Threads:  place_files() blocks its caller and owns its workers.
// Errors:   io, no_space, permission, interrupted; lost files are no error here but the result.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/repository/chunk_reader.h"
#include "engine/restore/plan.h"
#include "engine/restore/restore.h"
#include "engine/restore/target.h"

namespace haul::restore {

struct PlaceContext {
  repository::ChunkReader* chunks = nullptr;
  Target* target = nullptr;  // null: nothing is written, only looked for what is lost
  std::size_t workers = 1;
  std::stop_token stop;
  RestoreProgress* progress = nullptr;
};

struct PlaceResult {
  static constexpr std::size_t kLostFilesMax = 10'000;

  std::vector<std::uint32_t> crcs;      // CRC32C per file of the plan
  std::vector<std::string> lost_files;  // sorted; the first kLostFilesMax met
  std::uint64_t lost_file_count = 0;
};

// The directories of the plan, parents first.
Status place_directories(const RestorePlan& plan, Target& target);
Result<PlaceResult> place_files(const RestorePlan& plan, const PlaceContext& context);

}  // namespace haul::restore
