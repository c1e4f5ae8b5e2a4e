// Copies the planned files: reads many leaves at once, checks pages, finds what has changed since
// the parent, digests, stores what is new.
//
//   planner -> reader -> workers -> collector -> pack finisher
//               ^  ^       | ^          |
//               |  v       v |          v
//               | parent  second look   |
//               +------ free batches ---+
//
// Planner, reader (which owns the ring), look-ups of the parent, second look, collector and
// finisher are threads that may block; the workers are oneTBB's and only compute. A fixed number of
// batches goes round, so that whichever stage is slow holds up all others and memory does not grow.
//
// Units:    sizes are bytes.
// Memory:   up to 16 batches of 4 to 12 MiB, 32 bytes per leaf of open files.
// Threads:  copy_files() blocks its caller, which collects, and owns the others.
// Errors:   io and permission of the source (naming the file), those of the chunk writer,
//           interrupted; the first one stops everything.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/backup/backup.h"
#include "engine/backup/page_check.h"
#include "engine/backup/parent.h"
#include "engine/backup/source_plan.h"
#include "engine/backup/suspects.h"
#include "engine/repository/chunk_writer.h"
#include "engine/repository/tree.h"

namespace haul::backup {

struct CopyContext {
  const SourceTree* source = nullptr;
  repository::ChunkWriter* writer = nullptr;
  repository::PackStream* metadata = nullptr;
  Parent* parent = nullptr;                  // null: everything is new
  const ChangeSelection* changes = nullptr;  // null: everything is read
  PageCheckContext pages;
  compress::CodecChoice codec;
  std::size_t workers = 1;
  io::RingFactory rings;
  std::uint64_t bytes_per_second = 0;  // 0: no limit
  Clock* clock = nullptr;
  std::stop_token stop;
  BackupProgress* progress = nullptr;
  // Asked again and again: the server's session must be alive for the copy to be worth anything.
  std::function<Status()> health;
  // Lists the files, on a thread of its own, while those it has listed are being copied.
  using TakeFile = std::function<Status(PlannedFile)>;
  std::function<Status(const TakeFile& take_file)> plan;
  // Takes the entry of each file, from any thread, in any order.
  std::function<Status(const repository::TreeEntry&)> add_entry;
};

struct CopyResult {
  PageCheckResult pages;
  std::uint64_t read_bytes = 0;
  std::uint64_t files_kept = 0;  // without being opened
  std::uint64_t hole_bytes = 0;
  std::uint64_t changed_bytes = 0;
  std::uint64_t changed_leaves = 0;  // that the parent has too
  std::uint64_t files_vanished = 0;
  // Files that were planned and gone when opened; see check_vanished_directories().
  std::vector<std::string> vanished_with_directory;
  std::string io_backend;
  Suspects suspects;
};

Result<CopyResult> copy_files(const CopyContext& context);

}  // namespace haul::backup
